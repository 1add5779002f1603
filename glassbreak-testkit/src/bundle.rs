//! Random policy folders, and refusals to add to any folder.

use std::fmt::Write;

use glassbreak_core::bundle::Files;

use crate::Choices;

/// What a policy is made of: an effect, a scope and a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    effect: Effect,
    scope: Scope,
    condition: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Permit,
    Soft,
    Hard,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Call,
    Exec,
    Rig,
    Tool,
}

impl Scope {
    const fn text(self) -> &'static str {
        match self {
            Self::Call => "principal in Team::\"agents\", action in Action::\"call\", resource",
            Self::Exec => "principal, action in Action::\"exec\", resource",
            Self::Rig => "principal == Role::\"agent\", action == Action::\"exec:rig\", resource",
            Self::Tool => "principal, action == Action::\"tool:restart\", resource is Tool",
        }
    }

    /// Conditions that fit, none of which *stops* holding when a call becomes riskier, is counted higher or is less
    /// understood: a permit that wants a higher count is a wish for more calls, and no property can hold for it.
    const fn conditions(self, permit: bool) -> &'static [&'static str] {
        const BOTH: &[&str] = &[
            "true",
            "context.actor.session == \"other\"",
            "context.actor.session != \"never\"",
            "Widget::\"gone\".weight > 3",
            "context.actor.session like \"s*\"",
        ];
        const ARGV: &[&str] = &[
            "context.argv.command == \"show\"",
            "context.argv.options.contains(\"--name\")",
            "context.argv.operands.contains(\"web\")",
            "context.target.namespace == \"prod\"",
            "context.labels.contains(\"mutating\")",
            "context.argv.program like \"*i*\"",
            "Widget::\"gone\".weight > 3 || context.argv.command == \"drop\"",
            "context.argv.command == \"show\" || Widget::\"gone\".weight > 3",
        ];
        const TOOL: &[&str] = &[
            "context.args.name == \"web\"",
            "context.args has count && context.args.count > 3",
            "context.args has count && context.args.count * 9223372036854775807 > 0",
            "context.target.name == \"web\"",
        ];
        const CALL: &[&str] = &[
            "context.risk == \"high\"",
            "context.labels.containsAny([\"mutating\", \"secret.read\"])",
            "context.target.kind == \"service\"",
        ];
        const PERMIT_CALL: &[&str] = &[
            "context.risk != \"high\"",
            "!context.labels.contains(\"irreversible\")",
            "context.target.namespace != \"prod\"",
        ];
        match self {
            Self::Call if permit => PERMIT_CALL,
            Self::Call => CALL,
            Self::Exec => BOTH,
            Self::Rig => ARGV,
            Self::Tool => TOOL,
        }
    }
}

impl Policy {
    /// Any policy.
    pub fn any(choices: &mut Choices<'_>) -> Self {
        let effect = match choices.below(4) {
            0 | 1 => Effect::Permit,
            2 => Effect::Soft,
            _ => Effect::Hard,
        };
        Self::of(effect, choices)
    }

    /// Any policy that refuses.
    pub fn refusal(choices: &mut Choices<'_>) -> Self {
        let effect = if choices.once_in(2) { Effect::Hard } else { Effect::Soft };
        Self::of(effect, choices)
    }

    fn of(effect: Effect, choices: &mut Choices<'_>) -> Self {
        let scope = match choices.below(4) {
            0 => Scope::Rig,
            1 => Scope::Exec,
            2 => Scope::Call,
            _ => Scope::Tool,
        };
        let condition = choices.word(scope.conditions(effect == Effect::Permit));
        Self {
            effect,
            scope,
            condition,
        }
    }

    fn write(self, id: &str, out: &mut String) {
        let (ask, effect) = match self.effect {
            Effect::Permit => ("", "permit"),
            Effect::Soft => (" @ask(\"oncall\") @window(\"5m\")", "forbid"),
            Effect::Hard => ("", "forbid"),
        };
        let scope = self.scope.text();
        let _ = writeln!(
            out,
            "@id(\"{id}\"){ask}\n{effect} ({scope})\nwhen {{ {} }};",
            self.condition
        );
    }
}

/// A budget or loop rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    matches: &'static str,
    key: &'static str,
    limit: usize,
    window: &'static str,
    ladder: &'static str,
    ceiling: Option<usize>,
}

impl Sequence {
    /// Any budget.
    pub fn any(choices: &mut Choices<'_>) -> Self {
        let limit = choices.below(4);
        Self {
            matches: choices.word(&[
                "labels = [\"mutating\"]",
                "labels = []",
                "labels = [], programs = [\"rig\"]",
                "labels = [\"mutating\"], tools = [\"restart\"]",
            ]),
            key: choices.word(&[
                "\"session\"",
                "\"session\", \"target.namespace\"",
                "\"session\", \"program\"",
                "\"agent\"",
                "\"person\", \"target.namespace\"",
                "\"fleet\", \"tool\"",
            ]),
            limit,
            window: choices.word(&["1m", "1s", "1h"]),
            ladder: choices.word(&[
                "[]",
                "[{ over = 0, then = \"ask\" }]",
                "[{ over = 0, then = \"deny\" }]",
                "[{ at = 1, then = \"audit\" }, { over = 1, then = \"deny\" }]",
            ]),
            ceiling: choices.once_in(2).then(|| limit + 1 + choices.below(3)),
        }
    }

    fn write(&self, id: &str, out: &mut String) {
        let Self {
            matches,
            key,
            limit,
            window,
            ladder,
            ceiling,
        } = self;
        let durability = if key.starts_with("\"session\"") {
            "none"
        } else {
            "strict"
        };
        let _ = writeln!(
            out,
            "[[budget]]\nid = \"{id}\"\nmatch = {{ {matches} }}\nkey = [{key}]\nlimit = {limit}\n\
             window = {{ sliding = \"{window}\" }}\ndurability = \"{durability}\"\nladder = {ladder}"
        );
        if let Some(ceiling) = ceiling {
            let _ = writeln!(out, "ceiling = {ceiling}");
        }
    }
}

/// One more rule that refuses; it can be added to any policy folder that declares what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A forbid, hard or soft.
    Forbid(Policy),
    /// A budget with a ceiling.
    Budget(Sequence),
    /// Exact repeats, `ask` or `deny`.
    Loop(u8, &'static str),
}

impl Refusal {
    /// Any refusal that fits the folders of [`Sketch`].
    pub fn any(choices: &mut Choices<'_>) -> Self {
        match choices.below(3) {
            0 => Self::Forbid(Policy::refusal(choices)),
            1 => {
                let mut budget = Sequence::any(choices);
                budget.ceiling = budget.ceiling.or(Some(budget.limit + 1));
                Self::Budget(budget)
            }
            _ => Self::Loop(2 + choices.byte() % 3, choices.word(&["ask", "deny"])),
        }
    }

    /// A hard forbid of everything; it fits every policy folder.
    pub const fn of_everything() -> Self {
        Self::Forbid(Policy {
            effect: Effect::Hard,
            scope: Scope::Exec,
            condition: "true",
        })
    }

    /// The folder with this refusal besides what it says.
    #[must_use]
    pub fn add_to(&self, files: &Files) -> Files {
        let mut files = files.clone();
        let budgets = |files: &mut Files, more: &str| {
            let text = files
                .entry("budgets.toml".to_owned())
                .or_insert_with(|| b"schema = 1\n".to_vec());
            text.extend(b"\n");
            text.extend(more.as_bytes());
        };
        let mut more = String::new();
        match self {
            Self::Forbid(policy) => {
                policy.write("testkit-refusal", &mut more);
                files.insert("testkit-refusal.cedar".to_owned(), more.into_bytes());
            }
            Self::Budget(budget) => {
                budget.write("testkit_refusal", &mut more);
                budgets(&mut files, &more);
            }
            Self::Loop(times, then) => {
                let _ = writeln!(
                    more,
                    "[[loop]]\nid = \"testkit_loop\"\nexact_repeat = {times}\nthen = \"{then}\""
                );
                budgets(&mut files, &more);
            }
        }
        files
    }
}

/// The verbs of the small profile in [`Sketch`], each with a verdict of its own.
const VERBS: [&str; 5] = ["show", "drop", "send", "make", "one"];

/// A policy folder as a few decisions; [`Sketch::files`] writes it out.
///
/// It always loads: a generator whose folders do not load tests the loader's refusals alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    unlisted: &'static str,
    no_permit: &'static str,
    mutating: &'static str,
    verdicts: [usize; VERBS.len()],
    dialect: &'static str,
    inject: &'static str,
    pack: &'static str,
    policies: Vec<Policy>,
    budgets: Vec<Sequence>,
    repeat: Option<u8>,
}

/// Verdicts, the strictest last.
const VERDICTS: [&str; 3] = ["allow", "ask", "deny"];

impl Sketch {
    /// Any folder.
    pub fn new(choices: &mut Choices<'_>) -> Self {
        let verdicts = VERBS.map(|_| choices.below(6).saturating_sub(3));
        let mut policies = vec![Policy {
            effect: Effect::Permit,
            scope: Scope::Call,
            condition: "true",
        }];
        if choices.once_in(6) {
            policies.clear();
        }
        policies.extend((0..choices.below(6)).map(|_| Policy::any(choices)));
        Self {
            unlisted: choices.word(&["deny", "ask"]),
            no_permit: choices.word(&["deny", "ask"]),
            mutating: choices.word(&["medium", "low", "high"]),
            verdicts,
            dialect: choices.word(&[
                "",
                "dialect = { underscore-is-dash = true, abbreviates = true }\n",
                "dialect = { dashdash = \"absent\", short-cluster = false }\n",
                "dialect = { order = \"options-first\", short-equals = true, flag-equals = true }\n",
                "dialect = { long = \"either\", long-value = \"equals\" }\n",
                "dialect = { order = \"operands-first\", value-refs = [\"@\"] }\n",
            ]),
            inject: choices.word(&["", "inject = [\"--quiet\"]\n", "inject = [\"-q\", \"--no-color\"]\n"]),
            pack: if choices.once_in(16) {
                "\n[profiles.kubectl]\nextends = \"builtin:kubectl-readonly\"\nverbs.delete.verdict = \"allow\"\n\
                 examples.allow = [\"kubectl get pods\"]\n"
            } else {
                ""
            },
            policies,
            budgets: (0..choices.below(3)).map(|_| Sequence::any(choices)).collect(),
            repeat: choices.once_in(3).then(|| 2 + choices.byte() % 3),
        }
    }

    /// The same folder with one verb's verdict stricter than it was, where there is one to tighten.
    #[must_use]
    pub fn tightened(&self, choices: &mut Choices<'_>) -> Self {
        let mut tighter = self.clone();
        let at = choices.below(VERBS.len());
        if let Some(verdict) = tighter.verdicts.get_mut(at) {
            *verdict = (*verdict + 1 + choices.below(2)).min(VERDICTS.len() - 1);
        }
        tighter
    }

    /// The same folder without its loop rule, whose count begins anew with every other call.
    #[must_use]
    pub fn without_loops(&self) -> Self {
        Self {
            repeat: None,
            ..self.clone()
        }
    }

    /// Its files.
    pub fn files(&self) -> Files {
        let mut policies = String::new();
        for (n, policy) in self.policies.iter().enumerate() {
            policy.write(&format!("p{n}"), &mut policies);
        }
        let mut budgets = String::from("schema = 1\n");
        for (n, budget) in self.budgets.iter().enumerate() {
            budget.write(&format!("b{n}"), &mut budgets);
        }
        if let Some(times) = self.repeat {
            let _ = writeln!(
                budgets,
                "[[loop]]\nid = \"again\"\nexact_repeat = {times}\nthen = \"deny\""
            );
        }
        let settings = format!(
            "unlisted = \"{}\"\nno_permit = \"{}\"\n[ask]\ngroup = \"oncall\"\n[labels]\nmutating = \"{}\"\n",
            self.unlisted, self.no_permit, self.mutating
        );
        [
            ("glassbreak.toml", settings),
            ("people.toml", PEOPLE.to_owned()),
            ("safe-bins.toml", self.safe_bins()),
            ("tools.toml", TOOLS.to_owned()),
            ("budgets.toml", budgets),
            ("entities.json", ENTITIES.to_owned()),
            ("schema.cedarschema", "entity Widget = { weight: Long };\n".to_owned()),
            ("rules.cedar", policies),
        ]
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.into_bytes()))
        .collect()
    }

    fn safe_bins(&self) -> String {
        let mut text = PROFILE.to_owned();
        for (verb, verdict) in VERBS.iter().zip(self.verdicts) {
            let verdict = VERDICTS.get(verdict).copied().unwrap_or("deny");
            text = text.replace(&format!("$({verb})"), verdict);
        }
        let text = text
            .replace("$dialect\n", self.dialect)
            .replace("$inject\n", self.inject);
        text + self.pack
    }
}

const PEOPLE: &str = "[groups.oncall]\nabout = \"whoever is on call\"\n[persons.alice]\ngroups = [\"oncall\"]\n";

const ENTITIES: &str = r#"[
  {"uid": {"type": "Team", "id": "agents"}, "attrs": {}, "parents": []},
  {"uid": {"type": "Role", "id": "agent"}, "attrs": {}, "parents": [{"type": "Team", "id": "agents"}]},
  {"uid": {"type": "Role", "id": "loner"}, "attrs": {}, "parents": []}
]
"#;

const TOOLS: &str = r#"
[tools.restart]
about = "restarts a service"
labels = ["mutating"]
target = { kind = "service", name = "args.name" }
[tools.restart.schema]
type = "object"
required = ["name"]
properties.name = { type = "string", maxLength = 64 }
properties.count = { type = "integer" }

[tools.look]
about = "only reads"
labels = []
"#;

/// A program that no machine has: nobody's habits hide what the engine does with it.
const PROFILE: &str = r#"schema = 1

[profiles.rig]
facts = ["things"]
$dialect
$inject
globals = [
  { names = ["-n", "--name"], value = "thing", facts = ["target.namespace"] },
  { names = ["-q", "--quiet"], many = true },
  { names = ["--no-color"] },
  { names = ["--depth"], value = "int" },
  { names = ["--level"], value = "text", optional = true },
  { names = ["--slow"], verdict = "ask" },
  { names = ["-f", "--force"], verdict = "deny", why = "it overwrites" },
]
examples.deny = ["rig show --force"]

[profiles.rig.types.thing]
pattern = "[a-z][a-z0-9-]{0,20}"

[profiles.rig.root]
verdict = "allow"
forms = [{ operands = [] }]

[profiles.rig.verbs.show]
aliases = ["list"]
verdict = "$(show)"
forms = [{ operands = [{ type = "thing", min = 0, max = 4, facts = ["things"] }] }]

[profiles.rig.verbs.drop]
verdict = "$(drop)"
labels = ["mutating"]
require = { "--depth" = "1" }
forms = [{ operands = [{ type = "thing", min = 1, max = 3, facts = ["target.name"] }] }]

[profiles.rig.verbs.send]
verdict = "$(send)"
labels = ["net.egress"]
stdin = true
options = [{ names = ["--to"], value = "text", dash-value = true }]
forms = [{ operands = [{ type = "path", min = 0, max = 2 }] }]
labels-if = [{ fact = "target.namespace", has = "prod", labels = ["irreversible"] }]

[profiles.rig.verbs.make]
verdict = "$(make)"
unknown-verb = "deny"
[profiles.rig.verbs.make.verbs.one]
verdict = "$(one)"
forms = [{ operands = [] }]
[profiles.rig.verbs.make.verbs.all]
verdict = "deny"

[profiles.rig.verbs.wipe]
verdict = "deny"
"#;

#[cfg(test)]
mod tests {
    use glassbreak_core::bundle::Bundle;

    use super::*;
    use crate::seeded;

    #[test]
    fn every_folder_loads_also_with_a_refusal() {
        for seed in 0..24 {
            let bytes = seeded(seed, 96);
            let choices = &mut Choices::new(&bytes);
            let sketch = Sketch::new(choices);
            let files = sketch.files();
            for files in [
                Refusal::any(choices).add_to(&files),
                sketch.tightened(choices).files(),
                files,
            ] {
                if let Err(problems) = Bundle::from_files(&files) {
                    panic!(
                        "seed {seed}: {problems}\n{}",
                        String::from_utf8_lossy(&files["safe-bins.toml"])
                    );
                }
            }
        }
    }
}
