//! Which program is meant: by its bare name, exactly.

use super::types::rule;
use crate::error::{nearest, shown};
use crate::finding::{Finding, Outcome};

/// What to say of a program that has no profile under just this name.
pub(crate) fn unlisted<'a>(name: &str, unlisted: Outcome, known: impl Iterator<Item = &'a str> + Clone) -> Finding {
    if name.contains(['/', '\\']) {
        return Finding::deny(
            rule("unlisted", "path"),
            format!(
                "`{}` names a file, and which program that is depends on the folder",
                shown(name)
            ),
            "name the program without a path",
        );
    }
    let plain = name.trim().to_ascii_lowercase();
    let plain = plain.strip_suffix(".exe").unwrap_or(&plain);
    if let Some(meant) = known.clone().find(|known| *known == plain && *known != name) {
        return Finding::deny(
            rule("unlisted", "spelling"),
            format!("`{}` is not how `{meant}` is spelt", shown(name)),
            format!("write `{meant}`"),
        );
    }
    if name.is_empty() || name.bytes().any(|b| b.is_ascii_whitespace()) {
        return Finding::deny(
            rule("unlisted", "spelling"),
            format!("`{}` is not the name of a program", shown(name)),
            "name the program alone, with its words behind it",
        );
    }
    if let Some(finding) = super::deny::never(plain) {
        return finding;
    }
    let hint = match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "programs with a profile: {}",
            known.take(20).collect::<Vec<_>>().join(", ")
        ),
    };
    let why = format!("`{}` has no profile", shown(name));
    match unlisted {
        Outcome::Ask => Finding::ask(rule("unlisted", "program"), why, hint, None),
        Outcome::Allow | Outcome::Deny => Finding::deny(rule("unlisted", "program"), why, hint),
    }
}
