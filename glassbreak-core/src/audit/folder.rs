//! The folder of a log: who may write it, and where its chains end.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::AuditError;
use super::chain::{Head, LogId, RecordHash, take_apart};
use super::writer::MAX_RECORD;

/// How many of the newest chains are looked at for heads to name.
const RECENT: usize = 256;
const STICKY: u32 = 0o1000;

/// Makes the folder where there is none, and refuses one that others could change.
pub(super) fn prepare(dir: &Path) -> Result<(), AuditError> {
    if matches!(fs::symlink_metadata(dir), Err(error) if error.kind() == io::ErrorKind::NotFound) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(AuditError::io("make", dir))?;
    }
    let meta = fs::symlink_metadata(dir).map_err(AuditError::io("look at", dir))?;
    if meta.is_symlink() {
        return Err(exposed(dir, "is a link", "name the folder itself"));
    }
    if !meta.is_dir() {
        return Err(exposed(dir, "is not a folder", "name a folder of its own for the log"));
    }
    check_mode(dir, &meta)?;
    let whole = dir.canonicalize().map_err(AuditError::io("find", dir))?;
    for parent in whole.ancestors().skip(1) {
        let meta = fs::metadata(parent).map_err(AuditError::io("look at", parent))?;
        if meta.mode() & STICKY == 0 {
            check_mode(parent, &meta)?;
        }
    }
    Ok(())
}

fn check_mode(path: &Path, meta: &Metadata) -> Result<(), AuditError> {
    if meta.mode() & 0o022 != 0 {
        return Err(exposed(
            path,
            "can be written by its group or by others",
            "take that away: chmod go-w",
        ));
    }
    Ok(())
}

/// A folder in the hands of someone else than `file`'s owner or root is not ours to trust.
pub(super) fn check_owner(dir: &Path, file: &File) -> Result<(), AuditError> {
    let ours = file.metadata().map_err(AuditError::io("look at", dir))?.uid();
    let owner = fs::metadata(dir).map_err(AuditError::io("look at", dir))?.uid();
    if owner != ours && owner != 0 {
        return Err(exposed(dir, "belongs to another user", "name a folder of your own"));
    }
    Ok(())
}

/// A secret: a file that only its owner can read or write.
pub(super) fn check_secret(path: &Path) -> Result<(), AuditError> {
    let meta = fs::symlink_metadata(path).map_err(AuditError::io("look at", path))?;
    if !meta.is_file() {
        return Err(exposed(path, "is not a plain file", "name the key file itself"));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(exposed(path, "can be read by others", "take that away: chmod 600"));
    }
    Ok(())
}

/// A place for checkpoints: absent, or a plain file that only its owner can write.
pub(super) fn check_sink(path: &Path) -> Result<(), AuditError> {
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.is_file() => Err(exposed(path, "is not a plain file", "name a file for checkpoints")),
        Ok(meta) => check_mode(path, &meta),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(AuditError::io("look at", path)(error)),
    }
}

fn exposed(path: &Path, what: &'static str, help: &'static str) -> AuditError {
    AuditError::Exposed {
        path: path.to_owned(),
        what,
        help,
    }
}

/// A file of at most 4 KiB, as text.
pub(super) fn read_small(path: &Path) -> Result<String, AuditError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(4096).read_to_string(&mut text))
        .map_err(AuditError::io("read", path))?;
    Ok(text)
}

/// Makes the name of a new file survive a loss of power.
pub(super) fn sync_parent(path: &Path) -> Result<(), AuditError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(AuditError::io("sync", parent))
}

/// What lies in a log's folder: the chains by name, and whatever else there is.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) chains: Vec<(LogId, PathBuf)>,
    pub(super) foreign: Vec<PathBuf>,
}

pub(super) fn list(dir: &Path) -> Result<Listing, AuditError> {
    let mut listing = Listing::default();
    for entry in fs::read_dir(dir).map_err(AuditError::io("read", dir))? {
        let entry = entry.map_err(AuditError::io("read", dir))?;
        let plain = entry.file_type().map_err(AuditError::io("look at", dir))?.is_file();
        let name = entry.file_name();
        match name.to_str().and_then(LogId::of_file_name) {
            Some(log) if plain => listing.chains.push((log, entry.path())),
            _ => listing.foreign.push(entry.path()),
        }
    }
    listing.chains.sort();
    listing.foreign.sort();
    Ok(listing)
}

/// The head of an older chain, as a new one saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) log: LogId,
    pub(super) head: Head,
}

impl Seen {
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key)?.as_str();
        Some(Self {
            log: LogId::from_text(text("log")?)?,
            head: Head {
                seq: value.get("seq")?.as_u64()?,
                hash: RecordHash::from_hex(text("hash")?)?,
            },
        })
    }
}

/// The heads of the newest chains that no other chain among them names already, brought to disk: what a new chain
/// says it saw must not be lost later to a loss of power.
pub(super) fn heads(dir: &Path) -> Result<Vec<Seen>, AuditError> {
    let chains = list(dir)?.chains;
    let recent = chains.len().saturating_sub(RECENT);
    let mut named = HashSet::new();
    let mut seen = Vec::new();
    for (log, path) in chains.into_iter().skip(recent) {
        let meta = fs::symlink_metadata(&path).map_err(AuditError::io("look at", &path))?;
        check_mode(&path, &meta)?;
        let mut file = File::open(&path).map_err(AuditError::io("open", &path))?;
        let opened = first_line(&file).map_err(AuditError::io("read", &path))?;
        let claims = seen_in(&opened);
        named.extend(claims.iter().map(|claim| (claim.log, claim.head.seq)));
        if let Some(head) = last_head(&mut file).map_err(AuditError::io("read", &path))? {
            seen.push((Seen { log, head }, path));
        }
    }
    seen.retain(|(seen, _)| !named.contains(&(seen.log, seen.head.seq)));
    seen.into_iter()
        .map(|(seen, path)| {
            let synced = File::open(&path).and_then(|file| file.sync_data());
            synced.map(|()| seen).map_err(AuditError::io("sync", &path))
        })
        .collect()
}

/// What the first record of a chain says it saw.
pub(super) fn seen_in(opened: &Value) -> Vec<Seen> {
    let previous = opened.get("previous").and_then(Value::as_array);
    previous.into_iter().flatten().filter_map(Seen::from_json).collect()
}

/// The first record of a chain; null where it has none.
pub(super) fn first_line(file: &File) -> io::Result<Value> {
    let mut line = Vec::new();
    BufReader::new(file.take(MAX_RECORD as u64 + 1)).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line).unwrap_or(Value::Null))
}

/// Where the last whole line of a chain stands, read from the end.
fn last_head(file: &mut File) -> io::Result<Option<Head>> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut reach = 4096;
    loop {
        let from = end.saturating_sub(reach);
        file.seek(SeekFrom::Start(from))?;
        let mut part = Vec::new();
        file.take(end - from).read_to_end(&mut part)?;
        // Whole lines lie between newlines; the beginning of the file counts as one.
        let Some(stop) = part.iter().rposition(|b| *b == b'\n') else {
            if from == 0 || reach > 2 * MAX_RECORD as u64 {
                return Ok(None);
            }
            reach *= 4;
            continue;
        };
        let whole = part.get(..stop).unwrap_or_default();
        let start = whole.iter().rposition(|b| *b == b'\n').map(|at| at + 1);
        match start.or((from == 0).then_some(0)) {
            Some(start) => return Ok(head_of(whole.get(start..).unwrap_or_default())),
            None if reach > 2 * MAX_RECORD as u64 => return Ok(None),
            None => reach *= 4,
        }
    }
}

fn head_of(line: &[u8]) -> Option<Head> {
    let (record, hash) = take_apart(line)?;
    let value: Value = serde_json::from_slice(&record).ok()?;
    let seq = value.get("seq")?.as_u64()?;
    Some(Head { seq, hash })
}
