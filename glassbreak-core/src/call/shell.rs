//! What a refused shell string would have run, for whoever asked: never to allow it.
//!
//! With the feature `explain-shell` the string is read by a parser of POSIX shells, and the calls in it are named, so that
//! the agent can make them one by one. Whatever a shell would have replaced or decided itself is not told.

/// What to do instead of sending `text`.
pub(super) fn hint(text: &str) -> String {
    const PLAIN: &str = "send each command as its own call with its words in \"argv\"";
    match told::calls(text) {
        Some(told) => format!("{PLAIN}: {told}"),
        None => PLAIN.to_owned(),
    }
}

#[cfg(not(feature = "explain-shell"))]
mod told {
    pub(super) const fn calls(_: &str) -> Option<String> {
        None
    }
}

#[cfg(feature = "explain-shell")]
mod told {
    use brush_parser::ast::{
        AndOrList, Command, CommandPrefixOrSuffixItem as Item, CompoundListItem, SimpleCommand, Word,
    };
    use brush_parser::word::{WordPiece, WordPieceWithSource, parse};
    use brush_parser::{Parser, ParserOptions};

    use crate::error::shown;

    /// The longest string that is read, the deepest nesting, and the most calls that are told.
    const MAX_TEXT: usize = 4096;
    const MAX_NESTING: usize = 16;
    const MAX_CALLS: usize = 8;

    /// The calls, in their order; `None` where there is none that can be told.
    pub(super) fn calls(text: &str) -> Option<String> {
        let nests = |c: &char| matches!(c, '(' | '{' | '`' | '[' | '<');
        if text.len() > MAX_TEXT || text.chars().filter(nests).count() > MAX_NESTING {
            return None;
        }
        let options = ParserOptions::default();
        let program = Parser::new(text.as_bytes(), &options).parse_program().ok()?;
        let (mut calls, mut whole) = (Vec::new(), true);
        for CompoundListItem(AndOrList { first, additional }, _) in
            program.complete_commands.iter().flat_map(|list| &list.0)
        {
            let more = additional.iter().map(|next| match next {
                brush_parser::ast::AndOr::And(pipeline) | brush_parser::ast::AndOr::Or(pipeline) => pipeline,
            });
            for command in std::iter::once(first).chain(more).flat_map(|pipeline| &pipeline.seq) {
                match command {
                    Command::Simple(command) => whole &= simple(command, &options, &mut calls),
                    _ => whole = false,
                }
            }
        }
        whole &= calls.len() <= MAX_CALLS;
        calls.truncate(MAX_CALLS);
        if calls.is_empty() {
            return None;
        }
        let rest = if whole {
            ""
        } else {
            "; the rest only a shell could tell"
        };
        Some(format!("{}{rest}", calls.join(", then ")))
    }

    /// Adds the call that a command is; whether all of it could be told.
    fn simple(command: &SimpleCommand, options: &ParserOptions, calls: &mut Vec<String>) -> bool {
        let mut words: Vec<&Word> = command.word_or_name.iter().collect();
        let mut whole = command.prefix.is_none();
        for item in command.suffix.iter().flat_map(|suffix| &suffix.0) {
            match item {
                Item::Word(word) | Item::AssignmentWord(_, word) => words.push(word),
                Item::IoRedirect(_) | Item::ProcessSubstitution(..) => whole = false,
            }
        }
        let plain: Option<Vec<String>> = words.iter().map(|word| plain(&word.value, options)).collect();
        match plain {
            Some(words) if !words.is_empty() => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{}\"", shown(word))).collect();
                calls.push(format!("[{}]", words.join(", ")));
                whole
            }
            _ => false,
        }
    }

    /// A word in which a shell would replace nothing.
    fn plain(word: &str, options: &ParserOptions) -> Option<String> {
        let pieces = parse(word, options).ok()?;
        let mut text = String::new();
        pieces.iter().all(|piece| add(piece, false, &mut text)).then_some(text)
    }

    fn add(piece: &WordPieceWithSource, quoted: bool, text: &mut String) -> bool {
        match &piece.piece {
            WordPiece::Text(plain) if quoted || !plain.contains(['*', '?', '[', '{', '~']) => text.push_str(plain),
            WordPiece::SingleQuotedText(plain) => text.push_str(plain),
            WordPiece::DoubleQuotedSequence(pieces) => return pieces.iter().all(|piece| add(piece, true, text)),
            WordPiece::EscapeSequence(escaped) => text.push_str(escaped.strip_prefix('\\').unwrap_or(escaped)),
            _ => return false,
        }
        true
    }

    #[cfg(test)]
    mod tests {
        use super::calls;

        #[test]
        fn the_calls_of_a_string_are_told_and_what_a_shell_decides_is_not() {
            for (text, told) in [
                (
                    "git log || rm -rf /",
                    Some("[\"git\", \"log\"], then [\"rm\", \"-rf\", \"/\"]"),
                ),
                ("cat a | sort -u", Some("[\"cat\", \"a\"], then [\"sort\", \"-u\"]")),
                (
                    "echo 'a b' \"c d\" e\\ f",
                    Some("[\"echo\", \"a b\", \"c d\", \"e f\"]"),
                ),
                (
                    "git log > out",
                    Some("[\"git\", \"log\"]; the rest only a shell could tell"),
                ),
                ("ls $HOME; pwd", Some("[\"pwd\"]; the rest only a shell could tell")),
                ("ls *.rs", None),
                ("$(id)", None),
                ("for x in a; do rm x; done", None),
                ("'", None),
                ("", None),
            ] {
                assert_eq!(calls(text).as_deref(), told, "{text}");
            }
            assert_eq!(calls(&"(".repeat(2000)), None);
            assert_eq!(calls(&"a;".repeat(4000)), None);
        }
    }
}
