//! What the profiles say of options, for those who look at profiles rather than judge by them.

use super::Programs;
use super::profile::{Dialect, Verdict};

/// An option as one verb of a program knows it.
#[derive(Debug, Clone)]
pub struct KnownOption<'a> {
    /// The verbs with spaces between them; empty for the program itself.
    pub command: &'a str,
    /// Every spelling.
    pub names: Vec<&'a str>,
    /// Whether it takes a value.
    pub takes_value: bool,
    /// Allow, ask or deny.
    pub verdict: Verdict,
    /// How the program reads its words there.
    pub dialect: &'a Dialect,
}

impl Programs {
    /// The verbs of `program`, each with the verbs before it and its verdict, the program itself first as an empty text.
    pub fn commands_of(&self, program: &str) -> Vec<(&str, Verdict)> {
        let nodes = self.find(program).map(|program| &program.nodes);
        let nodes = nodes.into_iter().flatten();
        nodes.map(|node| (&*node.path, node.verdict)).collect()
    }

    /// The options of `program`, at each of its verbs; nothing for a program without profile.
    pub fn options_of(&self, program: &str) -> Vec<KnownOption<'_>> {
        let Some(program) = self.find(program) else {
            return Vec::new();
        };
        let mut known: Vec<KnownOption<'_>> = Vec::new();
        for node in &program.nodes {
            let mut here: Vec<(usize, Vec<&str>)> = Vec::new();
            for (name, index) in node.names.iter() {
                match here.iter_mut().find(|(known, _)| *known == index) {
                    Some((_, names)) => names.push(name),
                    None => here.push((index, vec![name])),
                }
            }
            known.extend(here.into_iter().filter_map(|(index, names)| {
                let opt = program.opt(index)?;
                Some(KnownOption {
                    command: &node.path,
                    names,
                    takes_value: opt.value.is_some(),
                    verdict: opt.verdict,
                    dialect: &node.dialect,
                })
            }));
        }
        known
    }
}
