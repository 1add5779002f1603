//! The oracle: where Cedar's own authorizer finds otherwise, the call is denied, and that is recorded.

use cedar_policy::PolicySet;

use super::*;
use crate::policy::engine::Engine;

impl Policies {
    /// Has the oracle judge without the policy `id`, as if the engine and Cedar did not agree about it.
    pub(crate) fn hide_from_the_oracle(&mut self, id: &str) {
        let places = 0..self.rules.len();
        let policies: Vec<_> = places.map(|n| self.engine.policy(n).unwrap().clone()).collect();
        let shown = policies.iter().filter(|policy| policy.id().to_string() != id);
        let shown = PolicySet::from_policies(shown.cloned()).unwrap();
        assert_eq!(shown.policies().count() + 1, policies.len());
        self.engine = Engine::over(policies, shown, self.engine.entities().clone());
        self.engine.bind(&self.calls);
    }
}

#[test]
fn where_cedar_finds_otherwise_the_call_is_denied() {
    let oracle = (Outcome::Deny, vec!["policy.oracle deny".to_owned()]);
    let asked = Asked::kubectl("delete", &["pod"]);
    let mut policies = load(SAMPLE);
    assert_eq!(asked.outcome(&policies), Outcome::Ask);
    policies.hide_from_the_oracle("delete-asks");
    assert_eq!(asked.of(&policies), oracle);
    // Also where that policy changes nothing of the outcome: one of the two is wrong about it.
    let asked = Asked::kubectl("delete", &["namespace"]);
    assert_eq!(asked.of(&policies), oracle);
    // What it does not matter to is judged as before, and what is not known whole is compared too.
    assert_eq!(Asked::kubectl("get", &[]).outcome(&policies), Outcome::Allow);
    let mut policies = load(SAMPLE);
    policies.hide_from_the_oracle("ops-kubectl");
    assert_eq!(Asked::kubectl("get", &[]).of(&policies), oracle);
}

#[cfg(target_os = "linux")]
mod recorded {
    use crate::audit::AuditLog;
    use crate::bundle::{Bundle, Files};
    use crate::call::{Actor, Args, Word};
    use crate::gate::{Gate, Verdict};
    use crate::store::MemoryStore;

    const FILES: [(&str, &str); 3] = [
        (
            "p.cedar",
            "@id(\"all\") permit (principal, action in Action::\"call\", resource);",
        ),
        ("tools.toml", "[tools.look]\nlabels = []\n"),
        (
            "entities.json",
            "[{\"uid\":{\"type\":\"Role\",\"id\":\"ops\"},\"attrs\":{},\"parents\":[]}]",
        ),
    ];

    /// Whether a call of `look` was allowed, and the last record.
    async fn called(bundle: Bundle, name: &str) -> (bool, serde_json::Value) {
        let root = std::env::temp_dir().join(format!("glassbreak-shadow-{name}-{}", std::process::id()));
        std::fs::create_dir_all(root.join("work")).unwrap();
        let audit = AuditLog::open(root.join("audit")).unwrap();
        let gate = Gate::builder(bundle)
            .store(MemoryStore::new())
            .audit(audit.clone())
            .build()
            .await
            .unwrap();
        let word = |text| Word::new(text).unwrap();
        let actor = Actor::new(word("ops"), word("s"));
        let session = gate.session(actor).workspace(root.join("work")).unwrap();
        let allowed = match session.tool(word("look"), Args::new()).check().await {
            Verdict::Allow(permit) => {
                permit.forgo().await;
                true
            }
            Verdict::Deny(_) => false,
            Verdict::Ask(_) => panic!("nothing asks"),
        };
        audit.sync().unwrap();
        let text = std::fs::read_to_string(audit.path()).unwrap();
        let judged = |record: &serde_json::Value| record["bundle"].is_string();
        let mut records = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let last = records.rfind(judged).unwrap();
        std::fs::remove_dir_all(root).unwrap();
        (allowed, last)
    }

    #[tokio::test]
    async fn a_call_that_cedar_finds_otherwise_of_is_refused_and_recorded() {
        let files: Files = (FILES.into_iter())
            .map(|(name, text)| (name.to_owned(), text.into()))
            .collect();
        let (allowed, record) = called(Bundle::from_files(&files).unwrap(), "agrees").await;
        assert!(allowed && record["kind"] == "call.permitted", "{record}");
        let mut bundle = Bundle::from_files(&files).unwrap();
        bundle.policies_mut().hide_from_the_oracle("all");
        let (allowed, record) = called(bundle, "differs").await;
        assert!(!allowed, "{record}");
        assert_eq!(
            (record["kind"].as_str(), record["rules"][0].as_str()),
            (Some("call.refused"), Some("policy.oracle"))
        );
    }
}
