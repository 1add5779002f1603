//! A small file beside the database that says how far it had come: whoever puts an older copy back puts it beside this.
//!
//! It is at most a second behind, and never ahead: what it names was on disk before it. It is replaced whole, by
//! renaming, under a lock on the folder, and only ever by a later one.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::{FlockOperation, flock};

use crate::error::{Fault, file};
use crate::meta::Seen;
use crate::place::Place;

const HEAD: &str = "glassbreak anchor 1";

/// What it says; `None` where there is none.
pub(crate) fn read(place: &Place) -> Result<Option<Seen>, Fault> {
    let text = match fs::read_to_string(&place.anchor) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => String::new(),
        Err(error) => return Err(file(place.anchor.display(), &error)),
    };
    let bad = || Fault::RolledBack(format!("{} cannot be read", place.anchor.display()));
    parse(&text).map(Some).ok_or_else(bad)
}

fn parse(text: &str) -> Option<Seen> {
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return None;
    }
    let mut words = lines.next()?.split(' ');
    let id = |word: &str| uuid::Uuid::try_parse(word).ok().map(uuid::Uuid::into_bytes);
    let seen = Seen {
        generation: id(words.next()?)?,
        epoch: words.next()?.parse().ok()?,
        batch: words.next()?.parse().ok()?,
        mark: id(words.next()?)?,
    };
    (words.next().is_none() && lines.next().is_none()).then_some(seen)
}

fn text(seen: &Seen) -> String {
    let id = uuid::Uuid::from_bytes;
    format!(
        "{HEAD}\n{} {} {} {}\n",
        id(seen.generation),
        seen.epoch,
        seen.batch,
        id(seen.mark)
    )
}

/// Whose turn it is to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Unless another process is at it.
    IfFree,
    /// After the others.
    Wait,
    /// After the others, and whatever is there: the generation was adopted.
    Over,
}

/// Says how far it has come. Whether that was written, or was said already.
pub(crate) fn write(place: &Place, seen: &Seen, turn: Turn) -> Result<bool, Fault> {
    let failed = |error| file(format_args!("cannot write {}", place.anchor.display()), &error);
    let folder = File::open(&place.folder).map_err(failed)?;
    let how = match turn {
        Turn::IfFree => FlockOperation::NonBlockingLockExclusive,
        Turn::Wait | Turn::Over => FlockOperation::LockExclusive,
    };
    match flock(&folder, how) {
        Ok(()) => {}
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => return Ok(false),
        Err(error) => return Err(failed(error.into())),
    }
    if turn != Turn::Over {
        match read(place)? {
            Some(said) if said.generation != seen.generation => {
                // Another store's, or one adopted since: whoever opens next looks into it.
                return Ok(true);
            }
            Some(said) if said.batch >= seen.batch => return Ok(true),
            _ => {}
        }
    }
    let mut new = place.anchor.clone().into_os_string();
    new.push(".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = options.open(&new).map_err(failed)?;
    out.write_all(text(seen).as_bytes()).map_err(failed)?;
    out.sync_all().map_err(failed)?;
    fs::rename(&new, &place.anchor).map_err(failed)?;
    folder.sync_all().map_err(failed)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let seen = Seen {
            generation: [7; 16],
            epoch: 12,
            batch: 9,
            mark: [3; 16],
        };
        let written = text(&seen);
        assert_eq!(parse(&written), Some(seen));
        for cut in 0..written.len() - 1 {
            assert_eq!(parse(written.get(..cut).unwrap()), None, "{cut}");
        }
        assert_eq!(parse(&format!("{written}more\n")), None);
        assert_eq!(parse(&written.replace("anchor 1", "anchor 2")), None);
    }
}
