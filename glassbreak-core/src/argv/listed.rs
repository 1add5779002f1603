//! Programs by name; a shipped pack is read when the first call of its program is judged.
//!
//! A folder may use every pack, and a session calls three programs. What loading asks of a pack, its names, facts,
//! words and labels, stands in `packs/index.json`; the pack itself is read and compiled when it is first needed, once
//! for the process, because every vocabulary begins with the labels that packs use. A text that ships cannot change
//! behind its tests, so it is tests that say that each pack compiles, that its examples hold, and that the index says
//! what the packs say. A profile of the policy folder is compiled and tried whenever the folder is loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, OnceLock};

use serde::{Deserialize, Serialize};

use super::packs;
use super::program::Program;
use crate::facts::{PinFact, Target};
use crate::label::Vocabulary;
use crate::shape::ProgramShape;
use crate::source::Source;

/// Programs by the names of their profiles.
pub(crate) type Table = BTreeMap<Arc<str>, Listed>;

/// A program that has a profile.
#[derive(Debug)]
pub(crate) enum Listed {
    /// By a profile of the policy folder.
    Own(Box<Program>),
    /// By a shipped pack, as it is.
    Shipped(&'static Shipped),
}

/// A shipped pack.
#[derive(Debug)]
pub(crate) struct Shipped {
    source: Source<'static>,
    head: Head,
    pins: Vec<PinFact>,
    hash: [u8; 32],
    shape: ProgramShape,
    ready: OnceLock<Program>,
}

/// What the index says of a pack.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    pack: String,
    program: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<Box<str>>,
    version: Option<String>,
    about: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interpreter: Option<String>,
    /// The hash of the profile, in hexadecimal digits.
    hash: String,
    pins: Vec<String>,
    labels: Vec<String>,
    sets: Vec<String>,
    fills: BTreeSet<String>,
    words: BTreeMap<String, BTreeSet<String>>,
}

/// Every shipped pack that the index knows, by its name.
static SHIPPED: LazyLock<BTreeMap<String, Shipped>> = LazyLock::new(|| {
    let heads: Vec<Head> = serde_json::from_str(include_str!("packs/index.json")).unwrap_or_default();
    let ready = heads.into_iter().filter_map(Shipped::new);
    ready.map(|shipped| (shipped.head.pack.clone(), shipped)).collect()
});

/// The shipped pack called `name`, such as `builtin:git-readonly`.
pub(crate) fn shipped(name: &str) -> Option<&'static Shipped> {
    SHIPPED.get(name)
}

/// The program called `word`: the one of just this name, else the one that has it for an alias.
pub(crate) fn find<'p>(table: &'p Table, word: &str) -> Option<&'p Listed> {
    let alias = || table.values().find(|listed| listed.called().any(|name| name == word));
    table.get(word).or_else(alias)
}

impl Shipped {
    /// `None` where the index says what cannot be: the pack is then missing, and a folder that uses it does not load.
    fn new(head: Head) -> Option<Self> {
        let vocabulary = Vocabulary::built_in();
        let labels = head.labels.iter().map(|word| vocabulary.get(word));
        let pin = |word: &String| Target::NAMES.into_iter().find(|name| name == word).map(PinFact::Target);
        Some(Self {
            source: packs::source(&head.pack)?,
            pins: head.pins.iter().map(pin).collect::<Option<_>>()?,
            hash: from_hex(&head.hash)?,
            shape: ProgramShape {
                program: head.program.clone(),
                aliases: head.aliases.iter().map(ToString::to_string).collect(),
                sets: head.sets.clone(),
                words: head.words.clone(),
                fills: head.fills.clone(),
                labels: labels.collect::<Option<_>>()?,
            },
            head,
            ready: OnceLock::new(),
        })
    }

    fn program(&self) -> &Program {
        self.ready.get_or_init(|| {
            // Without nodes it understands no call, and denies each as a fault of the guard.
            packs::compiled(self.source).unwrap_or_else(|_| Program {
                name: self.head.program.as_str().into(),
                ..Program::default()
            })
        })
    }
}

impl Listed {
    /// The profile, ready for judging.
    pub(crate) fn program(&self) -> &Program {
        match self {
            Self::Own(program) => program,
            Self::Shipped(shipped) => shipped.program(),
        }
    }

    /// The name of the profile.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Own(program) => &program.name,
            Self::Shipped(shipped) => &shipped.head.program,
        }
    }

    pub(crate) fn aliases(&self) -> &[Box<str>] {
        match self {
            Self::Own(program) => &program.aliases,
            Self::Shipped(shipped) => &shipped.head.aliases,
        }
    }

    /// Its name and its aliases.
    pub(crate) fn called(&self) -> impl Iterator<Item = &str> + Clone {
        std::iter::once(self.name()).chain(self.aliases().iter().map(|alias| &**alias))
    }

    pub(crate) fn version(&self) -> Option<&str> {
        match self {
            Self::Own(program) => program.version.as_deref(),
            Self::Shipped(shipped) => shipped.head.version.as_deref(),
        }
    }

    pub(crate) fn about(&self) -> Option<&str> {
        match self {
            Self::Own(program) => program.about.as_deref(),
            Self::Shipped(shipped) => shipped.head.about.as_deref(),
        }
    }

    pub(crate) fn interpreter(&self) -> Option<&str> {
        match self {
            Self::Own(program) => program.interpreter.as_deref(),
            Self::Shipped(shipped) => shipped.head.interpreter.as_deref(),
        }
    }

    pub(crate) fn pins(&self) -> &[PinFact] {
        match self {
            Self::Own(program) => &program.pins,
            Self::Shipped(shipped) => &shipped.pins,
        }
    }

    pub(crate) fn hash(&self) -> &[u8; 32] {
        match self {
            Self::Own(program) => &program.hash,
            Self::Shipped(shipped) => &shipped.hash,
        }
    }

    /// What the schema needs to know of it.
    pub(crate) fn shape(&self) -> ProgramShape {
        match self {
            Self::Own(program) => program.shape(),
            Self::Shipped(shipped) => shipped.shape.clone(),
        }
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    (text.len() == 64).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn index() -> String {
        let vocabulary = Vocabulary::built_in();
        let mut lines = Vec::new();
        for (file, text) in packs::PACKS {
            let program = packs::compiled(Source { file, text }).unwrap();
            let ProgramShape {
                program: name,
                aliases: _,
                sets,
                words,
                fills,
                labels,
            } = program.shape();
            let mut hash = String::new();
            for byte in program.hash {
                write!(hash, "{byte:02x}").unwrap();
            }
            let head = Head {
                pack: (*file).to_owned(),
                program: name,
                aliases: program.aliases,
                version: program.version,
                about: program.about,
                interpreter: program.interpreter,
                hash,
                pins: program.pins.iter().map(ToString::to_string).collect(),
                labels: vocabulary.words_of(labels).map(str::to_owned).collect(),
                sets,
                fills,
                words,
            };
            lines.push(serde_json::to_string(&head).unwrap());
        }
        format!("[\n{}\n]\n", lines.join(",\n"))
    }

    /// `GLASSBREAK_WRITE_INDEX=1 cargo test -p glassbreak-core --lib the_index` writes it anew.
    #[test]
    fn the_index_says_what_the_packs_say() {
        let says = index();
        if std::env::var_os("GLASSBREAK_WRITE_INDEX").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/argv/packs/index.json");
            std::fs::write(path, &says).unwrap();
            return;
        }
        for (line, is) in says.lines().zip(include_str!("packs/index.json").lines()) {
            assert_eq!(
                line, is,
                "a pack has changed: GLASSBREAK_WRITE_INDEX=1 writes the index anew"
            );
        }
        assert_eq!(says.lines().count(), include_str!("packs/index.json").lines().count());
        for (file, _) in packs::PACKS {
            assert!(shipped(file).is_some(), "{file}");
        }
    }

    #[test]
    fn a_pack_that_cannot_be_read_understands_no_call() {
        use super::super::{Others, judge_listed, types::Ground, verdict_of};
        use crate::call::{Argv, Exec, Workspace};
        let broken = Program {
            name: "ls".into(),
            ..Program::default()
        };
        let workspace = Workspace::new("/workspace").unwrap();
        let ground = Ground {
            workspace: &workspace,
            cwd: "",
        };
        for words in [&["ls"][..], &["ls", "-l"], &["ls", "--", "x"]] {
            let exec = Exec::new(Argv::new(words.iter().copied()).unwrap());
            let judged = judge_listed(&broken, &exec, ground, Others::of(&Table::new()));
            assert!(judged.partial);
            assert_eq!(verdict_of(&judged.findings), super::super::profile::Verdict::Deny);
        }
    }
}
