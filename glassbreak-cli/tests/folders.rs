//! What people are told of a policy folder: what is wrong with it, and which clause decided.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use uuid::Uuid;

const POLICY: &str = r#"@id("look")
permit (principal, action == Action::"exec:cat", resource)
when { context.risk == "low" && context.argv.operands.contains("a.txt") };
@id("never")
forbid (principal, action == Action::"exec:cat", resource)
when { context.argv.operands.contains("secret.txt") };
"#;

/// A policy folder.
struct Folder(PathBuf);

impl Folder {
    fn new(policy: &str) -> Self {
        let root = std::env::temp_dir().join(format!("glassbreak-cli-folders-{}", Uuid::now_v7()));
        fs::create_dir(&root).unwrap();
        let folder = Self(root);
        for (name, text) in [
            ("agent.cedar", policy),
            ("safe-bins.toml", "schema = 1\nuse = [\"builtin:cat-readonly\"]\n"),
            (
                "entities.json",
                r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#,
            ),
        ] {
            folder.write(name, text.as_bytes());
        }
        folder
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    fn run(&self, command: &str, words: &[&str]) -> Output {
        let mut glassbreak = Command::new(env!("CARGO_BIN_EXE_glassbreak"));
        glassbreak.arg(command).arg("--policy").arg(&self.0).args(words);
        glassbreak.output().unwrap()
    }

    /// The standard error of `test`, without the last line, which names the folder.
    fn problems(&self, words: &[&str]) -> String {
        let output = self.run("test", words);
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        let (problems, last) = text.trim_end().rsplit_once('\n').unwrap();
        assert!(last.ends_with("nothing was judged"), "{last}");
        problems.to_owned()
    }

    fn explain(&self, words: &[&str]) -> String {
        let output = self.run("explain", words);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_problem_shows_its_line_with_a_caret_and_no_colour_where_nobody_looks() {
    let folder = Folder::new(&POLICY.replace("context.risk", "\tcontext.rsk"));
    let expected = "\
agent.cedar:3:9: ";
    let problems = folder.problems(&[]);
    assert!(problems.starts_with(expected), "{problems}");
    let lines: Vec<&str> = problems.lines().collect();
    assert_eq!(
        lines[1..4],
        [
            "   |",
            " 3 | when {     context.rsk == \"low\" && context.argv.operands.contains(\"a.txt\") };",
            "   |            ^",
        ]
    );
    assert!(lines[4].starts_with("  help: "), "{problems}");
    assert!(!problems.contains('\u{1b}'));
    assert!(!folder.problems(&["--json"]).contains('|'), "no snippets with --json");
}

#[test]
fn what_is_wrong_with_a_file_as_a_whole_shows_no_line() {
    let folder = Folder::new(POLICY);
    folder.write("agents.toml", b"first = 1\n");
    let problems = folder.problems(&[]);
    assert!(
        problems.starts_with("agents.toml:1:1: ") && !problems.contains("first"),
        "{problems}"
    );
}

#[cfg(unix)]
#[test]
fn no_line_is_shown_of_what_a_link_leads_to_or_of_bytes_that_are_no_text() {
    let folder = Folder::new(POLICY);
    std::os::unix::fs::symlink("/etc/passwd", folder.0.join("linked.cedar")).unwrap();
    let problems = folder.problems(&[]);
    assert!(problems.contains("link") && !problems.contains("root:"), "{problems}");
    fs::remove_file(folder.0.join("linked.cedar")).unwrap();
    folder.write("bytes.cedar", b"\n// \xff\n");
    let problems = folder.problems(&[]);
    assert!(
        problems.starts_with("bytes.cedar:2:1: ") && !problems.contains('|'),
        "{problems}"
    );
}

#[test]
fn explaining_shows_the_clause_that_decided_and_what_it_saw() {
    let folder = Folder::new(POLICY);
    let page = folder.explain(&["--role", "ops", "--", "cat", "b.txt"]);
    for part in [
        "policy.look: does not hold (permit, agent.cedar:1)",
        "agent.cedar:3:33: context.argv.operands.contains(\"a.txt\")",
        "here context.argv.operands is [\"b.txt\"]",
        "the nearest is `look`",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let page = folder.explain(&["--role", "ops", "--", "cat", "secret.txt"]);
    let never = page.split("policy.never").nth(1).unwrap();
    assert!(
        never.contains("agent.cedar:6:8: context.argv.operands.contains(\"secret.txt\")"),
        "{page}"
    );
}

#[test]
fn explaining_as_json_has_every_policy_with_its_clause() {
    let folder = Folder::new(POLICY);
    let answer: Value =
        serde_json::from_str(&folder.explain(&["--role", "ops", "--json", "--", "cat", "b.txt"])).unwrap();
    let policies = answer["policies"].as_array().unwrap();
    assert_eq!(policies.len(), 2);
    assert_eq!(policies[0]["id"], "look");
    assert_eq!(policies[0]["held"], "does not hold");
    let clause = &policies[0]["clause"];
    assert_eq!(clause["text"], "context.argv.operands.contains(\"a.txt\")");
    assert_eq!(
        (clause["line"].as_u64(), clause["column"].as_u64()),
        (Some(3), Some(33))
    );
    assert_eq!(clause["saw"]["context.argv.operands"], "[\"b.txt\"]");
}

/// What a server lists is what policies are checked against: its arguments are in the schema, and a policy that reads
/// another one does not load.
#[test]
fn the_schema_has_the_arguments_that_a_server_lists() {
    let folder = Folder::new(POLICY);
    folder.write(
        "tools.toml",
        b"[tools.send_mail]\nlabels = [\"mutating\"]\nschema = \"tools.json\"\n",
    );
    let listing = br#"{"tools": [{"name": "send_mail", "description": "sends", "inputSchema": {"type": "object",
        "properties": {"to": {"type": "array", "items": {"type": "string"}}, "urgent": {"type": "boolean"}},
        "required": ["to"]}}]}"#;
    folder.write("tools.json", listing);
    let output = folder.run("schema", &["cedar"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let schema = String::from_utf8(output.stdout).unwrap();
    let action = schema.split("action \"tool:send_mail\"").nth(1).unwrap();
    let action: String = action.split(';').next().unwrap().split_whitespace().collect();
    assert!(action.contains("\"to\":Set<String>"), "{schema}");
    assert!(action.contains("\"urgent\"?:Bool"), "{schema}");
    let policy = |fact: &str| {
        format!("@id(\"mail\") permit (principal, action == Action::\"tool:send_mail\", resource) when {{ {fact} }};")
    };
    folder.write(
        "mail.cedar",
        policy("!context.args.to.contains(\"boss@x.org\")").as_bytes(),
    );
    assert_eq!(folder.run("test", &[]).status.code(), Some(0));
    folder.write(
        "mail.cedar",
        policy("!context.args.cc.contains(\"boss@x.org\")").as_bytes(),
    );
    let problems = folder.problems(&[]);
    assert!(problems.starts_with("mail.cedar:1:"), "{problems}");
}

#[test]
fn functions_that_came_apart_from_the_folder_are_told_with_the_exit_status() {
    let folder = Folder::new(POLICY);
    folder.write(
        "tools.toml",
        b"[tools.pay]\nlabels = []\n[tools.pay.schema]\ntype = \"object\"\nproperties.pin = { type = \"integer\", writeOnly = true }\n",
    );
    let run = |functions: Option<&str>| {
        let mut glassbreak = Command::new(env!("CARGO_BIN_EXE_glassbreak"));
        glassbreak.args(["schema", "tools", "--policy"]).arg(&folder.0);
        if let Some(functions) = functions {
            // Beside the folder: a file of another kind in it is an error.
            let file = folder.0.with_extension("functions");
            fs::write(&file, functions).unwrap();
            glassbreak.arg("--functions").arg(&file);
        }
        glassbreak.output().unwrap()
    };
    let told = run(None);
    let list: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told.status.code(), Some(0));
    assert_eq!(list["tools"][0]["inputSchema"]["properties"]["pin"]["writeOnly"], true);
    assert_eq!(run(Some(&list.to_string())).status.code(), Some(0));
    let other = run(Some(r#"{"tools":[{"name":"play","inputSchema":{}}]}"#));
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("every call of it is denied"));
    assert_eq!(run(Some("[]")).status.code(), Some(2));
    let _ = fs::remove_file(folder.0.with_extension("functions"));
}
