//! Small languages that are words of a call: which of their programs only read.
//!
//! Each checker knows a part of its language that can do no harm, and refuses the rest, also what it merely does not
//! know: a script that is refused asks. Where two versions of a program read a text differently, it is refused. A
//! checker is one pass over the text, without backtracking.

mod awk;
mod jq;
mod sed;
mod sql;

pub(crate) use super::profile::ScriptLanguage as Language;

/// The longest script, in bytes.
const MAX_SCRIPT: usize = 16_384;

/// Why `text` is not a program of `language` that only reads what it is given; nothing if it is.
pub(crate) fn objection(language: Language, text: &str) -> Option<String> {
    if text.len() > MAX_SCRIPT {
        return Some(format!("it is longer than {MAX_SCRIPT} bytes"));
    }
    match language {
        Language::Sed => sed::check(text),
        Language::Awk => awk::check(text),
        Language::Jq => jq::check(text),
        Language::Sql => sql::check(text),
    }
    .err()
}

/// What a script of `language` may be, for the person who reads the refusal.
pub(crate) fn describe(language: Language) -> &'static str {
    match language {
        Language::Sed => "a sed script that only edits what it prints: no e, r, w, and no s///e or s///w",
        Language::Awk => {
            "an awk program that only computes and prints: no system, getline, pipe, redirection or ENVIRON"
        }
        Language::Jq => "a jq filter without env, $ENV, import and include",
        Language::Sql => "one SELECT, SHOW, VALUES, TABLE or EXPLAIN of such, with functions known to only read",
    }
}

/// The characters of a text, one after another.
struct Chars<'a> {
    rest: &'a str,
}

impl<'a> Chars<'a> {
    const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        Some(c)
    }

    /// Takes `c` if it comes next.
    fn eat(&mut self, c: char) -> bool {
        let next = self.peek() == Some(c);
        if next {
            self.next();
        }
        next
    }

    /// Takes as many characters as `fit`.
    fn take_while(&mut self, fit: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c: char| !fit(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or(("", self.rest));
        self.rest = rest;
        taken
    }

    fn blanks(&mut self) {
        self.take_while(|c| c == ' ' || c == '\t');
    }

    /// Takes the rest of a number. A word that follows it without a blank is refused: programs read `1system` as two
    /// words, and differ in where the first ends.
    fn number(&mut self) -> Result<(), String> {
        self.take_while(|c| c.is_ascii_digit() || c == '.');
        let exponent = self.eat('e') || self.eat('E');
        if exponent {
            let _ = self.eat('-') || self.eat('+');
        }
        let digits = self.take_while(|c| c.is_ascii_digit());
        if exponent && digits.is_empty() || self.peek().is_some_and(is_name) {
            return Err("a number that runs into a word".to_owned());
        }
        Ok(())
    }
}

/// A letter, digit or underscore: what names are made of.
const fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each language with texts that pass and texts that do not.
    pub(super) fn try_all(language: Language, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(objection(language, text), None, "{text}");
        }
        for text in bad {
            assert!(objection(language, text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_script_is_of_bounded_length() {
        let long = "p;".repeat(MAX_SCRIPT);
        assert!(objection(Language::Sed, &long).is_some());
    }

    #[test]
    fn whatever_is_cut_off_or_put_in_front_no_checker_fails() {
        let scripts = [
            (Language::Sed, "1,/x[/]/I{s/a\\/b/[^]]&/2gp;y/a/b/;ba};:a"),
            (
                Language::Awk,
                "BEGIN{x=\"a\\\"b\"}/a[^]/]/{print ($1>2)/3;printf \"%s\",$NF}",
            ),
            (Language::Jq, "{a:\"\\(.b|\"\\(.c)\")\",env:.env}|.[0:2]"),
            (Language::Sql, "select \"a\".b, 'it''s' from t where x::int in (1,2);"),
        ];
        for (language, script) in scripts {
            for at in 0..=script.len() {
                let _ = objection(language, script.get(..at).unwrap_or_default());
                let _ = objection(language, script.get(at..).unwrap_or_default());
            }
        }
    }
}
