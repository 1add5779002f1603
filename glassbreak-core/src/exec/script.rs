//! Scripts: files that name the program that is to read them.

use super::error::ExecError;
use crate::error::shown;

/// What the first line of a script says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shebang {
    /// The program that reads the script: a path, or, after `env`, a bare name.
    pub(super) interpreter: String,
    /// The one word the kernel would put before the script's path.
    pub(super) word: Option<String>,
}

impl Shebang {
    /// Reads `#!/path word`, as the kernel does: all that follows the path is one word. `#!/usr/bin/env name` is read
    /// as `name`; `env` with options or variables is refused, for it would run something nobody named.
    pub(super) fn read(head: &[u8]) -> Result<Self, ExecError> {
        let bad = |why: String| {
            ExecError::not_run(
                "script.line",
                why,
                "write `#!/path/of/interpreter` or `#!/usr/bin/env name`",
            )
        };
        let line = head.strip_prefix(b"#!").unwrap_or_default();
        let end = line
            .iter()
            .position(|b| *b == b'\n')
            .ok_or_else(|| bad("the script's first line has no end within 256 bytes".to_owned()))?;
        let line = line.get(..end).unwrap_or_default();
        let line = std::str::from_utf8(line).map_err(|_| bad("the script's first line is not UTF-8".to_owned()))?;
        let line = line.trim_matches([' ', '\t']);
        let (path, word) = match line.split_once([' ', '\t']) {
            Some((path, word)) => (path, Some(word.trim_start_matches([' ', '\t']).to_owned())),
            None => (line, None),
        };
        if !path.starts_with('/') {
            return Err(bad(format!("the script's first line names `{}`", shown(path))));
        }
        if !path.ends_with("/env") {
            return Ok(Self {
                interpreter: path.to_owned(),
                word,
            });
        }
        match word {
            Some(name) if !name.is_empty() && !name.starts_with('-') && !name.contains([' ', '\t', '=', '/']) => {
                Ok(Self {
                    interpreter: name,
                    word: None,
                })
            }
            _ => Err(bad(format!("the script's first line is `{}`", shown(line)))),
        }
    }
}
