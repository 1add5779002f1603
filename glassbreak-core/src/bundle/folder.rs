//! The policy folder on disk, and the digest over all of it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{BadWord, Problem, shown};

/// The files of a bundle: bytes by path, `/` between folders.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The largest file, in bytes.
pub const MAX_FILE: u64 = 1024 * 1024;
/// The most files.
pub const MAX_FILES: usize = 1000;

/// SHA-256 over the files of a bundle and the shipped packs it may build on: every record carries it.
///
/// For each file by its path, then for each pack by its name: length of the name (eight bytes, big-endian), name,
/// length of the content, content.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BundleDigest([u8; 32]);

impl BundleDigest {
    pub(super) fn of(files: &Files, packs: impl Iterator<Item = (&'static str, &'static str)>) -> Self {
        let mut hasher = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        for (path, bytes) in files {
            part(path.as_bytes());
            part(bytes);
        }
        for (name, text) in packs {
            part(name.as_bytes());
            part(text.as_bytes());
        }
        Self(hasher.finalize().into())
    }

    /// Reads a digest as it is printed: 64 hexadecimal digits, such as a host is given with its policy folder.
    ///
    /// # Errors
    /// When it is not one.
    pub fn from_text(text: &str) -> Result<Self, BadWord> {
        let bad = || {
            BadWord::new(
                "bundle digest",
                text,
                "write 64 digits from `0` to `f`, as `glassbreak test` prints",
            )
        };
        let mut bytes = [0; 32];
        let plain = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !plain {
            return Err(bad());
        }
        for (n, byte) in bytes.iter_mut().enumerate() {
            let pair = text.get(2 * n..2 * n + 2).ok_or_else(bad)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for BundleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::call::write_hex(f, &self.0)
    }
}

impl fmt::Debug for BundleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads the folder at `root` and its `tests/`. Names that begin with a dot are left out; links are refused, because
/// what they lead to is not under the digest's control.
pub(super) fn read(root: &Path) -> Result<Files, Vec<Problem>> {
    let mut files = Files::new();
    let mut problems = Vec::new();
    match fs::metadata(root) {
        Ok(meta) if meta.is_dir() => read_folder(root, "", &mut files, &mut problems),
        Ok(_) => problems.push(Problem::in_file(
            name(root),
            "this is not a folder",
            "name the policy folder",
        )),
        Err(error) => problems.push(Problem::in_file(
            name(root),
            error.to_string(),
            "name the policy folder",
        )),
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

fn read_folder(folder: &Path, prefix: &str, files: &mut Files, problems: &mut Vec<Problem>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(Problem::in_file(
                name(folder),
                error.to_string(),
                "make the folder readable",
            ));
            return;
        }
    };
    for entry in entries {
        let result = entry.map_err(|error| (prefix.to_owned(), error)).and_then(|entry| {
            let file_name = entry.file_name();
            let Some(file_name) = file_name.to_str() else {
                problems.push(Problem::in_file(
                    shown(&file_name.to_string_lossy()),
                    "this name is not UTF-8",
                    "rename it",
                ));
                return Ok(());
            };
            let path = format!("{prefix}{file_name}");
            if file_name.starts_with('.') {
                // An editor's or git's own; but what looks like policy and is not read would guard nothing.
                if [".cedar", ".toml", ".json", ".cedarschema"]
                    .iter()
                    .any(|end| file_name.ends_with(end))
                {
                    problems.push(Problem::in_file(
                        path,
                        "a hidden file is not read",
                        "rename or remove it",
                    ));
                }
                return Ok(());
            }
            let kind = entry.file_type().map_err(|error| (path.clone(), error))?;
            if kind.is_dir() && prefix.is_empty() && file_name == "tests" {
                read_folder(&entry.path(), "tests/", files, problems);
            } else if kind.is_file() {
                let mut bytes = Vec::new();
                let file = fs::File::open(entry.path()).map_err(|error| (path.clone(), error))?;
                file.take(MAX_FILE + 1)
                    .read_to_end(&mut bytes)
                    .map_err(|error| (path.clone(), error))?;
                files.insert(path, bytes);
            } else if kind.is_dir() {
                problems.push(Problem::in_file(
                    path,
                    "a folder within the policy folder",
                    "only `tests` may stand here",
                ));
            } else {
                problems.push(Problem::in_file(
                    path,
                    if kind.is_symlink() {
                        "this is a link"
                    } else {
                        "this is neither a file nor a folder"
                    },
                    "copy the file itself here",
                ));
            }
            Ok(())
        });
        if let Err((path, error)) = result {
            problems.push(Problem::in_file(path, error.to_string(), "make the file readable"));
        }
        if files.len() > MAX_FILES {
            problems.push(Problem::in_file(
                name(folder),
                "over 1,000 files",
                "keep only policy files here",
            ));
            return;
        }
    }
}

fn name(path: &Path) -> String {
    shown(&path.to_string_lossy())
}
