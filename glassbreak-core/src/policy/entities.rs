//! The snapshot of entities: roles, teams and the host's own from `entities.json`; persons, groups, programs, tools
//! and actions from the rest of the bundle.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityTypeName, EntityUid, RestrictedExpression, Schema};

use crate::error::{Problem, nearest, shown};
use crate::json::Json;
use crate::source::Source;

use super::PolicyInput;
use super::load::{Uids, uid};
use super::validate::one_line;

/// Every entity there is, and which names of the bundle's own types are declared.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) entities: Entities,
    /// By type: an entity of these types that is not here can never match.
    declared: BTreeMap<EntityTypeName, BTreeSet<String>>,
}

impl Snapshot {
    /// Whether a policy may name this entity; else the nearest name. Programs and the host's things may be named
    /// without being declared: calls can be about them.
    pub(super) fn declared(&self, name: &EntityUid) -> Result<(), Option<String>> {
        let Some(known) = self.declared.get(name.type_name()) else {
            return Ok(());
        };
        let id = name.id().unescaped();
        if known.contains(id) {
            return Ok(());
        }
        let near = nearest(id, known.iter().map(String::as_str));
        Err(near.map(|near| uid(name.type_name(), near).to_string()))
    }
}

pub(super) fn load(input: &PolicyInput<'_>, schema: &Schema, uids: &Uids) -> Result<Snapshot, Vec<Problem>> {
    let file = input.entities.unwrap_or(Source {
        file: "entities.json",
        text: "[]",
    });
    check(&file)?;
    // With the schema, Cedar checks the attributes and parents, and adds the actions.
    let read =
        Entities::from_json_str(file.text, Some(schema)).map_err(|error| vec![refused(&file, &one_line(&error))])?;
    let ours = ours(input, uids).map_err(|error| vec![refused(&file, &error)])?;
    let entities = read
        .add_entities(ours, Some(schema))
        .map_err(|error| vec![refused(&file, &one_line(&error))])?;

    let mut declared: BTreeMap<EntityTypeName, BTreeSet<String>> =
        [&uids.role, &uids.team, &uids.person, &uids.group, &uids.tool]
            .into_iter()
            .map(|ty| (ty.clone(), BTreeSet::new()))
            .collect();
    for name in entities.iter().map(Entity::uid) {
        if let Some(names) = declared.get_mut(name.type_name()) {
            names.insert(name.id().unescaped().to_owned());
        }
    }
    // A parent that nothing declares is most likely misspelt, and a forbid on the one that was meant would not hold.
    let parents = entities
        .iter()
        .filter_map(|entity| entities.ancestors(&entity.uid()))
        .flatten();
    let strangers: BTreeSet<String> = parents
        .filter(|parent| entities.get(parent).is_none())
        .map(ToString::to_string)
        .collect();
    if !strangers.is_empty() {
        let what = |stranger: &String| {
            let known = entities
                .iter()
                .map(|entity| entity.uid().to_string())
                .collect::<Vec<_>>();
            let help = match nearest(stranger, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "declare it with an entry of its own".to_owned(),
            };
            let id = stranger.split_once("::").map_or(stranger.as_str(), |(_, id)| id);
            file.problem(
                file.text.find(id).unwrap_or(0),
                format!("the parent `{stranger}` is not declared"),
                help,
            )
        };
        return Err(strangers.iter().map(what).collect());
    }
    Ok(Snapshot { entities, declared })
}

fn ours(input: &PolicyInput<'_>, uids: &Uids) -> Result<Vec<Entity>, String> {
    let plain = |ty: &EntityTypeName, id: &str| Entity::new_no_attrs(uid(ty, id), HashSet::new());
    let mut out: Vec<Entity> = Vec::new();
    out.extend(input.people.groups().map(|group| plain(&uids.group, group.as_str())));
    for (person, groups) in input.people.persons() {
        let groups = groups.iter().map(|group| uid(&uids.group, group.as_str()));
        // So that a policy can compare the person with a name in its context: Cedar cannot read an entity's id.
        let name = RestrictedExpression::new_string(person.to_string());
        let attributes = HashMap::from([("name".to_owned(), name)]);
        let person = Entity::new(uid(&uids.person, person.as_str()), attributes, groups.collect());
        out.push(person.map_err(|error| one_line(&error))?);
    }
    out.extend(
        input
            .shape
            .programs
            .iter()
            .map(|program| plain(&uids.program, &program.program)),
    );
    out.extend(
        input
            .shape
            .tools
            .iter()
            .map(|tool| plain(&uids.tool, tool.name.as_str())),
    );
    Ok(out)
}

/// What Cedar's reader would let pass: keys and entities that stand twice, and entities that other files declare.
fn check(file: &Source<'_>) -> Result<(), Vec<Problem>> {
    let json = Json::read(file.text.as_bytes()).map_err(|error| {
        let line = u32::try_from(error.line()).unwrap_or(u32::MAX);
        let column = u32::try_from(error.column()).unwrap_or(u32::MAX);
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or("this is not JSON").to_owned();
        vec![Problem::at(
            file.file,
            line.max(1),
            column.max(1),
            what,
            "write a JSON list of entities",
        )]
    })?;
    let Json::List(items) = json else {
        let help = "write a JSON list of entities: [{\"uid\": …, \"attrs\": …, \"parents\": …}]";
        return Err(vec![file.problem(0, "this is not a list of entities", help)]);
    };
    let mut problems = Vec::new();
    let mut seen = HashSet::new();
    for item in &items {
        problems.extend(unknown_keys(file, item));
        let Some((ty, id)) = uid_of(item) else { continue };
        let help = match ty {
            "Person" | "Group" => "declare it in people.toml",
            "Program" => "programs come from the profiles in safe-bins.toml",
            "Tool" => "tools come from tools.toml",
            ty if ty == "Action" || ty.ends_with("::Action") => "actions come from profiles and tools.toml",
            _ if !seen.insert((ty, id)) => "keep one of them",
            _ => continue,
        };
        let name = format!("`{}::\"{}\"`", shown(ty), shown(id));
        let what = match help {
            "keep one of them" => format!("{name} stands twice"),
            _ => format!("{name} may not stand here"),
        };
        problems.push(file.problem(place_of(file, id), what, help));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Cedar's reader skips the keys of an entity that it does not know.
fn unknown_keys(file: &Source<'_>, item: &Json) -> Vec<Problem> {
    const KEYS: [&str; 4] = ["uid", "attrs", "parents", "tags"];
    let Json::Record(fields) = item else { return Vec::new() };
    let unknown = fields.iter().filter(|(key, _)| !KEYS.contains(&key.as_str()));
    unknown
        .map(|(key, _)| {
            let help = match nearest(key, KEYS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", KEYS.join(", ")),
            };
            file.problem(place_of(file, key), format!("unknown key `{}`", shown(key)), help)
        })
        .collect()
}

/// The type and id of an entity, in either way that Cedar reads.
fn uid_of(item: &Json) -> Option<(&str, &str)> {
    let name = field(item, "uid")?;
    let name = field(name, "__entity").unwrap_or(name);
    match (field(name, "type")?, field(name, "id")?) {
        (Json::Str(ty), Json::Str(id)) => Some((ty.trim(), id)),
        _ => None,
    }
}

fn field<'a>(record: &'a Json, name: &str) -> Option<&'a Json> {
    match record {
        Json::Record(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, value)| value),
        _ => None,
    }
}

/// A problem that Cedar tells without a place: it names entities as `Type::"id"`, and the id leads to the line.
fn refused(file: &Source<'_>, what: &str) -> Problem {
    let id = what.split_once("::\"").and_then(|(_, rest)| rest.split('"').next());
    let at = id.map_or(0, |id| place_of(file, id));
    file.problem(at, what, "correct the entity; the schema says what each type has")
}

/// Where `id` stands last as a string: a thing that stands twice is shown at its second place.
fn place_of(file: &Source<'_>, id: &str) -> usize {
    file.text.rfind(&format!("\"{id}\"")).unwrap_or(0)
}
