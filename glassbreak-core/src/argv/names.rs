//! Patterns of names: `*`, `?` and `[…]`, upper and lower case of ASCII alike.

/// Whether `name` matches `pattern`. Steps are bounded by the product of the lengths: a `*` is only ever tried again from
/// the last one. Nothing is copied, because each word of a call is held against many.
pub(crate) fn matches(name: &str, pattern: &str) -> bool {
    let (mut name, mut pattern) = (name, pattern);
    // Behind the last `*`, and where the name stood there.
    let mut last: Option<(&str, &str)> = None;
    while let Some(c) = name.chars().next() {
        let c = c.to_ascii_lowercase();
        let mut behind = pattern.chars();
        let step = match behind.next() {
            Some('*') => {
                pattern = behind.as_str();
                last = Some((pattern, name));
                continue;
            }
            Some('?') => Some(behind.as_str()),
            Some('[') => class(behind.as_str(), c),
            Some(known) if known.to_ascii_lowercase() == c => Some(behind.as_str()),
            _ => None,
        };
        match (step, last) {
            (Some(next), _) => {
                name = shorter(name);
                pattern = next;
            }
            (None, Some((star, from))) => {
                name = shorter(from);
                last = Some((star, name));
                pattern = star;
            }
            (None, None) => return false,
        }
    }
    pattern.chars().all(|c| c == '*')
}

/// Without its first character.
fn shorter(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.as_str()
}

/// What stands behind a class that holds `c`, else `None`; `pattern` is what stands behind its `[`. An unclosed one is a
/// plain bracket.
fn class(pattern: &str, c: char) -> Option<&str> {
    let mut chars = pattern.char_indices();
    // The first may be a `]`.
    chars.next();
    let Some((end, _)) = chars.find(|(_, c)| *c == ']') else {
        return (c == '[').then_some(pattern);
    };
    let inside: Vec<char> = pattern.get(..end)?.chars().map(|c| c.to_ascii_lowercase()).collect();
    let (negated, inside) = match inside.split_first() {
        Some(('!' | '^', rest)) => (true, rest),
        _ => (false, &*inside),
    };
    let ranged = inside
        .windows(3)
        .any(|w| matches!(w, [from, '-', to] if *from <= c && c <= *to));
    (negated != (ranged || inside.contains(&c))).then_some(pattern.get(end + 1..)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The same over copies, by places in them: slower, and easier to see through.
    fn copied(name: &str, pattern: &str) -> bool {
        let name: Vec<char> = name.chars().map(|c| c.to_ascii_lowercase()).collect();
        let pattern: Vec<char> = pattern.chars().map(|c| c.to_ascii_lowercase()).collect();
        let (mut n, mut p) = (0, 0);
        let mut last: Option<(usize, usize)> = None;
        while let Some(c) = name.get(n) {
            let step = match pattern.get(p) {
                Some('*') => {
                    last = Some((p, n));
                    p += 1;
                    continue;
                }
                Some('?') => Some(p + 1),
                Some('[') => class_of(&pattern, p, *c),
                Some(known) if known == c => Some(p + 1),
                _ => None,
            };
            match (step, last) {
                (Some(next), _) => {
                    n += 1;
                    p = next;
                }
                (None, Some((star, from))) => {
                    last = Some((star, from + 1));
                    n = from + 1;
                    p = star + 1;
                }
                (None, None) => return false,
            }
        }
        pattern.iter().skip(p).all(|c| *c == '*')
    }

    fn class_of(pattern: &[char], at: usize, c: char) -> Option<usize> {
        let Some(length) = pattern.iter().skip(at + 2).position(|c| *c == ']') else {
            return (c == '[').then_some(at + 1);
        };
        let end = at + 2 + length;
        let inside = pattern.get(at + 1..end)?;
        let (negated, inside) = match inside.split_first() {
            Some(('!' | '^', rest)) => (true, rest),
            _ => (false, inside),
        };
        let ranged = inside
            .windows(3)
            .any(|w| matches!(w, [from, '-', to] if *from <= c && c <= *to));
        (negated != (ranged || inside.contains(&c))).then_some(end + 1)
    }

    /// Every name of up to four letters against every pattern of up to four.
    #[test]
    fn nothing_changes_for_not_copying() {
        fn words(letters: &[char], most: usize) -> Vec<String> {
            let mut all = vec![String::new()];
            let mut last = all.clone();
            for _ in 0..most {
                let longer = |word: &String| letters.iter().map(|c| format!("{word}{c}")).collect::<Vec<_>>();
                last = last.iter().flat_map(longer).collect();
                all.extend(last.iter().cloned());
            }
            all
        }
        let (names, mut met) = (words(&['a', 'B', 'é', ']', '['], 4), 0_u32);
        for pattern in words(&['a', 'b', 'é', '*', '?', '[', ']', '!', '-'], 4) {
            for name in &names {
                let fits = matches(name, &pattern);
                assert_eq!(fits, copied(name, &pattern), "{name:?} {pattern:?}");
                met += u32::from(fits);
            }
        }
        assert!(met > 10_000, "{met}");
    }

    #[test]
    fn classes_ranges_and_stars_are_those_of_a_shell() {
        for (name, pattern, fits) in [
            ("id_rsa", "ID_*", true),
            ("Key.PEM", "*.pem", true),
            ("a1c", "a[!a-z]c", true),
            ("abc", "a[!a-z]c", false),
            ("a]", "a[]]", true),
            ("a[b", "a[b", true),
            ("", "*", true),
            ("", "?", false),
        ] {
            assert_eq!(matches(name, pattern), fits, "{name} {pattern}");
        }
    }
}
