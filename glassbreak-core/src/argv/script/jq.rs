//! jq: filters that see their input and arguments, not the environment, and load nothing.

use super::{Chars, is_name};

/// What an opening mark waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Paren,
    Bracket,
    Brace,
    /// `\(` within a string.
    Within,
}

pub(super) fn check(text: &str) -> Result<(), String> {
    let mut chars = Chars::new(text);
    let mut open: Vec<Open> = Vec::new();
    // The two characters before the next, blanks included; and the last one that is no blank.
    let (mut before, mut last, mut mark) = (' ', ' ', ' ');
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                string(&mut chars, &mut open)?;
            }
            ')' => match open.pop() {
                Some(Open::Paren) => {}
                Some(Open::Within) => string(&mut chars, &mut open)?,
                _ => return Err("a parenthesis that nothing opened".to_owned()),
            },
            ']' if open.pop() == Some(Open::Bracket) => {}
            '}' if open.pop() == Some(Open::Brace) => {}
            ']' | '}' => return Err("a bracket that nothing opened".to_owned()),
            '(' => open.push(Open::Paren),
            '[' => open.push(Open::Bracket),
            '{' => open.push(Open::Brace),
            '$' => {
                chars.take_while(char::is_whitespace);
                let name = chars.take_while(is_name);
                if matches!(name, "ENV" | "__prog_args") {
                    return Err(format!("`${name}` shows what the environment holds"));
                }
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let rest = chars.take_while(is_name);
                let name: String = std::iter::once(c).chain(rest.chars()).collect();
                let field = last == '.' && before != '.';
                let behind = chars.rest.trim_start();
                let key = open.last() == Some(&Open::Brace) && matches!(mark, '{' | ',') && behind.starts_with(':');
                if !field && !key && last != '@' {
                    word(&name, behind)?;
                }
                (before, last, mark) = ('a', 'a', 'a');
                continue;
            }
            c if c.is_ascii_digit() || c.is_ascii_whitespace() || ".,:;|=<>+-*/%?!@".contains(c) => {}
            '#' => return Err("a comment, which versions of jq end at different places".to_owned()),
            other => {
                return Err(format!(
                    "`{}` is no part of a filter",
                    crate::error::shown(&other.to_string())
                ));
            }
        }
        (before, last) = (last, c);
        if !c.is_ascii_whitespace() {
            mark = c;
        }
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err("a bracket that nothing closes".to_owned())
    }
}

/// Reads a string to its end, or to the `\(` of an expression within it.
fn string(chars: &mut Chars<'_>, open: &mut Vec<Open>) -> Result<(), String> {
    loop {
        match chars.next() {
            Some('"') => return Ok(()),
            Some('\\') => {
                if chars.next() == Some('(') {
                    open.push(Open::Within);
                    return Ok(());
                }
            }
            Some(_) => {}
            None => return Err("a string without end".to_owned()),
        }
    }
}

/// Whether the first argument is `true` or `false` by itself.
fn is_constant(behind: &str) -> bool {
    let first = behind.strip_prefix('(').and_then(|rest| rest.split(';').next());
    first.is_some_and(|text| matches!(text.trim(), "true" | "false"))
}

fn word(name: &str, behind: &str) -> Result<(), String> {
    if behind.starts_with("::") {
        return Err(format!("`{name}::` names a module"));
    }
    match name {
        "env" | "getenv" => Err(format!("`{name}` shows what the environment holds")),
        "import" | "include" | "module" | "modulemeta" => Err(format!("`{name}` loads code from a file")),
        "repeat" | "infinite" => Err(format!("`{name}` has no end")),
        "while" | "until" if is_constant(behind) => Err(format!("a `{name}` whose condition never changes")),
        "get_search_list" => Err(format!("`{name}` shows where files lie")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Language, tests::try_all};

    #[test]
    fn filters_that_see_only_their_input_pass_and_others_do_not() {
        try_all(
            Language::Jq,
            &[
                ".",
                "length",
                ".[] | select(.name == $n) | .id",
                ".[0:3]",
                "map(.price) | add",
                ".spec.env[]",
                ".a0.env",
                "{env: .x, b: .env}",
                "{a: 1, \"env\": 2}",
                "[.[] | {n: .name, v: \"\\(.a)-\\(.b | \"\\(.c)\")\"}]",
                "@base64",
                "@tsv \"\\(.a)\"",
                "..|numbers",
                "to_entries[] | select(.key|test(\"env\"))",
                "reduce .[] as $x (0; . + $x)",
                "if . then 1 else 2 end",
                ".env?",
                "$__loc__",
                ".[\"env\"]",
                ".\"env\"",
                "sort_by(-.x)[:5]",
                "limit(3; .[])",
                "group_by(.env)|map({env: .[0].env})",
                "input_filename",
                "[.|until(. > 100; . * 2)]",
                "{repeat: .repeat}",
            ],
            &[
                "env",
                "env.HOME",
                "($ENV).X",
                "$ENV",
                "$ ENV",
                "$\tENV.PATH",
                "\"\\(env.HOME)\"",
                "env|keys|length",
                ". env",
                "..env",
                "include \"m\"; f",
                "import \"m\" as m; m::f",
                "m::f",
                "{(env|tostring): 1}",
                ".[0,env:2]",
                "{a: env}",
                "{env}",
                "\"\\(\"\\(env)\")\"",
                ".a | env",
                "[env]",
                "$__prog_args",
                "# x\nenv",
                ". # x",
                "get_search_list",
                "repeat(1)",
                "[range(infinite)]",
                "until(false; .)",
                "[while( true ; .+1)]",
                "modulemeta",
                "(",
                ")",
                "\"",
                "[.a",
                "{]",
                ".a\\",
                "`id`",
                "{a: {b: 1}, c: [0, env]}",
                "{a:1|env:2}",
            ],
        );
    }
}
