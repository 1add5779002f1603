//! What the benches measure: the yardstick, and calls with the bundles that judge them.
//!
//! The yardstick, **B**, is one `is_authorized` of Cedar itself over a prebuilt request and the one policy that is
//! relevant to it: the small task of the policy layer's measurements.
#![expect(clippy::expect_used, reason = "a bench that cannot set up has nothing to measure")]

mod calling;
mod counting;
mod guarding;
mod hostile;
mod loading;
mod policy;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityUid, PolicySet, Request, Response, RestrictedExpression,
};
use glassbreak_core::argv::Judged;
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Call, CallDigest, Operation, Workspace, wire};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::finding::Outcome;
use glassbreak_core::judge::{Judgement, SessionState, judge};

pub use self::calling::{Calling, Made, Tried};
pub use self::counting::{Counting, Ready as Counted, store as counted_store};
pub use self::guarding::Guarding;
pub use self::hostile::Hostile;
pub use self::loading::Hundred;
pub use self::policy::{Asking, Texts};

/// The yardstick: everything is made, only the decision is left.
#[derive(Debug)]
pub struct SmallTask {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    request: Request,
}

/// String equality, a set against three literals, a sum against a limit, and a pattern with two wildcards.
const SMALL_POLICY: &str = r#"
permit (principal in Team::"coders", action in [Action::"exec"], resource is Tool) when {
  context.argv0 == "cargo" &&
  !context.flags.containsAny(["--force", "--no-verify", "-f"]) &&
  context.spent + context.cost <= 5000 &&
  context.cwd like "/home/*/src/*"
};
"#;

impl SmallTask {
    /// Agent `coder-1` of `Team::coders` calls `shell_exec`, in the group `exec`, on `Tool::shell`, with a context of
    /// eight attributes.
    pub fn new() -> Self {
        let uid = |text: &str| -> EntityUid { text.parse().expect("an entity") };
        let child = |child: &str, parent: &str| Entity::new_no_attrs(uid(child), HashSet::from([uid(parent)]));
        let alone = |name: &str| Entity::new_no_attrs(uid(name), HashSet::new());
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let flags = ["--release", "--locked", "-v"].map(text);
        let context = HashMap::from([
            ("argv0", text("cargo")),
            ("cwd", text("/home/ann/src/app")),
            ("session", text("s1")),
            ("flags", RestrictedExpression::new_set(flags)),
            ("spent", RestrictedExpression::new_long(1200)),
            ("cost", RestrictedExpression::new_long(3)),
            ("depth", RestrictedExpression::new_long(2)),
            ("interactive", RestrictedExpression::new_bool(false)),
        ]);
        let context = context.into_iter().map(|(name, value)| (name.to_owned(), value));
        let entities = [
            child("Agent::\"coder-1\"", "Team::\"coders\""),
            alone("Team::\"coders\""),
            child("Action::\"shell_exec\"", "Action::\"exec\""),
            alone("Action::\"exec\""),
            alone("Tool::\"shell\""),
        ];
        let task = Self {
            authorizer: Authorizer::new(),
            policies: SMALL_POLICY.parse().expect("a policy"),
            entities: Entities::from_entities(entities, None).expect("entities"),
            request: Request::new(
                uid("Agent::\"coder-1\""),
                uid("Action::\"shell_exec\""),
                uid("Tool::\"shell\""),
                Context::from_pairs(context).expect("a context"),
                None,
            )
            .expect("a request"),
        };
        assert_eq!(
            task.ask().decision(),
            cedar_policy::Decision::Allow,
            "the small task is allowed"
        );
        task
    }

    /// One decision.
    pub fn ask(&self) -> Response {
        self.authorizer
            .is_authorized(&self.request, &self.policies, &self.entities)
    }
}

impl Default for SmallTask {
    fn default() -> Self {
        Self::new()
    }
}

/// A call, and all that it takes to judge it.
#[derive(Debug)]
pub struct Judging {
    bundle: Bundle,
    state: SessionState,
    call: Call,
    at: Timestamp,
}

/// Eight words, allowed by the shipped pack.
pub const CALL: [&str; 8] = [
    "kubectl",
    "get",
    "pods",
    "-n",
    "team-a-web",
    "-l",
    "app=web",
    "--no-headers",
];

/// Twelve words, allowed by the shipped pack.
const LONG_CALL: [&str; 12] = [
    "kubectl",
    "get",
    "pods",
    "web-7d4b",
    "-n",
    "team-a-web",
    "-o",
    "wide",
    "--no-headers",
    "--chunk-size",
    "500",
    "--show-labels",
];

impl Judging {
    /// The call of twelve words, for the argv engine alone.
    pub fn twelve_words() -> Self {
        let mut judging = Self::one_permit();
        judging.call = exec(&LONG_CALL);
        let judged = judging.argv();
        assert!(!judged.partial, "it is understood: {:?}", judged.findings);
        assert_eq!(judging.judge().ruling.outcome(), Outcome::Allow, "it is allowed");
        judging
    }

    /// The call, judged by the kubectl pack and one permit as complex as the yardstick's.
    pub fn one_permit() -> Self {
        let files = [
            ("safe-bins.toml", "schema = 1\nuse = [\"builtin:kubectl-readonly\"]\n"),
            (
                "budgets.toml",
                "schema = 1\n[[budget]]\nid = \"looks\"\nmatch = { labels = [], programs = [\"kubectl\"] }\n\
                 key = [\"session\"]\nlimit = 900\nwindow = { sliding = \"10m\" }\ndurability = \"none\"\nladder = []\n",
            ),
            (
                "entities.json",
                r#"[{"uid":{"type":"Team","id":"ops-agents"},"attrs":{},"parents":[]},
                    {"uid":{"type":"Role","id":"ops-agent"},"attrs":{},"parents":[{"type":"Team","id":"ops-agents"}]}]"#,
            ),
            (
                "ops.cedar",
                r#"@id("looking")
                permit (principal in Team::"ops-agents", action in [Action::"exec"], resource is Program) when {
                  context.argv.command == "get" &&
                  !context.labels.containsAny(["mutating", "irreversible", "secret.read"]) &&
                  context.seq.budget.looks.count + 3 <= 900 &&
                  context.target.namespace like "team-*-web*"
                };"#,
            ),
        ];
        let files: Files = files.map(|(name, text)| (name.to_owned(), text.into())).into();
        Self::by(Bundle::from_files(&files).expect("the folder loads"), &CALL)
    }

    /// The call, judged by the ops policy that ships as an example.
    pub fn ops() -> Self {
        Self::by(Bundle::open(ops_folder()).expect("the ops policy loads"), &CALL)
    }

    /// A call of kubectl with about `kib` KiB of words that try hard: letters in clusters, lists, unknown options.
    pub fn hostile(kib: usize) -> Self {
        let word = format!("-{}", "nAolv=,/".repeat(16));
        let words: Vec<&str> = std::iter::once("kubectl")
            .chain(std::iter::repeat_n(word.as_str(), (kib * 1024 / word.len()).min(500)))
            .collect();
        let mut judging = Self::one_permit();
        judging.call = exec(&words);
        judging
    }

    /// A call of kubectl that names `kib` KiB of pods in one word, a list that is read to its end.
    pub fn long_list(kib: usize) -> Self {
        let list = "app=web,".repeat(kib * 1024 / 8);
        let mut judging = Self::one_permit();
        judging.call = exec(&["kubectl", "get", "pods", "-l", list.trim_end_matches(',')]);
        judging
    }

    fn by(bundle: Bundle, words: &[&str]) -> Self {
        let mut judging = Self {
            bundle,
            state: SessionState::new(Workspace::new("/workspace").expect("a path")),
            call: exec(words),
            at: Timestamp::from_millis(60_000),
        };
        // A session in use: some calls are counted, and what is made once is made.
        for second in 0..20 {
            let at = Timestamp::from_millis(second * 1000);
            let judgement = judge(&judging.bundle, &judging.state, &judging.call, at);
            assert_eq!(judgement.ruling.outcome(), Outcome::Allow, "{}", judgement.ruling.why());
            judging
                .state
                .advance(&judging.bundle, &judging.call, &judgement, at, true);
        }
        judging
    }

    /// The call, judged whole.
    pub fn judge(&self) -> Judgement {
        judge(&self.bundle, &self.state, &self.call, self.at)
    }

    /// The call, as far as the argv engine goes.
    pub fn argv(&self) -> Judged {
        self.bundle.programs().judge(self.exec(), "", self.state.workspace())
    }

    /// The digest of the call.
    pub fn digest(&self) -> CallDigest {
        let exec = self.exec();
        CallDigest::of_exec("kubectl", exec.argv().words().iter().map(|word| &**word), "", exec)
    }

    fn exec(&self) -> &glassbreak_core::call::Exec {
        match &self.call.operation {
            Operation::Exec(exec) => Some(exec),
            _ => None,
        }
        .expect("a program")
    }
}

/// Loads the ops policy; what a reload costs.
pub fn load_ops() -> Bundle {
    Bundle::open(ops_folder()).expect("the ops policy loads")
}

fn ops_folder() -> impl AsRef<Path> {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/policies/ops")
}

fn exec(words: &[&str]) -> Call {
    let line = serde_json::json!({ "actor": { "role": "ops-agent" }, "exec": { "argv": words } }).to_string();
    wire::read(line.as_bytes()).expect("a call").call
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The benches run in release under valgrind, minutes from here; what does not load should be told at once.
    #[test]
    fn what_is_measured_loads_and_is_allowed() {
        let allowed = |judging: &Judging| judging.judge().ruling.outcome() == Outcome::Allow;
        assert!(allowed(&Judging::one_permit()) && allowed(&Judging::ops()) && allowed(&Judging::twelve_words()));
        for asking in [Asking::among(20), Asking::eight()] {
            assert!(!asking.decide().is_empty());
        }
        Calling::kubectl().made().whole();
        Calling::kubectl_among(20, 5, 10).made().whole();
        Calling::tool().made().whole();
    }
}
