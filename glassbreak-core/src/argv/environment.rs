//! The environment a call asks for.
//!
//! A program's environment is built from nothing; a call may add to it only what its profile passes, and a few
//! variables that do no harm. Variables that make a program load code are denied, whatever a profile says.

use std::collections::BTreeMap;

use super::program::Program;
use super::types::rule;
use crate::error::shown;
use crate::finding::Finding;

/// Variables that any program may be given.
const HARMLESS: &[&str] = &["LANG", "LANGUAGE", "NO_COLOR", "TERM", "TZ"];

/// Variables by which loaders, interpreters and shells take in code, and by which programs are found.
const LOADERS: &[&str] = &[
    "BASH_ENV",
    "CDPATH",
    "CLASSPATH",
    "EDITOR",
    "ENV",
    "GCONV_PATH",
    "HOME",
    "HOSTALIASES",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "KUBECONFIG",
    "KUBERC",
    "LESSCLOSE",
    "LESSOPEN",
    "LOCPATH",
    "MALLOC_CHECK_",
    "MANPAGER",
    "NLSPATH",
    "PAGER",
    "PATH",
    "PS4",
    "PROMPT_COMMAND",
    "SHELL",
    "SHELLOPTS",
    "SSH_ASKPASS",
    "VISUAL",
    "ZDOTDIR",
    "RUSTUP_TOOLCHAIN",
    "RUSTC",
    "RUSTC_WRAPPER",
];
const LOADER_PREFIXES: &[&str] = &[
    "LD_",
    "DYLD_",
    "GIT_",
    "PYTHON",
    "NODE_",
    "NPM_CONFIG_",
    "RUBY",
    "PERL",
    "JAVA",
    "JDK_",
    "_JAVA",
    "BASH_FUNC_",
    "GLIBC_",
    "SSL_",
    "KUBECTL_",
];
const LOADER_SUFFIXES: &[&str] = &["_OPTIONS", "_PRELOAD", "_PLUGINS", "_PROXY"];

/// What is wrong with the variables of a call, and whether each of them is covered by a rule.
pub(crate) fn check(program: Option<&Program>, env: &BTreeMap<Box<str>, Box<str>>) -> (Vec<Finding>, bool) {
    check_all(program, env.iter().map(|(name, value)| (&**name, &**value)))
}

/// The same for variables that stand among the words of a call.
pub(crate) fn check_all<'a>(
    program: Option<&Program>,
    env: impl Iterator<Item = (&'a str, &'a str)>,
) -> (Vec<Finding>, bool) {
    let name = program.map_or("unlisted", |program| &program.name);
    let mut findings = Vec::new();
    let mut covered = true;
    for (variable, value) in env {
        if let Some(fixed) = program.and_then(|program| program.env_set.get(variable)) {
            let why = format!("the profile sets `{variable}` to `{}`", shown(fixed));
            findings.push(Finding::deny(
                rule(name, "environment"),
                why,
                format!("leave `{variable}` out"),
            ));
            continue;
        }
        if is_loader(variable) {
            findings.push(refuse(name, variable));
            continue;
        }
        let passed = program.is_some_and(|program| program.env_pass.iter().any(|known| **known == *variable));
        let harmless = HARMLESS.contains(&variable) || variable.starts_with("LC_");
        // As sudo's `env_check`: these are file names or format strings to the C library when they hold `/` or `%`.
        let plain = !value.contains(['/', '%']) && !value.starts_with("() {");
        if (passed || harmless) && (plain || *variable == *"TZ" && is_zone(value)) {
            continue;
        }
        covered = false;
        let (why, hint) = if passed || harmless {
            (
                format!("`{variable}` holds `/`, `%` or a function"),
                "write a plain value".to_owned(),
            )
        } else {
            (
                format!("no rule passes the variable `{}`", shown(variable)),
                format!("leave `{}` out", shown(variable)),
            )
        };
        findings.push(Finding::ask(rule(name, "environment"), why, hint, None));
    }
    (findings, covered)
}

/// Whether it is the name of a time zone, such as `Europe/Berlin`: a file of the system's own, never one elsewhere.
fn is_zone(value: &str) -> bool {
    let part = |part: &str| {
        let word = |c: u8| c.is_ascii_alphanumeric() || b"_+-".contains(&c);
        !part.is_empty() && part.bytes().all(word)
    };
    value.len() <= 64 && value.split('/').count() <= 3 && value.split('/').all(part)
}

/// What is said of a loader's variable.
pub(super) fn refuse(program: &str, variable: &str) -> Finding {
    let why = format!(
        "`{}` decides what code a program loads, where it looks, or as whom",
        shown(variable)
    );
    let hint = format!("leave `{}` out", shown(variable));
    Finding::deny(rule(program, "environment"), why, hint)
}

pub(super) fn is_loader(name: &str) -> bool {
    let upper = &*name.to_ascii_uppercase();
    LOADERS.contains(&upper)
        || LOADER_PREFIXES.iter().any(|prefix| upper.starts_with(prefix))
        || LOADER_SUFFIXES.iter().any(|suffix| upper.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Level;

    #[test]
    fn variables_that_load_code_are_denied_and_unknown_ones_ask() {
        let level = |name: &str, value: &str| {
            let (findings, covered) = check(None, &[(name.into(), value.into())].into());
            (findings.iter().map(Finding::level).max(), covered)
        };
        for bad in [
            "LD_PRELOAD",
            "ld_preload",
            "GIT_SSH_COMMAND",
            "PATH",
            "NODE_OPTIONS",
            "PYTHONPATH",
            "BASH_ENV",
            "KUBECONFIG",
            "HTTPS_PROXY",
        ] {
            assert_eq!(level(bad, "x").0, Some(Level::Deny), "{bad}");
        }
        assert_eq!(level("TZ", "UTC"), (None, true));
        assert_eq!(level("LC_ALL", "C.UTF-8"), (None, true));
        assert_eq!(level("TZ", "America/Argentina/Salta"), (None, true));
        for bad in [
            "/etc/passwd",
            ":/etc/passwd",
            "../x",
            "Europe/../../x",
            "a//b",
            "Europe/",
            "a/b/c/d",
            "a/%n",
        ] {
            assert_eq!(level("TZ", bad), (Some(Level::Ask), false), "{bad}");
        }
        assert_eq!(level("LANG", "a/b"), (Some(Level::Ask), false));
        assert_eq!(level("FOO", "x"), (Some(Level::Ask), false));
    }
}
