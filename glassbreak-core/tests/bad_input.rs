//! It is bad input that shows the quality: what is not a call, and what is not a policy folder. Each gets an answer
//! that names the place and says what to do; none is an allow, and none a panic.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Workspace, wire};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::finding::Outcome;
use glassbreak_core::judge::{SessionState, judge, refused};

/// A folder that allows a program and a tool as freely as a folder can: what is refused here, nothing allows.
fn folder() -> Files {
    let files = [
        ("glassbreak.toml", "[ask]\ngroup = \"oncall\"\n"),
        (
            "people.toml",
            "[groups.oncall]\n[persons.alice]\ngroups = [\"oncall\"]\n",
        ),
        (
            "safe-bins.toml",
            "schema = 1\n[profiles.echo]\nroot.verdict = \"allow\"\n\
             root.forms = [{ operands = [{ type = \"lines\", min = 0, max = 600 }] }]\nroot.stdin = true\n\
             examples.allow = [\"echo hello\"]\n",
        ),
        (
            "tools.toml",
            "[tools.note]\nlabels = []\n[tools.note.schema]\ntype = \"object\"\nproperties.text = { type = \"string\" }\n",
        ),
        (
            "entities.json",
            "[\n  {\"uid\": {\"type\": \"Role\", \"id\": \"anonymous\"}, \"attrs\": {}, \"parents\": []}\n]\n",
        ),
        (
            "all.cedar",
            "@id(\"all\")\npermit (principal, action in Action::\"call\", resource);\n",
        ),
    ];
    files
        .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
        .into()
}

fn state() -> SessionState {
    SessionState::new(Workspace::new("/workspace").unwrap())
}

/// What becomes of a line: the outcome, the first rule, and why and hint in one.
fn judged(line: &[u8]) -> (Outcome, String, String) {
    let bundle = Bundle::from_files(&folder()).unwrap_or_else(|problems| panic!("{problems}"));
    let judgement = match wire::read(line) {
        Ok(line) => judge(&bundle, &state(), &line.call, Timestamp::from_millis(0)),
        Err(malformed) => refused(&bundle, malformed.finding()),
    };
    let ruling = &judgement.ruling;
    let rule = ruling
        .deciding()
        .next()
        .map_or(String::new(), |finding| finding.rule().to_string());
    (ruling.outcome(), rule, format!("{} | {}", ruling.why(), ruling.hint()))
}

/// A line that is refused under `hygiene.<code>`, by words that hold all of `told`.
fn refuses(line: impl AsRef<[u8]>, code: &str, told: &[&str]) {
    let (outcome, rule, words) = judged(line.as_ref());
    let line = String::from_utf8_lossy(line.as_ref())
        .chars()
        .take(120)
        .collect::<String>();
    assert_eq!(
        (outcome, rule.as_str()),
        (Outcome::Deny, &*format!("hygiene.{code}")),
        "{line}: {words}"
    );
    for part in told {
        assert!(words.contains(part), "{line}: `{part}` is not in: {words}");
    }
    let (_, hint) = words.split_once(" | ").unwrap();
    assert!(!hint.is_empty(), "{line} gets no hint");
    assert!(
        !words
            .chars()
            .any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)),
        "{words:?}"
    );
    assert!(words.len() < 1000, "{} bytes of words for {line}", words.len());
}

fn exec(argv: &str) -> String {
    format!("{{\"exec\":{{\"argv\":{argv}}}}}")
}

fn tool(arguments: &str) -> String {
    format!("{{\"tool\":{{\"name\":\"note\",\"arguments\":{arguments}}}}}")
}

#[test]
fn the_folder_of_these_tests_allows_what_is_well_formed() {
    assert_eq!(judged(exec("[\"echo\",\"x\"]").as_bytes()).0, Outcome::Allow);
    assert_eq!(judged(tool("{\"text\":\"x\"}").as_bytes()).0, Outcome::Allow);
}

#[test]
fn empty_argv() {
    refuses(exec("[]"), "argv.empty", &["exec.argv", "no program"]);
    refuses(r#"{"exec":{}}"#, "call.missing", &["exec.argv"]);
    refuses(r#"{"exec":{"argv":null}}"#, "call.shape", &["exec.argv", "null"]);
    refuses(
        r#"{"exec":{"argv":"ls"}}"#,
        "call.shape",
        &["exec.argv", "a list of strings"],
    );
    refuses(exec("[\"echo\",7]"), "call.shape", &["exec.argv[1]", "a number"]);
}

#[test]
fn nul() {
    refuses(exec("[\"echo\",\"a\\u0000b\"]"), "argv.nul", &["exec.argv[1]", "NUL"]);
    refuses(tool("{\"text\":\"a\\u0000\"}"), "text.nul", &["tool.arguments.text"]);
    refuses(
        r#"{"exec":{"argv":["echo"],"cwd":"a\u0000"}}"#,
        "text.nul",
        &["exec.cwd"],
    );
    refuses(
        r#"{"exec":{"argv":["echo"],"env":{"A":"\u0000"}}}"#,
        "text.nul",
        &["exec.env.A"],
    );
    refuses(b"{\"exec\":{\"argv\":[\"echo\",\"\0\"]}}", "call.json", &["column"]);
}

#[test]
fn invalid_utf8() {
    refuses(
        b"{\"exec\":{\"argv\":[\"echo\",\"\xff\xfe\"]}}",
        "call.json",
        &["column", "UTF-8"],
    );
    refuses(
        b"{\"exec\":{\"argv\":[\"echo\",\"\xed\xa0\x80\"]}}",
        "call.json",
        &["column"],
    );
    refuses(exec("[\"echo\",\"\\ud800\"]"), "call.json", &["column"]);
    refuses(b"\xef\xbb\xbf{}", "call.json", &["column 1"]);
    refuses(b"\x80", "call.json", &["JSON"]);
}

#[test]
fn one_mebibyte_in_one_argument() {
    let long = "x".repeat(1 << 20);
    refuses(
        exec(&format!("[\"echo\",\"{long}\"]")),
        "argv.too-long",
        &["exec.argv[1]", "1048576", "file"],
    );
    refuses(
        tool(&format!("{{\"text\":\"{long}\"}}")),
        "args.too-long",
        &["tool.arguments.text", "262,144"],
    );
    refuses(
        exec(&format!("[{}\"\"]", "\"\",".repeat(512))),
        "argv.too-many",
        &["exec.argv", "513 words", "512"],
    );
    let less = "x".repeat((64 << 10) + 1);
    refuses(
        tool(&format!("{{\"text\":\"{less}\"}}")),
        "args.too-long",
        &["tool.arguments.text", "65,536"],
    );
    refuses(
        format!("{{\"exec\":{{\"argv\":[\"echo\"],\"cwd\":\"{}\"}}}}", "a".repeat(4097)),
        "text.too-long",
        &["exec.cwd"],
    );
    refuses(
        format!("{{\"exec\":{{\"argv\":[\"echo\"],\"stdin\":\"{long}x\"}}}}"),
        "stdin.too-long",
        &["exec.stdin"],
    );
    refuses(
        tool(&format!("{{\"text\":[{}1]}}", "1,".repeat(4096))),
        "args.too-many",
        &["tool.arguments.text", "4097"],
    );
}

#[test]
fn control_and_bidirectional_characters() {
    for (text, point) in [
        ("\\u001b[2J", "U+001B"),
        ("\\u007f", "U+007F"),
        ("\\r", "U+000D"),
        ("\\u202e", "U+202E"),
        ("\\u2066", "U+2066"),
        ("\\u200b", "U+200B"),
        ("\\ufeff", "U+FEFF"),
        ("\\udb40\\udc41", "U+E0041"),
    ] {
        refuses(
            exec(&format!("[\"echo\",\"{text}\"]")),
            "argv.unshowable",
            &["exec.argv[1]", point],
        );
        refuses(
            tool(&format!("{{\"text\":\"{text}\"}}")),
            "text.unshowable",
            &["tool.arguments.text", point],
        );
    }
    refuses(exec("[\"ec\\u200bho\"]"), "argv.unshowable", &["exec.argv[0]"]);
    refuses(exec("[\"e\\u0441ho\"]"), "argv.program-not-ascii", &["exec.argv[0]"]);
    refuses(exec("[\"echo\",\"e\\u0301\"]"), "argv.not-normal", &["exec.argv[1]"]);
    refuses(
        r#"{"actor":{"role":"an\u202eon"},"exec":{"argv":["echo"]}}"#,
        "call.name",
        &["actor.role"],
    );
}

#[test]
fn a_shell_string() {
    refuses(
        r#"{"exec":{"shell":"echo x"}}"#,
        "exec.shell",
        &["exec.shell", "`echo x`", "argv"],
    );
    refuses(
        r#"{"exec":{"argv":["echo"],"shell":"rm -rf /"}}"#,
        "exec.shell",
        &["exec.shell"],
    );
    refuses(r#"{"exec":{"shell":"a\u001b[2Jb"}}"#, "exec.shell", &["\\u{1b}"]);
}

#[test]
fn unknown_and_duplicate_keys() {
    refuses(
        r#"{"exec":{"argv":["echo"],"cwdd":"."}}"#,
        "call.unknown-key",
        &["exec.cwdd", "did you mean `cwd`?"],
    );
    refuses(
        r#"{"exec":{"argv":["echo"]},"allow":true}"#,
        "call.unknown-key",
        &["allow", "known here"],
    );
    refuses(
        r#"{"exec":{"argv":["rm"],"argv":["echo"]}}"#,
        "call.json",
        &["`argv` stands twice"],
    );
    refuses(
        r#"{"exec":{"argv":["echo"]},"e\u0078ec":{"argv":["rm"]}}"#,
        "call.json",
        &["`exec` stands twice"],
    );
    refuses(
        tool("{\"text\":\"a\",\"text\":\"b\"}"),
        "call.json",
        &["`text` stands twice"],
    );
    refuses(
        r#"{"exec":{"argv":["echo"]},"tool":{"name":"note"}}"#,
        "call.operation",
        &["more than one"],
    );
    refuses("{}", "call.operation", &["no exec, tool or connect"]);
    refuses(
        r#"{"actor":{"role":"anonymous","admin":true},"exec":{"argv":["echo"]}}"#,
        "call.unknown-key",
        &["actor.admin"],
    );
    assert_ne!(judged(tool("{\"txt\":\"a\"}").as_bytes()).0, Outcome::Allow);
}

#[test]
fn floats_and_nulls_in_arguments() {
    for number in ["1.5", "1.0", "1e3", "-0.0", "9223372036854775808", "1e999"] {
        let (outcome, rule, words) = judged(tool(&format!("{{\"text\":{number}}}")).as_bytes());
        assert_eq!(outcome, Outcome::Deny, "{number}: {words}");
        assert!(
            ["hygiene.args.number", "hygiene.call.json"].contains(&rule.as_str()),
            "{number}: {rule}"
        );
    }
    refuses(
        tool("{\"text\":1.5}"),
        "args.number",
        &["tool.arguments.text", "1.5", "whole number"],
    );
    refuses(tool("{\"text\":null}"), "args.null", &["tool.arguments.text", "null"]);
    refuses(
        tool("{\"text\":{\"a\":[1,null]}}"),
        "args.null",
        &["tool.arguments.text.a[1]"],
    );
    refuses(tool("null"), "args.null", &["tool.arguments"]);
    refuses(tool("[1]"), "args.shape", &["tool.arguments"]);
    refuses(tool("{\"text\":NaN}"), "call.json", &["column"]);
}

#[test]
fn json_a_thousand_deep() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(1000), close.repeat(1000));
    refuses(
        tool(&format!("{{\"text\":{}}}", deep("[", "]"))),
        "call.json",
        &["column"],
    );
    refuses(
        tool(&format!("{{\"text\":{}}}", deep("{\"a\":", "}"))),
        "call.json",
        &["column"],
    );
    refuses(deep("[", "]"), "call.json", &["column"]);
    refuses(deep("{\"id\":", "}"), "call.json", &["column"]);
    assert_eq!(wire::read_id_of(deep("{\"id\":", "}").as_bytes()), None);
    refuses(
        tool(&format!("{{\"text\":{}1{}}}", "[".repeat(20), "]".repeat(20))),
        "args.too-deep",
        &["8 deep"],
    );
}

#[test]
fn what_is_not_a_call_at_all() {
    for line in [
        "",
        " ",
        "null",
        "7",
        "\"x\"",
        "[]",
        "{",
        "{\"exec\":",
        "{}{}",
        "exec: ls",
        "{'exec':1}",
    ] {
        let (outcome, rule, words) = judged(line.as_bytes());
        assert_eq!(outcome, Outcome::Deny, "{line}: {words}");
        assert!(rule.starts_with("hygiene.call."), "{line}: {rule}");
    }
    refuses(
        r#"{"connect":{"host":"example.org","port":443}}"#,
        "connect.not-built",
        &["example.org", "not built"],
    );
    refuses(
        r#"{"connect":{"host":"example.org","port":0}}"#,
        "call.shape",
        &["connect.port"],
    );
    refuses(
        r#"{"actor":{"role":"root"},"exec":{"argv":["echo"]}}"#,
        "role.unknown",
        &["`root`"],
    );
    refuses(
        r#"{"exec":{"argv":["echo"],"cwd":"../other"}}"#,
        "cwd.outside",
        &["../other", "workspace"],
    );
    refuses(
        r#"{"exec":{"argv":["echo"],"env":{"A=B":"1"}}}"#,
        "env.name",
        &["exec.env"],
    );
    refuses(
        r#"{"tool":{"name":"noet"}}"#,
        "tool.unknown",
        &["`noet`", "did you mean `note`?"],
    );
    refuses(
        r#"{"at":"tomorrow","exec":{"argv":["echo"]}}"#,
        "call.at",
        &["RFC 3339"],
    );
}

/// Puts `text` at `name`, and expects the folder not to load, with a problem that begins with `place` (file and line)
/// and holds all of `told`.
fn rejects(name: &str, text: &str, place: &str, told: &[&str]) {
    let mut files = folder();
    files.insert(name.to_owned(), text.as_bytes().to_vec());
    let problems = match Bundle::from_files(&files) {
        Ok(_) => panic!("{name} loads:\n{text}"),
        Err(problems) => problems,
    };
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let fits = |problem: &&String| problem.starts_with(place) && told.iter().all(|part| problem.contains(part));
    assert!(
        all.iter().any(|problem| fits(&problem)),
        "wanted {place} with {told:?}, got:\n{}",
        all.join("\n")
    );
    for problem in &problems {
        assert!(!problem.help().is_empty() && !problem.what().is_empty(), "{problem}");
        assert!(
            !problem
                .to_string()
                .replace("\n  help: ", " ")
                .contains(char::is_control),
            "{problem:?}"
        );
    }
}

#[test]
fn a_policy_with_a_syntax_error() {
    let all = "@id(\"all\")\npermit (principal, action, resource);\n";
    rejects(
        "all.cedar",
        "@id(\"a\")\npermit (principal, action, resource)\nwhen { context.x = };\n",
        "all.cedar:3:",
        &[],
    );
    rejects("all.cedar", &format!("{all}forbid\n"), "all.cedar:", &[]);
    rejects(
        "all.cedar",
        "permit (principal, action in Action::\"call\", resource);\n",
        "all.cedar:1:",
        &["@id"],
    );
    rejects(
        "more.cedar",
        "@id(\"all\")\nforbid (principal, action in Action::\"call\", resource);\n",
        "",
        &["`all`"],
    );
    rejects(
        "all.cedar",
        "@id(\"a\") @aks(\"oncall\")\nforbid (principal, action in Action::\"call\", resource);\n",
        "all.cedar:1:",
        &["aks", "ask"],
    );
    rejects(
        "all.cedar",
        "@id(\"a\") @ask(\"oncall\")\npermit (principal, action in Action::\"call\", resource);\n",
        "all.cedar:1:",
        &["ask"],
    );
    rejects(
        "all.cedar",
        "@id(\"a\") @ask(\"oncal\")\nforbid (principal, action in Action::\"call\", resource);\n",
        "all.cedar:1:",
        &["did you mean `oncall`?"],
    );
    let deep = format!(
        "@id(\"a\")\npermit (principal, action in Action::\"call\", resource)\nwhen {{ {}true{} }};",
        "(".repeat(1000),
        ")".repeat(1000)
    );
    rejects("all.cedar", &deep, "all.cedar:", &[]);
}

#[test]
fn a_policy_with_an_unknown_attribute() {
    let policy = |condition: &str| {
        format!("@id(\"a\")\npermit (principal, action == Action::\"exec:echo\", resource)\nwhen {{ {condition} }};\n")
    };
    for (condition, told) in [
        ("context.argv.comand == \"x\"", "comand"),
        ("context.nothing", "nothing"),
        ("context.argv.kinds.contains(\"pod\")", "kinds"),
        ("context.seq.budget.gone.count <= 3", "gone"),
        ("principal.admin", "admin"),
    ] {
        rejects("all.cedar", &policy(condition), "all.cedar:3:", &[told]);
    }
    rejects("all.cedar", &policy("context.argv.command == 7"), "all.cedar:", &[]);
    rejects(
        "all.cedar",
        "@id(\"a\")\npermit (principal, action == Action::\"exec:ecco\", resource);\n",
        "all.cedar:2:",
        &["exec:ecco"],
    );
    rejects(
        "all.cedar",
        "@id(\"a\")\npermit (principal == Role::\"anonymos\", action in Action::\"call\", resource);\n",
        "all.cedar:2:",
        &["anonymos", "anonymous"],
    );
}

const BUDGET: &str = "schema = 1\n[[budget]]\nid = \"b\"\nmatch = { labels = [\"mutating\"] }\nkey = [\"session\"]\nlimit = 3\n\
                      window = { sliding = \"10m\" }\ndurability = \"none\"\n";

#[test]
fn a_budget_with_an_unknown_label() {
    let with = |from: &str, to: &str| BUDGET.replace(from, to);
    rejects(
        "budgets.toml",
        &with("mutating", "mutatin"),
        "budgets.toml:4:",
        &["mutatin", "did you mean `mutating`?"],
    );
    rejects(
        "budgets.toml",
        &with("labels = [\"mutating\"]", "labels = [], tools = [\"noet\"]"),
        "budgets.toml:4:",
        &["noet"],
    );
    rejects(
        "budgets.toml",
        &with("limit = 3", "limit = 3.5"),
        "budgets.toml:6:",
        &["limit"],
    );
    rejects(
        "budgets.toml",
        &with("limit = 3", "limit = -1"),
        "budgets.toml:6:",
        &["limit"],
    );
    rejects(
        "budgets.toml",
        &with("limit = 3", "limit = 3\nlimitt = 4"),
        "budgets.toml:7:",
        &["limitt", "did you mean `limit`?"],
    );
    rejects(
        "budgets.toml",
        &with("limit = 3", "limit = 3\nlimit = 4"),
        "budgets.toml:7:",
        &["duplicate"],
    );
    rejects(
        "budgets.toml",
        &format!("{BUDGET}{}", BUDGET.replace("schema = 1\n", "")),
        "budgets.toml:10:",
        &["stands twice"],
    );
}

#[test]
fn an_entity_cycle() {
    let entities = r#"[
  {"uid": {"type": "Role", "id": "anonymous"}, "attrs": {}, "parents": [{"type": "Team", "id": "a"}]},
  {"uid": {"type": "Team", "id": "a"}, "attrs": {}, "parents": [{"type": "Team", "id": "a"}]}
]"#;
    rejects("entities.json", entities, "entities.json:", &[]);
    let nested = "entity Box in [Box];\n";
    let cycle = r#"[
  {"uid": {"type": "Role", "id": "anonymous"}, "attrs": {}, "parents": []},
  {"uid": {"type": "Box", "id": "a"}, "attrs": {}, "parents": [{"type": "Box", "id": "b"}]},
  {"uid": {"type": "Box", "id": "b"}, "attrs": {}, "parents": [{"type": "Box", "id": "a"}]}
]"#;
    let mut files = folder();
    files.insert("schema.cedarschema".to_owned(), nested.into());
    files.insert("entities.json".to_owned(), cycle.into());
    let problems = Bundle::from_files(&files).map(|_| ()).unwrap_err().to_string();
    assert!(
        problems.starts_with("entities.json:") && problems.contains("cycle"),
        "{problems}"
    );
    rejects(
        "entities.json",
        "[{\"uid\": {\"type\": \"Role\", \"id\": \"a\"}, \"attrs\": {}, \"parents\": [], \"x\": 1}]",
        "entities.json:1:",
        &["x"],
    );
    rejects(
        "entities.json",
        "[{\"uid\": {\"type\": \"Role\", \"id\": \"a\", \"id\": \"b\"}, \"attrs\": {}, \"parents\": []}]",
        "entities.json:1:",
        &["twice"],
    );
    rejects("entities.json", "[\n{\n", "entities.json:", &[]);
    rejects(
        "entities.json",
        &format!("{}{}", "[".repeat(1000), "]".repeat(1000)),
        "entities.json:1:",
        &[],
    );
}

#[test]
fn a_profile_without_examples() {
    let profile = "schema = 1\n[profiles.cat]\nroot.verdict = \"allow\"\nroot.forms = [{ operands = [] }]\n";
    rejects(
        "safe-bins.toml",
        profile,
        "safe-bins.toml:2:",
        &["`cat` has no examples", "examples.allow"],
    );
    let wrong = format!("{profile}examples.allow = [\"cat x\"]\n");
    rejects("safe-bins.toml", &wrong, "safe-bins.toml:5:", &["cat x"]);
    rejects(
        "safe-bins.toml",
        "schema = 1\nuse = [\"builtin:kubectl\"]\n",
        "safe-bins.toml:2:",
        &["builtin:kubectl-readonly"],
    );
    rejects(
        "safe-bins.toml",
        &format!("{profile}verdct = \"allow\"\n"),
        "safe-bins.toml:5:",
        &["verdct"],
    );
    rejects("safe-bins.toml", "schema = 2\n", "safe-bins.toml:1:", &["schema"]);
    rejects(
        "safe-bins.toml",
        &profile.replace("\"allow\"", "\"alow\""),
        "safe-bins.toml:3:",
        &["alow"],
    );
    rejects("safe-bins.toml", "schema = 1\nschema = 1\n", "safe-bins.toml:2:", &[]);
    rejects(
        "safe-bins.json",
        "{\"safeBins\": {}}",
        "safe-bins.json:1:",
        &["safe-bins.toml"],
    );
}

#[test]
fn the_json_of_the_write_up_that_is_not_json() {
    let mut files = folder();
    files.remove("safe-bins.toml");
    for (text, place) in [
        ("\n", "safe-bins.json:2:1: EOF"),
        (
            "{\"safeBins\": {},\n \"safeBins\": {}}",
            "safe-bins.json:2:11: the key `safeBins` stands twice",
        ),
        (
            "{\"safeBins\": {\"ls\": {\"allow\": []}}}",
            "safe-bins.json:1:22: the key `allow`",
        ),
    ] {
        files.insert("safe-bins.json".to_owned(), text.into());
        let problems = Bundle::from_files(&files).map(|_| ()).unwrap_err().to_string();
        assert!(problems.starts_with(place) && problems.contains("help: "), "{problems}");
    }
}

#[test]
fn unknown_files_in_the_folder() {
    rejects(
        "glasbreak.toml",
        "",
        "glasbreak.toml:1:1:",
        &["did you mean `glassbreak.toml`?"],
    );
    rejects("policy.rego", "", "policy.rego:1:1:", &["a policy folder holds"]);
    rejects("old/all.cedar", "", "old/all.cedar:1:1:", &["not part of"]);
    rejects("tests/deep/a.toml", "", "tests/deep/a.toml:1:1:", &["not part of"]);
    rejects("all.cedar.bak", "", "all.cedar.bak:1:1:", &["not part of"]);
    rejects("egress.toml", "", "egress.toml:1:1:", &["not built", "remove"]);
    let mut files = folder();
    files.insert("all.cedar".to_owned(), b"@id(\"a\")\n// \xff\n".to_vec());
    let problems = Bundle::from_files(&files).map(|_| ()).unwrap_err().to_string();
    assert!(problems.starts_with("all.cedar:2:1: this is not UTF-8"), "{problems}");
    files.insert("all.cedar".to_owned(), vec![b' '; (1 << 20) + 1]);
    let problems = Bundle::from_files(&files).map(|_| ()).unwrap_err().to_string();
    assert!(
        problems.starts_with("all.cedar:1:1:") && problems.contains("1 MiB"),
        "{problems}"
    );
}

#[test]
fn keys_of_parts_that_are_not_built() {
    for (key, told) in [
        ("escalate", "[stages.<group>]"),
        ("egress", "not built"),
        ("deadlines", "[requests]"),
        ("audit", "the gate's builder"),
        ("store", "the gate's builder"),
        ("notify", "the gate's builder"),
        ("operators", "Action::\"operate\""),
        ("locks", "Action::\"lock\""),
    ] {
        let text = format!("[ask]\ngroup = \"oncall\"\n[{key}]\nx = 1\n");
        rejects("glassbreak.toml", &text, "glassbreak.toml:3:", &[key, told]);
    }
    rejects(
        "glassbreak.toml",
        "[requests]\npending = 0\n",
        "glassbreak.toml:2:",
        &["`pending` is 0"],
    );
    rejects(
        "glassbreak.toml",
        "unlisted = \"allow\"\n",
        "glassbreak.toml:1:",
        &["cannot be \"allow\""],
    );
    rejects(
        "glassbreak.toml",
        "no_permit = \"allow\"\n",
        "glassbreak.toml:1:",
        &["cannot be \"allow\""],
    );
    rejects(
        "glassbreak.toml",
        "unlistd = \"ask\"\n",
        "glassbreak.toml:1:",
        &["did you mean `unlisted`?"],
    );
    for (from, to, told) in [
        ("key = [\"session\"]", "key = [\"tenant\"]", "not built"),
        ("sliding = \"10m\"", "calendar = \"month\"", "cannot be \"month\""),
        ("limit = 3", "limit = 3\namount = 0", "`amount` is 0"),
    ] {
        rejects("budgets.toml", &BUDGET.replace(from, to), "budgets.toml:", &[told]);
    }
    for (table, told) in [
        ("pattern", "a pattern of 0 steps"),
        ("distinct", "does not say what is told apart"),
        ("latch", "names no labels"),
        ("breaker", "has no key"),
        ("approvals", "has no limit"),
    ] {
        rejects(
            "budgets.toml",
            &format!("{BUDGET}[[{table}]]\nid = \"x\"\n"),
            "budgets.toml:9:",
            &[told],
        );
    }
    rejects(
        "budgets.toml",
        &format!("{BUDGET}[[decay]]\nid = \"x\"\n"),
        "budgets.toml:9:",
        &["not built"],
    );
    rejects(
        "tools.toml",
        "[tools.note]\nlabels = []\ncost = 3\n",
        "tools.toml:3:",
        &["cost", "a table is wanted"],
    );
    rejects("tools.toml", "[tools.note]\n", "tools.toml:1:", &["labels"]);
    rejects(
        "people.toml",
        "[groups.oncall]\n[persons.alice]\ngroups = [\"oncal\"]\n",
        "people.toml:3:",
        &["oncal"],
    );
    rejects(
        "people.toml",
        "[groups.oncall]\n[persons.alice]\nuid = 7\n[persons.bob]\nuid = 7\n",
        "people.toml:5:",
        &["`uid:7`", "`alice`"],
    );
}

#[test]
fn a_folder_that_is_not_there_or_not_a_folder() {
    for path in [
        "/nowhere/at/all",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        "",
    ] {
        let problems = Bundle::open(path).map(|_| ()).unwrap_err();
        assert!(problems.iter().all(|problem| !problem.help().is_empty()), "{problems}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let mut files = folder();
    files.insert("egress.toml".to_owned(), Vec::new());
    files.insert("polcy.cedr".to_owned(), Vec::new());
    assert_eq!(Bundle::from_files(&files).map(|_| ()).unwrap_err().iter().count(), 2);
    let mut files = folder();
    files.insert("tools.toml".to_owned(), "[tools.note]\nlabels = [\"mutatin\"]\n".into());
    files.insert(
        "budgets.toml".to_owned(),
        BUDGET.replace("mutating", "mutatin").into_bytes(),
    );
    let problems = Bundle::from_files(&files).map(|_| ()).unwrap_err();
    let mut wrong: Vec<&str> = problems.iter().map(|problem| problem.file()).collect();
    wrong.dedup();
    assert_eq!(wrong, ["budgets.toml", "tools.toml"]);
}
