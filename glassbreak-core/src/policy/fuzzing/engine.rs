//! The engine by itself against Cedar's authorizer, over policies that no schema has checked: conditions in error,
//! templates and their links, hierarchies and groups of actions, and entities that are not there.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use cedar_policy::{
    ActionConstraint, Context, Decision, Effect, Entities, Entity, EntityUid, Policy, PolicyId, PolicySet,
    PrincipalConstraint, Request, ResourceConstraint, RestrictedExpression, SlotId,
};

use super::{Dice, Holds, Tally, odd};
use crate::policy::engine::{Engine, Names};
use crate::policy::query::Query;

/// The most requests that one set of policies is asked.
const MAX_REQUESTS: usize = 200;

// Each list is of things that may have those behind them for parents, so that there are no cycles.
const USERS: [&str; 7] = [
    "U::\"ann\"",
    "U::\"bob\"",
    "U::\"cat\"",
    "U::\"gone\"",
    "G::\"a\"",
    "G::\"b\"",
    "G::\"all\"",
];
const THINGS: [&str; 6] = [
    "R::\"one\"",
    "R::\"two\"",
    "R::\"gone\"",
    "F::\"sub\"",
    "F::\"top\"",
    "F::\"root\"",
];
const ACTIONS: [&str; 6] = [
    "Action::\"put\"",
    "Action::\"cut\"",
    "Action::\"get\"",
    "Action::\"write\"",
    "Action::\"do\"",
    "Action::\"other\"",
];
const PRINCIPALS: [&str; 11] = [
    "principal",
    "principal",
    "principal == U::\"ann\"",
    "principal in G::\"a\"",
    "principal in G::\"all\"",
    "principal is U",
    "principal is U in G::\"b\"",
    "principal in U::\"bob\"",
    "principal == ?principal",
    "principal in ?principal",
    "principal is U in ?principal",
];
const DOINGS: [&str; 7] = [
    "action",
    "action == Action::\"put\"",
    "action in Action::\"write\"",
    "action in [Action::\"put\", Action::\"get\", Action::\"put\"]",
    "action in [Action::\"write\", Action::\"do\"]",
    "action in Action::\"do\"",
    "action == Action::\"other\"",
];
const RESOURCES: [&str; 10] = [
    "resource",
    "resource",
    "resource == R::\"one\"",
    "resource in F::\"top\"",
    "resource is R",
    "resource is R in F::\"sub\"",
    "resource in F::\"root\"",
    "resource == ?resource",
    "resource in ?resource",
    "resource is F in ?resource",
];
/// Every kind of expression that the engine works out by itself, and some that it leaves to Cedar; each with values that
/// make it true, false and in error.
const ATOMS: [&str; 81] = [
    "true",
    "false",
    "context.n > 3",
    "context.s like \"a*b\"",
    "context.s like \"*\\**\"",
    "context.flag",
    "context.missing == 1",
    "context.n + 9223372036854775807 > 0",
    "-context.n < 0",
    "context.n * context.n > 9",
    "principal.level > 2",
    "principal.tags.contains(\"x\")",
    "principal has level",
    "principal has level && principal.level < 9",
    "resource.owner == principal",
    "resource.owner.level > 2",
    "resource has owner.level",
    "context.s > 3",
    "context.s == context.n",
    "context.set.containsAny([1, 2, \"x\"])",
    "context.set.isEmpty()",
    "ip(context.s).isIpv4()",
    "decimal(context.s).lessThan(decimal(\"1.5\"))",
    "principal in resource.owner",
    "principal in [G::\"a\", U::\"cat\"]",
    "resource is R && resource in F::\"root\"",
    "context == {}",
    "{a: context.n}.a == 4",
    "context.flag || context.missing",
    "context.s",
    "context.set.contains(1)",
    "context.set.contains(context.n)",
    "[1, 4, \"4\"].contains(context.n)",
    "[\"ab\", \"127.0.0.1\"].contains(context.s)",
    "context.set.containsAll([1, \"y\"])",
    "context.set.containsAll([1, 2, \"x\"])",
    "context.set.containsAll(context.many)",
    "context.many.containsAll(context.set)",
    "context.many.containsAll([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])",
    "context.many.containsAny([\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\", 7])",
    "context.many.contains([1])",
    "[\"y\", 1, 1] == context.set",
    "context.set != context.many",
    "context has r.a.b",
    "context.r has a",
    "context.r has b",
    "context has r.x.y",
    "context.r.a has b.c",
    "context has who.level",
    "context.s has a",
    "context.r.a.b == 4",
    "context.r == {a: {b: 4}}",
    "context.s like \"\"",
    "context.s like \"*\"",
    "context.s like \"**b*\"",
    "context.s like \"*0.*.1\"",
    "context.s like \"a*ab*b\"",
    "context.s like \"a*a\"",
    "context.s like \"*7*.2\"",
    "context.s like \"*0.0.*0.*\"",
    "context.n like \"4\"",
    "principal is U",
    "resource is R in F::\"sub\"",
    "context.who is U",
    "context.n is U",
    "principal in [G::\"a\", G::\"b\"]",
    "context.who in [G::\"a\", resource.owner]",
    "context.who in context.set",
    "action in Action::\"write\"",
    "context.who == principal",
    "context.who == context.n",
    "[principal].contains(resource.owner)",
    "principal.tags.containsAny([\"x\", \"z\"])",
    "context.n - 9223372036854775807 < -9223372036854775806",
    "-context.n * 3 <= -12",
    "context.n * 9223372036854775807 > 0",
    "(if context.flag then context.n else context.s) == 4",
    "ip(context.s).isInRange(ip(\"127.0.0.0/8\"))",
    "ip(\"127.0.0.1\") == ip(context.s)",
    "datetime(\"2024-01-01\") < datetime(\"2024-01-02\") && duration(\"1h\") <= context.n",
    "decimal(\"1.5\").lessThan(decimal(\"2.0\")) && decimal(context.s).lessThan(decimal(\"2.0\"))",
];

/// Random policies over random entities, and a request for every few bytes that are left: the engine finds the same
/// policies to hold, the same in error, and the same decision as the authorizer.
///
/// # Errors
/// The first request of which it does not.
pub fn engine_vs_cedar(bytes: &[u8], tally: &mut Tally) -> Holds {
    let dice = &mut Dice::new(bytes);
    let (entities, there) = entities(dice)?;
    let set = policies(dice)?;
    let engine = Engine::over(set.policies().cloned().collect(), set.clone(), entities);
    for _ in 0..MAX_REQUESTS {
        let mut name = |all: &[&str]| -> Result<EntityUid, String> { dice.of(all).parse().map_err(odd) };
        let names = Names {
            principal: name(&USERS)?,
            action: name(&ACTIONS)?,
            resource: name(&THINGS)?,
        };
        let (principal, action, resource) = (names.principal.clone(), names.action.clone(), names.resource.clone());
        let request = Request::new(principal, action, resource, context(dice)?, None).map_err(odd)?;
        let places = engine.matching(&names);
        let (ours, cedars) = (
            engine.answer(&places, &Query::of(&request).ok_or("a request of unknowns")?),
            engine.oracle(&request),
        );
        if ours != cedars {
            return Err(format!("ours: {ours:?}\nCedar's: {cedars:?}\n{request:?}\n{set}"));
        }
        let policy = |id: &PolicyId| set.policy(id);
        let allowed = cedars.decision == Decision::Allow;
        let forbids = |id: &PolicyId| policy(id).is_some_and(|policy| policy.effect() == Effect::Forbid);
        let forbid_in_error = cedars.errors.iter().any(forbids);
        let mut said = cedars.reasons.iter().chain(&cedars.errors);
        let matching = || places.iter().filter_map(|place| engine.policy(*place));
        tally.asked += 1;
        tally.allowed += u64::from(allowed);
        tally.in_error += u64::from(!cedars.errors.is_empty());
        tally.forbid_unjudged += u64::from(forbid_in_error);
        tally.cedar_allows_in_error += u64::from(forbid_in_error && allowed);
        tally.by_template += u64::from(said.any(|id| policy(id).is_some_and(|policy| !policy.is_static())));
        tally.absent += u64::from(!(there.contains(&names.principal) && there.contains(&names.resource)));
        tally.by_action_group += u64::from(matching().any(|policy| by_action_group(policy, &names.action)));
        tally.by_group += u64::from(matching().any(|policy| by_group(policy, &names)));
        if dice.is_empty() {
            break;
        }
    }
    Ok(())
}

fn by_action_group(policy: &Policy, action: &EntityUid) -> bool {
    matches!(policy.action_constraint(), ActionConstraint::In(groups) if !groups.contains(action))
}

fn by_group(policy: &Policy, names: &Names) -> bool {
    let principal = match policy.principal_constraint() {
        PrincipalConstraint::In(group) | PrincipalConstraint::IsIn(_, group) => group != names.principal,
        PrincipalConstraint::Any | PrincipalConstraint::Eq(_) | PrincipalConstraint::Is(_) => false,
    };
    let resource = match policy.resource_constraint() {
        ResourceConstraint::In(group) | ResourceConstraint::IsIn(_, group) => group != names.resource,
        ResourceConstraint::Any | ResourceConstraint::Eq(_) | ResourceConstraint::Is(_) => false,
    };
    principal || resource
}

/// Most of the things above, each in some of the groups behind it, with attributes that may be missing or too large.
fn entities(dice: &mut Dice<'_>) -> Result<(Entities, HashSet<EntityUid>), String> {
    let mut out = Vec::new();
    let mut there = HashSet::new();
    for (all, groups_from) in [(&USERS[..], 4), (&THINGS[..], 3), (&ACTIONS[..], 3)] {
        for (n, name) in all.iter().enumerate() {
            if name.contains("gone") || dice.once_in(12) {
                continue;
            }
            let groups = all.iter().skip(groups_from.max(n + 1)).filter(|_| !dice.once_in(2));
            let parents: Result<HashSet<EntityUid>, _> = groups.map(|group| group.parse().map_err(odd)).collect();
            let uid: EntityUid = name.parse().map_err(odd)?;
            let attributes = attributes(dice, name)?;
            there.insert(uid.clone());
            out.push(Entity::new(uid, attributes, parents?).map_err(odd)?);
        }
    }
    Ok((Entities::from_entities(out, None).map_err(odd)?, there))
}

fn attributes(dice: &mut Dice<'_>, name: &str) -> Result<HashMap<String, RestrictedExpression>, String> {
    let mut out = HashMap::new();
    if name.starts_with("U::") {
        let level = match dice.roll(4) {
            0 => Some(3),
            1 => Some(i64::MAX),
            2 => Some(0),
            _ => None,
        };
        out.extend(level.map(|level| ("level".to_owned(), RestrictedExpression::new_long(level))));
        let tags = ["x", "y"].into_iter().filter(|_| dice.once_in(2));
        let tags = tags.map(|tag| RestrictedExpression::new_string(tag.to_owned()));
        out.insert("tags".to_owned(), RestrictedExpression::new_set(tags));
    }
    if name.starts_with("R::") {
        let owner: EntityUid = dice.of(&USERS).parse().map_err(odd)?;
        out.insert("owner".to_owned(), RestrictedExpression::new_entity_uid(owner));
    }
    Ok(out)
}

fn condition(dice: &mut Dice<'_>, depth: usize) -> String {
    if depth == 0 || dice.roll(3) == 0 {
        return dice.of(&ATOMS).to_owned();
    }
    let (left, right) = (condition(dice, depth - 1), condition(dice, depth - 1));
    match dice.roll(4) {
        0 => format!("({left}) && ({right})"),
        1 => format!("({left}) || ({right})"),
        2 => format!("!({left})"),
        _ => format!("if ({left}) then ({right}) else ({left})"),
    }
}

fn policies(dice: &mut Dice<'_>) -> Result<PolicySet, String> {
    let mut text = String::new();
    for _ in 0..dice.roll(9) {
        let effect = dice.of(&["permit", "permit", "forbid"]);
        let (principal, action, resource) = (dice.of(&PRINCIPALS), dice.of(&DOINGS), dice.of(&RESOURCES));
        let _ = write!(text, "{effect} ({principal}, {action}, {resource})");
        for _ in 0..dice.roll(3) {
            let word = dice.of(&["when", "when", "unless"]);
            let _ = write!(text, " {word} {{ {} }}", condition(dice, 2));
        }
        text.push_str(";\n");
    }
    let mut set: PolicySet = text.parse().map_err(odd)?;
    let mut templates: Vec<PolicyId> = set.templates().map(|template| template.id().clone()).collect();
    templates.sort_unstable();
    for (n, template) in templates.into_iter().enumerate() {
        let slots: HashSet<SlotId> = set
            .template(&template)
            .into_iter()
            .flat_map(|t| t.slots().cloned())
            .collect();
        for link in 0..dice.roll(3) {
            let mut values = HashMap::new();
            for (slot, all) in [(SlotId::principal(), &USERS[..]), (SlotId::resource(), &THINGS[..])] {
                if slots.contains(&slot) {
                    values.insert(slot, dice.of(all).parse().map_err(odd)?);
                }
            }
            let id = PolicyId::new(format!("link{n}-{link}"));
            set.link(template.clone(), id, values).map_err(odd)?;
        }
    }
    Ok(set)
}

fn context(dice: &mut Dice<'_>) -> Result<Context, String> {
    type E = RestrictedExpression;
    let mut pairs: Vec<(String, E)> = Vec::new();
    let mut add = |name: &str, value: Option<E>| pairs.extend(value.map(|value| (name.to_owned(), value)));
    let long = match dice.roll(5) {
        0 => Some(4),
        1 => Some(0),
        2 => Some(i64::MAX),
        3 => Some(i64::MIN),
        _ => None,
    };
    add("n", long.map(E::new_long));
    let text = match dice.roll(5) {
        0 => Some("ab"),
        1 => Some("127.0.0.1"),
        2 => Some("1.25"),
        3 => Some("a*b"),
        _ => None,
    };
    add("s", text.map(|text| E::new_string(text.to_owned())));
    let flag = match dice.roll(3) {
        0 => Some(true),
        1 => Some(false),
        _ => None,
    };
    add("flag", flag.map(E::new_bool));
    let set = match dice.roll(3) {
        0 => Some(E::new_set([E::new_long(1), E::new_string("y".to_owned())])),
        1 => Some(E::new_set([])),
        _ => None,
    };
    add("set", set);
    let many = (1..=10)
        .map(E::new_long)
        .chain([E::new_string("y".to_owned()), E::new_set([E::new_long(1)])]);
    add("many", (!dice.once_in(4)).then(|| E::new_set(many)));
    if !dice.once_in(4) {
        let within = E::new_record([("b".to_owned(), E::new_long(4))]).map_err(odd)?;
        add("r", Some(E::new_record([("a".to_owned(), within)]).map_err(odd)?));
    }
    let who: EntityUid = dice.of(&USERS).parse().map_err(odd)?;
    add("who", (!dice.once_in(4)).then(|| E::new_entity_uid(who)));
    Context::from_pairs(pairs).map_err(odd)
}
