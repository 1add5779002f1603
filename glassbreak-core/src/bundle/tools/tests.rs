use super::*;
use crate::call::Operation;
use crate::call::wire;

const SHOP: &str = r#"
[tools.restart_service]
about = "restarts one service"
labels = ["mutating"]
resource = { type = "Shop::Service", id = "args.name" }
target = { kind = "service", name = "args.name", namespace = "args.where.ns" }

[tools.restart_service.schema]
type = "object"
description = "what to restart"
required = ["name"]
properties.name = { type = "string", pattern = "[a-z][a-z0-9-]*", maxLength = 12 }
properties.mode = { type = "string", enum = ["soft", "hard"] }
properties.grace = { type = "integer", minimum = 0, maximum = 600 }
properties.force = { type = "boolean" }
properties.hosts = { type = "array", items = { type = "string" } }
properties.where = { type = "object", properties = { ns = { type = "string" } } }

[tools.ping]
labels = []
"#;

fn load(text: &str) -> Result<Tools, Vec<String>> {
    let source = Source {
        file: "tools.toml",
        text,
    };
    Tools::load(Some(source), None, &Vocabulary::built_in())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn tool(name: &str, arguments: &str) -> Tool {
    let line = format!(r#"{{"tool":{{"name":"{name}","arguments":{arguments}}}}}"#);
    match wire::read(line.as_bytes()).unwrap().call.operation {
        Operation::Tool(tool) => tool,
        other => panic!("{other:?}"),
    }
}

fn judge(arguments: &str) -> Result<ToolFacts, Finding> {
    let tools = load(SHOP).unwrap();
    tools
        .get("restart_service")
        .unwrap()
        .judge(&tool("restart_service", arguments))
}

#[test]
fn a_good_call_has_its_facts() {
    let facts =
        judge(r#"{"name":"web","mode":"soft","grace":600,"force":true,"hosts":["a"],"where":{"ns":"prod"}}"#).unwrap();
    assert_eq!(facts.target.kind, Fact::Is("service".into()));
    assert_eq!(facts.target.name, Fact::Is("web".into()));
    assert_eq!(facts.target.namespace, Fact::Is("prod".into()));
    assert_eq!(facts.target.owner, Fact::Absent);
    assert_eq!(facts.resource, Some(("Shop::Service".to_owned(), "web".to_owned())));
    assert!(facts.labels.contains(Vocabulary::built_in().get("mutating").unwrap()));
    assert_eq!(facts.args.len(), 6);
    assert_eq!(judge(r#"{"name":"web"}"#).unwrap().target.namespace, Fact::Absent);
    assert_eq!(
        judge(r#"{"name":"web","where":{}}"#).unwrap().target.namespace,
        Fact::Absent
    );
}

#[test]
fn the_manifest_lists_what_it_has() {
    let tools = load(SHOP).unwrap();
    assert_eq!(tools.names().collect::<Vec<_>>(), ["ping", "restart_service"]);
    let shapes: Vec<(&str, usize)> = tools
        .shapes()
        .iter()
        .map(|shape| (shape.name.as_str(), shape.args.len()))
        .collect();
    assert_eq!(shapes, [("ping", 0), ("restart_service", 6)]);
    assert_eq!(tools.shapes()[1].resource_type.as_deref(), Some("Shop::Service"));
    assert_eq!(tools.nearest("restart_servise"), Some("restart_service"));
    assert_eq!(tools.nearest("launch_rocket"), None);
    let ping = tools.get("ping").unwrap();
    assert_eq!(ping.judge(&tool("ping", "{}")).unwrap().resource, None);
    assert!(
        ping.judge(&tool("ping", r#"{"x":1}"#))
            .unwrap_err()
            .hint()
            .contains("no arguments")
    );
    assert!(
        Tools::load(None, None, &Vocabulary::built_in())
            .unwrap()
            .get("ping")
            .is_none()
    );
}

#[test]
fn a_wrong_argument_is_named_with_what_would_be_allowed() {
    for (arguments, why, hint) in [
        (
            "{}",
            "arguments.name: it is missing",
            "give a string of at most 12 bytes that matches [a-z][a-z0-9-]* as a whole",
        ),
        (
            r#"{"name":"web","graze":1}"#,
            "arguments.graze: there is no such argument",
            "did you mean grace?",
        ),
        (
            r#"{"name":"web","zzz":1}"#,
            "arguments.zzz: there is no such argument",
            "known here: force, grace, hosts, mode, name, where",
        ),
        (r#"{"name":7}"#, "arguments.name: it is a whole number", "give a string"),
        (
            r#"{"name":"Web"}"#,
            "arguments.name: \"Web\" is not as its pattern wants it",
            "give a string",
        ),
        (
            r#"{"name":"web\n"}"#,
            "arguments.name: \"web\\n\" is not as its pattern wants it",
            "give a string",
        ),
        (
            r#"{"name":"abcdefghijklm"}"#,
            "arguments.name: a string of 13 bytes",
            "at most 12 bytes",
        ),
        (
            r#"{"name":"web","mode":"hrad"}"#,
            "arguments.mode: \"hrad\" is not one of its values",
            "did you mean \"hard\"?",
        ),
        (
            r#"{"name":"web","mode":"explosive"}"#,
            "arguments.mode: \"explosive\" is not one",
            "give one of \"soft\", \"hard\"",
        ),
        (
            r#"{"name":"web","grace":601}"#,
            "arguments.grace: 601 is more than 600",
            "give a whole number from 0 to 600",
        ),
        (
            r#"{"name":"web","grace":-1}"#,
            "arguments.grace: -1 is less than 0",
            "from 0 to 600",
        ),
        (
            r#"{"name":"web","grace":"5"}"#,
            "arguments.grace: it is a string",
            "a whole number",
        ),
        (
            r#"{"name":"web","force":"yes"}"#,
            "arguments.force: it is a string",
            "give true or false",
        ),
        (
            r#"{"name":"web","hosts":"a"}"#,
            "arguments.hosts: it is a string",
            "give a list",
        ),
        (
            r#"{"name":"web","hosts":["a",2]}"#,
            "arguments.hosts[1]: it is a whole number",
            "give a string",
        ),
        (
            r#"{"name":"web","where":{"nz":"a"}}"#,
            "arguments.where.nz: there is no such argument",
            "did you mean ns?",
        ),
        (
            r#"{"name":"web","where":[]}"#,
            "arguments.where: it is a list",
            "an object with ns",
        ),
    ] {
        let finding = judge(arguments).expect_err(arguments);
        assert_eq!(finding.rule().as_str(), "hygiene.tool.argument");
        assert_eq!(finding.level(), crate::finding::Level::Deny);
        assert!(finding.why().starts_with(why), "{arguments}: {}", finding.why());
        assert!(finding.hint().contains(hint), "{arguments}: {}", finding.hint());
    }
}

#[test]
fn long_values_and_names_are_cut() {
    let long = "x".repeat(5_000);
    for arguments in [
        format!(r#"{{"name":"web","mode":"{long}"}}"#),
        format!(r#"{{"name":"web","{long}":1}}"#),
        format!(r#"{{"name":"{long}"}}"#),
    ] {
        let finding = judge(&arguments).unwrap_err();
        assert!(finding.why().len() < 200 && finding.hint().len() < 400, "{finding:?}");
    }
}

#[test]
fn each_mistake_in_the_manifest_is_named_at_its_place() {
    for (text, said) in [
        (
            "tool = 1",
            "tools.toml:1:1: `tool`: there is no such key\n  help: write [tools.<name>]",
        ),
        ("[tools.\"a b\"]\nlabels = []", "tools.toml:1:8: `a b` is not a name"),
        (
            "[tools.a]",
            "tools.toml:1:8: the tool does not say what calling it means",
        ),
        (
            "[tools.a]\nlabels = [\"mutatign\"]",
            "tools.toml:2:11: unknown label `mutatign`\n  help: did you mean `mutating`?",
        ),
        (
            "[tools.a]\nlabels = []\ncost = 1",
            "tools.toml:3:8: `cost` is an integer, and a table is wanted",
        ),
        (
            "[tools.a]\nlabels = []\nabuot = \"x\"",
            "tools.toml:3:1: unknown key `abuot`\n  help: did you mean `about`?",
        ),
        (
            "[tools.a]\nlabels = []\nresource = { type = \"S\" }",
            "tools.toml:3:1: `resource` has no `id`",
        ),
        (
            "[tools.a]\nlabels = []\nresource = { type = \"S\", id = \"args.x\" }",
            "tools.toml:3:31: there is no argument `x`",
        ),
        (
            "[tools.a]\nlabels = []\ntarget = { nmae = \"x\" }",
            "tools.toml:3:12: unknown key `nmae`\n  help: did you mean `name`?",
        ),
        (
            "[tools.a]\nlabels = []\ntarget = { name = \"arg.x\" }",
            "tools.toml:3:19: `arg.x` looks like an argument",
        ),
        (
            "[tools.a]\nlabels = []\ntarget = { name = \"$args.x\" }",
            "tools.toml:3:19: `$args.x` looks like an argument",
        ),
        (
            "[tools.a]\nlabels = []\ntarget = { name = \"\" }",
            "tools.toml:3:19: `` cannot stand",
        ),
    ] {
        let problems = load(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].starts_with(said), "{}", problems[0]);
    }
}

const PINS: &str = r#"
[tools.a]
labels = []
target = { kind = "service", namespace = "args.where.ns", name = "args.name" }
pin = PIN
[tools.a.schema]
type = "object"
required = ["name", "where", "n", "force", "tags"]
properties.name = { type = "string" }
properties.n = { type = "integer" }
properties.force = { type = "boolean" }
properties.tags = { type = "array", items = { type = "string" } }
properties.mode = { type = "string" }
properties.where = { type = "object", required = ["ns"], properties = { ns = { type = "string" }, zone = { type = "string" } } }
"#;

#[test]
fn pins_are_read_from_the_call() {
    let tools = load(&PINS.replace("PIN", r#"["namespace", "args.n", "args.force", "args.where.ns"]"#)).unwrap();
    let entry = tools.get("a").unwrap();
    let names: Vec<String> = entry.pins().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["namespace", "args.n", "args.force", "args.where.ns"]);
    let judged = entry
        .judge(&tool(
            "a",
            r#"{"name":"x","n":7,"force":true,"tags":[],"where":{"ns":"prod"}}"#,
        ))
        .unwrap();
    let facts = crate::facts::Facts {
        args: Some(judged.args),
        target: judged.target,
        ..Default::default()
    };
    let said: Vec<Option<Box<str>>> = entry.pins().iter().map(|pin| pin.text(&facts)).collect();
    let some = |text: &str| Some(Box::from(text));
    assert_eq!(said, [some("prod"), some("7"), some("true"), some("prod")]);
    // What a call leaves open fits no window, and neither does a call without arguments.
    let open = crate::facts::Facts {
        target: Target {
            namespace: Fact::Unknown,
            ..Default::default()
        },
        ..Default::default()
    };
    assert!(entry.pins().iter().all(|pin| pin.text(&open).is_none()));
    assert!(load(SHOP).unwrap().get("ping").unwrap().pins().is_empty());
}

#[test]
fn a_pin_that_would_hold_nothing_fixed_is_refused() {
    for (pin, said) in [
        (r#"["kind"]"#, "5:8: `kind` is always held fixed\n  help: leave it out"),
        (
            r#"["name", "owner"]"#,
            "5:16: the tool's `target` does not say its `owner`",
        ),
        (
            r#"["nmae"]"#,
            "5:8: `nmae` cannot be held fixed\n  help: did you mean `name`?",
        ),
        (
            r#"["target.name"]"#,
            "5:8: `target.name` cannot be held fixed\n  help: did you mean `name`?",
        ),
        (r#"["command"]"#, "5:8: `command` cannot be held fixed"),
        (r#"["name", "name"]"#, "5:16: `name` stands twice"),
        (
            r#"["args.nmae"]"#,
            "5:8: there is no argument `nmae`\n  help: did you mean `name`?",
        ),
        (r#"["args."]"#, "5:8: there is no argument ``"),
        (r#"["args.mode"]"#, "5:8: `args.mode` may be left out"),
        (r#"["args.where.zone"]"#, "5:8: `args.where.zone` may be left out"),
        (r#"["args.tags"]"#, "5:8: `args.tags` is not one value"),
        (r#"["args.where"]"#, "5:8: `args.where` is not one value"),
        (r#"["args.name.x"]"#, "5:8: `args.name` is not an object"),
        (r#"["args.where.ns."]"#, "5:8: `args.where.ns` is not an object"),
        (r#""namespace""#, "5:7: `pin` is a string, and a list is wanted"),
        ("[1]", "5:8: `pin` is an integer"),
    ] {
        let problems = load(&PINS.replace("PIN", pin)).expect_err(pin);
        assert_eq!(problems.len(), 1, "{pin}: {problems:?}");
        assert!(
            problems[0].starts_with(&format!("tools.toml:{said}")),
            "{}",
            problems[0]
        );
    }
    let plural = load(&PINS.replace("pin = PIN", "pins = [\"name\"]")).unwrap_err();
    assert!(
        plural[0].starts_with("tools.toml:5:1: `pins`: the key is `pin`"),
        "{plural:?}"
    );
}

#[test]
fn resources_need_a_required_string() {
    let with = |schema: &str, resource: &str| {
        load(&format!(
            "[tools.a]\nlabels = []\nresource = {resource}\nschema = {schema}\n"
        ))
        .map_err(|problems| problems.join("\n"))
    };
    let id = "{ type = \"S\", id = \"args.o.n\" }";
    let schema = |ty: &str, outer: &str, inner: &str| {
        format!(
            "{{ type = \"object\", required = [{outer}], properties = {{ o = {{ type = \"object\", required = [{inner}], properties = {{ n = {{ type = \"{ty}\" }} }} }} }} }}"
        )
    };
    with(&schema("string", "\"o\"", "\"n\""), id).unwrap();
    for (schema, part) in [
        (schema("string", "", "\"n\""), "may be left out"),
        (schema("string", "\"o\"", ""), "may be left out"),
        (schema("integer", "\"o\"", "\"n\""), "is not a string"),
    ] {
        assert!(with(&schema, id).unwrap_err().contains(part));
    }
    let fine = schema("string", "\"o\"", "\"n\"");
    for (resource, part) in [
        ("{ type = \"S\", id = \"web\" }", "comes from an argument"),
        ("{ type = \"S\", id = \"args.o\" }", "is not a string"),
        ("{ type = \"S\", id = \"args.o.n.x\" }", "is not an object"),
        ("{ type = \"9S\", id = \"args.o.n\" }", "not the name of an entity type"),
        (
            "{ type = \"S::\", id = \"args.o.n\" }",
            "not the name of an entity type",
        ),
        (
            "{ type = \"__cedar::S\", id = \"args.o.n\" }",
            "not the name of an entity type",
        ),
    ] {
        let said = with(&fine, resource).unwrap_err();
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn what_the_schema_cannot_say_is_refused_with_a_way_out() {
    let with = |property: &str| {
        load(&format!(
            "[tools.a]\nlabels = []\n[tools.a.schema]\ntype = \"object\"\nproperties.x = {property}\n"
        ))
    };
    for (property, said) in [
        ("{ type = \"number\" }", "tools.toml:5:25: two readers may round"),
        ("{ type = \"null\" }", "tools.toml:5:25: a null may mean"),
        (
            "{ type = [\"string\", \"null\"] }",
            "tools.toml:5:25: an argument has one type",
        ),
        (
            "{ type = \"strnig\" }",
            "tools.toml:5:25: `type` cannot be \"strnig\"\n  help: did you mean \"string\"?",
        ),
        (
            "{ enum = [\"a\"] }",
            "tools.toml:5:12: `x` has no type\n  help: write type = \"string\" beside",
        ),
        (
            "{ type = \"string\", anyOf = [] }",
            "tools.toml:5:35: `anyOf`: an argument has one type",
        ),
        (
            "{ type = \"string\", \"$ref\" = \"#\" }",
            "tools.toml:5:35: `$ref`: references are not built",
        ),
        (
            "{ type = \"string\", default = \"a\" }",
            "tools.toml:5:35: `default`: what the agent did not write",
        ),
        (
            "{ type = \"string\", maxLenght = 3 }",
            "tools.toml:5:35: unknown key `maxLenght`\n  help: did you mean `maxLength`?",
        ),
        (
            "{ type = \"string\", maxLength = 65537 }",
            "tools.toml:5:47: `maxLength` is 65537",
        ),
        (
            "{ type = \"string\", pattern = \"(\" }",
            "tools.toml:5:45: `pattern` cannot be read",
        ),
        (
            "{ type = \"string\", pattern = \"a)|(b\" }",
            "tools.toml:5:45: `pattern` cannot be read",
        ),
        ("{ type = \"string\", enum = [] }", "tools.toml:5:42: 0 values"),
        (
            "{ type = \"string\", enum = [1] }",
            "tools.toml:5:43: `enum` is an integer",
        ),
        (
            "{ type = \"string\", enum = [\"ab\"], maxLength = 1 }",
            "tools.toml:5:43: `ab` can never be given",
        ),
        (
            "{ type = \"integer\", enum = [1] }",
            "tools.toml:5:36: `enum`: an enum is of texts",
        ),
        (
            "{ type = \"integer\", minimum = 2, maximum = 1 }",
            "tools.toml:5:46: the minimum 2 is above",
        ),
        (
            "{ type = \"integer\", minimum = 0.5 }",
            "tools.toml:5:46: `minimum` is a float",
        ),
        (
            "{ type = \"array\" }",
            "tools.toml:5:12: `x` does not say what its items are",
        ),
        (
            "{ type = \"array\", items = { type = \"array\", items = { type = \"string\" } } }",
            "tools.toml:5:34: lists of lists",
        ),
        (
            "{ type = \"object\", additionalProperties = true }",
            "tools.toml:5:58: arguments that nobody described",
        ),
        (
            "{ type = \"object\", required = [\"y\"] }",
            "tools.toml:5:47: `y` is required and not described",
        ),
        (
            "{ type = \"object\", properties = { \"a.b\" = { type = \"string\" } } }",
            "tools.toml:5:50: `a.b` is not the name",
        ),
        ("7", "tools.toml:5:16: `x` is an integer, and a table is wanted"),
    ] {
        let problems = with(property).expect_err(property);
        let said_so = problems.iter().any(|problem| problem.starts_with(said));
        assert!(
            said_so && problems.iter().all(|problem| problem.contains("help: ")),
            "{property}: {problems:#?}"
        );
    }
    let deep = |levels: usize| {
        let open = "{ type = \"object\", properties = { a = ".repeat(levels);
        format!("{open}{{ type = \"string\" }}{}", " } }".repeat(levels))
    };
    with(&deep(7)).unwrap();
    assert!(with(&deep(8)).unwrap_err()[0].contains("nested more than 8 deep"));
    assert!(load("[tools.a]\nlabels = []\nschema = { type = \"string\" }").unwrap_err()[0].contains("are an object"));
    let three = load("[tools.a]\nlabels = [\"x\"]\ncost = 1\n[tools.b]\nlabels = []\nzzz = 1\n").unwrap_err();
    assert_eq!(three.len(), 3, "{three:?}");
}

#[test]
fn what_is_write_only_is_secret_wherever_it_stands() {
    let tools = load(
        "[tools.t]\nlabels = []\n[tools.t.schema]\ntype = \"object\"\n\
         properties.token = { type = \"string\", enum = [\"hunter2\"], writeOnly = true }\n\
         properties.keys = { type = \"array\", items = { type = \"integer\" }, writeOnly = true }\n\
         properties.to = { type = \"object\", properties = { pin = { type = \"integer\", writeOnly = true }, name = { type = \"string\" } } }\n\
         properties.all = { type = \"array\", items = { type = \"object\", properties = { pin = { type = \"string\", writeOnly = true } } } }\n\
         properties.open = { type = \"string\", writeOnly = false }\n",
    )
    .unwrap();
    let call = tool(
        "t",
        r#"{"token":"hunter2","keys":[1],"to":{"pin":4242,"name":"ada"},"all":[{"pin":"9999"}],"open":"door"}"#,
    );
    let facts = tools.get("t").unwrap().judge(&call).unwrap();
    for (name, secret) in [("token", true), ("keys", true), ("open", false)] {
        assert_eq!(matches!(facts.args[name], ArgValue::Secret(_)), secret, "{name}");
    }
    let told = format!("{:?}", facts.args);
    assert!(told.contains("ada") && told.contains("door"), "{told}");
    assert!(
        !told.contains("hunter2") && !told.contains("4242") && !told.contains("9999"),
        "{told}"
    );
    // Whatever is wrong with it, the refusal does not show it.
    for wrong in [
        r#"{"token":"hunter3"}"#,
        r#"{"keys":["hunter3"]}"#,
        r#"{"to":{"pin":"hunter3"}}"#,
    ] {
        let refusal = tools.get("t").unwrap().judge(&tool("t", wrong)).unwrap_err();
        assert!(!format!("{refusal:?}").contains("hunter3"), "{refusal:?}");
    }
    // Nor does its record: what is misspelt, or stands where a record of it should, may be it.
    for wrong in [
        r#"{"tokne":"hunter3"}"#,
        r#"{"to":"pin=hunter3"}"#,
        r#"{"to":[{"pin":"hunter3"}]}"#,
        r#"{"to":{"pni":"hunter3"}}"#,
        r#"{"all":{"pin":"hunter3"}}"#,
        r#"{"all":["hunter3"]}"#,
    ] {
        let (entry, call) = (tools.get("t").unwrap(), tool("t", wrong));
        let mut args = call.arguments.clone();
        entry.conceal(&mut args);
        assert!(!format!("{args:?}").contains("hunter3"), "{wrong}: {args:?}");
        assert!(!format!("{:?}", entry.judge(&call)).contains("hunter3"), "{wrong}");
    }
}

#[test]
fn a_secret_says_nothing_of_the_call() {
    let with = |more: &str| {
        load(&format!(
            "[tools.t]\nlabels = []\n{more}\n[tools.t.schema]\ntype = \"object\"\nrequired = [\"s\", \"n\"]\n\
             properties.s = {{ type = \"string\", writeOnly = true }}\n\
             properties.n = {{ type = \"integer\", minimum = 0, writeOnly = true }}\n"
        ))
    };
    assert!(with("").is_ok());
    for more in [
        "target = { name = \"args.s\" }",
        "resource = { type = \"Service\", id = \"args.s\" }",
        "cost = { objects = \"args.n\" }",
        "pin = [\"args.s\"]",
    ] {
        assert!(with(more).unwrap_err()[0].contains("is secret"), "{more}");
    }
    let misplaced = "[tools.t]\nlabels = []\n[tools.t.schema]\ntype = \"object\"\nwriteOnly = true\n\
                     properties.l = { type = \"array\", items = { type = \"string\", writeOnly = true } }\n";
    assert_eq!(load(misplaced).unwrap_err().len(), 2);
    assert!(load(&misplaced.replace("true", "\"yes\"")).is_err());
}
