//! Paths among the words of a call, compared as text.
//!
//! Whether a path is what it seems on disk (links, mounts) is checked when the program runs, not here.

use super::profile::PathUse;
use super::types::{Ground, rule};
use crate::error::shown;
use crate::finding::Finding;

/// How a word fits as a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathFit {
    /// Beneath the workspace.
    Fits,
    /// Beneath the workspace, in a place where secrets are kept.
    Sensitive,
    /// Outside the workspace.
    Outside,
    /// Not a path: an address, or a word a shell would have replaced.
    Unfit,
}

/// Names of files and folders where programs keep secrets, each matched against one part of a path, case-folded. A
/// leading or trailing `*` stands for anything.
const SENSITIVE: &[&str] = &[
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".gcloud",
    ".kube",
    ".docker",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".git-credentials",
    ".htpasswd",
    ".vault-token",
    ".terraformrc",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.ppk",
    "credentials",
    "credentials.*",
    "kubeconfig",
    "*.kubeconfig",
    "secrets.*",
    "secret.*",
    "shadow",
    "terraform.tfstate*",
    "*_history",
];

/// Parts that are fine although they look like the above.
const HARMLESS: &[&str] = &[
    ".env.example",
    ".env.sample",
    ".env.template",
    ".env.dist",
    "id_rsa.pub",
    "id_ecdsa.pub",
    "id_ed25519.pub",
    "id_dsa.pub",
];

pub(crate) fn fit(text: &str, usage: PathUse, ground: Ground<'_>) -> PathFit {
    if text == "/dev/null" {
        return PathFit::Fits;
    }
    // A shell would have replaced `~` and `$VAR`; a program that does so itself would leave the workspace. A lone dash
    // is the input.
    if text.is_empty() || text == "-" || text.starts_with('~') || text.contains("://") || text.contains('$') {
        return PathFit::Unfit;
    }
    let Some(path) = ground.workspace.locate(ground.cwd, text) else {
        return PathFit::Outside;
    };
    let secret = path.split('/').any(is_sensitive);
    // What stands in `.git` steers git itself (hooks, filters, pagers), so writing there is never free.
    let steers = usage == PathUse::Write && path.split('/').any(|part| part.eq_ignore_ascii_case(".git"));
    if secret || steers || path.ends_with(".git/config") {
        PathFit::Sensitive
    } else {
        PathFit::Fits
    }
}

fn is_sensitive(part: &str) -> bool {
    let matches = |pattern: &&str| {
        let ends = |part: &str, pattern: &str| {
            part.len() >= pattern.len()
                && part
                    .as_bytes()
                    .iter()
                    .rev()
                    .zip(pattern.as_bytes().iter().rev())
                    .all(|(a, b)| a.eq_ignore_ascii_case(b))
        };
        let begins = |part: &str, pattern: &str| {
            part.len() >= pattern.len()
                && part
                    .as_bytes()
                    .iter()
                    .zip(pattern.as_bytes())
                    .all(|(a, b)| a.eq_ignore_ascii_case(b))
        };
        match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            (Some(end), _) => ends(part, end),
            (None, Some(start)) => begins(part, start),
            (None, None) => part.eq_ignore_ascii_case(pattern),
        }
    };
    SENSITIVE.iter().any(matches) && !HARMLESS.contains(&part)
}

pub(crate) fn outside(program: &str, text: &str) -> Finding {
    Finding::deny(
        rule(program, "path-outside"),
        format!("the path `{}` lies outside the workspace", shown(text)),
        "name a path beneath the workspace",
    )
}

pub(crate) fn sensitive(program: &str, text: &str) -> Finding {
    Finding::ask(
        rule(program, "sensitive-path"),
        format!("`{}` is where secrets are kept", shown(text)),
        "name another file, or ask a person for this one",
        None,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Workspace;

    #[test]
    fn paths_are_measured_against_the_workspace_and_secrets_are_known_by_name() {
        let workspace = Workspace::new("/srv/ops").unwrap();
        let fit = |text| {
            fit(
                text,
                PathUse::Read,
                Ground {
                    workspace: &workspace,
                    cwd: "app",
                },
            )
        };
        for good in [
            "a",
            "./a/b",
            "../README.md",
            "/srv/ops/x",
            ".",
            "/dev/null",
            ".env.example",
            "keys.rs",
            "src/key.rs",
            "monkey",
        ] {
            assert_eq!(fit(good), PathFit::Fits, "{good}");
        }
        for secret in [
            ".env",
            "x/.ENV",
            ".ssh/config",
            "a/id_rsa",
            "tls/server.pem",
            ".git/config",
            "../.aws/credentials",
            "prod.env",
        ] {
            assert_eq!(fit(secret), PathFit::Sensitive, "{secret}");
        }
        for outside in [
            "/etc/passwd",
            "../..",
            "../../x",
            "/",
            "/proc/self/environ",
            "/srv/opsroom",
        ] {
            assert_eq!(fit(outside), PathFit::Outside, "{outside}");
        }
        for unfit in ["", "~/.ssh/id_rsa", "https://example.com/x", "$HOME/x", "-"] {
            assert_eq!(fit(unfit), PathFit::Unfit, "{unfit}");
        }
    }
}
