//! awk: programs that compute and print. No program is run, no file is opened, and the environment is not seen.

use super::sed::Brackets;
use super::{Chars, is_name};

/// What stood before, as far as a slash depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// An operand is due: a slash begins a regular expression.
    Open,
    /// An operand has ended: a slash divides.
    Operand,
    /// Programs differ in which it is.
    Unclear,
}

pub(super) fn check(text: &str) -> Result<(), String> {
    let mut chars = Chars::new(text);
    let mut before = Before::Open;
    let mut depth = 0usize;
    // Whether `if` or the like was the last word, and for each open parenthesis, whether it stands behind one: behind
    // such a condition a statement is due, and programs differ in what a slash is there.
    let mut heading = false;
    let mut headings: Vec<bool> = Vec::new();
    // The depth of parentheses at which a `print` stands whose end has not come: there, `>` writes a file.
    let mut printing: Option<usize> = None;
    while let Some(c) = chars.next() {
        let headed = std::mem::take(&mut heading);
        before = match c {
            ' ' | '\t' | '\r' => {
                heading = headed;
                continue;
            }
            '\n' => {
                heading = headed;
                Before::Open
            }
            '"' => string(&mut chars)?,
            '/' => match before {
                Before::Open => regex(&mut chars)?,
                Before::Operand => Before::Open,
                Before::Unclear => return Err("a slash that may divide or begin an expression".to_owned()),
            },
            '#' => {
                let comment = chars.take_while(|c| c != '\n');
                if comment.ends_with('\\') {
                    return Err("a comment that ends with a backslash".to_owned());
                }
                heading = headed;
                continue;
            }
            '\\' if chars.eat('\n') => {
                heading = headed;
                continue;
            }
            '|' if chars.eat('|') => Before::Open,
            '|' => return Err("`|` runs a command".to_owned()),
            '>' => {
                if chars.eat('>') || printing.is_some_and(|at| depth <= at) {
                    return Err("`>` behind print writes a file".to_owned());
                }
                chars.eat('=');
                Before::Open
            }
            '(' => {
                depth += 1;
                headings.push(headed);
                Before::Open
            }
            ')' => {
                depth = depth.saturating_sub(1);
                printing = printing.filter(|at| *at <= depth);
                if headings.pop().unwrap_or(false) {
                    Before::Unclear
                } else {
                    Before::Operand
                }
            }
            ']' => Before::Operand,
            ';' | '}' => {
                printing = None;
                Before::Open
            }
            '+' if chars.eat('+') => Before::Unclear,
            '-' if chars.eat('-') => Before::Unclear,
            '$' => Before::Unclear,
            c if c.is_ascii_digit() || c == '.' => {
                chars.number()?;
                Before::Operand
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let rest = chars.take_while(is_name);
                let name: String = std::iter::once(c).chain(rest.chars()).collect();
                if never_ends(&name, chars.rest) {
                    return Err("a loop whose condition always holds".to_owned());
                }
                heading = matches!(&*name, "if" | "while" | "for" | "switch");
                word(&name, depth, &mut printing)?
            }
            c if "{[,!~&=<+-*%^?:".contains(c) => Before::Open,
            '@' => return Err("`@` calls or loads what it names".to_owned()),
            other => {
                return Err(format!(
                    "`{}` is no part of a program",
                    crate::error::shown(&other.to_string())
                ));
            }
        };
    }
    Ok(())
}

/// Whether what stands behind `while` or `for` is a condition of numbers and texts only, or none.
fn never_ends(name: &str, behind: &str) -> bool {
    let Some(inner) = behind.trim_start().strip_prefix('(') else {
        return false;
    };
    let mut depth = 1usize;
    let end = inner.find(|c| {
        depth = match c {
            '(' => depth + 1,
            ')' => depth - 1,
            _ => depth,
        };
        depth == 0
    });
    let inner = end.and_then(|end| inner.get(..end)).unwrap_or(inner);
    let constant = |text: &str| text.starts_with('"') || !text.contains(|c: char| c == '$' || c.is_ascii_alphabetic());
    match name {
        "while" => constant(inner.trim()),
        "for" => inner.split(';').nth(1).is_some_and(|text| constant(text.trim())),
        _ => false,
    }
}

fn string(chars: &mut Chars<'_>) -> Result<Before, String> {
    loop {
        match chars.next() {
            Some('"') => return Ok(Before::Operand),
            Some('\\') if chars.peek() != Some('\n') => {
                chars.next();
            }
            Some('\\' | '\n') | None => return Err("a string that does not end on its line".to_owned()),
            Some(_) => {}
        }
    }
}

fn regex(chars: &mut Chars<'_>) -> Result<Before, String> {
    let mut brackets = [Brackets::new(true), Brackets::new(false)];
    loop {
        match chars.next() {
            // Whether a slash within brackets ends the expression differs between programs.
            Some('/') if brackets.iter().any(Brackets::is_open) => return Err("`/` within brackets".to_owned()),
            Some('/') => return Ok(Before::Operand),
            Some('\n') | None => return Err("an expression that does not end on its line".to_owned()),
            Some('\\') => match chars.next() {
                Some('\n') | None => return Err("an expression that does not end on its line".to_owned()),
                Some(c) => {
                    for bracket in &mut brackets {
                        bracket.escaped(c);
                    }
                }
            },
            Some(c) => {
                for bracket in &mut brackets {
                    bracket.read(c);
                }
            }
        }
    }
}

fn word(name: &str, depth: usize, printing: &mut Option<usize>) -> Result<Before, String> {
    Ok(match name {
        "system" => return Err("`system` runs a command".to_owned()),
        "getline" => return Err("`getline` reads a file or a command".to_owned()),
        "ENVIRON" | "PROCINFO" => return Err(format!("`{name}` shows what surrounds the program")),
        "ARGV" | "ARGC" => return Err(format!("`{name}` decides which files are read")),
        "SYMTAB" | "FUNCTAB" => return Err(format!("`{name}` reaches every variable and function")),
        "bindtextdomain" | "dcgettext" | "dcngettext" | "TEXTDOMAIN" | "extension" => {
            return Err(format!("`{name}` loads what it names"));
        }
        "print" | "printf" => {
            *printing = Some(printing.map_or(depth, |at| at.max(depth)));
            Before::Open
        }
        "in" | "return" | "exit" | "do" | "else" | "BEGIN" | "END" | "function" | "delete" => Before::Open,
        // Words of the language to some programs, names of variables to others.
        "case" | "func" => Before::Unclear,
        // Without parentheses it is whole by itself, and programs differ in how they read a slash behind it.
        "length" => Before::Unclear,
        _ => Before::Operand,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Language, tests::try_all};

    #[test]
    fn programs_that_compute_and_print_pass_and_others_do_not() {
        try_all(
            Language::Awk,
            &[
                "{s+=$1} END {print s}",
                "$3 > 100",
                "$3 > 100 {print $1, $2}",
                "/system/ {print}",
                "NR==1",
                "{print $NF}",
                "!seen[$0]++",
                "{print $1/2}",
                "{a[$1]+=$2/3} END {for (k in a) print k, a[k]}",
                "{print ($1 > 2)}",
                "length($0) > 80",
                "/a/,/b/",
                "BEGIN{FS=\":\"} {printf \"%s\\n\", $1}",
                "{gsub(/\\//, \"-\"); print}",
                "$1 ~ /^[a-z]+$/ && $2 >= 3",
                "{if ($1 > 2) print $2; else print $3}",
                "{x = $1 > 2 ? 1 : 0; print x}",
                "{print substr($0, 1, 5)} # short",
                "NF",
                "function f(x) {return x*2} {print f($1)}",
                "/a[|]b/ || /c/",
                "{print \"a > b | c\"}",
                "{print toupper($1) ; if ($2>1) n++}",
                "BEGIN{while (i<3) {i++; print i}}",
                "BEGIN{for (i=0; i<3; i++) print i}",
                "{do i++; while (a[i] != \"\")}",
                "{for (k in a) print k}",
                "{if (($1 > 2)) x = ($1) / 2; else y = 1.5e3 / .5}",
                "{while (i < 3) i += 1e-1 / 2; x = f(i) / 4}",
            ],
            &[
                "BEGIN{system(\"id\")}",
                "//{}BEGIN{system(sprintf(\"uname%c-a\",32))}",
                "BEGIN{for(k in ENVIRON) print k}",
                "{print > \"f\"}",
                "{print $1 >> \"f\"}",
                "{print | \"sh\"}",
                "BEGIN{\"id\" | getline x}",
                "{getline < \"/etc/passwd\"}",
                "BEGIN{f=\"system\"; @f(\"id\")}",
                "@load \"filefuncs\"",
                "@include \"x\"",
                "{print(1)(2)>\"f\"}",
                "{print a, b > \"f\"}",
                "{print a,\n b > \"f\"}",
                "{print(a,b)>\"f\"}",
                "BEGIN{ARGV[1]=\"/etc/passwd\";ARGC=2}",
                "{printf \"%s\", $1 > \"/dev/tcp/x\"}",
                "{print |& \"sh\"}",
                "x = 1 / system(\"id\") / 1",
                "BEGIN{x=1system(\"id\")}",
                "BEGIN{x=.5system(\"id\")}",
                "BEGIN{x=1.system(\"id\")}",
                "BEGIN{x=1esystem(\"id\")}",
                "BEGIN{x=1e5system(\"id\")}",
                "BEGIN{x=0x1system(\"id\")}",
                "BEGIN{1getline<\"/etc/passwd\"; print}",
                "BEGIN{if(1) /\"/; system(\"id\")} #\"",
                "BEGIN{while((i<1)) /\"/; system(\"id\")} #\"",
                "BEGIN{for(k in a)/\"/; system(\"id\")} #\"",
                "BEGIN{if # x\n(1) /\"/; system(\"id\")} #\"",
                "BEGIN{switch(1) /\"/; system(\"id\")} #\"",
                "{x++ / system(\"id\") / 2}",
                "{print length / system(\"id\") /1}",
                "BEGIN{x=case /1;system(\"id\");y=1/1}",
                "BEGIN{x=func /1;system(\"id\");y=1/1}",
                "/[/]/ {system(\"id\")} #/",
                "\"a\nb\"",
                "\"a",
                "/a",
                "BEGIN{PROCINFO[\"x\"]}",
                "{x = $1 ~ /\"/; system(\"id\") #\"/}",
                "SYMTAB[\"x\"]=1",
                "awk::system(\"id\")",
                "{`id`}",
                "a #\\\nsystem(\"x\")",
                "{if (1) print 1 > \"f\"; else print 2}",
                "{for (print 1 > \"f\"; ; ) break}",
                "{print (1) > (\"f\")}",
                "$/x/",
                "BEGIN { printf(\"x\") > \"f\" }",
                "{ print $1 \\\n > \"f\" }",
                "BEGIN{while(1) print}",
                "BEGIN{while ( (1) ) {}}",
                "BEGIN{for(;;) print 1}",
                "BEGIN{for (i=0; ; i++) print i}",
                "BEGIN{do print 1; while (1==1)}",
                "BEGIN{while (\"x\") {}}",
            ],
        );
    }
}
