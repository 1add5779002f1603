//! From a profile as written to one that judges: names resolved, everything checked, examples tried.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::compile_types::compile_types;
use super::profile::{CwdRule, Dialect, Form, Node, OptSpec, Profile, Slot, Verdict};
use super::program::{self, FactRef, Names, Program};
use super::types::rule;
use crate::error::{Problem, nearest};
use crate::facts::Target;
use crate::label::{LabelSet, Vocabulary};
use crate::source::{Source, Step};

/// Compiles the profile of `name`, which stands at `at` in `source`.
///
/// # Errors
/// Everything that is wrong with it, by line.
pub(crate) fn compile(
    name: &str,
    profile: &Profile,
    source: Source<'_>,
    at: &[Step<'_>],
    vocabulary: &Vocabulary,
) -> Result<Program, Vec<Problem>> {
    let mut compiler = Compiler {
        name,
        source,
        // No file of a policy folder has such a name.
        ships: source.file.starts_with("builtin:"),
        vocabulary,
        sets: &profile.facts,
        types: HashMap::new(),
        opts: Vec::new(),
        nodes: Vec::new(),
        all_labels: LabelSet::EMPTY,
        denied: false,
        problems: Vec::new(),
    };
    let program = compiler.profile(profile, at);
    if compiler.problems.is_empty() {
        Ok(program)
    } else {
        Err(compiler.problems)
    }
}

pub(super) struct Compiler<'a> {
    pub(super) name: &'a str,
    source: Source<'a>,
    /// Whether it is the text of a shipped pack, whose patterns are tested.
    pub(super) ships: bool,
    vocabulary: &'a Vocabulary,
    pub(super) sets: &'a [String],
    pub(super) types: HashMap<String, usize>,
    pub(super) opts: Vec<program::Opt>,
    pub(super) nodes: Vec<program::Node>,
    all_labels: LabelSet,
    /// Whether a verb above the node at hand is denied.
    denied: bool,
    pub(super) problems: Vec<Problem>,
}

/// Options by their spellings, each with its place in the table.
type Spellings = Vec<(Box<str>, usize)>;

impl<'a> Compiler<'a> {
    fn profile(&mut self, profile: &Profile, at: &[Step<'_>]) -> Program {
        if !is_program_name(self.name) {
            self.problem(
                at,
                format!("`{}` is not the bare name of a program", self.name),
                "write it without path or blanks",
            );
        }
        for (n, alias) in profile.aliases.iter().enumerate() {
            if !is_program_name(alias)
                || alias == self.name
                || profile.aliases.iter().take(n).any(|known| known == alias)
            {
                let place = [at, &[Step::Key("aliases"), Step::Index(n)]].concat();
                let what = format!("`{}` cannot be another name of it", crate::error::shown(alias));
                self.problem(&place, what, "write bare names of programs, each once, and not its own");
            }
        }
        for (n, fact) in profile.facts.iter().enumerate() {
            let taken = ["program", "command", "options", "operands"].contains(&fact.as_str());
            if taken || !is_identifier(fact) {
                self.problem(
                    &[at, &[Step::Key("facts"), Step::Index(n)]].concat(),
                    format!("`{fact}` cannot name a fact"),
                    "write letters, digits and `_`; `program`, `command`, `options` and `operands` are taken",
                );
            }
        }
        let types = compile_types(self, &profile.types, at);
        let dialect = Arc::new(profile.dialect.clone().unwrap_or_default());
        let globals = self.options(&profile.globals, "", &[at, &[Step::Key("globals")]].concat());
        let place = [at, &[Step::Key("root")]].concat();
        let verbs_at = [at, &[Step::Key("verbs")]].concat();
        if !profile.root.verbs.is_empty() {
            self.problem(
                &place,
                "`root` has verbs",
                "write the program's verbs as `verbs.<name>`, not `root.verbs.<name>`",
            );
        }
        self.node(&profile.root, &profile.verbs, "", &dialect, &globals, &place, &verbs_at);
        for variable in profile.env.set.keys().chain(&profile.env.pass) {
            if variable.is_empty() || !variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                let place = [at, &[Step::Key("env")]].concat();
                self.problem(
                    &place,
                    format!("`{variable}` is not the name of a variable"),
                    "write letters, digits and `_`",
                );
            }
        }
        if let Some(interpreter) = profile.interpreter.as_deref().filter(|name| !is_program_name(name)) {
            let place = [at, &[Step::Key("interpreter")]].concat();
            let what = format!("`{interpreter}` is not the bare name of a program");
            self.problem(&place, what, "write it without path or blanks");
        }
        let takes_paths = self.takes_paths(&types);
        let runs = self.runs(&types, at);
        if runs && self.nodes.iter().any(|node| node.canonical) {
            let help = "leave it out: the words of a command are that program's own";
            self.problem(at, "`canonical` on a program that runs another", help);
        }
        let program = Program {
            hash: self.hash(profile, at),
            takes_paths,
            runs,
            interpreter: profile.interpreter.clone(),
            name: self.name.into(),
            aliases: profile.aliases.iter().map(|alias| alias.as_str().into()).collect(),
            version: profile.version.clone(),
            about: profile.about.clone(),
            types,
            opts: std::mem::take(&mut self.opts),
            nodes: std::mem::take(&mut self.nodes),
            sets: profile.facts.iter().map(|fact| fact.as_str().into()).collect(),
            costs: self.costs(&profile.cost, at),
            pins: Vec::new(),
            at_workspace: profile.cwd == Some(CwdRule::Workspace),
            inject: profile.inject.iter().map(|word| word.as_str().into()).collect(),
            env_pass: profile.env.pass.clone(),
            env_set: {
                let set = profile.env.set.iter();
                Arc::new(
                    set.map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                        .collect(),
                )
            },
            all_labels: self.all_labels,
            secret: self.vocabulary.get("secret.read"),
        };
        let pins = self.pins(&profile.pin, &program, at);
        Program { pins, ..program }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a node's place, its verbs and what it inherits are separate things"
    )]
    fn node(
        &mut self,
        node: &Node,
        verbs: &BTreeMap<String, Node>,
        path: &str,
        dialect: &Arc<Dialect>,
        globals: &Spellings,
        at: &[Step<'_>],
        verbs_at: &[Step<'_>],
    ) -> usize {
        let dialect = node.dialect.clone().map_or_else(|| Arc::clone(dialect), Arc::new);
        let mut spellings = self.options(&node.options, path, &[at, &[Step::Key("options")]].concat());
        spellings.extend(globals.iter().cloned());
        let names = Names::new(spellings).unwrap_or_else(|twice| {
            self.problem(
                at,
                format!("the option `{twice}` stands twice here"),
                "name each option once, also against `globals`",
            );
            Names::default()
        });
        let forms = self.forms(&node.forms, &names, at);
        let mut require = Vec::new();
        for (option, value) in &node.require {
            let place = [at, &[Step::Key("require"), Step::Key(option)]].concat();
            match self.option_named(option, &names, &place) {
                Some(index) => require.push((index, value.as_str().into())),
                None => continue,
            }
        }
        let labels = self.labels(&node.labels, &[at, &[Step::Key("labels")]].concat());
        let mut labels_if = Vec::new();
        for (n, label_if) in node.labels_if.iter().enumerate() {
            let place = [at, &[Step::Key("labels-if"), Step::Index(n)]].concat();
            let more = self.labels(&label_if.labels, &place);
            if let Some(fact) = self.fact(&label_if.fact, &place) {
                labels_if.push((fact, label_if.has.as_str().into(), more));
            }
        }
        let denied = self.denied || node.verdict == Some(Verdict::Deny);
        let bare_options = names.iter().any(|(name, _)| !name.starts_with('-'));
        let index = self.nodes.len();
        let id = if path.is_empty() {
            "run".to_owned()
        } else {
            path.replace(' ', ".")
        };
        self.nodes.push(program::Node {
            path: path.into(),
            // A deny holds for everything beneath it: nobody can put a way round it under it.
            verdict: if denied {
                Verdict::Deny
            } else {
                node.verdict.unwrap_or(Verdict::Ask)
            },
            why: node.why.clone(),
            rule: rule(self.name, &id),
            dialect: Arc::clone(&dialect),
            bare_options,
            names,
            forms,
            require,
            verbs: Names::default(),
            unknown_verb: node.unknown_verb.unwrap_or(Verdict::Ask),
            labels,
            labels_if,
            inject: node.inject.iter().map(|word| word.as_str().into()).collect(),
            canonical: node.canonical,
            stdin: node.stdin,
        });
        if node.unknown_verb == Some(Verdict::Allow) {
            self.problem(
                &[at, &[Step::Key("unknown-verb")]].concat(),
                "an unknown verb cannot be allowed",
                "write `ask` or `deny`",
            );
        }
        let above = std::mem::replace(&mut self.denied, denied);
        let mut words: Spellings = Vec::new();
        for (verb, child) in verbs {
            let place = [verbs_at, &[Step::Key(verb)]].concat();
            let beneath = [&place[..], &[Step::Key("verbs")]].concat();
            let child_path = if path.is_empty() {
                verb.clone()
            } else {
                format!("{path} {verb}")
            };
            let child_at = self.node(child, &child.verbs, &child_path, &dialect, globals, &place, &beneath);
            for word in std::iter::once(verb).chain(&child.aliases) {
                if word.is_empty() || word.starts_with('-') || !word.bytes().all(|b| b.is_ascii_graphic()) {
                    self.problem(
                        &place,
                        format!("`{word}` cannot be a verb"),
                        "write a word of ASCII letters, digits and marks",
                    );
                }
                if dialect.verbs_fold && word.bytes().any(|b| b.is_ascii_uppercase()) {
                    let what = format!("the verb `{word}` can never be read: cases are alike here");
                    self.problem(&place, what, "write it in lower case");
                }
                words.push((word.as_str().into(), child_at));
            }
        }
        self.denied = above;
        let words = Names::new(words).unwrap_or_else(|twice| {
            self.problem(
                verbs_at,
                format!("the verb `{twice}` stands twice"),
                "name each verb and alias once",
            );
            Names::default()
        });
        if let Some(node) = self.nodes.get_mut(index) {
            node.verbs = words;
        }
        index
    }

    fn options(&mut self, specs: &[OptSpec], path: &str, at: &[Step<'_>]) -> Spellings {
        let mut spellings = Vec::new();
        for (n, spec) in specs.iter().enumerate() {
            let place = [at, &[Step::Index(n)]].concat();
            let Some(name) = spec.names.last() else {
                self.problem(
                    &place,
                    "an option without names",
                    "write names = [\"-n\", \"--namespace\"]",
                );
                continue;
            };
            for spelling in &spec.names {
                if spelling.is_empty()
                    || *spelling == "-"
                    || *spelling == "--"
                    || !spelling.bytes().all(|b| b.is_ascii_graphic() && b != b'=')
                {
                    let help = "write it with its dashes, without `=` and value";
                    self.problem(
                        &[&place[..], &[Step::Key("names")]].concat(),
                        format!("`{spelling}` cannot be an option"),
                        help,
                    );
                }
                spellings.push((spelling.as_str().into(), self.opts.len()));
            }
            let of_value = spec.optional || spec.equals_only || spec.dash_value || spec.second.is_some();
            if spec.value.is_none() && (of_value || !spec.facts.is_empty()) {
                let help = "name its type with `value`, or leave out `second`, `optional`, `equals-only`, `dash-value` and `facts`";
                self.problem(&place, format!("`{name}` has no value"), help);
            }
            let ty = spec
                .value
                .as_ref()
                .and_then(|ty| self.ty(ty, &[&place[..], &[Step::Key("value")]].concat()));
            if spec.second.is_some() && (spec.optional || spec.equals_only) {
                let help = "leave out `optional` and `equals-only`";
                self.problem(&place, format!("`{name}` takes two values, each a word"), help);
            }
            let second = spec
                .second
                .as_ref()
                .and_then(|ty| self.ty(ty, &[&place[..], &[Step::Key("second")]].concat()));
            let facts = spec.facts.iter().filter_map(|fact| self.fact(fact, &place)).collect();
            let sets = spec
                .sets
                .iter()
                .filter_map(|(fact, text)| Some((self.fact(fact, &place)?, text.as_str().into())))
                .collect();
            let labels = self.labels(&spec.labels, &[&place[..], &[Step::Key("labels")]].concat());
            let stem = if path.is_empty() {
                name.clone()
            } else {
                format!("{}.{name}", path.replace(' ', "."))
            };
            let id: String = stem
                .chars()
                .map(|c| {
                    if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                        c
                    } else {
                        ':'
                    }
                })
                .collect();
            self.opts.push(program::Opt {
                name: name.as_str().into(),
                value: ty,
                second,
                optional: spec.optional,
                many: spec.many,
                equals_only: spec.equals_only,
                dash_value: spec.dash_value,
                verdict: spec.verdict.unwrap_or(Verdict::Allow),
                why: spec.why.clone(),
                rule: rule(self.name, &id),
                facts,
                sets,
                labels,
                loads: spec.loads.clone(),
            });
        }
        spellings
    }

    fn forms(&mut self, forms: &[Form], names: &Names, at: &[Step<'_>]) -> Vec<program::Form> {
        let mut compiled = Vec::new();
        for (n, form) in forms.iter().enumerate() {
            let place = [at, &[Step::Key("forms"), Step::Index(n)]].concat();
            compiled.push(program::Form {
                when: form
                    .when
                    .iter()
                    .filter_map(|name| self.option_named(name, names, &place))
                    .collect(),
                unless: form
                    .unless
                    .iter()
                    .filter_map(|name| self.option_named(name, names, &place))
                    .collect(),
                operands: self.slots(&form.operands, &[&place[..], &[Step::Key("operands")]].concat()),
                after: self.slots(&form.after, &[&place[..], &[Step::Key("after")]].concat()),
            });
        }
        compiled
    }

    fn slots(&mut self, slots: &[Slot], at: &[Step<'_>]) -> Vec<program::Slot> {
        let mut compiled = Vec::new();
        for (n, slot) in slots.iter().enumerate() {
            let place = [at, &[Step::Index(n)]].concat();
            let max = slot.max.unwrap_or_else(|| slot.min.max(1));
            if max < slot.min || max == 0 {
                self.problem(
                    &place,
                    format!("a slot of {} to {max} words", slot.min),
                    "let `max` be at least `min`, and not 0",
                );
            }
            let facts = slot.facts.iter().filter_map(|fact| self.fact(fact, &place)).collect();
            if let Some(ty) = self.ty(&slot.ty, &[&place[..], &[Step::Key("type")]].concat()) {
                compiled.push(program::Slot {
                    ty,
                    min: slot.min,
                    max,
                    adds_words: slot.adds_words,
                    facts,
                });
            }
        }
        compiled
    }

    fn option_named(&mut self, name: &str, names: &Names, at: &[Step<'_>]) -> Option<usize> {
        let found = names.get(name);
        if found.is_none() {
            let help = match nearest(name, names.iter().map(|(name, _)| name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name an option of this verb or of `globals`".to_owned(),
            };
            self.problem(at, format!("the option `{name}` is not known here"), help);
        }
        found
    }

    pub(super) fn ty(&mut self, name: &str, at: &[Step<'_>]) -> Option<usize> {
        let found = self.types.get(name).copied();
        if found.is_none() {
            let help = match nearest(name, self.types.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "declare it under `types`, or use a built-in type".to_owned(),
            };
            self.problem(at, format!("the type `{name}` is not known"), help);
        }
        found
    }

    pub(super) fn fact(&mut self, name: &str, at: &[Step<'_>]) -> Option<FactRef> {
        if let Some(name) = name.strip_prefix("target.") {
            if let Some(known) = Target::NAMES.into_iter().find(|known| *known == name) {
                return Some(FactRef::Target(known));
            }
        } else if let Some(index) = self.sets.iter().position(|set| set == name) {
            return Some(FactRef::Set(index));
        }
        let help = "declare it in `facts`, or use `target.kind`, `target.namespace`, `target.name` or `target.owner`";
        self.problem(at, format!("the fact `{name}` is not known"), help);
        None
    }

    pub(super) fn labels(&mut self, words: &[String], at: &[Step<'_>]) -> LabelSet {
        let mut labels = LabelSet::EMPTY;
        for word in words {
            match self.vocabulary.get(word) {
                Some(label) => labels.insert(label),
                None => {
                    let help = match nearest(word, self.vocabulary.words()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "declare it under `[labels]` in glassbreak.toml".to_owned(),
                    };
                    self.problem(at, format!("the label `{word}` is not known"), help);
                }
            }
        }
        self.all_labels = self.all_labels.union(labels);
        labels
    }

    pub(super) fn problem(&mut self, at: &[Step<'_>], what: impl Into<String>, help: impl Into<String>) {
        let what = format!("profile `{}`: {}", self.name, what.into());
        self.problems.push(self.source.problem_at(at, what, help));
    }
}

fn is_program_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
        && !name.starts_with(['.', '-'])
}

fn is_identifier(name: &str) -> bool {
    name.len() <= 64
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
