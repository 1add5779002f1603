//! A look at raw text before Cedar's parsers see it. They recurse with the text, and a stack that runs out cannot be
//! caught: such text must be refused unparsed.

use crate::error::Problem;
use crate::source::Source;

/// The largest file, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// The deepest nesting of brackets.
const MAX_NESTING: usize = 64;
/// The most tokens in one policy. A condition within its limit of nodes needs far fewer; a chain such as
/// `a && a && …` makes a tree as deep as it is long, without any bracket.
const MAX_TOKENS: usize = 4096;

/// Which language a text is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Policies,
    Schema,
    Json,
}

/// Checks size, nesting and length of statements, outside strings and comments.
pub(super) fn scan(source: &Source<'_>, language: Language) -> Result<(), Problem> {
    if source.text.len() > MAX_BYTES {
        let what = format!("this file holds {} bytes", source.text.len());
        return Err(source.problem(0, what, "keep each file within 1 MiB"));
    }
    let mut depth = 0usize;
    let mut tokens = 0usize;
    let mut in_word = false;
    let mut characters = source.text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let word = c.is_alphanumeric() || c == '_';
        if word && in_word {
            continue;
        }
        in_word = word;
        match c {
            '"' => {
                // A string ends at the first quote that no backslash stands before; one without end is the parser's
                // to refuse.
                while let Some((_, c)) = characters.next() {
                    match c {
                        '\\' => {
                            characters.next();
                        }
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '/' if language != Language::Json && characters.peek().is_some_and(|(_, next)| *next == '/') => {
                while characters.next_if(|(_, c)| !matches!(c, '\n' | '\r')).is_some() {}
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '<' if language == Language::Schema => depth += 1,
            '>' if language == Language::Schema => depth = depth.saturating_sub(1),
            ';' => tokens = 0,
            c if c.is_whitespace() => continue,
            _ => {}
        }
        if depth > MAX_NESTING {
            let help = "flatten it; brackets may nest 64 deep";
            return Err(source.problem(at, "brackets nest more than 64 deep", help));
        }
        tokens += 1;
        if language == Language::Policies && tokens > MAX_TOKENS {
            let help = "split it into several policies; 4,096 words and signs is the most for one";
            return Err(source.problem(at, "this policy is too long", help));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(text: &str, language: Language) -> Result<(), Problem> {
        scan(&Source { file: "x", text }, language)
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_nest() {
        let open = "(".repeat(100);
        assert!(scanned(&format!("\"{open}\" // {open}\n \"\\\"{open}\""), Language::Policies).is_ok());
        assert!(scanned(&format!("\n  {open}"), Language::Policies).is_err_and(|problem| problem.line() == 2));
        assert!(scanned(&"[".repeat(65), Language::Json).is_err());
        assert!(scanned(&"Set<".repeat(65), Language::Schema).is_err());
        // A comment ends at a carriage return too, so nothing can hide behind one.
        assert!(scanned(&format!("// x\r{open}"), Language::Policies).is_err());
    }

    #[test]
    fn a_chain_without_brackets_has_an_end() {
        assert!(scanned(&"a && ".repeat(1500), Language::Policies).is_err());
        assert!(
            scanned(
                &"permit(principal, action, resource);\n".repeat(1500),
                Language::Policies
            )
            .is_ok()
        );
        assert!(scanned(&" ".repeat(MAX_BYTES + 1), Language::Policies).is_err());
    }
}
