//! Which characters may stand in a call. A person cannot judge what cannot be shown.

use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

/// Control, format (bidirectional and zero-width among them), private, unassigned and default-ignorable
/// characters, and the line and paragraph separators (Unicode general categories and the property
/// `Default_Ignorable_Code_Point`).
static UNSHOWABLE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]").ok());

/// Why a text may not stand in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// A NUL character: it ends a word for the program and not for the judge.
    Nul,
    /// A character that cannot be shown: control, bidirectional, zero-width and the like.
    Unshowable(char),
    /// Not in Unicode normal form C: looks like other bytes.
    NotNormal,
}

/// Whether `text` may stand in a call; newline and tab pass here, and types decide on them.
pub(crate) fn check(text: &str) -> Result<(), Unfit> {
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Ok(());
    }
    for c in text.chars() {
        match c {
            '\0' => return Err(Unfit::Nul),
            '\n' | '\t' => {}
            c if is_unshowable(c) => return Err(Unfit::Unshowable(c)),
            _ => {}
        }
    }
    if text.is_ascii() || text.nfc().eq(text.chars()) {
        Ok(())
    } else {
        Err(Unfit::NotNormal)
    }
}

/// Whether `c` cannot be shown as itself.
pub(crate) fn is_unshowable(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    // The pattern is a constant that a test compiles; were it ever to fail, nothing could be shown.
    UNSHOWABLE
        .as_ref()
        .is_none_or(|pattern| pattern.is_match(c.encode_utf8(&mut [0; 4])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_shown_is_found() {
        assert!(UNSHOWABLE.is_some());
        for c in [
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{200b}',
            '\u{200e}',
            '\u{202e}',
            '\u{2028}',
            '\u{2066}',
            '\u{2060}',
            '\u{feff}',
            '\u{3164}',
            '\u{e0041}',
            '\u{e0101}',
            '\u{1d173}',
            '\u{115f}',
            '\u{e000}',
        ] {
            assert_eq!(check(&format!("a{c}b")), Err(Unfit::Unshowable(c)), "{c:?}");
        }
        assert_eq!(check("a\0b"), Err(Unfit::Nul));
        assert_eq!(check("e\u{301}"), Err(Unfit::NotNormal));
        assert_eq!(check("é – 漢字 Ж\n\t"), Ok(()));
    }
}
