//! Types as written, made ready: patterns compiled, names resolved, no type within itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compile::Compiler;
use super::pattern::Pattern;
use super::profile::{PathUse, TypeSpec, Verdict};
use super::program::Names;
use super::types::{Kind, MAX_TEXT, Type, WordRule, rule};
use super::url::UrlRule;
use crate::label::LabelSet;
use crate::source::Step;

/// The types that every profile may name.
fn built_in() -> [(&'static str, &'static str, Kind); 13] {
    let text = |lines| Kind::Text { max: MAX_TEXT, lines };
    let stdin = || Kind::Literal("-".into());
    [
        ("text", "one line of at most 4,096 bytes", text(false)),
        ("lines", "a text of at most 4,096 bytes", text(true)),
        (
            "int",
            "a whole number",
            Kind::Int {
                min: 0,
                max: 2_147_483_647,
            },
        ),
        ("duration", "a length of time such as `90s` or `5m`", Kind::Duration),
        ("path", "a path beneath the workspace", Kind::Path(PathUse::Read)),
        ("out-path", "a path beneath the workspace", Kind::Path(PathUse::Write)),
        ("stdin", "`-` for the input", stdin()),
        (
            "path-or-stdin",
            "a path beneath the workspace, or `-`",
            Kind::AnyOf(vec![6, 4]),
        ),
        ("glob", "a pattern of file names", Kind::Glob),
        ("seconds", "a length of time such as `5`, `0.5s` or `2m`", Kind::Seconds),
        ("command", "a program with a profile, and its words", Kind::Command),
        (
            "env-variable",
            "a variable that does no harm, such as `TZ=UTC`",
            Kind::Assignment,
        ),
        ("byte-size", "a size such as `512`, `10K` or `4MiB`", Kind::Size),
    ]
}

/// Compiles the types of a profile behind the built-in ones, and gives the compiler their names.
pub(super) fn compile_types(
    compiler: &mut Compiler<'_>,
    specs: &BTreeMap<String, TypeSpec>,
    at: &[Step<'_>],
) -> Vec<Type> {
    let mut types = Vec::new();
    for (name, about, kind) in built_in() {
        compiler.types.insert(name.to_owned(), types.len());
        types.push(Type {
            about: Some(about.to_owned()),
            kind,
            facts: Vec::new(),
            verdict: Verdict::Allow,
            why: None,
            labels: LabelSet::EMPTY,
            rule: rule(compiler.name, &format!("type.{name}")),
            words: Vec::new(),
        });
    }
    let first = types.len();
    for name in specs.keys() {
        let place = [at, &[Step::Key("types"), Step::Key(name)]].concat();
        if compiler.types.get(name).is_some_and(|index| *index < first) {
            compiler.problem(
                &place,
                format!("the type `{name}` is built in"),
                "give yours another name",
            );
        }
        let id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(id) {
            compiler.problem(
                &place,
                format!("`{name}` cannot name a type"),
                "write lower-case letters, digits and `-`",
            );
        }
        let index = compiler.types.len();
        compiler.types.insert(name.clone(), index);
    }
    for (name, spec) in specs {
        let place = [at, &[Step::Key("types"), Step::Key(name)]].concat();
        let compiled = compile_type(compiler, name, spec, &place);
        types.push(compiled);
    }
    for (index, name) in specs.keys().enumerate().map(|(n, name)| (first + n, name)) {
        if reaches(&types, index, index, types.len()) {
            let place = [at, &[Step::Key("types"), Step::Key(name)]].concat();
            compiler.problem(&place, format!("the type `{name}` contains itself"), "break the circle");
            return Vec::new();
        }
    }
    types
}

fn compile_type(compiler: &mut Compiler<'_>, name: &str, spec: &TypeSpec, at: &[Step<'_>]) -> Type {
    let kinds = [
        spec.literal.is_some(),
        spec.one_of.is_some(),
        spec.words.is_some(),
        spec.int.is_some(),
        spec.pattern.is_some(),
        spec.text.is_some(),
        spec.path.is_some(),
        spec.script.is_some(),
        spec.url.is_some(),
        spec.any_of.is_some(),
        spec.list.is_some(),
        spec.pair.is_some(),
    ];
    if kinds.iter().filter(|given| **given).count() != 1 {
        let help =
            "write just one of literal, one-of, words, int, pattern, text, path, script, url, any-of, list, pair";
        compiler.problem(at, format!("the type `{name}` must be of one kind"), help);
    }
    let kind = kind_of(compiler, spec, at);
    let known: Vec<Arc<str>> = match &kind {
        Kind::Words { canonical, .. } => canonical.clone(),
        _ => Vec::new(),
    };
    let mut words = Vec::new();
    for (word, meaning) in &spec.rules {
        let place = [at, &[Step::Key("rules"), Step::Key(word)]].concat();
        if !known.iter().any(|known| **known == **word) {
            compiler.problem(
                &place,
                format!("`{word}` is none of the words of `{name}`"),
                "name one of its words",
            );
        }
        words.push(WordRule {
            word: word.as_str().into(),
            verdict: meaning.verdict.unwrap_or(Verdict::Allow),
            why: meaning.why.clone(),
            means: meaning.means.iter().map(|word| word.as_str().into()).collect(),
            labels: compiler.labels(&meaning.labels, &place),
            rule: rule(compiler.name, &format!("{name}.{}", plain(word))),
        });
    }
    Type {
        about: spec.about.clone(),
        kind,
        facts: spec.facts.iter().filter_map(|fact| compiler.fact(fact, at)).collect(),
        verdict: spec.verdict.unwrap_or(Verdict::Allow),
        why: spec.why.clone(),
        labels: compiler.labels(&spec.labels, at),
        rule: rule(compiler.name, &format!("type.{name}")),
        words,
    }
}

fn kind_of(compiler: &mut Compiler<'_>, spec: &TypeSpec, at: &[Step<'_>]) -> Kind {
    let none = || Kind::AnyOf(Vec::new());
    if let Some(literal) = &spec.literal {
        return Kind::Literal(literal.as_str().into());
    }
    if let Some(one_of) = &spec.one_of {
        return words(compiler, one_of.iter().map(|word| (word, &[][..])), spec.fold, at);
    }
    if let Some(table) = &spec.words {
        return words(
            compiler,
            table.iter().map(|(word, others)| (word, &others[..])),
            spec.fold,
            at,
        );
    }
    if let Some((min, max)) = spec.int {
        if min > max {
            compiler.problem(
                at,
                format!("no number lies from {min} to {max}"),
                "write the smaller one first",
            );
        }
        return Kind::Int { min, max };
    }
    if let Some(pattern) = &spec.pattern {
        if compiler.ships {
            return Kind::Pattern(Pattern::later(pattern));
        }
        return Pattern::new(pattern).map(Kind::Pattern).unwrap_or_else(|error| {
            let what = error.to_string().replace('\n', " ");
            compiler.problem(
                &[at, &[Step::Key("pattern")]].concat(),
                what,
                "write a regular expression without look-around",
            );
            none()
        });
    }
    if let Some(max) = spec.text {
        if max == 0 || max > 65_536 {
            compiler.problem(
                at,
                format!("a text of at most {max} bytes"),
                "write a number from 1 to 65,536",
            );
        }
        return Kind::Text { max, lines: false };
    }
    if let Some(usage) = spec.path {
        return Kind::Path(usage);
    }
    if let Some(language) = spec.script {
        return Kind::Script(language);
    }
    if let Some(url) = &spec.url {
        if url.schemes.is_empty()
            || url
                .schemes
                .iter()
                .any(|scheme| !["http", "https"].contains(&scheme.as_str()))
        {
            let place = [at, &[Step::Key("url"), Step::Key("schemes")]].concat();
            compiler.problem(
                &place,
                "a scheme that is not known",
                "write \"https\", \"http\" or both",
            );
        }
        if let Some(host) = url.hosts.iter().find(|host| !is_host(host)) {
            let place = [at, &[Step::Key("url"), Step::Key("hosts")]].concat();
            let what = format!("`{host}` is not the name of a host");
            compiler.problem(&place, what, "write it in lower case, with `*.` before a domain");
        }
        return Kind::Url(UrlRule {
            schemes: url.schemes.clone(),
            hosts: url.hosts.clone(),
            ports: url.ports.clone(),
            private: url.private,
            host_facts: url
                .host_facts
                .iter()
                .filter_map(|fact| compiler.fact(fact, at))
                .collect(),
        });
    }
    if let Some(types) = &spec.any_of {
        return Kind::AnyOf(types.iter().filter_map(|ty| compiler.ty(ty, at)).collect());
    }
    if let Some(item) = &spec.list {
        let separator = spec.separator.as_deref().unwrap_or(",");
        if separator.is_empty() {
            compiler.problem(
                at,
                "an empty separator",
                "write the text that stands between two elements",
            );
        }
        return compiler.ty(item, at).map_or_else(none, |item| Kind::List {
            item,
            separator: separator.into(),
        });
    }
    if let Some((left, between, right)) = &spec.pair {
        if between.is_empty() {
            compiler.problem(
                at,
                "nothing stands between the two",
                "write the text between them second",
            );
        }
        if let (Some(left), Some(right)) = (compiler.ty(left, at), compiler.ty(right, at)) {
            return Kind::Pair {
                left,
                between: between.as_str().into(),
                right,
            };
        }
    }
    none()
}

fn is_host(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:".contains(&b);
    !name.is_empty() && name.bytes().all(known) && !name.starts_with('.')
}

fn words<'w>(
    compiler: &mut Compiler<'_>,
    table: impl Iterator<Item = (&'w String, &'w [String])>,
    fold: bool,
    at: &[Step<'_>],
) -> Kind {
    let mut canonical: Vec<Arc<str>> = Vec::new();
    let mut spellings: Vec<(Box<str>, usize)> = Vec::new();
    for (word, others) in table {
        for spelling in std::iter::once(word).chain(others) {
            let spelling = if fold {
                spelling.to_ascii_lowercase()
            } else {
                spelling.clone()
            };
            spellings.push((spelling.into(), canonical.len()));
        }
        canonical.push(word.as_str().into());
    }
    spellings.sort();
    spellings.dedup();
    let spellings = Names::new(spellings).unwrap_or_else(|twice| {
        compiler.problem(
            at,
            format!("`{twice}` stands for two words"),
            "let each spelling stand for one",
        );
        Names::default()
    });
    Kind::Words {
        spellings,
        canonical,
        fold,
    }
}

fn reaches(types: &[Type], from: usize, goal: usize, fuel: usize) -> bool {
    let within: Vec<usize> = match types.get(from).map(|ty| &ty.kind) {
        Some(Kind::AnyOf(types)) => types.clone(),
        Some(Kind::List { item, .. }) => vec![*item],
        Some(Kind::Pair { left, right, .. }) => vec![*left, *right],
        _ => Vec::new(),
    };
    // Running out of fuel means that the walk went in a circle.
    within
        .into_iter()
        .any(|ty| ty == goal || fuel == 0 || reaches(types, ty, goal, fuel - 1))
}

fn plain(word: &str) -> String {
    word.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect()
}
