//! Whether the judge is out of the agent's reach: what it stands on must not be writable by others, nor lie in a
//! workspace.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The first of `path`, what lies in it, and the folders above it that others may write. A folder above that is
/// sticky, as `/tmp` is, is excepted: others cannot replace what is in it.
pub(super) fn exposed(path: &Path) -> Option<PathBuf> {
    let Ok(path) = fs::canonicalize(path) else {
        return Some(path.to_owned());
    };
    let writable = |path: &Path, sticky_is_fine: bool| match fs::symlink_metadata(path) {
        Ok(meta) => meta.mode() & 0o022 != 0 && !(sticky_is_fine && meta.mode() & 0o1000 != 0),
        Err(_) => true,
    };
    if writable(&path, false) {
        return Some(path);
    }
    if let Some(above) = path.ancestors().skip(1).find(|above| writable(above, true)) {
        return Some(above.to_owned());
    }
    within(&path).into_iter().find(|inner| writable(inner, false))
}

fn within(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .flat_map(|path| {
            if path.is_dir() {
                [vec![path.clone()], within(&path)].concat()
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Whether `thing` lies in `workspace`.
pub(super) fn lies_in(thing: &Path, workspace: &Path) -> bool {
    match (fs::canonicalize(thing), fs::canonicalize(workspace)) {
        (Ok(thing), Ok(workspace)) => thing.starts_with(workspace),
        // What cannot be told counts as within reach.
        _ => true,
    }
}

/// The same of a workspace that was found before, by its path without links. Where it is gone nothing lies in it, and only
/// the path tells: else an agent that removes its own workspace would keep every later policy folder out.
pub(super) fn still_lies_in(thing: &Path, workspace: &Path) -> bool {
    match fs::canonicalize(thing) {
        Ok(thing) => {
            let now = fs::canonicalize(workspace);
            thing.starts_with(workspace) || now.is_ok_and(|workspace| thing.starts_with(workspace))
        }
        Err(_) => true,
    }
}
