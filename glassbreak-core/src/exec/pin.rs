//! What will run, down to the file.

use std::fmt;
use std::fs::File;

use serde::{Deserialize, Serialize};

use super::elf;
use super::error::ExecError;
use super::file::{FilePin, Opened};
use super::programs::ProgramDirs;
use super::script::Shebang;
use crate::error::shown;

/// The identity of what will run: taken when asking, shown on the card, taken again right before running.
///
/// It holds the file *and* the name it is called by: many programs in one file (busybox, uutils, rustup) go by the
/// name, and one name can lead to many files, so neither alone says what runs.
///
/// A pin is no permission, and reading one back gives none: whoever runs it has everything checked again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    name: Box<str>,
    program: FilePin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    script: Option<ScriptPin>,
    /// What it runs in its turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    runs: Vec<Self>,
}

/// A script, and how its interpreter is given it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptPin {
    interpreter: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    word: Option<Box<str>>,
    file: FilePin,
}

/// What was opened anew and found to be what the pin says.
pub(super) struct Ready {
    pub(super) program: File,
    pub(super) script: Option<File>,
    runs: Vec<Self>,
}

impl Pin {
    /// Finds `name` in `dirs` and pins the file; with its SHA-256 if `with_hash`.
    ///
    /// Reads the file's first bytes, and all of it for the hash: from an async task, give it a thread of its own.
    ///
    /// # Errors
    /// `program.name`, `program.missing`, `program.path`, `program.kind`, `program.setuid`, `program.mode`,
    /// `path.writable`, `path.owner`, `path.links`, `path.unreadable`; `program.script` for a file that begins with
    /// `#!`, which would start a program that nobody pinned; `program.format` for one that is no ELF file either. All
    /// are [`Effect::NotRun`](super::Effect::NotRun).
    pub fn take(dirs: &ProgramDirs, name: &str, with_hash: bool) -> Result<Self, ExecError> {
        let (path, _) = dirs.find(name)?;
        let opened = FilePin::open_real(&path, with_hash)?;
        check_elf(&opened)?;
        Ok(Self {
            name: name.into(),
            program: opened.pin,
            script: None,
            runs: Vec::new(),
        })
    }

    /// Pins the script `name` and, with it, `interpreter`, which its profile names for it.
    ///
    /// The script's first line must name that very interpreter. It is run as
    /// `interpreter [word] /real/path/of/script …`, as the kernel would, with the script given by its path: see the
    /// [module](super) on what that leaves open.
    ///
    /// # Errors
    /// As for [`take`](Self::take), for either file; `script.none` when `name` is no script, `script.line` when its
    /// first line cannot be read, `script.interpreter` when that names something else.
    pub fn take_script(dirs: &ProgramDirs, name: &str, interpreter: &str, with_hash: bool) -> Result<Self, ExecError> {
        let (path, _) = dirs.find(name)?;
        let script = FilePin::open_real(&path, with_hash)?;
        if !script.head().starts_with(b"#!") {
            return Err(ExecError::not_run(
                "script.none",
                format!("`{}` is not a script", shown(script.pin.path())),
                "pin it as a program",
            ));
        }
        let line = Shebang::read(script.head())?;
        let reader = Self::take(dirs, interpreter, with_hash)?;
        let named = if line.interpreter.starts_with('/') {
            super::folders::follow(line.interpreter.as_ref())?
                .is_some_and(|(real, _)| real.as_os_str() == reader.program.path())
        } else {
            line.interpreter == interpreter
        };
        if !named {
            return Err(ExecError::not_run(
                "script.interpreter",
                format!(
                    "`{}` is written for `{}`, and its profile names `{}`",
                    shown(script.pin.path()),
                    shown(&line.interpreter),
                    shown(interpreter)
                ),
                "name the interpreter that its first line names",
            ));
        }
        Ok(Self {
            name: name.into(),
            program: reader.program,
            script: Some(ScriptPin {
                interpreter: interpreter.into(),
                word: line.word.map(Into::into),
                file: script.pin,
            }),
            runs: Vec::new(),
        })
    }

    /// The same for a program that runs others, such as `timeout`: those that the call names, in its order.
    ///
    /// Such a program finds them by itself, by the `PATH` it is given, which has the system's folders and no others. So
    /// none may be one that would be taken from elsewhere. That it then finds what was pinned rests on those folders
    /// being safe, as every folder on the way to a program must be: the kernel is handed the first file alone.
    ///
    /// # Errors
    /// `program.elsewhere` where `dirs` has one of them in a folder that the host added.
    pub fn running(mut self, dirs: &ProgramDirs, runs: Vec<Self>) -> Result<Self, ExecError> {
        for run in &runs {
            let (path, _) = dirs.find(&run.name)?;
            let theirs = ProgramDirs::new().find(&run.name).map(|(path, _)| path);
            if theirs.is_ok_and(|theirs| theirs == path) {
                continue;
            }
            return Err(ExecError::not_run(
                "program.elsewhere",
                format!(
                    "`{}` is `{}`, and `{}` would look for it in the system's folders alone",
                    shown(&run.name),
                    super::folders::place(&path),
                    shown(&self.name)
                ),
                "call it by itself",
            ));
        }
        self.runs = runs;
        Ok(self)
    }

    /// The name the program is called by, which is the `arg0` it will see (a script's interpreter sees its own).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that is executed: for a script, its interpreter.
    pub const fn program(&self) -> &FilePin {
        &self.program
    }

    /// What it runs in its turn, where the call names that.
    pub fn runs(&self) -> &[Self] {
        &self.runs
    }

    /// The script, if it is one.
    pub const fn script(&self) -> Option<&ScriptPin> {
        self.script.as_ref()
    }

    /// Looks at the files again. A pass says nothing of the moment after: running checks once more, and runs the very
    /// file it checked.
    ///
    /// # Errors
    /// `pin.changed`, naming what changed; or as for [`take`](Self::take).
    pub fn check_again(&self) -> Result<(), ExecError> {
        self.open_again().map(drop)
    }

    pub(super) fn open_again(&self) -> Result<Ready, ExecError> {
        let program = self.program.open_again()?;
        check_elf(&program)?;
        let script = self
            .script
            .as_ref()
            .map(|script| script.file.open_again())
            .transpose()?;
        let runs = self.runs.iter().map(Self::open_again);
        Ok(Ready {
            program: program.file,
            script: script.map(|opened| opened.file),
            runs: runs.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the files that were opened are unchanged. For a script also whether its path still leads there.
    pub(super) fn still(&self, ready: &Ready) -> bool {
        let script = match (&self.script, &ready.script) {
            (Some(pin), Some(file)) => {
                pin.file.still(file) && File::open(pin.file.path()).is_ok_and(|file| pin.file.still(file))
            }
            (None, None) => true,
            _ => false,
        };
        let runs = self.runs.iter().zip(&ready.runs);
        let runs = self.runs.len() == ready.runs.len() && runs.into_iter().all(|(pin, ready)| pin.still(ready));
        script && runs && self.program.still(&ready.program)
    }
}

impl ScriptPin {
    /// The bare name of the interpreter, which is the `arg0` it will see.
    pub fn interpreter(&self) -> &str {
        &self.interpreter
    }

    /// The word its first line puts before its path.
    pub fn word(&self) -> Option<&str> {
        self.word.as_deref()
    }

    /// The script's own file.
    pub const fn file(&self) -> &FilePin {
        &self.file
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.script {
            None => write!(f, "{} as `{}`", self.program, shown(&self.name))?,
            Some(script) => write!(
                f,
                "{} as `{}`, read by {}",
                script.file,
                shown(&self.name),
                self.program
            )?,
        }
        self.runs.iter().try_for_each(|run| write!(f, ", which runs {run}"))
    }
}

fn check_elf(opened: &Opened) -> Result<(), ExecError> {
    if elf::is_program(opened.head(), opened.pin.size()) {
        return Ok(());
    }
    let path = shown(opened.pin.path());
    if opened.head().starts_with(b"#!") {
        return Err(ExecError::not_run(
            "program.script",
            format!("`{path}` is a script: its first line starts a program that was not judged"),
            "let its profile name the interpreter, so that both files are pinned",
        ));
    }
    Err(ExecError::not_run(
        "program.format",
        format!("`{path}` is not a program in ELF format for this machine"),
        "",
    ))
}
