//! `safe-bins.toml`, and the four-key JSON of the original write-up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compile::compile;
use super::profile::{Dialect, Node, OptSpec, Profile, SafeBins, TypeSpec, Verdict};
use super::program::{Opt, Program};
use super::types::Kind;
use super::listed::{self, Listed, Table};
use super::{Others, environment, examples, packs};
use crate::error::{Problem, nearest};
use crate::json::Json;
use crate::label::Vocabulary;
use crate::source::{Source, Step};

/// Programs by name, and reports on holes.
type Loaded = (Table, Vec<Problem>);

pub(crate) fn load_toml(source: Source<'_>, vocabulary: &Vocabulary) -> Result<Loaded, Vec<Problem>> {
    let help = "the keys of a profile are in `glassbreak schema profile`";
    let file: SafeBins = source.read_toml(help).map_err(|problem| vec![problem])?;
    let mut programs = Table::new();
    let mut problems = Vec::new();
    if file.schema != 1 {
        problems.push(source.problem_at(
            &[Step::Key("schema")],
            format!("schema {} is not known", file.schema),
            "write schema = 1",
        ));
    }
    for (n, name) in file.uses.iter().enumerate() {
        let place = [Step::Key("use"), Step::Index(n)];
        match listed::shipped(name) {
            Some(shipped) => insert(&mut programs, Listed::Shipped(shipped), source, &place, &mut problems),
            None if packs::source(name).is_some() => problems.push(packs::missing(name)),
            None => {
                problems.push(source.problem_at(&place, format!("there is no pack `{name}`"), packs::unknown(name)));
            }
        }
    }
    for (name, profile) in &file.profiles {
        let at = [Step::Key("profiles"), Step::Key(name)];
        match load_profile(name, profile, source, &at, vocabulary) {
            Ok(program) => insert(&mut programs, Listed::Own(Box::new(program)), source, &at, &mut problems),
            Err(more) => problems.extend(more),
        }
    }
    // Once all are known, because a wrapper runs others.
    for (name, profile) in &file.profiles {
        if let Some(program) = programs.get(&**name).map(Listed::program) {
            let at = [Step::Key("profiles"), Step::Key(name)];
            let others = Others::of(&programs);
            problems.extend(examples::check(program, &profile.examples, source, &at, others));
        }
    }
    let mut lints: Vec<Problem> = own(&programs).flat_map(|program| holes(program, source)).collect();
    aliases(&programs, source, &mut problems, &mut lints);
    for (name, profile) in &file.profiles {
        if profile.extends.is_none() && packs::source_for(name).is_some() {
            let what = format!("the profile of `{name}` stands in place of the shipped pack `builtin:{name}-readonly`");
            let help = "write extends, to keep what the pack knows, unless you mean to do without it";
            lints.push(source.problem_at(&[Step::Key("profiles"), Step::Key(name)], what, help));
        }
    }
    if problems.is_empty() {
        Ok((programs, lints))
    } else {
        Err(problems)
    }
}

/// The profiles of the folder; of shipped packs a test says that they have no holes.
fn own(programs: &Table) -> impl Iterator<Item = &Program> {
    programs.values().filter_map(|listed| match listed {
        Listed::Own(program) => Some(&**program),
        Listed::Shipped(_) => None,
    })
}

fn insert(
    programs: &mut Table,
    program: Listed,
    source: Source<'_>,
    at: &[Step<'_>],
    problems: &mut Vec<Problem>,
) {
    let name: Arc<str> = program.name().into();
    if programs.insert(Arc::clone(&name), program).is_some() {
        problems.push(source.problem_at(
            at,
            format!("`{name}` has two profiles"),
            "keep one: `use` or `profiles`",
        ));
    }
}

/// A name that is another program's: two may not share an alias, and a profile of just that name comes first.
fn aliases(
    programs: &Table,
    source: Source<'_>,
    problems: &mut Vec<Problem>,
    lints: &mut Vec<Problem>,
) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, program) in programs {
        for alias in program.aliases() {
            let at = source.text.find(&**alias).unwrap_or(0);
            if programs.contains_key(&**alias) {
                let what = format!("`{alias}` has a profile of its own, and is not judged as `{name}`");
                let help = "policies about the one say nothing of the other; leave one out unless you mean that";
                lints.push(source.problem(at, what, help));
            } else if let Some(other) = taken.insert(alias, name) {
                let what = format!("`{alias}` is another name of `{other}` and of `{name}`");
                problems.push(source.problem(at, what, "let it be the name of one program"));
            }
        }
    }
}

fn load_profile(
    name: &str,
    profile: &Profile,
    source: Source<'_>,
    at: &[Step<'_>; 2],
    vocabulary: &Vocabulary,
) -> Result<Program, Vec<Problem>> {
    let place = |key| [&at[..], &[Step::Key(key)]].concat();
    if profile.program.as_deref().is_some_and(|program| program != name) {
        let what = "`program` is another than the name of the table";
        return Err(vec![source.problem_at(&place("program"), what, "leave `program` out")]);
    }
    let examples = &profile.examples;
    if examples.allow.is_empty() && examples.ask.is_empty() && examples.deny.is_empty() {
        let what = format!("the profile of `{name}` has no examples");
        let help = "write examples.allow and examples.ask: calls that show what it is for, checked at every load";
        return Err(vec![source.problem_at(at, what, help)]);
    }
    for (key, variables) in [
        ("set", profile.env.set.keys().collect::<Vec<_>>()),
        ("pass", profile.env.pass.iter().collect()),
    ] {
        if let Some(loader) = variables.into_iter().find(|variable| environment::is_loader(variable)) {
            let what = format!("`{loader}` decides what code the program loads, where it looks, or as whom");
            let place = [&at[..], &[Step::Key("env"), Step::Key(key)]].concat();
            return Err(vec![source.problem_at(
                &place,
                what,
                "leave it out; only shipped packs set such variables",
            )]);
        }
    }
    let whole = match &profile.extends {
        Some(pack) => extended(name, pack, profile, source, &place("extends"), at)?,
        None => profile.clone(),
    };
    compile(name, &whole, source, at, vocabulary)
}

fn extended(
    name: &str,
    pack: &str,
    profile: &Profile,
    source: Source<'_>,
    extends_at: &[Step<'_>],
    at: &[Step<'_>],
) -> Result<Profile, Vec<Problem>> {
    let Some(pack_source) = packs::source(pack) else {
        return Err(vec![source.problem_at(
            extends_at,
            format!("there is no pack `{pack}`"),
            packs::unknown(pack),
        )]);
    };
    let (program, base) = packs::read(pack_source).map_err(|problem| vec![problem])?;
    if program != name {
        let what = format!("the pack `{pack}` is for `{program}`, not for `{name}`");
        return Err(vec![source.problem_at(
            extends_at,
            what,
            "extend the pack of the same program",
        )]);
    }
    packs::extend(base, profile, source, at)
}

/// Free values on options that load code, config, credentials or an endpoint; what an option loads is known from the
/// profile, else from the shipped pack of the program.
pub(super) fn holes(program: &Program, source: Source<'_>) -> Vec<Problem> {
    let free = |ty: usize| {
        let ty = program.ty(ty);
        ty.is_some_and(|ty| matches!(ty.kind, Kind::Text { .. } | Kind::Path(_)) && ty.verdict == Verdict::Allow)
    };
    let mut holed = program
        .opts
        .iter()
        .filter(|o| o.verdict == Verdict::Allow && o.value.is_some_and(free))
        .peekable();
    if holed.peek().is_none() {
        return Vec::new();
    }
    let pack = packs::source_for(&program.name)
        .and_then(|source| packs::read(source).ok())
        .map(|(_, pack)| pack);
    let loads = |opt: &Opt| opt.loads.clone().or_else(|| loads(pack.as_ref()?, &opt.name));
    let told = holed.filter_map(|opt| Some((opt, loads(opt)?)));
    told.map(|(opt, loads)| {
        let (program, option) = (&program.name, &opt.name);
        let what = format!("`{program} {option}` may name any {loads}: whoever chooses it chooses what runs, or where");
        let help = "allow only the values you mean, such as \"--config=ops.json\", or leave the option out";
        source.problem(source.text.find(&**option).unwrap_or(0), what, help)
    })
    .collect()
}

/// What a pack says that an option makes the program load.
fn loads(pack: &Profile, option: &str) -> Option<String> {
    fn find(options: &[OptSpec], option: &str) -> Option<String> {
        options
            .iter()
            .find(|opt| opt.names.iter().any(|name| name == option))
            .and_then(|opt| opt.loads.clone())
    }
    fn walk(node: &Node, option: &str) -> Option<String> {
        find(&node.options, option).or_else(|| node.verbs.values().find_map(|verb| walk(verb, option)))
    }
    find(&pack.globals, option)
        .or_else(|| walk(&pack.root, option))
        .or_else(|| pack.verbs.values().find_map(|verb| walk(verb, option)))
}

/// The JSON of the write-up: `{"safeBins": {"<program>": {"allowedValueFlags": […], "forbiddenFlags": […],
/// "restrictedCommands": […]}}}`, with `"extends"` and `"forbidden": "deny"` beside them.
pub(crate) fn load_json(source: Source<'_>, vocabulary: &Vocabulary) -> Result<Loaded, Vec<Problem>> {
    let json = Json::read(source.text.as_bytes()).map_err(|error| {
        // At the end of a line the reader counts columns from 0.
        let line = u32::try_from(error.line()).unwrap_or(u32::MAX).max(1);
        let column = u32::try_from(error.column()).unwrap_or(u32::MAX).max(1);
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or("this is not JSON");
        let help = "write strict JSON, no key twice";
        vec![Problem::at(source.file, line, column, what, help)]
    })?;
    let mut reader = JsonReader {
        source,
        problems: Vec::new(),
    };
    let mut programs = Table::new();
    for (key, value) in reader.record(&json, "the file").iter() {
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
        let help = "write it in safe-bins.toml, with examples.allow and examples.ask";
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
