//! The other engines. Of `count` policies one matters, and the rest are of other actions.

use std::hint::black_box;

use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi};
use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, Schema};

type Ask = Box<dyn FnMut()>;

/// The arguments of the call.
const CONTEXT: &str = r#"{"argv0": "git", "flags": ["--oneline", "-n", "--stat"], "spent": 120, "cost": 3,
  "cwd": "/home/ann/src/web", "branch": "main", "depth": 2, "interactive": false}"#;

fn others(count: usize) -> impl Iterator<Item = (usize, String)> {
    (1..count).map(|n| (n, format!("t{}", n % 50)))
}

fn cedar_policies(count: usize) -> PolicySet {
    let mut text = String::from(
        r#"permit (principal in Team::"coders", action in [Action::"tool"], resource is Tool) when {
             context.argv0 == "git" && !context.flags.containsAny(["--force", "--exec", "-c"]) &&
             context.spent + context.cost <= 5000 && context.cwd like "/home/*/src/*" };"#,
    );
    for (n, tool) in others(count) {
        text.push_str(&format!(
            "permit (principal, action == Action::\"{tool}\", resource) when {{ context.argv0 == \"x{n}\" }};\n"
        ));
    }
    text.parse().expect("policies")
}

fn cedar_schema() -> Schema {
    let tools: Vec<String> = (0..50)
        .map(|n| format!("\"t{n}\""))
        .chain(["\"shell\"".to_owned()])
        .collect();
    let text = format!(
        "entity Team; entity Role in [Team]; entity Tool; action \"tool\"; \
         action {} in [\"tool\"] appliesTo {{ principal: Role, resource: Tool, context: {{ \
         argv0: String, flags: Set<String>, spent: Long, cost: Long, cwd: String, branch: String, depth: Long, \
         interactive: Bool }} }};",
        tools.join(", ")
    );
    Schema::from_cedarschema_str(&text).expect("a schema").0
}

fn names() -> [EntityUid; 3] {
    ["Role::\"coder\"", "Action::\"shell\"", "Tool::\"shell\""].map(|name| name.parse().expect("a name"))
}

fn cedar_entities(schema: &Schema) -> Entities {
    let text = r#"[{"uid":{"type":"Team","id":"coders"},"attrs":{},"parents":[]},
      {"uid":{"type":"Tool","id":"shell"},"attrs":{},"parents":[]},
      {"uid":{"type":"Role","id":"coder"},"attrs":{},"parents":[{"type":"Team","id":"coders"}]}]"#;
    Entities::from_json_str(text, Some(schema)).expect("entities")
}

pub(crate) fn cedar(count: usize) -> Ask {
    let (policies, schema) = (cedar_policies(count), cedar_schema());
    let entities = cedar_entities(&schema);
    let [principal, action, resource] = names();
    let context = Context::from_json_str(CONTEXT, Some((&schema, &action))).expect("a context");
    let request = Request::new(principal, action, resource, context, Some(&schema)).expect("a request");
    let authorizer = Authorizer::new();
    Box::new(move || {
        let response = black_box(authorizer.is_authorized(&request, &policies, &entities));
        assert_eq!(response.decision(), Decision::Allow);
    })
}

pub(crate) fn cedar_from_json(count: usize) -> Ask {
    let (policies, schema) = (cedar_policies(count), cedar_schema());
    let entities = cedar_entities(&schema);
    let names = names();
    let authorizer = Authorizer::new();
    Box::new(move || {
        let [principal, action, resource] = names.clone();
        let context = Context::from_json_str(CONTEXT, Some((&schema, &action))).expect("a context");
        let request = Request::new(principal, action, resource, context, Some(&schema)).expect("a request");
        let response = black_box(authorizer.is_authorized(&request, &policies, &entities));
        assert_eq!(response.decision(), Decision::Allow);
    })
}

pub(crate) fn regorus(count: usize) -> Ask {
    use regorus::languages::rego::compiler::Compiler;
    use regorus::{Engine, Value, rvm::vm::RegoVM};

    let mut text = String::from(
        r#"package task
           default allow := false
           allow if {
             input.action == "shell"
             "coders" in input.teams
             input.argv0 == "git"
             not forced
             input.spent + input.cost <= 5000
             startswith(input.cwd, "/home/")
             contains(input.cwd, "/src/")
           }
           forced if { some flag in input.flags; flag in {"--force", "--exec", "-c"} }
        "#,
    );
    for (n, tool) in others(count) {
        text.push_str(&format!(
            "allow if {{ input.action == \"{tool}\"; input.argv0 == \"x{n}\" }}\n"
        ));
    }
    let mut engine = Engine::new();
    engine.add_policy("task.rego".to_owned(), text).expect("a policy");
    let compiled = engine
        .compile_with_entrypoint(&"data.task.allow".into())
        .expect("compiled");
    let program = Compiler::compile_from_policy(&compiled, &["data.task.allow"]).expect("a program");
    let mut input: serde_json::Value = serde_json::from_str(CONTEXT).expect("JSON");
    input["action"] = "shell".into();
    input["teams"] = serde_json::json!(["coders"]);
    let input = Value::from_json_str(&input.to_string()).expect("an input");
    let mut vm = RegoVM::new();
    vm.load_program(program);
    vm.set_data(engine.get_data()).expect("data");
    Box::new(move || {
        vm.set_input(input.clone());
        let allowed = black_box(vm.execute().expect("a decision"));
        assert_eq!(allowed, Value::from(true));
    })
}

pub(crate) fn cel(count: usize) -> Ask {
    use cel::{Context, Program, Value};

    let relevant = "action == 'shell' && 'coders' in teams && argv0 == 'git' && \
                    !flags.exists(f, f in ['--force', '--exec', '-c']) && spent + cost <= 5000 && \
                    cwd.startsWith('/home/') && cwd.contains('/src/')";
    // The one that matters is asked last, as a permit that nobody sorted would be on average half way.
    let texts = others(count).map(|(n, tool)| format!("action == '{tool}' && argv0 == 'x{n}'"));
    let texts: Vec<String> = texts.chain([relevant.to_owned()]).collect();
    let programs: Vec<Program> = texts
        .iter()
        .map(|text| Program::compile(text).expect("a program"))
        .collect();
    let context: &'static Context<'static, 'static> = {
        let mut context = Context::default();
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
        context.add_variable_from_value("action", "shell");
        context.add_variable_from_value("teams", texts(&["coders"]));
        context.add_variable_from_value("argv0", "git");
        context.add_variable_from_value("flags", texts(&["--oneline", "-n", "--stat"]));
        context.add_variable_from_value("spent", 120_i64);
        context.add_variable_from_value("cost", 3_i64);
        context.add_variable_from_value("cwd", "/home/ann/src/web");
        Box::leak(Box::new(context))
    };
    Box::new(move || {
        let holds = |program: &Program| matches!(program.execute(context), Ok(Value::Bool(true)));
        assert!(black_box(programs.iter().any(holds)));
    })
}

/// Its matcher is one expression for all policies: equality and a prefix, without the set and the sum.
pub(crate) fn casbin(count: usize) -> Ask {
    const MODEL: &str = "
[request_definition]
r = sub, act, obj, argv0, cwd
[policy_definition]
p = sub, act, obj, argv0, cwd
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && r.argv0 == p.argv0 && r.obj == p.obj && g(r.sub, p.sub) && keyMatch(r.cwd, p.cwd)
";
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let enforcer = runtime.block_on(async {
        let model = DefaultModel::from_str(MODEL).await.expect("a model");
        let mut enforcer = Enforcer::new(model, MemoryAdapter::default())
            .await
            .expect("an enforcer");
        let policy = |words: [&str; 5]| words.map(str::to_owned).to_vec();
        let others = others(count).map(|(n, tool)| policy(["coders", &tool, "shell", &format!("x{n}"), "/*"]));
        let mut policies: Vec<Vec<String>> = others.collect();
        policies.push(policy(["coders", "shell", "shell", "git", "/home/*"]));
        enforcer.add_policies(policies).await.expect("policies");
        let group = vec!["coder".to_owned(), "coders".to_owned()];
        enforcer.add_grouping_policy(group).await.expect("a group");
        enforcer
    });
    Box::new(move || {
        let asked = ("coder", "shell", "shell", "git", "/home/ann/src/web");
        assert!(black_box(enforcer.enforce(asked).expect("a decision")));
    })
}
