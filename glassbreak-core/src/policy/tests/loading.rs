//! What does not load, and where the reader is sent.

use super::*;

#[test]
fn annotations_are_strict() {
    let forbid = "forbid (principal, action in Action::\"call\", resource);";
    let permit = "permit (principal, action, resource);";
    let line = |annotations: &str, policy: &str| format!("\n{annotations}\n{policy}");
    refused_with(&line("@id(\"x\") @aks(\"oncall\")", forbid), 2, "`@aks`", "`ask`");
    refused_with(
        &line("@id(\"x\") @widow(\"5m\") @ask(\"oncall\")", forbid),
        2,
        "`@widow`",
        "`window`",
    );
    refused_with(&line("@id(\"x\") @frobnicate", forbid), 2, "`@frobnicate`", "`@reason`");
    refused_with(&line("", permit), 3, "no `@id`", "@id(");
    refused_with(&line("@id", permit), 2, "not an id", "letters");
    refused_with(&line("@id(\"a b\")", permit), 2, "not an id", "letters");
    refused_with(&line("@id(\"a.error\")", permit), 2, "taken", "another");
    refused_with(&line("@id(\"no-permit\")", permit), 2, "taken", "another");
    refused_with(&line("@id(\"x\") @ask(\"oncall\")", permit), 2, "permit", "forbid");
    refused_with(&line("@id(\"x\") @ask(\"oncal\")", forbid), 2, "`oncal`", "`oncall`");
    refused_with(&line("@id(\"x\") @ask", forbid), 2, "no group", "people.toml");
    refused_with(
        &line("@id(\"x\") @ask(\"oncall\") @window(\"5 min\")", forbid),
        2,
        "5 min",
        "5m",
    );
    for quorum in ["0", "21", "+2", "two", "", "999"] {
        let text = line(&format!("@id(\"x\") @ask(\"oncall\") @quorum(\"{quorum}\")"), forbid);
        refused_with(&text, 2, "not a quorum", "1 to 20");
    }
    refused_with(
        &line("@id(\"x\") @ask(\"oncall\") @self(\"alow\")", forbid),
        2,
        "alow",
        "allow",
    );
    refused_with(&line("@id(\"x\") @quorum(\"2\")", forbid), 2, "without `@ask`", "@ask");
    refused_with(
        &line("@id(\"x\") @reason(\"a\\u{202e}b\")", forbid),
        2,
        "@reason",
        "one line",
    );
    refused_with(&line("@id(\"x\") @id(\"y\")", forbid), 2, "duplicate", "");
    let twice = format!("@id(\"x\") {permit}\n@id(\"x\") {permit}");
    refused_with(&twice, 2, "main.cedar:1", "of its own");
}

#[test]
fn ids_are_unique_over_all_files() {
    let text = "@id(\"x\") permit (principal, action, resource);";
    let mut folder = Folder::of(text);
    folder.policies.push(("other.cedar", text));
    let problem = the_one(folder.load());
    assert_eq!(problem.file(), "other.cedar");
}

#[test]
fn only_calls_can_be_asked_about() {
    for scope in [
        "action",
        "action == Action::\"approve\"",
        "action in [Action::\"exec:git\", Action::\"approve\"]",
    ] {
        let text = format!("@id(\"x\") @ask(\"oncall\") forbid (principal, {scope}, resource);");
        refused_with(&text, 1, "asks about more than calls", "action in Action::\"call\"");
    }
    for scope in [
        "action in Action::\"call\"",
        "action == Action::\"exec:*\"",
        "action in [Action::\"exec\", Action::\"tool:mcp/chat:say\"]",
    ] {
        load(&format!(
            "@id(\"x\") @ask(\"oncall\") forbid (principal, {scope}, resource);"
        ));
    }
}

#[test]
fn what_is_wrong_in_a_policy_is_told_with_its_place() {
    refused_with(
        "@id(\"x\")\npermit (principal, action, resource)\nwhen { context.argv. };",
        3,
        "unexpected",
        "",
    );
    refused_with(
        "// first\n@id(\"x\") permit (principal, action == Action::\"exec:kubectl\", resource)\nwhen {\n  context.argv.comand == \"get\" };",
        4,
        "comand",
        "command",
    );
    refused_with(
        "\n@id(\"x\") permit (principal, action == Action::\"exec:kubctl\", resource);",
        2,
        "exec:kubctl",
        "exec:kubectl",
    );
    refused_with(
        "@id(\"x\") permit (principal in Team::\"ops-agent\", action, resource);",
        1,
        "Team::\"ops-agent\"",
        "ops-agents",
    );
    refused_with(
        "@id(\"x\") permit (principal, action, resource is Servce);",
        1,
        "Servce",
        "Service",
    );
    refused_with(
        "@id(\"x\")\nforbid (principal == ?principal, action, resource);",
        1,
        "templates",
        "?principal",
    );
    refused_with(
        "@id(\"x\")\nforbid (principal, action, resource) when { unknown(\"x\") };",
        2,
        "unknown",
        "",
    );
    // A Cyrillic letter among Latin ones.
    refused_with(
        "@id(\"x\")\nforbid (principal, action == Action::\"exec:git\", resource)\nwhen { context.argv.command == \"p\u{443}sh\" };",
        3,
        "script",
        "mistaken",
    );
    // Optional arguments are read behind `has` only.
    refused_with(
        "@id(\"x\") forbid (principal, action == Action::\"tool:restart_service\", resource) when { context.args.times > 1 };",
        1,
        "times",
        "has",
    );
    // Never the same type, so never equal: at run time this would silently be false.
    let problem = Folder::of(
        "@id(\"x\") forbid (principal, action == Action::\"exec:git\", resource) when { context.risk == 1 };",
    )
    .load();
    assert!(problem.is_err());
}

/// What a person mends is a policy, a file and a line; the guard says all three, whichever of its checks objects.
#[test]
fn every_refusal_of_a_policy_names_it_its_file_and_its_line() {
    let forbid = |annotations: &str, scope: &str, condition: &str| {
        format!("\n@id(\"the-one\") {annotations}\nforbid (principal, {scope}, resource)\nwhen {{ {condition} }};")
    };
    let (git, fine) = ("action == Action::\"exec:git\"", "context.argv.command == \"push\"");
    let long = format!("context.argv.command like \"*{}*\"", "x".repeat(300));
    let deep = ["context.risk == \"low\""; 70].join(" && ");
    for text in [
        forbid("@aks(\"oncall\")", git, fine),
        forbid("@quorum(\"2\")", git, fine),
        forbid("@ask(\"nobody\")", git, fine),
        forbid("@ask(\"oncall\")", "action", "principal is Role"),
        forbid("", "action == Action::\"exec:gti\"", fine),
        forbid("", git, "context.argv.comand == \"push\""),
        forbid("", git, "context.argv.command == 1"),
        forbid("", git, "context.argv.options.contains(1)"),
        forbid("", git, "context.argv.options == []"),
        forbid("", git, "principal in Team::\"gone\""),
        forbid("", git, "resource is Tool"),
        forbid("", git, "context.argv.command == \"p\u{443}sh\""),
        forbid("", git, "context.argv.command == \"pu\u{200b}sh\""),
        forbid("", git, "context.labels.contains(\"mutatng\")"),
        forbid("", git, "context.seq.budget.pod_delete.count < 3"),
        forbid("", git, "!(context.target.name like \"/srv/*\")"),
        forbid("", git, "ip(context.argv.command).isLoopback()"),
        forbid("", git, &long),
        forbid("", git, &deep),
    ] {
        let problems = Folder::of(&text).load().expect_err(&text);
        for problem in problems {
            assert!(problem.what().contains("policy `the-one`"), "{text}\n{problem}");
            let line = problem.line();
            assert!(
                problem.file() == "main.cedar" && (2..=4).contains(&line),
                "{text}\n{problem}"
            );
        }
    }
}

#[test]
fn labels_and_risks_that_no_call_can_have_are_refused() {
    let forbid = |condition: &str| {
        format!("@id(\"x\")\nforbid (principal, action in Action::\"call\", resource)\nwhen {{ {condition} }};")
    };
    for condition in [
        "context.labels.contains(\"mutatng\")",
        "context.labels.containsAny([\"secret.read\", \"mutatng\"])",
        "[\"mutatng\"].containsAll(context.labels)",
        "context.labels == [\"mutatng\"]",
    ] {
        refused_with(&forbid(condition), 3, "`mutatng`", "`mutating`");
    }
    refused_with(&forbid("context.risk != \"hihg\""), 3, "`hihg`", "`high`");
    load(&forbid(
        "context.labels.contains(\"mutating\") || context.risk == \"high\"",
    ));
    let approve = "@id(\"x\")\npermit (principal, action == Action::\"approve\", resource)\nwhen { context.request.labels.contains(\"mutatng\") };";
    refused_with(approve, 3, "`mutatng`", "`mutating`");
}

#[test]
fn a_policy_that_can_never_hold_is_refused() {
    refused_with(
        "\n@id(\"x\")\nforbid (principal is Person, action == Action::\"exec:git\", resource);",
        2,
        "x",
        "",
    );
    refused_with(
        "@id(\"x\") forbid (principal, action == Action::\"exec:git\", resource)\nwhen { resource is Tool };",
        1,
        "x",
        "never hold",
    );
    refused_with(
        "@id(\"x\") forbid (principal, action == Action::\"exec\", resource);",
        1,
        "x",
        "",
    );
}

#[test]
fn a_permit_that_wants_many_calls_and_a_forbid_that_forgives_are_refused() {
    let policy = |effect: &str, condition: &str| {
        format!("@id(\"x\")\n{effect} (principal, action in Action::\"call\", resource)\nwhen {{\n  {condition} }};")
    };
    let many = "context.seq.budget.pod_delete.count > 3";
    let few = "context.seq.budget.pod_delete.count <= 3";
    refused_with(
        &policy("permit", many),
        4,
        "policy `x`: this permit holds once enough calls",
        "<= 3",
    );
    refused_with(
        &policy("forbid", few),
        4,
        "policy `x`: this forbid no longer holds",
        "> 3",
    );
    refused_with(&policy("@ask(\"oncall\") forbid", few), 4, "no longer holds", "> 3");
    load(&policy("permit", few));
    load(&policy("@ask(\"oncall\") forbid", many));
}

#[test]
fn text_that_could_exhaust_the_stack_is_refused_unread() {
    let nested = format!(
        "@id(\"x\") permit (principal, action, resource) when {{ {}true{} }};",
        "(".repeat(200),
        ")".repeat(200)
    );
    refused_with(&nested, 1, "64 deep", "flatten");
    let nested = format!(
        "@id(\"x\") permit (principal, action, resource) when {{ {}true{} }};",
        "(".repeat(60),
        ")".repeat(60)
    );
    load(&nested);
    let chain = format!(
        "@id(\"x\") permit (principal, action, resource) when {{ {} }};",
        ["1 == 1"; 200].join(" && ")
    );
    refused_with(&chain, 1, "64 expressions deep", "split");
    let chain = format!(
        "@id(\"x\") permit (principal, action, resource) when {{ {} }};",
        vec!["true"; 100_000].join("&&")
    );
    refused_with(&chain, 1, "too long", "split");
    let large = " ".repeat(1024 * 1024 + 1);
    refused_with(&large, 1, "1048577 bytes", "1 MiB");
}

#[test]
fn entities_are_checked() {
    let refused = |entities: &str, line: u32, what: &str, help: &str| {
        let problem = the_one(
            Folder {
                entities,
                ..Folder::of("")
            }
            .load(),
        );
        assert!(
            problem.what().contains(what) && problem.help().contains(help),
            "{problem}"
        );
        assert_eq!((problem.file(), problem.line()), ("entities.json", line), "{problem}");
    };
    let fleet = |id: &str, parent: &str| {
        format!(
            "{{\"uid\": {{\"type\": \"Fleet\", \"id\": \"{id}\"}}, \"attrs\": {{}}, \"parents\": [{{\"type\": \"Fleet\", \"id\": \"{parent}\"}}]}}"
        )
    };
    let problem = the_one(
        Folder {
            entities: &format!("[{},\n{}]", fleet("a", "b"), fleet("b", "a")),
            ..Folder::of("")
        }
        .load(),
    );
    assert!(problem.what().contains("cycle"), "{problem}");
    refused(
        &format!("[{},\n{}]", fleet("a", "c"), fleet("a", "b")),
        2,
        "twice",
        "keep one",
    );
    refused(
        &format!("[{},\n{}]", fleet("a", "c"), fleet("a", "c")),
        2,
        "twice",
        "keep one",
    );
    for (ty, help) in [
        ("Person", "people.toml"),
        ("Group", "people.toml"),
        ("Tool", "tools.toml"),
        ("Program", "safe-bins"),
        ("Action", "profiles"),
    ] {
        let text =
            format!("[\n{{\"uid\": {{\"type\": \"{ty}\", \"id\": \"call\"}}, \"attrs\": {{}}, \"parents\": []}}]");
        refused(&text, 2, "may not stand here", help);
        let text = format!(
            "[\n{{\"uid\": {{\"__entity\": {{\"type\": \"{ty}\", \"id\": \"call\"}}}}, \"attrs\": {{}}, \"parents\": []}}]"
        );
        refused(&text, 2, "may not stand here", help);
    }
    refused(
        "[\n{\"uid\": {\"type\": \"Rolle\", \"id\": \"x\"}, \"attrs\": {}, \"parents\": []}]",
        2,
        "Rolle",
        "",
    );
    refused(
        "[\n{\"uid\": {\"type\": \"Service\", \"id\": \"x\"}, \"attrs\": {\"tier\": \"1\"}, \"parents\": []}]",
        2,
        "",
        "",
    );
    refused("[{\"uid\": 1,\n \"uid\": 2}]", 2, "stands twice", "");
    refused("{}", 1, "not a list", "JSON");
    refused("[", 1, "EOF", "JSON");
}

#[test]
fn the_hosts_schema_may_not_touch_calls() {
    let refused = |host: &str, line: u32, what: &str| {
        let problem = the_one(
            Folder {
                host,
                entities: "[]",
                ..Folder::of("")
            }
            .load(),
        );
        assert!(problem.what().contains(what), "{problem}");
        assert_eq!(
            (problem.file(), problem.line()),
            ("schema.cedarschema", line),
            "{problem}"
        );
    };
    refused(
        "entity Service;\naction \"exec:helm\" appliesTo { principal: Role, resource: Service };",
        2,
        "exec:helm",
    );
    refused("entity Service;\nnamespace X {\n action a;\n}", 3, "`a`");
    refused("entity Service;\nentity Person;", 2, "Person");
    refused("entity Service;\ntype CallSeq = Long;", 2, "CallSeq");
    refused("entity Service;\nentity String;", 2, "String");
    refused("entity Service {\n tier: Lnog };", 2, "Lnog");
    refused("entity Service {", 1, "");
    let problem = the_one(
        Folder {
            host: "entity Servise;",
            entities: "[]",
            ..Folder::of("")
        }
        .load(),
    );
    assert!(
        problem.file() == "tools.toml" && problem.help().contains("Servise"),
        "{problem}"
    );
    refused("entity Service;\nnamespace X {\n entity Person;\n}", 3, "Person");
    refused("entity Service;\nexternal entity Elsewhere;", 1, "external");
    let names = ["Service", "Fleet"];
    assert!(names.iter().all(|name| load("").schema().contains(name)));
    let parsed: Result<Schema, _> = load("").schema().parse();
    assert!(parsed.is_ok());
}

#[test]
fn a_bundle_without_budgets_tools_or_host_types_has_a_schema() {
    let shape = Shape::default();
    let loaded = Policies::load(PolicyInput {
        policies: Vec::new(),
        entities: None,
        host_schema: None,
        shape: &shape,
        people: &People::default(),
        vocabulary: &Vocabulary::built_in(),
        no_permit: Outcome::Deny,
    });
    assert!(loaded.is_ok(), "{loaded:?}");
}

#[test]
fn another_name_of_a_program_is_none_to_policies() {
    let exec = "action == Action::\"exec:git\", resource";
    for policy in [
        "forbid (principal, action in Action::\"exec\", resource == Program::\"tig\");".to_owned(),
        format!("forbid (principal, {exec}) when {{ resource == Program::\"tig\" }};"),
        format!("forbid (principal, {exec}) when {{ context.argv.program == \"tig\" }};"),
        format!("forbid (principal, {exec}) when {{ [\"git\", \"tig\"].contains(context.argv.program) }};"),
    ] {
        let text = format!("@id(\"x\")\n{policy}");
        let mut folder = Folder::of(&text);
        folder.shape.programs[1].aliases = vec!["tig".to_owned()];
        let problem = the_one(folder.load());
        assert!(
            problem.what().contains("`tig` is another name of `git`") && problem.help().contains("write `git`"),
            "{problem}"
        );
        // With a profile of its own it is a program.
        folder.shape.programs.push(crate::shape::ProgramShape {
            program: "tig".to_owned(),
            ..Default::default()
        });
        assert!(folder.load().is_ok(), "{text}");
    }
}
