//! A program to run: its words, where, with which environment and input.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Malformed;
use crate::error::shown;
use crate::text::{self, Unfit};

/// The words of a command, the program's name first: never a command string.
///
/// 1 to 512 words, at most 64 KiB in all, each UTF-8 in normal form C without NUL and without characters that cannot
/// be shown. Newline and tab may stand here; the type of the slot a word falls into decides on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argv(Arc<[Box<str>]>);

impl Argv {
    /// The most words.
    pub const MAX_WORDS: usize = 512;
    /// The most bytes in all words together.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Checks the words.
    ///
    /// # Errors
    /// When there is no word, or too many, or one that may not stand in a call; the place is `[n]`.
    pub fn new<W: Into<Box<str>>>(words: impl IntoIterator<Item = W>) -> Result<Self, Malformed> {
        let words: Arc<[Box<str>]> = words.into_iter().map(Into::into).collect();
        if words.is_empty() {
            return Err(Malformed::new(
                "argv.empty",
                "",
                "there is no program",
                "name the program as the first word",
            ));
        }
        if words.len() > Self::MAX_WORDS {
            return Err(Malformed::new(
                "argv.too-many",
                "",
                format!("{} words", words.len()),
                "split the call: at most 512 words",
            ));
        }
        let mut bytes = 0usize;
        for (n, word) in words.iter().enumerate() {
            bytes = bytes.saturating_add(word.len());
            if bytes > Self::MAX_BYTES {
                return Err(Malformed::new(
                    "argv.too-long",
                    format!("[{n}]"),
                    format!("this word of {} bytes brings the words over 65,536 bytes", word.len()),
                    "put large input in a file in the workspace and name the file",
                ));
            }
            text::check(word).map_err(|unfit| unfit_word(unfit, &format!("[{n}]"), word, "argv"))?;
        }
        if !words.first().is_some_and(|program| program.is_ascii()) {
            return Err(Malformed::new(
                "argv.program-not-ascii",
                "[0]",
                "the program's name holds a character outside ASCII, which may look like another",
                "write the program's plain name",
            ));
        }
        Ok(Self(words))
    }

    /// The program's name.
    pub fn program(&self) -> &str {
        self.0.first().map_or("", |word| word)
    }

    /// All words, shared.
    pub(crate) fn shared(&self) -> Arc<[Box<str>]> {
        Arc::clone(&self.0)
    }

    /// All words, the program's name first.
    pub fn words(&self) -> &[Box<str>] {
        &self.0
    }
}

pub(super) fn unfit_word(unfit: Unfit, place: &str, word: &str, what: &str) -> Malformed {
    let (code, why) = match (unfit, what) {
        (Unfit::Nul, "argv") => (
            "argv.nul",
            "holds a NUL byte, which would end the word for the program".to_owned(),
        ),
        (Unfit::Nul, _) => ("text.nul", "holds a NUL byte".to_owned()),
        (Unfit::Unshowable(c), "argv") => ("argv.unshowable", unshowable(c)),
        (Unfit::Unshowable(c), _) => ("text.unshowable", unshowable(c)),
        (Unfit::NotNormal, "argv") => ("argv.not-normal", not_normal(word)),
        (Unfit::NotNormal, _) => ("text.not-normal", not_normal(word)),
    };
    Malformed::new(
        code,
        place,
        why,
        "leave such characters out: people must be able to see what they agree to",
    )
}

fn unshowable(c: char) -> String {
    format!(
        "holds the character U+{:04X}, which cannot be shown (control, bidirectional or invisible)",
        u32::from(c)
    )
}

fn not_normal(word: &str) -> String {
    format!(
        "`{}` is not in Unicode normal form C: it looks like other bytes than it is",
        shown(word)
    )
}

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    argv: Argv,
    cwd: Box<str>,
    env: BTreeMap<Box<str>, Box<str>>,
    stdin: Option<Box<[u8]>>,
}

impl Exec {
    /// The most bytes of standard input.
    pub const MAX_STDIN: usize = 1024 * 1024;
    /// The most environment variables.
    pub const MAX_ENV: usize = 64;
    /// The longest working folder and the longest value of an environment variable, in bytes.
    pub const MAX_TEXT: usize = 4096;

    /// Runs `argv` in the workspace itself, with no input and nothing added to the environment.
    pub fn new(argv: Argv) -> Self {
        Self {
            argv,
            cwd: ".".into(),
            env: BTreeMap::new(),
            stdin: None,
        }
    }

    /// In this folder: beneath the workspace, or relative to it.
    ///
    /// # Errors
    /// When the path is empty, over 4 KiB, or holds a character that may not stand in a call.
    pub fn in_folder(mut self, cwd: &str) -> Result<Self, Malformed> {
        check_text(cwd, "cwd")?;
        if cwd.is_empty() {
            return Err(Malformed::new(
                "cwd.empty",
                "cwd",
                "the folder is empty",
                "write `.` for the workspace itself",
            ));
        }
        self.cwd = cwd.into();
        Ok(self)
    }

    /// With one more environment variable.
    ///
    /// # Errors
    /// When the name is not `[A-Za-z_][A-Za-z0-9_]*`, or the value is over 4 KiB or holds a character that may
    /// not stand in a call, or it is one too many.
    pub fn with_env(mut self, name: &str, value: &str) -> Result<Self, Malformed> {
        let place = format!("env.{}", shown(name));
        let head = name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !head || name.len() > 128 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(Malformed::new(
                "env.name",
                place,
                "this is not the name of an environment variable",
                "write letters, digits and `_`, not beginning with a digit",
            ));
        }
        check_text(value, &place)?;
        self.env.insert(name.into(), value.into());
        if self.env.len() > Self::MAX_ENV {
            return Err(Malformed::new(
                "env.too-many",
                "env",
                "over 64 variables",
                "pass fewer variables",
            ));
        }
        Ok(self)
    }

    /// With these bytes as standard input.
    ///
    /// # Errors
    /// When there are more than 1 MiB.
    pub fn with_stdin(mut self, bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > Self::MAX_STDIN {
            return Err(Malformed::new(
                "stdin.too-long",
                "stdin",
                format!("{} bytes of input", bytes.len()),
                "pass at most 1 MiB, or put the input in a file in the workspace",
            ));
        }
        self.stdin = Some(bytes.into());
        Ok(self)
    }

    /// Other words in the same place, with the same environment and input: what a program runs in its turn.
    pub(crate) fn running(&self, argv: Argv) -> Self {
        Self { argv, ..self.clone() }
    }

    /// The words.
    pub const fn argv(&self) -> &Argv {
        &self.argv
    }

    /// The working folder as it came.
    pub fn cwd(&self) -> &str {
        &self.cwd
    }

    /// The variables added to the environment.
    pub const fn env(&self) -> &BTreeMap<Box<str>, Box<str>> {
        &self.env
    }

    /// The standard input, if any was given.
    pub fn stdin(&self) -> Option<&[u8]> {
        self.stdin.as_deref()
    }
}

fn check_text(value: &str, place: &str) -> Result<(), Malformed> {
    if value.len() > Exec::MAX_TEXT {
        return Err(Malformed::new(
            "text.too-long",
            place,
            format!("{} bytes", value.len()),
            "write at most 4,096 bytes",
        ));
    }
    text::check(value).map_err(|unfit| unfit_word(unfit, place, value, "text"))?;
    if value.contains(['\n', '\t']) {
        return Err(Malformed::new(
            "text.unshowable",
            place,
            "holds a newline or tab",
            "leave it out",
        ));
    }
    Ok(())
}

/// The folder that a session's calls stay beneath: an absolute path, compared as text.
///
/// Whether the path is what it seems on disk (links, mounts) is not looked at while judging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace(Box<str>);

impl Workspace {
    /// Checks that `path` is absolute and has no `.` or `..` in it; trailing slashes are dropped.
    ///
    /// # Errors
    /// When it is not such a path.
    pub fn new(path: &str) -> Result<Self, Malformed> {
        let bad = |what: &str| Malformed::new("workspace", "", what, "name the workspace by its absolute path");
        check_text(path, "")?;
        let Some(inner) = path.strip_prefix('/') else {
            return Err(bad("the path is not absolute"));
        };
        let mut plain = String::with_capacity(path.len());
        for part in inner.split('/').filter(|part| !part.is_empty()) {
            if part == "." || part == ".." {
                return Err(bad("the path holds `.` or `..`"));
            }
            plain.push('/');
            plain.push_str(part);
        }
        Ok(Self(plain.into()))
    }

    /// The absolute path; empty for the root of the file system.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where `path`, taken from `folder` (relative to the workspace, `""` for itself), lies in the workspace:
    /// relative to it, without `.` and `..`, `""` for the workspace itself. `None` when it lies outside.
    ///
    /// The path is compared as text. `..` that climbs out and comes back counts as outside.
    pub fn locate(&self, folder: &str, path: &str) -> Option<String> {
        let (mut parts, rest): (Vec<&str>, &str) = match path.strip_prefix('/') {
            Some(_) => {
                let rest = path.strip_prefix(&*self.0)?;
                if !rest.is_empty() && !rest.starts_with('/') {
                    return None;
                }
                (Vec::new(), rest)
            }
            None => (folder.split('/').filter(|part| !part.is_empty()).collect(), path),
        };
        for part in rest.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        Some(parts.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_may_not_stand_in_a_call_are_named_by_place() {
        let code = |words: &[&str]| Argv::new(words.iter().copied()).map_err(|m| (m.code, m.place));
        assert_eq!(code(&[]).unwrap_err().0, "argv.empty");
        assert_eq!(code(&["cat", "a\0b"]).unwrap_err(), ("argv.nul", "[1]".to_owned()));
        assert_eq!(
            code(&["cat", "a", "\u{202e}"]).unwrap_err(),
            ("argv.unshowable", "[2]".to_owned())
        );
        assert_eq!(
            code(&["cat", "e\u{301}"]).unwrap_err(),
            ("argv.not-normal", "[1]".to_owned())
        );
        assert_eq!(
            code(&["c\u{0430}t"]).unwrap_err(),
            ("argv.program-not-ascii", "[0]".to_owned())
        );
        assert_eq!(
            code(&["cat", &"x".repeat(1 << 20)]).unwrap_err(),
            ("argv.too-long", "[1]".to_owned())
        );
        assert_eq!(code(&["x"; 513]).unwrap_err().0, "argv.too-many");
        assert!(code(&["x"; 512]).is_ok());
    }

    #[test]
    fn paths_are_placed_as_text_and_never_outside() {
        let workspace = Workspace::new("/srv/ops/").unwrap();
        let locate = |folder, path| workspace.locate(folder, path);
        assert_eq!(locate("", "a/b").as_deref(), Some("a/b"));
        assert_eq!(locate("a", "../b/./c//d").as_deref(), Some("b/c/d"));
        assert_eq!(locate("", ".").as_deref(), Some(""));
        assert_eq!(locate("x", "/srv/ops/a").as_deref(), Some("a"));
        assert_eq!(locate("x", "/srv/ops").as_deref(), Some(""));
        for outside in [
            "..",
            "a/../..",
            "/etc/passwd",
            "/srv/opshop",
            "/srv/ops/../x",
            "/",
            "../ops/a",
        ] {
            assert_eq!(locate("", outside), None, "{outside}");
        }
        assert!(Workspace::new("relative").is_err());
        assert!(Workspace::new("/a/../b").is_err());
        assert_eq!(Workspace::new("/").unwrap().locate("", "/etc").as_deref(), Some("etc"));
    }

    #[test]
    fn environment_and_input_have_sizes_and_shapes() {
        let exec = || Exec::new(Argv::new(["ls"]).unwrap());
        for name in ["", "1A", "A B", "A=B", "Ä"] {
            assert_eq!(exec().with_env(name, "x").unwrap_err().code, "env.name");
        }
        assert_eq!(exec().with_env("A", "x\0").unwrap_err().code, "text.nul");
        assert_eq!(exec().with_env("A", "x\ny").unwrap_err().code, "text.unshowable");
        assert_eq!(
            exec().with_stdin(&vec![0; (1 << 20) + 1]).unwrap_err().code,
            "stdin.too-long"
        );
        assert_eq!(exec().in_folder("").unwrap_err().code, "cwd.empty");
    }
}
