//! Policies of Dogwood as both read them.

use dogwood_language::{LoweredPolicySet, ParsedPolicySet, PolicySchema, ServiceSchema};

use crate::said::{Said, Why, said};

/// Without pins: an event of one principal matches one of another, as Dogwood's corpus has it.
pub const UNPINNED: &str = r#"
decision event <A>::request {
    ...inputs(A),
    callerPrincipal:   principalType(A),
    callerResource:    resourceType(A),
    requestId:         String,
    sessionId:         String,
}
event <A>::response {
    ...inputs(A),
    ...outputs(A),
    callerPrincipal:   principalType(A),
    callerResource:    resourceType(A),
    requestId:         String,
    sessionId:         String,
}
event <A>::error {
    ...inputs(A),
    callerPrincipal:   principalType(A),
    callerResource:    resourceType(A),
    requestId:         String,
    sessionId:         String,
}
"#;

/// The service schema of everything here.
pub fn service() -> ServiceSchema {
    ServiceSchema::builder()
        .event_schema_str(UNPINNED)
        .build()
        .expect("the event schema builds")
}

/// The policies, as Dogwood runs them.
///
/// # Errors
/// Dogwood's own.
pub fn lowered(policy: &str, schema: &str) -> Result<LoweredPolicySet, String> {
    let schema = PolicySchema::from_cedarschema_str(schema).map_err(|error| error.to_string())?;
    LoweredPolicySet::from_str(policy, &service(), &schema).map_err(|error| error.to_string())
}

/// One policy that both can say.
#[derive(Debug)]
pub struct Policy {
    /// Whether it permits; else it forbids.
    pub permits: bool,
    /// The action that it is about, such as `Drupe::Action::"Read"`.
    pub action: String,
    /// Its condition, and whether it is one that must not hold; `None` holds always.
    pub condition: Option<(bool, Said)>,
}

/// Every policy of the source, if both can say all of them.
///
/// # Errors
/// What cannot be said.
pub fn policies(source: &str) -> Result<Vec<Policy>, Why> {
    let parsed = ParsedPolicySet::parse(source, &service()).map_err(|_| "it does not parse")?;
    parsed.policies().map(|policy| one(&policy)).collect()
}

fn one(policy: &dogwood_language::ParsedPolicy<'_>) -> Result<Policy, Why> {
    let scope = policy.scope();
    if *scope.principal() != dogwood_language::PrincipalConstraint::Any
        || *scope.resource() != dogwood_language::ResourceConstraint::Any
    {
        return Err("a rule for some principals or resources");
    }
    let dogwood_language::ActionConstraint::Eq(action) = scope.action() else {
        return Err("a rule for several actions");
    };
    let action = action.to_string();
    // Rendered by Dogwood, so that there is one way to write it; strings hold no such words in the corpus.
    let source = policy.expanded_source();
    let words: Vec<&str> = source
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
        .collect();
    let number = |word: &str| words.iter().filter(|known| **known == word).count();
    let permits = match (number("permit"), number("forbid")) {
        (1, 0) => true,
        (0, 1) => false,
        _ => return Err("a rule that cannot be told apart"),
    };
    if source.contains('\\') {
        return Err("an escaped name");
    }
    let conditions: Vec<_> = policy.temporal_conditions().collect();
    if !conditions.is_empty() && !is_alone(&source) {
        return Err("a rule with conditions of other kinds");
    }
    let condition = match (conditions.as_slice(), number("when"), number("unless")) {
        ([], 0, 0) => None,
        ([condition], 1, 0) => Some((false, said(condition, &action)?)),
        ([condition], 0, 1) => Some((true, said(condition, &action)?)),
        _ => return Err("a rule with conditions of other kinds"),
    };
    Ok(Policy {
        permits,
        action,
        condition,
    })
}

/// Whether the one clause is a temporal block and nothing besides: Dogwood renders `when { temporal { … } };`.
fn is_alone(source: &str) -> bool {
    let Some((before, block)) = source.split_once("temporal {") else {
        return false;
    };
    let (mut depth, mut end) = (1, None);
    for (at, c) in block.char_indices() {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth == 0 {
            end = Some(at + 1);
            break;
        }
    }
    let words = |text: &str| -> String { text.split_whitespace().collect() };
    let (before, after) = (words(before), end.map_or(String::new(), |end| words(&block[end..])));
    (before.ends_with("when{") || before.ends_with("unless{")) && after == "};"
}
