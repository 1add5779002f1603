//! Paths among the words of a call, compared as text.
//!
//! Whether a path is what it seems on disk (links, mounts) is checked when the program runs, not here.

use super::names::matches;
use super::profile::PathUse;
use super::program::Program;
use super::types::{Ground, Said, rule};
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

/// Names of files and folders where programs keep secrets: patterns, matched against one part of a path, case-folded.
const SENSITIVE: &[&str] = &[
    ".env*",
    "*.env",
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".gcloud",
    ".kube",
    ".docker",
    ".dockercfg",
    ".dockerconfigjson",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".s3cfg",
    ".boto",
    ".git-credentials",
    ".htpasswd",
    ".vault-token",
    ".terraformrc",
    ".password-store",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.keytab",
    "*.kdbx",
    "*.ppk",
    "*.tfvars",
    "*.tfvars.json",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "credentials",
    "credentials.*",
    "kubeconfig",
    "*.kubeconfig",
    "secrets",
    "secrets.*",
    "secret.*",
    "*service-account*.json",
    "*service_account*.json",
    "shadow",
    "gshadow",
    "shadow-",
    "terraform.tfstate*",
    "*_history",
    "hosts.yml",
    "application_default_credentials.json",
    "token",
    "*.token",
];

/// Names that are fine although they look like the above: templates, public keys, source and prose.
const HARMLESS: &[&str] = &[
    ".env.example",
    ".env.sample",
    ".env.template",
    ".env.dist",
    ".env.test",
    "*.pub",
    "*.rs",
    "*.go",
    "*.py",
    "*.js",
    "*.jsx",
    "*.ts",
    "*.tsx",
    "*.java",
    "*.kt",
    "*.c",
    "*.h",
    "*.cc",
    "*.cpp",
    "*.hpp",
    "*.cs",
    "*.rb",
    "*.php",
    "*.swift",
    "*.scala",
    "*.sh",
    "*.md",
    "*.rst",
    "*.html",
    "*.css",
    "*.proto",
];

/// Names of no interest: a pattern that takes these in too does not single out secrets.
const ORDINARY: &[&str] = &[
    "x",
    "readme",
    "main.rs",
    "a.txt",
    "a.yaml",
    "a.json",
    ".editorconfig",
    "src",
];

pub(crate) fn fit(text: &str, usage: PathUse, ground: Ground<'_>) -> PathFit {
    if text == "/dev/null" {
        return PathFit::Fits;
    }
    // A shell would have replaced `~` and `$VAR`; a program that does so itself would leave the workspace. A lone dash
    // is the input. Some programs take quotes off, or split at them.
    if text.is_empty() || text == "-" || text.starts_with('~') || text.contains("://") || text.contains(['$', '"']) {
        return PathFit::Unfit;
    }
    let Some(path) = ground.workspace.locate(ground.cwd, text) else {
        return PathFit::Outside;
    };
    let secret = path.split('/').any(is_sensitive) || singles_out_secrets(&path);
    let git = path.split('/').any(|part| part.eq_ignore_ascii_case(".git"));
    let last = path.rsplit('/').next().unwrap_or_default();
    // What stands in `.git` steers git itself (hooks, filters, pagers), so writing there is never free; its settings
    // may hold credentials, those of submodules and worktrees too.
    if secret || git && (usage == PathUse::Write || matches(last, "config*")) {
        PathFit::Sensitive
    } else {
        PathFit::Fits
    }
}

/// Whether a pattern of file names (`*`, `?`, `[…]`, `{a,b}`) takes in files that hold secrets and not just any file.
///
/// Programs differ in which of these signs they know; each is taken for what it means to the one that knows it.
pub(crate) fn singles_out_secrets(pattern: &str) -> bool {
    let mut alternatives = Vec::new();
    // A pattern of too many alternatives is not judged, so it counts as one that names a secret.
    !expand(&pattern.replace('\\', ""), &mut alternatives) || alternatives.iter().any(|one| singles_out(one))
}

fn singles_out(pattern: &str) -> bool {
    let wild = |part: &&str| part.contains(['*', '?', '[']);
    let mut parts = pattern.split('/');
    if pattern.contains(['*', '?', '[']) {
        let samples = || SENSITIVE.iter().map(|known| known.replace('*', ""));
        let of_parts = |part: &str| {
            let part = without_named_classes(part);
            samples().any(|name| matches(&name, &part)) && !ORDINARY.iter().any(|name| matches(name, &part))
        };
        // What is written out in full is told by its name, as without signs.
        parts.any(|part| {
            if wild(&part) {
                of_parts(part)
            } else {
                is_sensitive(part)
            }
        })
    } else {
        parts.any(is_sensitive)
    }
}

/// The most alternatives that a pattern may come to.
const MAX_ALTERNATIVES: usize = 64;

/// Writes out the alternatives `{a,b}` of a pattern; `false` when there are too many.
fn expand(pattern: &str, out: &mut Vec<String>) -> bool {
    let Some((before, inner, after)) = braces(pattern) else {
        out.push(pattern.to_owned());
        return out.len() <= MAX_ALTERNATIVES;
    };
    let mut depth = 0usize;
    let alternatives = inner.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    for one in alternatives {
        if !expand(&[before, one, after].concat(), out) {
            return false;
        }
    }
    true
}

/// What stands before, in and behind the first pair of braces.
fn braces(pattern: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = pattern.split_once('{')?;
    let mut depth = 1usize;
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return Some((before, rest.get(..at)?, rest.get(at + 1..)?));
        }
    }
    None
}

/// The pattern with a `?` for each class that holds a named one, such as `[[:alpha:]]`.
fn without_named_classes(part: &str) -> String {
    let mut plain = part.to_owned();
    while let Some(at) = plain
        .find("[:")
        .or_else(|| plain.find("[="))
        .or_else(|| plain.find("[."))
    {
        let from = plain.get(..at).and_then(|before| before.rfind('[')).unwrap_or(at);
        let behind = plain.get(at + 2..).unwrap_or_default();
        let Some(end) = behind.rfind(']') else {
            break;
        };
        plain.replace_range(from..at + 2 + end + 1, "?*");
    }
    plain
}

fn is_sensitive(part: &str) -> bool {
    SENSITIVE.iter().any(|pattern| matches(part, pattern)) && !HARMLESS.iter().any(|pattern| matches(part, pattern))
}

/// Notes that a word names a place where secrets are kept.
pub(crate) fn take_secret(program: &Program, text: &str, said: &mut Said) {
    if let Some(secret) = program.secret {
        said.labels.insert(secret);
    }
    said.findings.push(sensitive(&program.name, text));
}

/// The words, read or not, that name a place outside the workspace, when the reading stopped before it knew what they
/// are. Only for programs that take paths at all; a word that is none is refused with the rest.
pub(crate) fn scan<'a>(program: &Program, words: impl Iterator<Item = &'a str>, ground: Ground<'_>) -> Vec<Finding> {
    if !program.takes_paths {
        return Vec::new();
    }
    let value = |word: &'a str| word.split_once('=').map_or(word, |(_, value)| value);
    let pieces = words
        .flat_map(|word| [word, value(word)])
        .flat_map(|word| word.split([',', ':']).enumerate());
    // One is enough to deny the call; each of thousands would have to be told from all others.
    const MOST: usize = 8;
    let mut findings: Vec<Finding> = Vec::new();
    // What stands behind the colon of an address is no path.
    let address = |(n, piece): &(usize, &str)| *n > 0 && piece.starts_with("//");
    let parts = pieces.filter(|piece| !address(piece)).map(|(_, piece)| piece);
    let named = |part: &&str| part.starts_with('/') || part.split('/').any(|piece| piece == "..");
    for part in parts.filter(named) {
        if fit(part, PathUse::Read, ground) == PathFit::Outside {
            let finding = outside(&program.name, part);
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        if findings.len() == MOST {
            break;
        }
    }
    findings
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
            "*.rs",
            "*",
            "src/**",
            "src/credentials.rs",
            "docs/secrets.md",
            "id_rsa.pub",
            "*.{rs,toml}",
            "a{b,c}d",
            "[[:upper:]]*",
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
            ".git/modules/sub/config",
            ".git/config.worktree",
            "prod.tfvars",
            "*.pem",
            ".en?",
            "a/.en[v]",
            "id_*",
            "*.{pem,key}",
            "{.env,x}",
            ".{en,e{x,nv}}",
            "\\.env",
            ".en[[:alpha:]]",
            ".en[[:alpha:]_]",
            ".ssh/*",
            "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}",
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
