//! What there is: namespaces, pods and deployments, as folders.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pod,
    Deployment,
}

impl Kind {
    pub(super) fn read(word: &str) -> Result<Self, String> {
        match word {
            "pod" | "pods" | "po" => Ok(Self::Pod),
            "deploy" | "deployment" | "deployments" => Ok(Self::Deployment),
            _ => Err(format!("error: the server doesn't have a resource type \"{word}\"")),
        }
    }

    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::Pod => "pods",
            Self::Deployment => "deployments",
        }
    }

    pub(super) const fn long(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Deployment => "deployment.apps",
        }
    }

    const fn columns(self) -> [&'static str; 5] {
        match self {
            Self::Pod => ["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
            Self::Deployment => ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"],
        }
    }
}

/// `pod web-1 web-2`, or `pod/web-1 deploy/web`.
pub(super) fn objects(words: &[&str]) -> Result<Vec<(Kind, String)>, String> {
    match words {
        [first, names @ ..] if !first.contains('/') => {
            let kind = Kind::read(first)?;
            Ok(names.iter().map(|name| (kind, (*name).to_owned())).collect())
        }
        _ => words
            .iter()
            .map(|word| {
                let (kind, name) = word
                    .split_once('/')
                    .ok_or("error: there is no need to mix kinds and kind/name")?;
                Ok((Kind::read(kind)?, name.to_owned()))
            })
            .collect(),
    }
}

/// A namespace.
#[derive(Debug, Clone)]
pub(super) struct Space {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

impl Space {
    pub(super) fn get(&self, kind: Kind, only: &[&str]) -> Result<String, String> {
        for name in only {
            self.object(kind, name)?;
        }
        let rows = self.rows(kind, "get")?;
        let wanted =
            |row: &Vec<String>| only.is_empty() || row.first().is_some_and(|name| only.contains(&name.as_str()));
        let mut shown = vec![kind.columns().map(str::to_owned).to_vec()];
        shown.extend(rows.into_iter().filter(wanted));
        if shown.len() == 1 {
            return Ok(format!("No resources found in {} namespace.\n", self.name));
        }
        Ok(table(&shown))
    }

    /// The name and the columns of each object.
    pub(super) fn rows(&self, kind: Kind, file: &str) -> Result<Vec<Vec<String>>, String> {
        let folder = self.path.join(kind.folder());
        names(&folder)
            .unwrap_or_default()
            .into_iter()
            .map(|name| {
                let text = read(&folder.join(&name).join(file))?;
                Ok([name]
                    .into_iter()
                    .chain(text.split_whitespace().map(str::to_owned))
                    .collect())
            })
            .collect()
    }

    pub(super) fn object(&self, kind: Kind, name: &str) -> Result<PathBuf, String> {
        let path = self.path.join(kind.folder()).join(part(name)?);
        if path.is_dir() {
            return Ok(path);
        }
        Err(format!(
            "Error from server (NotFound): {} \"{name}\" not found",
            kind.folder()
        ))
    }
}

/// One plain part of a path: a name never leads out of the cluster's folder.
pub(super) fn part(name: &str) -> Result<&str, String> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(_)), None) => Ok(name),
        _ => Err(format!("error: invalid name {name:?}")),
    }
}

pub(super) fn names(folder: &Path) -> Result<Vec<String>, String> {
    let bad = |error| format!("Unable to connect to the server: {}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(bad)? {
        let entry = entry.map_err(bad)?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

pub(super) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("Error from server: {}: {error}", path.display()))
}

pub(super) fn lines(lines: &[impl AsRef<str>]) -> String {
    lines.iter().map(|line| format!("{}\n", line.as_ref())).collect()
}

/// Columns under each other, three blanks between.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let line = |row: &Vec<String>| {
        let cells: String = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}   "))
            .collect();
        format!("{}\n", cells.trim_end())
    };
    rows.iter().map(line).collect()
}
