//! What a call stands on outside its words: the files that would run, and where its paths lead on disk.

use super::Gate;
use super::check::Made;
use crate::argv::{Role, is_sensitive};
use crate::call::{Exec, Operation};
use crate::error::shown;
use crate::exec::{ExecError, Pin};
use crate::finding::{Finding, Layer, RuleId};
use crate::judge::Judgement;

impl Made {
    /// What the call stands on outside itself: for a program, its file and where its paths lead.
    pub(super) fn grounds(&self, gate: &Gate, judgement: &Judgement) -> Result<Option<Pin>, Finding> {
        let pin = match &self.call.operation {
            Operation::Exec(exec) => Some(self.take_pins(gate, exec, judgement).map_err(|error| {
                // Nothing is wrong with the words: the program is missing, or not one that may be run here.
                let rule = format!("{}.program-file", exec.argv().program());
                Finding::unavailable(RuleId::known(Layer::Argv, &rule), error.to_string())
            })?),
            Operation::Tool(_) | Operation::Connect(_) => None,
        };
        match self.misled(judgement) {
            Some(finding) => Err(finding),
            None => Ok(pin),
        }
    }

    /// The file of the program, and those of the programs that it runs in its turn.
    fn take_pins(&self, gate: &Gate, exec: &Exec, judgement: &Judgement) -> Result<Pin, ExecError> {
        let pin = self.take_pin(gate, exec.argv().program())?;
        let words = exec.argv().words().iter().zip(&judgement.roles);
        let runs = words.filter(|(_, role)| **role == Role::Command);
        let runs: Vec<Pin> = runs
            .map(|(word, _)| self.take_pin(gate, word))
            .collect::<Result<_, _>>()?;
        if runs.is_empty() {
            return Ok(pin);
        }
        pin.running(&gate.inner.programs, runs)
    }

    /// The file of a program, or of a script and the interpreter that its profile names.
    fn take_pin(&self, gate: &Gate, program: &str) -> Result<Pin, ExecError> {
        let dirs = &gate.inner.programs;
        match self.bundle.programs().interpreter(program) {
            Some(interpreter) => Pin::take_script(dirs, program, interpreter, false),
            None => Pin::take(dirs, program, false),
        }
    }

    /// Whether a path among the words leads, on disk, elsewhere than it says: out of the workspace, or by a link to
    /// where secrets are kept. Looked at before the permit and again before running.
    pub(super) fn misled(&self, judgement: &Judgement) -> Option<Finding> {
        let Operation::Exec(exec) = &self.call.operation else {
            return None;
        };
        let (program, dir) = (exec.argv().program(), &self.session.inner.dir);
        let workspace = dir.workspace();
        let object = |code: &str, why: String| {
            let rule = RuleId::known(Layer::Argv, &[program, ".", code].concat());
            Some(Finding::deny(rule, why, "name a path that lies where it says"))
        };
        // Hygiene has placed the folder before; were it not placed now, nothing beneath it could be.
        let Some(cwd) = workspace.locate("", exec.cwd()) else {
            return object("path-outside", "the folder lies outside the workspace".to_owned());
        };
        for word in &judgement.paths {
            match dir.check_path(&cwd, word) {
                Ok(place) if place.linked && is_sensitive(&place.path, workspace) => {
                    let why = format!("`{}` is a link to where secrets are kept", shown(word));
                    return object("sensitive-path", why);
                }
                Ok(_) => {}
                Err(error) => return object("path-outside", error.to_string()),
            }
        }
        None
    }
}
