//! The four keys of the original write-up, in JSON: what they say, as profiles.

use std::sync::Arc;

use super::compile::compile;
use super::listed::{Listed, Table};
use super::packs;
use super::profile::{Dialect, Node, OptSpec, Profile, TypeSpec, Verdict};
use super::safe_bins::{Loaded, extended, holes, own};
use crate::error::{Problem, nearest};
use crate::json::Json;
use crate::label::Vocabulary;
use crate::source::{Source, Step};

/// The JSON of the write-up: `{"safeBins": {"<program>": {"allowedValueFlags": […], "forbiddenFlags": […],
/// "restrictedCommands": […]}}}`, with `"extends"` and `"forbidden": "deny"` beside them.
pub(super) fn load(source: Source<'_>, json: &Json, vocabulary: &Vocabulary) -> Result<Loaded, Vec<Problem>> {
    let mut reader = JsonReader {
        source,
        problems: Vec::new(),
    };
    let mut programs = Table::new();
    for (key, value) in reader.record(json, "the file").iter() {
        if key != "safeBins" {
            reader.unknown(key, &["safeBins"]);
            continue;
        }
        for (name, entry) in reader.record(value, "safeBins").iter() {
            let at = [Step::Key(name.as_str())];
            let (profile, forbidden, verdict) = reader.profile(name, entry);
            let whole = match &profile.extends {
                Some(pack) => extended(name, pack, &profile, source, &at, &at).map(|mut whole| {
                    tighten(&mut whole, &forbidden, verdict);
                    whole
                }),
                None => Ok(profile),
            };
            match whole.and_then(|profile| compile(name, &profile, source, &at, vocabulary)) {
                Ok(program) => {
                    programs.insert(Arc::clone(&program.name), Listed::Own(Box::new(program)));
                }
                Err(more) => reader.problems.extend(more),
            }
        }
    }
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    let mut lints: Vec<Problem> = own(&programs).flat_map(|program| holes(program, source)).collect();
    for name in programs.keys() {
        let at = source.text.find(&format!("\"{name}\"")).unwrap_or(0);
        let what = format!("the profile of `{name}` has no examples: nothing tells whether it does what it is for");
        let help = "write it as a whole profile, with examples.allow and examples.ask: `glassbreak schema profile`";
        lints.push(source.problem(at, what, help));
    }
    Ok((programs, lints))
}

struct JsonReader<'a> {
    source: Source<'a>,
    problems: Vec<Problem>,
}

impl JsonReader<'_> {
    fn problem(&mut self, word: &str, what: String, help: impl Into<String>) {
        let quoted = format!("\"{word}\"");
        let at = self.source.text.find(&quoted).unwrap_or(0);
        self.problems.push(self.source.problem(at, what, help));
    }

    fn unknown(&mut self, key: &str, known: &[&str]) {
        let help = match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        self.problem(key, format!("the key `{key}` is not known"), help);
    }

    fn record<'j>(&mut self, json: &'j Json, what: &str) -> &'j [(String, Json)] {
        if let Json::Record(fields) = json {
            return fields;
        }
        self.problem(what, format!("`{what}` is {}", json.kind()), "write an object");
        &[]
    }

    fn words(&mut self, json: &Json, key: &str) -> Vec<String> {
        let Json::List(items) = json else {
            self.problem(key, format!("`{key}` is {}", json.kind()), "write a list of strings");
            return Vec::new();
        };
        let mut words = Vec::new();
        for item in items {
            match item {
                Json::Str(word) => words.push(word.clone()),
                other => self.problem(
                    key,
                    format!("`{key}` holds {}", other.kind()),
                    "write a list of strings",
                ),
            }
        }
        words
    }

    fn profile(&mut self, name: &str, entry: &Json) -> (Profile, Vec<String>, Verdict) {
        const KEYS: [&str; 5] = [
            "allowedValueFlags",
            "forbiddenFlags",
            "restrictedCommands",
            "extends",
            "forbidden",
        ];
        let mut profile = Profile::default();
        let (mut allowed, mut forbidden, mut restricted, mut denies) = (Vec::new(), Vec::new(), Vec::new(), false);
        for (key, value) in self.record(entry, name).iter() {
            match (key.as_str(), value) {
                ("allowedValueFlags", value) => allowed = self.words(value, key),
                ("forbiddenFlags", value) => forbidden = self.words(value, key),
                ("restrictedCommands", value) => restricted = self.words(value, key),
                ("extends", Json::Str(pack)) => profile.extends = Some(pack.clone()),
                ("forbidden", Json::Str(word)) if word == "deny" || word == "ask" => denies = word == "deny",
                ("extends" | "forbidden", _) => {
                    self.problem(
                        key,
                        format!("`{key}` holds something else"),
                        "\"extends\": \"builtin:…\", \"forbidden\": \"deny\"",
                    );
                }
                _ => self.unknown(key, &KEYS),
            }
        }
        let pack = packs::source_for(name)
            .and_then(|source| packs::read(source).ok())
            .map(|(_, pack)| pack);
        let verdict = if denies { Verdict::Deny } else { Verdict::Ask };
        let mut options: Vec<OptSpec> = allowed.iter().map(|flag| allowed_flag(flag, &mut profile)).collect();
        options.extend(forbidden.iter().map(|flag| OptSpec {
            names: vec![flag.clone()],
            verdict: Some(verdict),
            why: Some("the policy folder forbids it".to_owned()),
            ..OptSpec::default()
        }));
        let node = || Node {
            why: Some("the policy folder restricts it".to_owned()),
            ..Node::default()
        };
        profile.verbs = restricted.into_iter().map(|verb| (verb, node())).collect();
        if profile.extends.is_none() {
            // Where the program is known, its words are read as it reads them; else as most programs do.
            let unknown = || Dialect {
                abbreviates: true,
                underscore_is_dash: true,
                ..Dialect::default()
            };
            profile.dialect = Some(pack.and_then(|pack| pack.dialect).unwrap_or_else(unknown));
            profile.globals = options;
        } else {
            // What the pack allows with a value it keeps; what is forbidden here is tightened once they are joined.
            let known: Vec<String> = pack.iter().flat_map(names_of).collect();
            profile.globals = options
                .into_iter()
                .filter(|opt| !opt.names.iter().any(|name| known.contains(name)))
                .collect();
            for node in profile.verbs.values_mut() {
                node.verdict = Some(Verdict::Ask);
            }
        }
        (profile, forbidden, verdict)
    }
}

/// Makes the options called `names` at least as strict as `verdict`, wherever they stand.
fn tighten(profile: &mut Profile, names: &[String], verdict: Verdict) {
    fn walk(node: &mut Node, tighten: &impl Fn(&mut OptSpec)) {
        node.options.iter_mut().for_each(tighten);
        node.verbs.values_mut().for_each(|verb| walk(verb, tighten));
    }
    let tighten = |opt: &mut OptSpec| {
        if opt.names.iter().any(|name| names.contains(name)) {
            opt.verdict = Some(opt.verdict.map_or(verdict, |known| known.max(verdict)));
        }
    };
    profile.globals.iter_mut().for_each(tighten);
    walk(&mut profile.root, &tighten);
    profile.verbs.values_mut().for_each(|verb| walk(verb, &tighten));
}

/// `--x` takes any text, `--x=value` just that one, attached.
fn allowed_flag(flag: &str, profile: &mut Profile) -> OptSpec {
    let Some((name, value)) = flag.split_once('=') else {
        return OptSpec {
            names: vec![flag.to_owned()],
            value: Some("text".to_owned()),
            ..OptSpec::default()
        };
    };
    let ty = format!("literal-{}", profile.types.len());
    profile.types.insert(
        ty.clone(),
        TypeSpec {
            literal: Some(value.to_owned()),
            ..TypeSpec::default()
        },
    );
    OptSpec {
        names: vec![name.to_owned()],
        value: Some(ty),
        equals_only: true,
        ..OptSpec::default()
    }
}

fn names_of(pack: &Profile) -> Vec<String> {
    fn walk(node: &Node, names: &mut Vec<String>) {
        names.extend(node.options.iter().flat_map(|opt| opt.names.iter().cloned()));
        node.verbs.values().for_each(|verb| walk(verb, names));
    }
    let mut names: Vec<String> = pack.globals.iter().flat_map(|opt| opt.names.iter().cloned()).collect();
    walk(&pack.root, &mut names);
    pack.verbs.values().for_each(|verb| walk(verb, &mut names));
    names
}
