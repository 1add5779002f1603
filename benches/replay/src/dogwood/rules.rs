//! One condition of Dogwood as one sequence rule.

use std::collections::BTreeMap;

use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, ArgValue, Args, Call, Operation, Tool, Word, Workspace};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::finding::Outcome;
use glassbreak_core::judge::{Judgement, SessionState, judge};
use serde::Deserialize;

/// What is to be said.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Rule {
    /// So many of the judged calls within so many seconds, this one included.
    Count {
        /// Seconds.
        within: u64,
        /// An operator of Cedar.
        op: String,
        with: i64,
    },
    /// Something came within so many seconds, and nothing that breaks it since.
    Formerly {
        /// Seconds.
        within: u64,
        unless: bool,
    },
}

/// A rule, in a session for each key.
#[derive(Debug)]
pub(crate) struct Leaf {
    bundle: Bundle,
    counts: bool,
    op: String,
    sessions: BTreeMap<String, SessionState>,
}

impl Leaf {
    pub(crate) fn new(rule: &Rule) -> Result<Self, String> {
        let (budgets, policy) = match rule {
            Rule::Formerly { within, unless } => {
                let breaks = if *unless {
                    "unless = { tools = [\"breaks\"] }"
                } else {
                    ""
                };
                let pattern = format!(
                    "schema = 1\n[[pattern]]\nid = \"leaf\"\nsteps = [{{ tools = [\"past\"] }}, {{ tools = [\"now\"] }}]\n\
                     within = \"{within}s\"\nkey = [\"session\"]\nthen = \"deny\"\n{breaks}\n"
                );
                (pattern, String::new())
            }
            Rule::Count { within, op, with } => {
                let budget = format!(
                    "schema = 1\n[[budget]]\nid = \"leaf\"\nmatch = {{ tools = [\"now\"] }}\nkey = [\"session\"]\nlimit = 9\n\
                     window = {{ sliding = \"{within}s\" }}\ndurability = \"none\"\nladder = []\n"
                );
                (budget, above(op, *with)?)
            }
        };
        let tools = ["past", "now", "breaks"].map(|name| format!("[tools.{name}]\nlabels = []\n"));
        Ok(Self {
            bundle: bundle(&tools.concat(), &budgets, &policy)?,
            counts: matches!(rule, Rule::Count { .. }),
            op: match rule {
                Rule::Count { op, .. } => op.clone(),
                Rule::Formerly { .. } => String::new(),
            },
            sessions: BTreeMap::new(),
        })
    }

    /// Takes an event into account; for one that is judged, whether the rule fires.
    pub(crate) fn see(&mut self, at: i64, what: &str, key: &str) -> Result<Option<bool>, String> {
        let at = Timestamp::from_millis(at.saturating_mul(1_000));
        let state = match self.sessions.get_mut(key) {
            Some(state) => state,
            None => self.sessions.entry(key.to_owned()).or_insert(session()?),
        };
        let call = call(what, Args::new())?;
        let judgement = judge(&self.bundle, state, &call, at);
        let refused = judgement.ruling.outcome() == Outcome::Deny;
        if what == "now" {
            if self.counts {
                came(&self.bundle, state, &call, &judgement, at);
            }
            let denied = |id: &str| judgement.ruling.deciding().any(|finding| finding.rule().as_str() == id);
            let (least, above) = (denied("policy.least"), denied("policy.above"));
            return Ok(Some(match self.op.as_str() {
                "<" => !least,
                "<=" => !above,
                "==" => least && !above,
                "!=" => !least || above,
                _ => refused,
            }));
        }
        if refused {
            return Err(judgement.ruling.why());
        }
        came(&self.bundle, state, &call, &judgement, at);
        Ok(None)
    }
}

/// Policies on the count. A forbid that no longer holds once enough calls were made does not load: what Dogwood says of
/// less is taken from whether there is more.
fn above(op: &str, with: i64) -> Result<String, String> {
    let forbid = |id: &str, op: &str| {
        format!(
            "@id(\"{id}\") forbid (principal, action == Action::\"tool:now\", resource)\n\
             when {{ context.seq.budget.leaf.count {op} {with} }};\n"
        )
    };
    match op {
        ">" => Ok(forbid("above", ">")),
        ">=" => Ok(forbid("least", ">=")),
        "<" | "<=" | "==" | "!=" => Ok(forbid("least", ">=") + &forbid("above", ">")),
        _ => Err(format!("`{op}` is no comparison")),
    }
}

/// The call came, and is done. As Dogwood has it, also one that was refused.
pub(crate) fn came(bundle: &Bundle, state: &mut SessionState, call: &Call, judgement: &Judgement, at: Timestamp) {
    state.advance(bundle, call, judgement, at, true);
    state.ended(bundle, call, judgement, at, at, true);
}

pub(crate) fn session() -> Result<SessionState, String> {
    Workspace::new("/work")
        .map(SessionState::new)
        .map_err(|bad| bad.to_string())
}

pub(crate) fn call(tool: &str, arguments: Args) -> Result<Call, String> {
    let word = |text: &str| Word::new(text).map_err(|bad| bad.to_string());
    Ok(Call {
        actor: Actor::new(word("agent")?, word("s")?),
        operation: Operation::Tool(Tool {
            name: word(tool)?,
            arguments,
        }),
        reason: None,
        conversation: None,
    })
}

pub(crate) fn user(name: &str) -> Args {
    Args::from([("user".into(), ArgValue::Str(name.into()))])
}

/// Every tool is permitted; what denies is the rule.
pub(crate) fn bundle(tools: &str, budgets: &str, policy: &str) -> Result<Bundle, String> {
    let policy = format!("@id(\"all\") permit (principal, action in Action::\"call\", resource);\n{policy}");
    let entities = r#"[{"uid":{"type":"Role","id":"agent"},"attrs":{},"parents":[]}]"#;
    let files = [
        ("tools.toml", tools),
        ("budgets.toml", budgets),
        ("p.cedar", &policy),
        ("entities.json", entities),
    ];
    let files: Files = files
        .map(|(name, text)| (name.to_owned(), text.as_bytes().into()))
        .into();
    Bundle::from_files(&files).map_err(|problems| problems.to_string())
}
