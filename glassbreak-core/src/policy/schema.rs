//! The Cedar schema of calls, written from the bundle's [`Shape`] and joined with the host's own types.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use cedar_policy::{EntityTypeName, EntityUid, Schema, SchemaFragment};
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::validator::RawName;
use cedar_policy_core::validator::json_schema::Fragment;

use crate::error::{Problem, nearest, shown};
use crate::shape::{ArgField, ArgType, Shape};
use crate::source::Source;

use super::load::Uids;
use super::validate::{one_line, problem_of};
use super::{Action, Resource};

/// The types that the generated part declares.
const OURS: [&str; 10] = [
    "Realm",
    "Team",
    "Role",
    "Group",
    "Person",
    "Program",
    "Tool",
    "CallTarget",
    "CallSeq",
    "CallActor",
];
/// Types of Cedar's own: a host type of such a name would take their place in the generated part.
const CEDARS: [&str; 12] = [
    "String",
    "Long",
    "Bool",
    "Boolean",
    "Set",
    "Record",
    "Entity",
    "Extension",
    "ipaddr",
    "decimal",
    "datetime",
    "duration",
];

/// The actions of calls: what each may be done to, and what its context holds.
#[derive(Debug)]
pub(super) struct Calls {
    programs: BTreeMap<String, (EntityUid, Vec<String>)>,
    unlisted: EntityUid,
    tools: BTreeMap<String, ToolCall>,
    pub(super) budgets: Vec<String>,
    pub(super) loops: Vec<String>,
    pub(super) distincts: Vec<String>,
    pub(super) patterns: Vec<String>,
    pub(super) latches: Vec<String>,
    pub(super) breakers: Vec<String>,
}

#[derive(Debug)]
struct ToolCall {
    action: EntityUid,
    resource_type: Option<String>,
    args: Vec<ArgField>,
}

/// One action of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallShape<'a> {
    pub(super) action: &'a EntityUid,
    pub(super) facts: FactsShape<'a>,
}

/// What is particular to an action's context.
#[derive(Debug, Clone, Copy)]
pub(super) enum FactsShape<'a> {
    /// `argv`, with these sets besides its own facts.
    Argv(&'a [String]),
    /// `args`, of these fields.
    Args(&'a [ArgField]),
}

impl Calls {
    fn new(shape: &Shape, uids: &Uids) -> Self {
        let programs = shape.programs.iter().map(|program| {
            let action = uids.action(&format!("exec:{}", program.program));
            (program.program.clone(), (action, program.sets.clone()))
        });
        let tools = shape.tools.iter().map(|tool| {
            let call = ToolCall {
                action: uids.action(&format!("tool:{}", tool.name)),
                resource_type: tool.resource_type.clone(),
                args: tool.args.clone(),
            };
            (tool.name.to_string(), call)
        });
        Self {
            programs: programs.collect(),
            unlisted: uids.action("exec:*"),
            tools: tools.collect(),
            budgets: shape.budgets.clone(),
            loops: shape.loops.clone(),
            distincts: shape.distincts.clone(),
            patterns: shape.patterns.clone(),
            latches: shape.latches.clone(),
            breakers: shape.breakers.clone(),
        }
    }

    /// The action, if the bundle declares it and it can be done to such a resource.
    pub(super) fn find(&self, action: Action<'_>, resource: Resource<'_>) -> Option<CallShape<'_>> {
        match (action, resource) {
            (Action::Exec(program), Resource::Program(_)) => {
                let (action, sets) = self.programs.get(program)?;
                Some(CallShape {
                    action,
                    facts: FactsShape::Argv(sets),
                })
            }
            (Action::Unlisted, Resource::Program(_)) => Some(CallShape {
                action: &self.unlisted,
                facts: FactsShape::Argv(&[]),
            }),
            (Action::Tool(name), resource) => {
                let tool = self.tools.get(name)?;
                let fits = match resource {
                    Resource::Program(_) => false,
                    Resource::Tool(id) => tool.resource_type.is_none() && id == name,
                    Resource::Host { ty, .. } => tool.resource_type.as_deref() == Some(ty),
                };
                fits.then_some(CallShape {
                    action: &tool.action,
                    facts: FactsShape::Args(&tool.args),
                })
            }
            (Action::Exec(_) | Action::Unlisted, _) => None,
        }
    }
}

/// The merged schema, its text, and the actions in it.
pub(super) fn load(
    shape: &Shape,
    host: Option<&Source<'_>>,
    uids: &Uids,
) -> Result<(Schema, String, Calls), Vec<Problem>> {
    let mut problems = Vec::new();
    let host_fragment = match host.map(|host| host_part(host, &mut problems)) {
        None => None,
        Some(Some(fragment)) => Some(fragment),
        Some(None) => return Err(problems),
    };
    let mut host_types = BTreeSet::new();
    if let Some((_, declared)) = &host_fragment {
        host_types.extend(declared.iter().map(String::as_str));
    }
    check_shape(shape, &host_types, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut text = generate(shape);
    let generated = match SchemaFragment::from_cedarschema_str(&text) {
        Ok((fragment, _)) => fragment,
        Err(error) => return Err(vec![internal(&one_line(&error))]),
    };
    let mut fragments = vec![generated];
    if let (Some(host), Some((fragment, _))) = (host, host_fragment) {
        fragments.push(fragment);
        let _ = write!(text, "\n// From {}.\n{}", host.file, host.text);
    }
    match Schema::from_schema_fragments(fragments) {
        Ok(schema) if schema.is_complete() => Ok((schema, text, Calls::new(shape, uids))),
        Ok(_) => Err(vec![in_host(
            host,
            "the schema declares `external` types",
            "declare what they are",
        )]),
        Err(error) => Err(vec![match host {
            Some(host) => problem_of(&error, host, "correct the schema"),
            None => internal(&one_line(&error)),
        }]),
    }
}

fn in_host(host: Option<&Source<'_>>, what: &str, help: &str) -> Problem {
    Problem::in_file(host.map_or("schema.cedarschema", |host| host.file), what, help)
}

fn internal(what: &str) -> Problem {
    let what = format!("the generated schema is not one: {what}");
    Problem::in_file("schema.cedarschema", what, "this is a fault of the guard; report it")
}

/// The host's fragment and the entity types it declares. It may declare no actions: a call's action and context come
/// from the bundle alone.
fn host_part(host: &Source<'_>, problems: &mut Vec<Problem>) -> Option<(SchemaFragment, BTreeSet<String>)> {
    let parsed =
        Fragment::<RawName>::from_cedarschema_str(host.text, Extensions::all_available()).map(|(parsed, _)| parsed);
    let fragment = SchemaFragment::from_cedarschema_str(host.text).map(|(fragment, _)| fragment);
    let (parsed, fragment) = match (parsed, fragment) {
        (Ok(parsed), Ok(fragment)) => (parsed, fragment),
        (_, Err(error)) => {
            problems.push(problem_of(&error, host, "write it in Cedar's schema language"));
            return None;
        }
        (Err(error), _) => {
            problems.push(problem_of(&error, host, "write it in Cedar's schema language"));
            return None;
        }
    };
    let mut declared = BTreeSet::new();
    for (namespace, definition) in &parsed.0 {
        for (name, action) in &definition.actions {
            let at = action.loc.as_ref().map_or(0, |place| place.start());
            let what = format!("the action `{}` is declared here", shown(name));
            let help = "declare entity types and common types only; actions come from profiles and tools.toml";
            problems.push(host.problem(at, what, help));
        }
        let entities = definition
            .entity_types
            .iter()
            .map(|(name, ty)| (name.to_string(), &ty.loc));
        let common = definition
            .common_types
            .iter()
            .map(|(name, ty)| (name.to_string(), &ty.loc));
        for (name, place) in entities.chain(common) {
            if namespace.is_none() && (OURS.contains(&name.as_str()) || CEDARS.contains(&name.as_str())) {
                let at = place.as_ref().map_or(0, |place| place.start());
                let what = format!("the type `{name}` is declared here");
                problems.push(host.problem(at, what, "choose another name; this one is taken"));
            }
        }
        for name in definition.entity_types.keys() {
            declared.insert(match namespace {
                Some(namespace) => format!("{namespace}::{name}"),
                None => name.to_string(),
            });
        }
    }
    problems.is_empty().then_some((fragment, declared))
}

fn check_shape(shape: &Shape, host_types: &BTreeSet<&str>, problems: &mut Vec<Problem>) {
    for program in &shape.programs {
        let mut seen: BTreeSet<&str> = ["program", "command", "options", "operands"].into();
        for set in &program.sets {
            if !seen.insert(set) {
                let what = format!(
                    "the profile `{}` has two facts called `{}`",
                    shown(&program.program),
                    shown(set)
                );
                problems.push(Problem::in_file(
                    "safe-bins.toml",
                    what,
                    "give each fact of a profile its own name",
                ));
            }
        }
    }
    for tool in &shape.tools {
        let Some(ty) = &tool.resource_type else { continue };
        let known = host_types.contains(ty.as_str()) && ty.parse::<EntityTypeName>().is_ok();
        if !known {
            let what = format!(
                "the tool `{}` acts on `{}`, which no schema declares",
                tool.name,
                shown(ty)
            );
            let help = match nearest(ty, host_types.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("declare `entity {};` in schema.cedarschema", shown(ty)),
            };
            problems.push(Problem::in_file("tools.toml", what, help));
        }
    }
}

fn generate(shape: &Shape) -> String {
    let mut out = String::from(
        "// Who asks, who answers, and what is acted on.\n\
         entity Team;\nentity Role in [Team];\nentity Group;\nentity Person in [Group] { name: String };\nentity Program;\nentity Tool;\n\n\
         type CallTarget = { kind: String, namespace: String, name: String, owner: String };\n\
         type CallActor = { instance: String, session: String, on_behalf_of: String, model: String, parents: Set<String> };\n",
    );
    let members = |ids: &[String], fields: &str| {
        let members: Vec<String> = ids.iter().map(|id| format!("\n    {}: {fields}", quoted(id))).collect();
        format!("{{{}\n  }}", members.join(","))
    };
    let budget = "{ count: Long, limit: Long, remaining: Long, over: Long, fired: Bool }";
    let _ = writeln!(
        out,
        "type CallSeq = {{\n  budget: {},\n  loop: {},\n  distinct: {},\n  pattern: {},\n  latch: {},\n  breaker: {},\n  \
         elapsed_s: Long,\n  actions: Long\n}};\n",
        members(&shape.budgets, budget),
        members(&shape.loops, "{ streak: Long, period: Long, fired: Bool }"),
        members(
            &shape.distincts,
            "{ count: Long, limit: Long, is_new: Bool, fired: Bool }"
        ),
        members(&shape.patterns, "{ armed: Bool, fired: Bool, step: Long, age_s: Long }"),
        members(&shape.latches, "{ latched: Long, labels: Long, fired: Bool }"),
        members(&shape.breakers, "{ state: String, failures: Long }"),
    );
    out.push_str("action \"call\";\naction \"exec\" in [\"call\"];\naction \"tool\" in [\"call\"];\n\n");

    let common = "target: CallTarget, labels: Set<String>, risk: String, seq: CallSeq, actor: CallActor";
    let argv = "program: String, command: String, options: Set<String>, operands: Set<String>";
    // Programs with the same facts of their own share a declaration: reading the schema takes most of a small folder's
    // loading.
    let mut alike: BTreeMap<&[String], Vec<String>> = BTreeMap::new();
    let programs = shape.programs.iter().map(|program| (&*program.program, &*program.sets));
    for (program, sets) in programs.chain([("*", &[][..])]) {
        alike.entry(sets).or_default().push(quoted(&format!("exec:{program}")));
    }
    for (sets, actions) in alike {
        let sets: String = sets
            .iter()
            .map(|set| format!(", {}: Set<String>", quoted(set)))
            .collect();
        let _ = writeln!(
            out,
            "action {} in [\"exec\"] appliesTo {{\n  principal: [Role], resource: [Program],\n  \
             context: {{ argv: {{ {argv}{sets} }}, {common} }}\n}};",
            actions.join(", "),
        );
    }
    for tool in &shape.tools {
        let _ = writeln!(
            out,
            "action {} in [\"tool\"] appliesTo {{\n  principal: [Role], resource: [{}],\n  \
             context: {{ args: {}, {common} }}\n}};",
            quoted(&format!("tool:{}", tool.name)),
            tool.resource_type.as_deref().unwrap_or("Tool"),
            record(&tool.args),
        );
    }
    let mut resources = vec!["Program", "Tool"];
    let hosts: BTreeSet<&str> = shape
        .tools
        .iter()
        .filter_map(|tool| tool.resource_type.as_deref())
        .collect();
    resources.extend(hosts);
    let _ = writeln!(
        out,
        "\n// Who may agree to what.\naction \"approve\" appliesTo {{\n  principal: [Person], resource: [{}],\n  \
         context: {{ request: {{ rules: Set<String>, risk: String, labels: Set<String>, role: String, scope: String }} }}\n}};",
        resources.join(", "),
    );
    out.push_str(
        "\n// Who may work the kill switch, take back grants and adopt sessions.\nentity Realm;\naction \"operate\";\n\
         action \"lock\", \"unlock\", \"revoke\", \"adopt\" in [\"operate\"] appliesTo {\n  principal: [Person], resource: [Realm],\n  \
         context: { operate: { kind: String, id: String, on_behalf_of: String } }\n};\n",
    );
    out
}

fn record(fields: &[ArgField]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|field| {
            let optional = if field.required { "" } else { "?" };
            format!("{}{optional}: {}", quoted(&field.name), type_of(&field.ty))
        })
        .collect();
    format!("{{ {} }}", fields.join(", "))
}

fn type_of(ty: &ArgType) -> String {
    match ty {
        ArgType::Bool => "Bool".to_owned(),
        ArgType::Int { .. } => "Long".to_owned(),
        ArgType::Str { .. } => "String".to_owned(),
        ArgType::List(item) => format!("Set<{}>", type_of(item)),
        ArgType::Record(fields) => record(fields),
    }
}

/// A name as the schema language writes it: always quoted, so that no name is taken for a keyword or for more.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.escape_debug())
}
