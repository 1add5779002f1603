//! What an agent remembers: notes of what happened, one file each, and an index of their words.
//!
//! The index is a plain one: for each word the notes that it stands in. It is built anew from the notes, all of them, and
//! put in place in one piece, so that a reader finds the old one or the new one and nothing between.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Notes and their index, in one folder.
#[derive(Debug, Clone)]
pub struct Memory(PathBuf);

/// For each word the notes that it stands in.
type Index = BTreeMap<String, BTreeSet<String>>;

impl Memory {
    /// The memory in this folder, which is there.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Writes a note. One of the same name is replaced: whoever is told twice notes it once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, name: &str, text: &str) -> io::Result<()> {
        replace(&self.0.join(format!("{name}.md")), text)
    }

    /// Builds the index anew. Returns how many notes and how many words it has.
    ///
    /// # Errors
    /// When a note cannot be read, or the index not be written.
    pub fn rebuild(&self) -> io::Result<(usize, usize)> {
        let mut index = Index::new();
        let mut notes = 0;
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            let Some(name) = path
                .file_stem()
                .filter(|_| path.extension().is_some_and(|end| end == "md"))
            else {
                continue;
            };
            let name = name.to_string_lossy().into_owned();
            for word in words(&fs::read_to_string(&path)?) {
                index.entry(word).or_default().insert(name.clone());
            }
            notes += 1;
        }
        replace(&self.0.join("index.json"), &serde_json::to_string(&index)?)?;
        Ok((notes, index.len()))
    }

    /// The notes in which all of these words stand, by the index as it was last built.
    ///
    /// # Errors
    /// When the index or a note cannot be read.
    pub fn find(&self, question: &str) -> io::Result<Vec<String>> {
        let index: Index = match fs::read_to_string(self.0.join("index.json")) {
            Ok(text) => serde_json::from_str(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Index::new(),
            Err(error) => return Err(error),
        };
        let mut found: Option<BTreeSet<String>> = None;
        for word in words(question) {
            let notes = index.get(&word).cloned().unwrap_or_default();
            found = Some(match found {
                Some(before) => before.intersection(&notes).cloned().collect(),
                None => notes,
            });
        }
        let notes = found.unwrap_or_default().into_iter();
        notes
            .map(|name| fs::read_to_string(self.0.join(format!("{name}.md"))))
            .collect()
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words.map(str::to_lowercase)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, path)
}
