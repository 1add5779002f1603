//! How words of others are written on a card: so that they can be read back exactly, and nothing in them is taken for
//! anything else.

use std::collections::BTreeSet;

use crate::error::shown_whole;

/// The longest run of blanks that is written as it is: a longer one would push what follows out of sight.
const BLANKS: usize = 8;

/// Text with everything in it visible. A long run of blanks is counted: `\u{20*3001}`.
pub(super) fn spelled(text: &str) -> String {
    let shown = shown_whole(text);
    if !shown.contains(&" ".repeat(BLANKS + 1)) {
        return shown;
    }
    let mut out = String::with_capacity(shown.len());
    let mut blanks = 0;
    let flush = |out: &mut String, blanks: &mut usize| {
        match std::mem::take(blanks) {
            few @ 0..=BLANKS => out.push_str(&" ".repeat(few)),
            many => out.push_str(&format!("\\u{{20*{many}}}")),
        };
    };
    for c in shown.chars() {
        if c == ' ' {
            blanks += 1;
        } else {
            flush(&mut out, &mut blanks);
            out.push(c);
        }
    }
    flush(&mut out, &mut blanks);
    out
}

/// A text between quotes that it cannot close.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", spelled(text).replace('"', "\\\""))
}

/// A name that somebody made up; quoted where it could be taken for more than a name.
pub(super) fn name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// One word on a line of its own; quoted where its ends could not be seen, or where it begins as the rest of a row that was
/// folded does.
pub(super) fn word(word: &str) -> String {
    let plain = !word.is_empty() && !word.starts_with([' ', '"', '…']) && !word.ends_with(' ');
    if plain { spelled(word) } else { quoted(word) }
}

/// A line of a longer text, with the newline that ends it, so that empty lines and what follows them are seen.
pub(super) fn line(line: &str) -> String {
    match line.strip_suffix('\n') {
        Some(text) => format!("{}\\n", spelled(text)),
        None => word(line),
    }
}

/// The characters that a line does not show as themselves, by their numbers; newlines and tabs, which texts are full of,
/// left out.
pub(super) fn escaped(line: &str, found: &mut BTreeSet<u32>) {
    let mut rest = line;
    while let Some((_, after)) = rest.split_once('\\') {
        let mut chars = after.chars();
        match chars.next() {
            Some('u') => {
                let number = after.split(['{', '}', '*']).nth(1);
                found.extend(number.and_then(|number| u32::from_str_radix(number, 16).ok()));
            }
            Some('r') => drop(found.insert(0x0d)),
            _ => {}
        }
        rest = chars.as_str();
    }
}

/// Letters that are drawn like those of another alphabet, by the alphabet's name; `None` for all others.
fn alphabet(c: char) -> Option<&'static str> {
    match c {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Some("Latin"),
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Some("Greek"),
        '\u{400}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}' | '\u{2de0}'..='\u{2dff}' | '\u{a640}'..='\u{a69f}' => {
            Some("Cyrillic")
        }
        '\u{530}'..='\u{58f}' => Some("Armenian"),
        '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => Some("Cherokee"),
        '\u{2c80}'..='\u{2cff}' => Some("Coptic"),
        '\u{a4d0}'..='\u{a4ff}' => Some("Lisu"),
        '\u{2100}'..='\u{214f}' | '\u{ff10}'..='\u{ff5a}' | '\u{1d400}'..='\u{1d7ff}' => Some("look-alike"),
        _ => None,
    }
}

/// Whether a letter is written from right to left.
const fn is_leftward(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// What may be read as something else although every character of it is shown: words of several alphabets, names of hosts
/// in other letters than ASCII, letters that a screen may put in another order.
pub(super) fn look_alikes<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    /// How many names are told.
    const MOST: usize = 4;
    let mut mixed = BTreeSet::new();
    let mut hosts = BTreeSet::new();
    for text in texts.clone().filter(|text| !text.is_ascii() || text.contains("xn--")) {
        for word in text.split(|c: char| !c.is_alphanumeric()) {
            let alphabets: BTreeSet<&str> = word.chars().filter_map(alphabet).collect();
            if alphabets.len() > 1 || alphabets.contains("look-alike") {
                mixed.insert((
                    crate::error::shown(word),
                    alphabets.into_iter().collect::<Vec<_>>().join(" and "),
                ));
            }
        }
        hosts.extend(host_names(text).filter(|host| is_odd(host)).map(crate::error::shown));
    }
    let mut lines: Vec<String> = Vec::new();
    for (word, alphabets) in mixed.iter().take(MOST) {
        lines.push(format!(
            "\"{word}\" is of {alphabets} letters: it may look like another word"
        ));
    }
    for host in hosts.iter().take(MOST) {
        lines.push(format!(
            "the host \"{host}\" is not in plain ASCII: it may look like another"
        ));
    }
    let more = mixed.len().saturating_sub(MOST) + hosts.len().saturating_sub(MOST);
    if more > 0 {
        lines.push(format!("{more} more words that may look like others"));
    }
    if texts.flat_map(str::chars).any(is_leftward) {
        lines
            .push("letters that are written from right to left: your screen may show them in another order".to_owned());
    }
    lines
}

/// What follows `://` or `@` as far as it can be a host.
fn host_names(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices("://").map(|(at, mark)| at + mark.len());
    let starts = starts.chain(text.match_indices('@').map(|(at, mark)| at + mark.len()));
    starts.filter_map(|at| {
        let rest = text.get(at..)?;
        rest.split(|c: char| c.is_whitespace() || matches!(c, '/' | ':' | '?' | '#' | '@' | '"' | '\''))
            .next()
    })
}

/// Whether a host's name is not one of plain ASCII; also one that stands for such a name (Punycode).
pub(super) fn is_odd(host: &str) -> bool {
    !host.is_ascii()
        || host
            .split('.')
            .any(|label| label.to_ascii_lowercase().starts_with("xn--"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_of_blanks_is_counted_and_cannot_be_faked() {
        assert_eq!(spelled(&format!("a{}b", " ".repeat(3_001))), "a\\u{20*3001}b");
        assert_eq!(spelled("a\\u{20*3001}b"), "a\\\\u{20*3001}b");
        assert_eq!(spelled("a        b"), "a        b");
        // As the rest of a folded row begins.
        assert_eq!(word("…rest"), "\"…rest\"");
    }

    #[test]
    fn escapes_are_counted_and_what_only_reads_like_one_is_not() {
        let mut found = BTreeSet::new();
        escaped(&spelled("a\u{202e}b\n\t\\u{200b}\r"), &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [0x0d, 0x202e]);
    }

    #[test]
    fn names_that_look_like_others_are_told() {
        let told = |text: &str| look_alikes([text].into_iter());
        assert_eq!(
            told("p\u{430}ypal.com"),
            ["\"p\u{430}ypal\" is of Cyrillic and Latin letters: it may look like another word"]
        );
        assert_eq!(
            told("https://\u{430}\u{440}\u{440}\u{04cf}\u{435}.com/x"),
            ["the host \"\u{430}\u{440}\u{440}\u{04cf}\u{435}.com\" is not in plain ASCII: it may look like another"]
        );
        assert_eq!(told("ssh me@xn--80ak6aa92e.com").len(), 1);
        assert_eq!(told("\u{ff41}dmin").len(), 1);
        assert!(
            told("\u{5d0}\u{5d1} 12")
                .iter()
                .any(|line| line.contains("right to left"))
        );
        for fine in [
            "https://example.com/\u{fc}ber",
            "r\u{e9}sum\u{e9}.pdf",
            "\u{43f}\u{430}\u{43f}\u{43a}\u{430} web",
            "漢字 web",
        ] {
            assert!(told(fine).is_empty(), "{fine}");
        }
    }
}
