//! The bundle that policies and calls are made for: two programs, two tools, a service of the host's, three teams.

use std::collections::BTreeSet;

use super::super::{Policies, PolicyInput};
use super::odd;
use crate::call::Word;
use crate::error::Problem;
use crate::finding::Outcome;
use crate::label::{LabelSet, Vocabulary};
use crate::people::People;
use crate::shape::{ArgField, ArgType, ProgramShape, Shape, ToolShape};
use crate::source::Source;

pub(in crate::policy) const ENTITIES: &str = r#"[
  {"uid": {"type": "Team", "id": "ops-agents"}, "attrs": {}, "parents": []},
  {"uid": {"type": "Role", "id": "ops-agent"}, "attrs": {}, "parents": [{"type": "Team", "id": "ops-agents"}]},
  {"uid": {"type": "Role", "id": "loner"}, "attrs": {}, "parents": []},
  {"uid": {"type": "Service", "id": "web"}, "attrs": {"tier": 1, "owner": {"__entity": {"type": "Team", "id": "ops-agents"}}},
   "parents": [{"type": "Fleet", "id": "all"}]},
  {"uid": {"type": "Fleet", "id": "all"}, "attrs": {}, "parents": []}
]"#;

pub(in crate::policy) const HOST: &str = r#"
entity Service in [Fleet] { tier: Long, owner: Team, note?: String };
entity Fleet in [Fleet];
"#;

fn word(text: &str) -> Result<Word, String> {
    Word::new(text).map_err(odd)
}

pub(in crate::policy) fn field(name: &str, ty: ArgType, required: bool) -> ArgField {
    ArgField {
        name: name.to_owned(),
        ty,
        required,
        secret: false,
    }
}

pub(in crate::policy) const fn any_text() -> ArgType {
    ArgType::Str {
        max: 100,
        one_of: Vec::new(),
        pattern: None,
    }
}

/// What calls can look like there.
pub(in crate::policy) fn shape() -> Result<Shape, String> {
    let options = vec![field("dry run", ArgType::Bool, true), field("why", any_text(), false)];
    Ok(Shape {
        programs: vec![
            ProgramShape {
                program: "kubectl".to_owned(),
                sets: vec!["kinds".to_owned(), "if".to_owned()],
                ..ProgramShape::default()
            },
            ProgramShape {
                program: "git".to_owned(),
                sets: Vec::new(),
                ..ProgramShape::default()
            },
        ],
        tools: vec![
            ToolShape {
                name: word("restart_service")?,
                args: vec![
                    field("name", any_text(), true),
                    field("times", ArgType::Int { min: 0, max: 9 }, false),
                    field("tags", ArgType::List(Box::new(any_text())), true),
                    field("options", ArgType::Record(options), false),
                ],
                resource_type: Some("Service".to_owned()),
                fills: BTreeSet::new(),
                labels: LabelSet::EMPTY,
            },
            ToolShape {
                name: word("mcp/chat:say")?,
                args: Vec::new(),
                resource_type: None,
                fills: BTreeSet::new(),
                labels: LabelSet::EMPTY,
            },
        ],
        budgets: vec!["pod_delete".to_owned(), "all-calls".to_owned()],
        loops: vec!["same".to_owned()],
        distincts: vec!["pods".to_owned()],
        patterns: vec!["leak".to_owned()],
        latches: vec!["trifecta".to_owned()],
        breakers: vec!["api".to_owned()],
    })
}

/// Who may be asked there.
pub(in crate::policy) fn people() -> Result<People, String> {
    let mut people = People::default();
    people.add_group(word("oncall")?);
    people.add_group(word("leads")?);
    people.add_person(word("alice")?, [word("oncall")?]);
    Ok(people)
}

/// Policies for it; the outer error is a fault of this file.
pub(super) fn load(text: &str) -> Result<Result<Policies, Vec<Problem>>, String> {
    load_for(text, &shape()?)
}

/// The same where calls look like this.
pub(super) fn load_for(text: &str, shape: &Shape) -> Result<Result<Policies, Vec<Problem>>, String> {
    let source = |file, text| Source { file, text };
    let people = people()?;
    Ok(Policies::load(PolicyInput {
        policies: vec![source("main.cedar", text)],
        entities: Some(source("entities.json", ENTITIES)),
        host_schema: Some(source("schema.cedarschema", HOST)),
        shape,
        people: &people,
        vocabulary: &Vocabulary::built_in(),
        no_permit: Outcome::Deny,
    }))
}
