//! Cedar's own integration corpus, and random requests: the engine answers as Cedar does, before anything is made of
//! errors.
//!
//! The corpus is `corpus-tests.tar.gz` of cedar-policy/cedar-integration-tests (Apache-2.0), 7,809 sets with 62,000
//! requests and what Cedar answered. It is not in this repository:
//!
//! ```text
//! GLASSBREAK_CEDAR_CORPUS=…/corpus-tests.tar.gz cargo test --release -p glassbreak-core corpus -- --ignored --nocapture
//! ```

use std::path::{Path, PathBuf};

use cedar_policy::{
    Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, PolicyId, PolicySet, Request, Schema,
};
use serde_json::Value;

use crate::policy::engine::{Answer, Engine, Names};
use crate::policy::query::Query;

struct Unpacked(PathBuf);

impl Unpacked {
    fn corpus() -> Self {
        let archive = std::env::var("GLASSBREAK_CEDAR_CORPUS").expect("GLASSBREAK_CEDAR_CORPUS names the archive");
        let folder = std::env::temp_dir().join(format!("glassbreak-corpus-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let tar = std::process::Command::new("tar")
            .args(["xzf", &archive, "-C"])
            .arg(&folder)
            .status();
        assert!(tar.is_ok_and(|status| status.success()), "cannot unpack {archive}");
        Self(folder)
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn uid(value: &Value) -> EntityUid {
    let text = |key: &str| value[key].as_str().unwrap().to_owned();
    let ty: EntityTypeName = text("type").parse().unwrap();
    EntityUid::from_type_name_and_id(ty, EntityId::new(text("id")))
}

fn ids(value: &Value) -> Vec<PolicyId> {
    let mut ids: Vec<PolicyId> = value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| PolicyId::new(id.as_str().unwrap()))
        .collect();
    ids.sort_unstable();
    ids
}

/// How many requests of one file were answered as recorded, and as Cedar answers here.
fn check(root: &Path, file: &Path) -> usize {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let case: Value = serde_json::from_str(&read(file)).unwrap();
    let beside = |key: &str| read(&root.join(case[key].as_str().unwrap()));
    let (schema, _) = Schema::from_cedarschema_str(&beside("schema")).unwrap();
    let set: PolicySet = beside("policies").parse().unwrap();
    let entities = Entities::from_json_str(&beside("entities"), Some(&schema)).unwrap();
    let policies = set.policies().cloned().collect();
    let engine = Engine::over(policies, set, entities);
    let requests = case["requests"].as_array().unwrap();
    for request in requests {
        let names = Names {
            principal: uid(&request["principal"]),
            action: uid(&request["action"]),
            resource: uid(&request["resource"]),
        };
        #[expect(clippy::disallowed_methods, reason = "the corpus is Cedar's own")]
        let context = Context::from_json_value(request["context"].clone(), Some((&schema, &names.action))).unwrap();
        let (principal, action, resource) = (names.principal.clone(), names.action.clone(), names.resource.clone());
        let asked = Request::new(principal, action, resource, context, None).unwrap();
        let ours = engine.answer(&engine.matching(&names), &Query::of(&asked).unwrap());
        let recorded = Answer {
            decision: match request["decision"].as_str().unwrap() {
                "allow" => Decision::Allow,
                _ => Decision::Deny,
            },
            reasons: ids(&request["reason"]),
            errors: ids(&request["errors"]),
        };
        assert_eq!(ours, recorded, "{} {}", file.display(), request["description"]);
        assert_eq!(
            ours,
            engine.oracle(&asked),
            "{} {}",
            file.display(),
            request["description"]
        );
    }
    requests.len()
}

#[test]
#[ignore = "needs GLASSBREAK_CEDAR_CORPUS; see the top of the file"]
fn the_corpus_is_answered_as_cedar_recorded_it() {
    let unpacked = Unpacked::corpus();
    let folder = unpacked.0.join("corpus-tests");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.ends_with(".json") && !name.ends_with(".entities.json")
        })
        .collect();
    files.sort_unstable();
    assert!(files.len() > 7_000, "{} files", files.len());
    let requests: usize = files.iter().map(|file| check(&unpacked.0, file)).sum();
    println!("{} policy sets, {requests} requests: all as recorded", files.len());
}
