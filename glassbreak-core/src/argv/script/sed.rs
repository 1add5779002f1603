//! sed: commands that edit what is printed, none that run, read or write.

use super::Chars;

pub(super) fn check(text: &str) -> Result<(), String> {
    let mut chars = Chars::new(text);
    // The labels that no line was read, ended or left behind since: a jump back to one goes on for ever.
    let mut labels: Vec<&str> = Vec::new();
    loop {
        chars.take_while(|c| c.is_ascii_whitespace() || c == ';');
        if chars.peek().is_none() {
            return Ok(());
        }
        let before = chars.rest.len();
        address(&mut chars)?;
        chars.take_while(|c| c == '!' || c == ' ' || c == '\t');
        let always = chars.rest.len() == before;
        let at = chars.rest;
        command(&mut chars)?;
        let written = at.get(1..at.len() - chars.rest.len()).unwrap_or_default();
        let name = written.trim_matches(|c: char| c.is_ascii_whitespace() || c == ';');
        match at.chars().next() {
            Some(':') => labels.push(name),
            Some('n' | 'N' | 'd' | 'D' | 'q' | 'Q') => labels.clear(),
            Some('b') if always && labels.contains(&name) => return Err("a loop that never ends".to_owned()),
            _ => {}
        }
    }
}

/// `5`, `$`, `0~3`, `/regex/I`, and a second one behind a comma; or none.
fn address(chars: &mut Chars<'_>) -> Result<(), String> {
    if !one_address(chars)? {
        return Ok(());
    }
    chars.blanks();
    if !chars.eat(',') {
        return Ok(());
    }
    chars.blanks();
    if chars.eat('+') || chars.eat('~') {
        let digits = chars.take_while(|c| c.is_ascii_digit());
        return if digits.is_empty() { Err(unknown(",+")) } else { Ok(()) };
    }
    if one_address(chars)? {
        Ok(())
    } else {
        Err("a comma without a second address".to_owned())
    }
}

fn one_address(chars: &mut Chars<'_>) -> Result<bool, String> {
    match chars.peek() {
        Some('$') => {
            chars.next();
            Ok(true)
        }
        Some(c) if c.is_ascii_digit() => {
            chars.take_while(|c| c.is_ascii_digit());
            chars.blanks();
            if chars.eat('~') {
                chars.blanks();
                chars.take_while(|c| c.is_ascii_digit());
            }
            Ok(true)
        }
        Some('/') => {
            chars.next();
            delimited(chars, '/', true)?;
            chars.take_while(|c| c == 'I' || c == 'M');
            Ok(true)
        }
        Some('\\') => {
            chars.next();
            let delimiter = delimiter(chars)?;
            delimited(chars, delimiter, true)?;
            chars.take_while(|c| c == 'I' || c == 'M');
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn command(chars: &mut Chars<'_>) -> Result<(), String> {
    match chars.next() {
        Some('{') => Ok(()),
        Some('}' | '=' | 'd' | 'D' | 'F' | 'g' | 'G' | 'h' | 'H' | 'n' | 'N' | 'p' | 'P' | 'x' | 'z') => end(chars),
        Some('#') => {
            chars.take_while(|c| c != '\n');
            Ok(())
        }
        Some('l' | 'q' | 'Q') => {
            chars.blanks();
            chars.take_while(|c| c.is_ascii_digit());
            end(chars)
        }
        Some('a' | 'i' | 'c') => text(chars),
        Some(':') => label(chars, true),
        Some('b' | 't' | 'T') => label(chars, false),
        Some('s') => substitute(chars),
        Some('y') => {
            let delimiter = delimiter(chars)?;
            delimited(chars, delimiter, false)?;
            delimited(chars, delimiter, false)?;
            end(chars)
        }
        Some('e') => Err("`e` runs a command".to_owned()),
        Some('r' | 'R') => Err("`r` reads a file of its choice".to_owned()),
        Some('w' | 'W') => Err("`w` writes a file".to_owned()),
        Some(other) => Err(unknown(&other.to_string())),
        None => Err("an address without a command".to_owned()),
    }
}

fn unknown(what: &str) -> String {
    format!(
        "`{}` is none of the commands that only edit what is printed",
        crate::error::shown(what)
    )
}

/// What ends a command; a closing brace or comment stays.
fn end(chars: &mut Chars<'_>) -> Result<(), String> {
    chars.blanks();
    match chars.peek() {
        None | Some('}' | '#') => Ok(()),
        Some(';' | '\n') => {
            chars.next();
            Ok(())
        }
        Some(other) => Err(format!(
            "`{}` stands behind a command",
            crate::error::shown(&other.to_string())
        )),
    }
}

/// Of letters, digits, `_`, `.` and `-` only: programs differ in what else a label may hold, and where it ends.
fn label(chars: &mut Chars<'_>, needed: bool) -> Result<(), String> {
    chars.blanks();
    let name = chars.take_while(|c| super::is_name(c) || c == '.' || c == '-');
    if needed && name.is_empty() {
        return Err("`:` without a label".to_owned());
    }
    if needed && chars.peek() == Some('}') {
        return Err("a label that ends at a brace".to_owned());
    }
    end(chars)
}

/// One line behind `a`, `i` or `c`, there or on the next line.
fn text(chars: &mut Chars<'_>) -> Result<(), String> {
    chars.blanks();
    if chars.eat('\\') {
        chars.blanks();
        chars.eat('\n');
    }
    let line = chars.take_while(|c| c != '\n');
    if line.is_empty() {
        return Err("`a`, `i` or `c` without text".to_owned());
    }
    if line.ends_with('\\') {
        return Err("a text of several lines".to_owned());
    }
    Ok(())
}

fn substitute(chars: &mut Chars<'_>) -> Result<(), String> {
    let delimiter = delimiter(chars)?;
    delimited(chars, delimiter, true)?;
    delimited(chars, delimiter, false)?;
    // Blanks do not end the flags in every version.
    chars.take_while(|c| matches!(c, 'g' | 'p' | 'i' | 'I' | 'm' | 'M' | ' ' | '\t') || c.is_ascii_digit());
    match chars.peek() {
        Some('e') => Err("`s///e` runs what it made as a command".to_owned()),
        Some('w') => Err("`s///w` writes a file".to_owned()),
        _ => end(chars),
    }
}

fn delimiter(chars: &mut Chars<'_>) -> Result<char, String> {
    match chars.next() {
        Some(c) if c.is_ascii_graphic() && c != '\\' && !c.is_ascii_alphanumeric() => Ok(c),
        _ => Err("a delimiter that is not a mark".to_owned()),
    }
}

/// The text up to `delimiter`. One within brackets is refused: whether it ends the expression differs by version.
fn delimited(chars: &mut Chars<'_>, delimiter: char, regex: bool) -> Result<(), String> {
    // Whether a backslash within brackets stands for itself differs too, so both are followed.
    let mut brackets = [Brackets::new(true), Brackets::new(false)];
    loop {
        match chars.next() {
            None => return Err("it ends within an expression".to_owned()),
            Some(c) if c == delimiter => {
                return if regex && brackets.iter().any(Brackets::is_open) {
                    Err(format!("`{delimiter}` within brackets"))
                } else {
                    Ok(())
                };
            }
            Some('\n') => return Err("a line ends within an expression".to_owned()),
            Some('\\') => {
                let Some(escaped) = chars.next() else {
                    return Err("it ends within an expression".to_owned());
                };
                for bracket in &mut brackets {
                    bracket.escaped(escaped);
                }
            }
            Some(c) => {
                for bracket in &mut brackets {
                    bracket.read(c);
                }
            }
        }
    }
}

/// Follows `[…]` in a regular expression.
#[derive(Debug, Clone, Copy)]
pub(super) struct Brackets {
    state: State,
    /// Whether a backslash within brackets takes the next character's meaning.
    escapes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    /// Behind `[` or `[^`, where `]` stands for itself.
    First {
        negated: bool,
    },
    Inside,
    /// Behind a `[` within brackets.
    Bracket,
    /// Within `[:…:]`, `[.….]` or `[=…=]`; whether its mark was just read.
    Class {
        mark: char,
        closing: bool,
    },
}

impl Brackets {
    pub(super) const fn new(escapes: bool) -> Self {
        Self {
            state: State::Outside,
            escapes,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state != State::Outside
    }

    pub(super) fn escaped(&mut self, c: char) {
        if self.is_open() && !self.escapes {
            self.read('\\');
            self.read(c);
        } else if self.is_open() {
            self.state = State::Inside;
        }
    }

    pub(super) fn read(&mut self, c: char) {
        self.state = match (self.state, c) {
            (State::Outside, '[') => State::First { negated: false },
            (State::Outside, _) => State::Outside,
            (State::First { negated: false }, '^') => State::First { negated: true },
            (State::First { .. }, '[') => State::Bracket,
            (State::First { .. }, _) => State::Inside,
            (State::Bracket, ':' | '.' | '=') => State::Class {
                mark: c,
                closing: false,
            },
            (State::Inside | State::Bracket, '[') => State::Bracket,
            (State::Inside | State::Bracket, ']') => State::Outside,
            (State::Inside | State::Bracket, _) => State::Inside,
            (State::Class { closing: true, .. }, ']') => State::Inside,
            (State::Class { mark, .. }, c) => State::Class {
                mark,
                closing: c == mark,
            },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Language, tests::try_all};

    #[test]
    fn scripts_that_edit_what_is_printed_pass_and_others_do_not() {
        try_all(
            Language::Sed,
            &[
                "s/foo/bar/",
                "s/a/b/2",
                "$d",
                "/^#/d",
                "10q",
                "1,5p",
                "2,+3p",
                "0~3d",
                "/a/,/b/p",
                "s|a|b|g",
                "s,/x,/y,gI",
                "s/\\(a\\)\\/b/[\\1]/g",
                "s/[\\/]/x/",
                "s/[^]]*/x/",
                "s/[[:space:]]*$//",
                "y/abc/xyz/",
                "/x/!d",
                "$!{N;D}",
                ":a;N;$!ba;s/\\n/ /g",
                "1{p;q}",
                "/a/{s/b/c/;p}",
                "a hello; e id",
                "1i\\\n  text",
                "c\\new",
                "\\,x,d",
                "=",
                "n;d",
                "/re/Id",
                "s/a/b/ ; p",
                "# only words\np",
                "l 5",
                "/x/{",
                "}",
                "",
                "q5",
                "s/a/\\\nb/",
                "s/x/[/",
                "1~2p",
                "s/a/é/",
                ":a;/x$/{N;s/x\\n//;ba}",
                ":a;s/a/b/;ta",
                "b a;p;:a",
            ],
            &[
                "e",
                "e id",
                "1e id",
                "s/a/id/e",
                "s/a/id/ge",
                "s/a/b/ e",
                "s/a/b/w out",
                "s/a/b/gw /dev/stdout",
                "w out",
                "r /etc/passwd",
                "R x",
                "W x",
                "1!e",
                "p;e id",
                "p\ne id",
                "{e id",
                "/a/{p;w x\n}",
                "s/[/]/e id/",
                "s/[/]x/e;p/",
                "s/[[:alpha:]/]/e/",
                "s/a/b",
                "s/a",
                "y/a/b",
                "s",
                "s\\a\\b\\",
                "sea.b.",
                "a",
                "a\\",
                "a foo\\",
                "a foo\\\ne id",
                "v",
                "L",
                "1,p",
                "1,",
                ":",
                ":a}e",
                "b a e",
                "p p",
                "s/a\nb/c/",
                "s/a/b\n/e",
                "/a",
                "\\",
                "M",
                "X",
                "s/a/b/q",
                "1",
                "a\\\n",
                "#n\ne id",
                ":a;ba",
                ":a\ns/a/b/\nb a",
                ":a;{ba}",
                "s/a[]/]b/e;s/x/y/",
                "s/[\\]/]/e;p;#/",
            ],
        );
    }
}
