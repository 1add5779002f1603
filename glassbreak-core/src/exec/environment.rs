//! The environment: built from nothing.

use super::error::ExecError;
use super::programs::SYSTEM_DIRS;

/// Variables by which loaders and shells take in code, and by which programs are found. Judging denies them; what
/// comes here in a plan came from a profile, and no profile may set these either.
const NEVER: &[&str] = &["PATH", "BASH_ENV", "ENV", "IFS", "SHELLOPTS", "PS4", "GCONV_PATH"];
const NEVER_PREFIXES: &[&str] = &["LD_", "DYLD_", "GLIBC_", "BASH_FUNC_"];

/// What every program gets: a fixed `PATH`, the home the host names, and output without colours or translation.
/// Whatever the plan says comes on top.
pub(super) fn build<'a>(
    home: &str,
    plan: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<(String, String)>, ExecError> {
    let mut env = vec![
        ("PATH".to_owned(), SYSTEM_DIRS.join(":")),
        ("HOME".to_owned(), home.to_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("TERM".to_owned(), "dumb".to_owned()),
        ("NO_COLOR".to_owned(), "1".to_owned()),
    ];
    for (name, value) in plan {
        let upper = name.to_ascii_uppercase();
        if NEVER.contains(&&*upper) || NEVER_PREFIXES.iter().any(|prefix| upper.starts_with(prefix)) {
            return Err(ExecError::not_run(
                "env.loader",
                format!("`{}` decides what code a program loads", crate::error::shown(name)),
                "take it out of the profile",
            ));
        }
        match env.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None => env.push((name.to_owned(), value.to_owned())),
        }
    }
    Ok(env)
}
