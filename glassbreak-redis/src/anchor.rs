//! A small file on the machine of a process that says how far the realm had come: a server that lost something while no
//! process ran is noticed by it.
//!
//! It is at most a second behind. Processes may share one: each writes only what is later than what it finds.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::Fault;
use crate::known::Seen;
use crate::realm::hex;

const HEAD: &str = "glassbreak redis 1";

/// The file.
#[derive(Debug)]
pub(crate) struct Anchor(PathBuf);

impl Anchor {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What it says; `None` where there is none.
    pub(crate) fn read(&self) -> Result<Option<Seen>, Fault> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("cannot read", &error)),
        };
        let bad = || Fault::RolledBack(format!("{} says nothing that can be read", self.0.display()));
        parse(&text).map(Some).ok_or_else(bad)
    }

    /// Says how far it has come, if that is later than what it says.
    pub(crate) fn write(&self, seen: &Seen) -> Result<(), Fault> {
        if let Some(said) = self.read()?
            && said.generation == seen.generation
            && (said.reign, said.epoch) >= (seen.reign, seen.epoch)
        {
            return Ok(());
        }
        let failed = |error| self.failed("cannot write", &error);
        let mut name = self.0.clone().into_os_string();
        // Each process by a name of its own.
        name.push(format!(".{}.new", std::process::id()));
        let mut out = create(Path::new(&name)).map_err(failed)?;
        out.write_all(text(seen).as_bytes()).map_err(failed)?;
        out.sync_all().map_err(failed)?;
        fs::rename(&name, &self.0).map_err(failed)
    }

    fn failed(&self, doing: &str, error: &std::io::Error) -> Fault {
        Fault::Unsafe(format!("{doing} {}: {error}", self.0.display()))
    }
}

fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn text(seen: &Seen) -> String {
    format!(
        "{HEAD}\n{} {} {} {}\n",
        hex(&seen.generation),
        seen.reign,
        seen.run,
        seen.epoch
    )
}

fn parse(text: &str) -> Option<Seen> {
    let (head, line) = text.strip_suffix('\n')?.split_once('\n')?;
    let mut words = line.split(' ');
    let seen = Seen {
        generation: uuid::Uuid::try_parse(words.next()?).ok()?.into_bytes(),
        reign: words.next()?.parse().ok()?,
        run: words.next()?.into(),
        epoch: words.next()?.parse().ok()?,
    };
    (head == HEAD && words.next().is_none()).then_some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let seen = Seen {
            generation: [7; 16],
            reign: 3,
            run: "0af".into(),
            epoch: 12,
        };
        let written = text(&seen);
        assert_eq!(parse(&written), Some(seen));
        for cut in 0..written.len() {
            assert_eq!(parse(written.get(..cut).unwrap()), None, "{cut}");
        }
        assert_eq!(parse(&format!("{written}more\n")), None);
        assert_eq!(parse(&written.replace("redis 1", "redis 2")), None);
    }
}
