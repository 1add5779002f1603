//! The policy layer by itself: the yardstick's task in a bundle, beside any number of policies that do not matter.

use std::fmt::Write as _;

use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, Args, Word, wire};
use glassbreak_core::facts::{Facts, SeqFacts};
use glassbreak_core::finding::{Finding, Level};
use glassbreak_core::policy::{Action, Question, Ready, Resource};

/// How many tools there are besides the one that is called: actions that policies may name.
const TOOLS: usize = 50;

/// A question, and all that it is judged by.
#[derive(Debug)]
pub struct Asking {
    bundle: Bundle,
    actor: Actor,
    facts: Facts,
    seq: SeqFacts,
}

/// The yardstick's condition, and what a permit by such a pattern must also say to load.
const CONDITION: &str = r#"context.args.argv0 == "git" &&
  !context.args.flags.containsAny(["--force", "--exec", "-c"]) &&
  context.args.spent + context.args.cost <= 5000 &&
  context.args.cwd like "/home/*/src/*" && !(context.args.cwd like "*..*")"#;

/// A folder with policies, to be loaded as often as one likes.
#[derive(Debug)]
pub struct Texts(Files);

impl Texts {
    /// `policies` in all, one of which matters.
    pub fn among(policies: usize) -> Self {
        let relevant = format!(
            "@id(\"relevant\") permit (principal in Team::\"coders\", action in [Action::\"tool\"], resource is Tool) \
             when {{ {CONDITION} }};\n"
        );
        Self::with(&relevant, policies.saturating_sub(1))
    }

    /// Eight that matter: four permits, two plain forbids, two soft ones.
    fn eight() -> Self {
        let mut text = String::new();
        for n in 0..8 {
            let (head, condition) = match n {
                0..4 => ("permit", CONDITION.to_owned()),
                4..6 => ("forbid", format!("!({CONDITION})")),
                _ => ("@ask(\"oncall\") forbid", format!("!({CONDITION})")),
            };
            let _ = writeln!(
                text,
                "@id(\"p{n}\") {head} (principal in Team::\"coders\", action in [Action::\"tool\"], resource is Tool) \
                 when {{ {condition} }};"
            );
        }
        Self::with(&text, 0)
    }

    fn with(relevant: &str, others: usize) -> Self {
        let mut files = Files::new();
        let mut add = |name: String, text: &str| drop(files.insert(name, text.as_bytes().to_vec()));
        add("a.cedar".to_owned(), relevant);
        for (n, text) in irrelevant(others).chunks(2_000).enumerate() {
            add(format!("b{n}.cedar"), &text.concat());
        }
        add("tools.toml".to_owned(), &tools());
        add(
            "people.toml".to_owned(),
            "[groups.oncall]\n[persons.bob]\ngroups = [\"oncall\"]\n",
        );
        add(
            "entities.json".to_owned(),
            r#"[{"uid":{"type":"Team","id":"coders"},"attrs":{},"parents":[]},
                {"uid":{"type":"Team","id":"others"},"attrs":{},"parents":[]},
                {"uid":{"type":"Role","id":"coder"},"attrs":{},"parents":[{"type":"Team","id":"coders"}]}]"#,
        );
        Self(files)
    }

    /// The files of policies alone, as Cedar reads them.
    pub fn policies(&self) -> Vec<String> {
        let policies = self.0.iter().filter(|(name, _)| name.ends_with(".cedar"));
        let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        policies.map(|(_, bytes)| text(bytes)).collect()
    }

    /// Reads and checks the folder, and makes it ready.
    pub fn load(&self) -> Bundle {
        let bundle = match Bundle::from_files(&self.0) {
            Ok(bundle) => Some(bundle),
            Err(problems) => {
                eprintln!("{problems}");
                None
            }
        };
        bundle.expect("the folder loads")
    }
}

impl Asking {
    /// `policies` in all, one of which matters.
    pub fn among(policies: usize) -> Self {
        Self::of(&Texts::among(policies))
    }

    /// Eight that matter: four permits, two plain forbids, two soft ones.
    pub fn eight() -> Self {
        Self::of(&Texts::eight())
    }

    fn of(texts: &Texts) -> Self {
        let word = |text: &str| Word::new(text).expect("a word");
        let arguments = serde_json::json!({
            "argv0": "git", "flags": ["--oneline", "-n", "--stat"], "spent": 120, "cost": 3,
            "cwd": "/home/ann/src/web", "branch": "main", "depth": 2, "interactive": false
        });
        let args: Args = wire::arguments(&arguments).expect("arguments");
        let asking = Self {
            seq: SeqFacts::default(),
            actor: Actor::new(word("coder"), word("s")),
            facts: Facts {
                args: Some(args),
                ..Facts::default()
            },
            bundle: texts.load(),
        };
        let clear = |finding: &Finding| finding.level() == Level::Clear;
        assert!(asking.decide().iter().any(clear), "it is permitted");
        asking
    }

    fn question(&self) -> Question<'_> {
        Question {
            actor: &self.actor,
            action: Action::Tool("shell"),
            resource: Resource::Tool("shell"),
            facts: &self.facts,
            seq: &self.seq,
            vocabulary: self.bundle.vocabulary(),
        }
    }

    /// The whole of the layer: the plan, the context, the request, the pass.
    pub fn decide(&self) -> Vec<Finding> {
        self.bundle.policies().decide(&self.question())
    }

    /// The question as a request.
    pub fn ready(&self) -> Ready<'_> {
        self.bundle.policies().ready(&self.question()).expect("a question")
    }
}

/// Seven of ten for another action, one for another principal, one a forbid of any action on another thing, one with a
/// list of actions.
fn irrelevant(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| {
            let (tool, other) = (n % TOOLS, (n + 1) % TOOLS);
            match n % 10 {
                0..7 => format!(
                    "@id(\"o{n}\") permit (principal, action == Action::\"tool:t{tool}\", resource) \
                     when {{ context.args.argv0 == \"x{n}\" }};\n"
                ),
                7 => format!(
                    "@id(\"o{n}\") permit (principal in Team::\"others\", action in Action::\"tool\", resource) \
                     when {{ context.risk == \"low\" }};\n"
                ),
                8 => format!(
                    "@id(\"o{n}\") forbid (principal, action in Action::\"call\", resource == Tool::\"t{tool}\") \
                     when {{ context.risk == \"high\" }};\n"
                ),
                _ => format!(
                    "@id(\"o{n}\") permit (principal, action in [Action::\"tool:t{tool}\", Action::\"tool:t{other}\"], \
                     resource) when {{ context.risk == \"low\" }};\n"
                ),
            }
        })
        .collect()
}

fn tools() -> String {
    let properties = r#"argv0 = { type = "string" }, flags = { type = "array", items = { type = "string" } }, spent = { type = "integer" }, cost = { type = "integer" }, cwd = { type = "string" }, branch = { type = "string" }, depth = { type = "integer" }, interactive = { type = "boolean" }"#;
    let required = r#""argv0", "flags", "spent", "cost", "cwd", "branch", "depth", "interactive""#;
    let mut text = String::new();
    let names = (0..TOOLS).map(|n| format!("t{n}")).chain(["shell".to_owned()]);
    for name in names {
        let _ = writeln!(
            text,
            "[tools.{name}]\nlabels = []\nschema = {{ type = \"object\", required = [{required}], properties = {{ {properties} }} }}"
        );
    }
    text
}
