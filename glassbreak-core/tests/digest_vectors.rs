//! The published test vectors of the call digest, which a script without a line of this library makes.

use std::collections::BTreeMap;

use glassbreak_core::call::{CallDigest, Operation, Word, Workspace, wire};
use glassbreak_core::clock::Span;
use glassbreak_core::credential::Handover;
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    workspace: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    call: serde_json::Value,
    handed: Option<Handed>,
    digest: String,
}

#[derive(Deserialize)]
struct Handed {
    name: String,
    variable: Option<String>,
    lasts_ms: u64,
    hand: String,
}

#[test]
fn every_published_vector_has_its_digest() {
    let file: File = serde_json::from_str(include_str!("vectors/call_digest.json")).unwrap();
    assert!(file.vectors.len() >= 8, "only {} vectors", file.vectors.len());
    let workspace = Workspace::new(&file.workspace).unwrap();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for Vector {
        name,
        call,
        handed,
        digest,
    } in file.vectors
    {
        let handover = handed.map(|handed| Handover {
            name: Word::new(&handed.name).unwrap(),
            variable: handed.variable.map(Into::into),
            lasts: Span::from_millis(handed.lasts_ms),
            granted: handed.hand == "granted",
        });
        let read = wire::read(call.to_string().as_bytes()).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        let got = match &read.call.operation {
            Operation::Exec(exec) => {
                let words = exec.argv().words().iter().map(|word| &**word);
                let cwd = workspace.locate("", exec.cwd()).unwrap();
                CallDigest::of_exec_handed(exec.argv().program(), words, &cwd, exec, handover.as_ref())
            }
            Operation::Tool(tool) => CallDigest::of_tool_handed(tool, handover.as_ref()),
            Operation::Connect(connect) => CallDigest::of_connect(connect),
        };
        assert_eq!(got.to_string(), digest, "{name}");
        if let Some(other) = seen.insert(digest, name.clone()) {
            let same = [
                ("a folder, written plainly", "the same folder, written otherwise"),
                ("one word", "the workspace by its path"),
                ("a tool without arguments", "a tool with an empty record"),
            ];
            assert!(
                same.contains(&(&*other, &*name)),
                "`{other}` and `{name}` have one digest"
            );
        }
    }
}
