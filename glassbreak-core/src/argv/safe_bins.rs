//! `safe-bins.toml` and `safe-bins.json`: the programs that may be run, in either notation.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compile::compile;
use super::listed::{self, Listed, Table};
use super::profile::{Node, OptSpec, Profile, SafeBins, Verdict};
use super::program::{Opt, Program};
use super::types::Kind;
use super::{Others, environment, examples, packs, write_up};
use crate::error::Problem;
use crate::json::{Json, with_stack};
use crate::label::Vocabulary;
use crate::source::{Source, Step};

/// Programs by name, and reports on holes.
pub(super) type Loaded = (Table, Vec<Problem>);

/// Where the keys are told.
const KEYS: &str = "the keys of a profile are in `glassbreak schema profile`";

pub(crate) fn load_toml(source: Source<'_>, vocabulary: &Vocabulary) -> Result<Loaded, Vec<Problem>> {
    let file = source.read_toml(KEYS).map_err(|problem| vec![problem])?;
    load(source, &file, vocabulary)
}

/// Reads what `safe-bins.toml` may hold, written as JSON; or, under the key `safeBins`, the four keys of the write-up.
pub(crate) fn load_json(source: Source<'_>, vocabulary: &Vocabulary) -> Result<Loaded, Vec<Problem>> {
    let problem = |error: &serde_json::Error, help| {
        // At the end of a line the reader counts columns from 0.
        let line = u32::try_from(error.line()).unwrap_or(u32::MAX).max(1);
        let column = u32::try_from(error.column()).unwrap_or(u32::MAX).max(1);
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or("this is not JSON");
        vec![Problem::at(source.file, line, column, what, help)]
    };
    // First by the strict reader: no key stands twice.
    let json =
        Json::read(source.text.as_bytes()).map_err(|error| problem(&error, "write strict JSON, no key twice"))?;
    let whole = ["schema", "use", "profiles"];
    let is_whole = matches!(&json, Json::Record(fields) if fields.iter().any(|(key, _)| whole.contains(&key.as_str())));
    if !is_whole {
        return write_up::load(source, &json, vocabulary);
    }
    let file = with_stack(|| serde_json::from_str(source.text)).map_err(|error| problem(&error, KEYS))?;
    load(source, &file, vocabulary)
}

fn load(source: Source<'_>, file: &SafeBins, vocabulary: &Vocabulary) -> Result<Loaded, Vec<Problem>> {
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
            Ok(program) => insert(
                &mut programs,
                Listed::Own(Box::new(program)),
                source,
                &at,
                &mut problems,
            ),
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
pub(super) fn own(programs: &Table) -> impl Iterator<Item = &Program> {
    programs.values().filter_map(|listed| match listed {
        Listed::Own(program) => Some(&**program),
        Listed::Shipped(_) => None,
    })
}

fn insert(programs: &mut Table, program: Listed, source: Source<'_>, at: &[Step<'_>], problems: &mut Vec<Problem>) {
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
fn aliases(programs: &Table, source: Source<'_>, problems: &mut Vec<Problem>, lints: &mut Vec<Problem>) {
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
            } else if matches!(program, Listed::Own(_)) && packs::source_for(alias).is_some() {
                let what =
                    format!("`{alias}` is judged as `{name}`, in place of the shipped pack `builtin:{alias}-readonly`");
                lints.push(source.problem(
                    at,
                    what,
                    "leave it out, unless you mean to do without what the pack knows",
                ));
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

pub(super) fn extended(
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

#[cfg(test)]
mod tests {
    use super::*;

    fn source<'a>(file: &'a str, text: &'a str) -> Source<'a> {
        Source { file, text }
    }

    #[test]
    fn a_profile_says_the_same_in_json_as_in_toml() {
        let vocabulary = Vocabulary::built_in();
        let mut same = 0;
        for (file, text) in packs::PACKS {
            let (name, profile) = packs::read(source(file, text)).unwrap();
            let program = packs::compiled(source(file, text)).unwrap();
            // What they set or run only packs may, or needs other packs; the rest is a profile like any.
            if !profile.env.set.is_empty() || program.runs {
                continue;
            }
            let file = SafeBins {
                schema: 1,
                profiles: [(name.clone(), profile)].into(),
                ..SafeBins::default()
            };
            let json = serde_json::to_string(&file).unwrap();
            let (table, _) = load_json(source("safe-bins.json", &json), &vocabulary).unwrap();
            assert_eq!(table[&*name].hash(), &program.hash, "{name}");
            same += 1;
        }
        assert!(same > 25, "{same}");
    }

    #[test]
    fn what_is_wrong_in_json_is_told_at_its_place() {
        let vocabulary = Vocabulary::built_in();
        let said = |text: &str| {
            let problems = load_json(source("safe-bins.json", text), &vocabulary).unwrap_err();
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let profile = "{\"schema\": 1, \"profiles\": {\"shop\": {\n\"root\": {\"verdict\": \"allow\", \"forms\": [{}]},\n\
                       \"globals\": [{\"names\": [\"-n\"],\n  \"value\": \"nmae\"}],\n\"examples\": {\"allow\": [\"shop\",\n \"shop x\"]}}}}";
        let told = said(profile);
        assert!(
            told.contains("safe-bins.json:4:12: profile `shop`: the type `nmae` is not known"),
            "{told}"
        );
        let told = said(&profile.replace("nmae", "text"));
        assert!(
            told.contains("safe-bins.json:6:2: the example `shop x` should be allow and is ask"),
            "{told}"
        );
        let told = said(&profile.replace("forms", "froms"));
        assert!(told.contains("safe-bins.json:2:36: unknown field `froms`"), "{told}");
        for (text, place) in [
            ("{\"schema\": 2}", "safe-bins.json:1:12: schema 2"),
            (
                "{\"schema\": 1,\n\"use\": [\"builtin:lss\"]}",
                "safe-bins.json:2:9: there is no pack",
            ),
            ("{\"schema\": 1, \"schema\": 1}", "the key `schema` stands twice"),
            ("{\"schema\": 1, \"safeBins\": {}}", "unknown field `safeBins`"),
            ("{\"profiles\": {}}", "missing field `schema`"),
        ] {
            let told = said(text);
            assert!(told.contains(place), "{told}");
        }
    }

    #[test]
    fn two_programs_do_not_share_a_name() {
        let vocabulary = Vocabulary::built_in();
        let profile = |name: &str| {
            format!(
                "[profiles.{name}]\naliases = [\"python3\"]\nroot = {{ verdict = \"allow\", forms = [{{}}] }}\n\
                 examples.allow = [\"{name}\", \"python3\"]\n"
            )
        };
        let load = |text: String| load_toml(source("safe-bins.toml", &text), &vocabulary);
        let one = load(format!("schema = 1\n{}", profile("snake"))).unwrap();
        assert!(one.1.is_empty());
        let two = load(format!(
            "schema = 1\nuse = [\"builtin:python-readonly\"]\n{}",
            profile("snake")
        ))
        .unwrap_err();
        assert!(
            two[0]
                .to_string()
                .contains("`python3` is another name of `python` and of `snake`"),
            "{two:?}"
        );
        // A profile of just that name comes first, and that is told.
        let own = "[profiles.python3]\nroot = { verdict = \"allow\", forms = [{}] }\nexamples.allow = [\"python3\"]\n";
        let (table, lints) = load(format!("schema = 1\nuse = [\"builtin:python-readonly\"]\n{own}")).unwrap();
        assert_eq!(listed::find(&table, "python3").unwrap().name(), "python3");
        assert_eq!(listed::find(&table, "python").unwrap().name(), "python");
        assert!(
            lints[0].to_string().contains("`python3` has a profile of its own"),
            "{lints:?}"
        );
        // One that is a program with a shipped pack stands in place of that, and that is told too.
        let (_, lints) = load(format!(
            "schema = 1\n{}",
            profile("snake").replace("python3", "kubectl")
        ))
        .unwrap();
        assert!(
            lints[0]
                .to_string()
                .contains("in place of the shipped pack `builtin:kubectl-readonly`"),
            "{lints:?}"
        );
    }
}
