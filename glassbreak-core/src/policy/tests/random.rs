//! Random policies and requests, with hierarchies, groups of actions, linked templates, entities that are not there, and
//! conditions in error: the engine finds what Cedar's authorizer finds, every time.
//!
//! ```text
//! GLASSBREAK_REQUESTS=1000000 cargo test --release -p glassbreak-core random -- --nocapture
//! ```

use std::collections::HashMap;
use std::fmt::Write as _;

use cedar_policy::{Context, Decision, Effect, Entities, EntityUid, PolicyId, PolicySet, Request, SlotId};

use crate::policy::engine::{Engine, Names};
use crate::policy::run::Query;

/// How many requests one set of policies is asked.
const PER_SET: u32 = 200;

/// Numbers that are the same every time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % sides
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.roll(all.len())]
    }
}

const ENTITIES: &str = r#"[
  {"uid":{"type":"G","id":"all"},"attrs":{},"parents":[]},
  {"uid":{"type":"G","id":"a"},"attrs":{},"parents":[{"type":"G","id":"all"}]},
  {"uid":{"type":"G","id":"b"},"attrs":{},"parents":[{"type":"G","id":"all"}]},
  {"uid":{"type":"U","id":"ann"},"attrs":{"level":3,"tags":["x","y"]},"parents":[{"type":"G","id":"a"}]},
  {"uid":{"type":"U","id":"bob"},"attrs":{"level":9223372036854775807,"tags":[]},"parents":[{"type":"G","id":"b"}]},
  {"uid":{"type":"U","id":"cat"},"attrs":{"tags":["x"]},"parents":[]},
  {"uid":{"type":"F","id":"top"},"attrs":{},"parents":[]},
  {"uid":{"type":"F","id":"sub"},"attrs":{},"parents":[{"type":"F","id":"top"}]},
  {"uid":{"type":"R","id":"one"},"attrs":{"owner":{"__entity":{"type":"U","id":"ann"}}},"parents":[{"type":"F","id":"sub"}]},
  {"uid":{"type":"R","id":"two"},"attrs":{"owner":{"__entity":{"type":"U","id":"gone"}}},"parents":[{"type":"F","id":"top"}]},
  {"uid":{"type":"Action","id":"do"},"attrs":{},"parents":[]},
  {"uid":{"type":"Action","id":"write"},"attrs":{},"parents":[{"type":"Action","id":"do"}]},
  {"uid":{"type":"Action","id":"put"},"attrs":{},"parents":[{"type":"Action","id":"write"}]},
  {"uid":{"type":"Action","id":"cut"},"attrs":{},"parents":[{"type":"Action","id":"write"}]},
  {"uid":{"type":"Action","id":"get"},"attrs":{},"parents":[{"type":"Action","id":"do"}]}
]"#;
const USERS: [&str; 5] = ["U::\"ann\"", "U::\"bob\"", "U::\"cat\"", "U::\"gone\"", "G::\"a\""];
const ACTIONS: [&str; 6] = [
    "Action::\"put\"",
    "Action::\"cut\"",
    "Action::\"get\"",
    "Action::\"write\"",
    "Action::\"do\"",
    "Action::\"other\"",
];
const THINGS: [&str; 4] = ["R::\"one\"", "R::\"two\"", "R::\"gone\"", "F::\"sub\""];
const PRINCIPALS: [&str; 8] = [
    "principal",
    "principal",
    "principal == U::\"ann\"",
    "principal in G::\"a\"",
    "principal in G::\"all\"",
    "principal is U",
    "principal is U in G::\"b\"",
    "principal == ?principal",
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
const RESOURCES: [&str; 7] = [
    "resource",
    "resource",
    "resource == R::\"one\"",
    "resource in F::\"top\"",
    "resource is R",
    "resource is R in F::\"sub\"",
    "resource in ?resource",
];
/// Every kind of expression that the engine works out by itself, and some that it leaves to Cedar; each with values that
/// make it true, false and in error.
const ATOMS: [&str; 65] = [
    "true",
    "context.n > 3",
    "context.s like \"a*b\"",
    "context.flag",
    "context.missing == 1",
    "context.n + 9223372036854775807 > 0",
    "principal.level > 2",
    "principal.tags.contains(\"x\")",
    "principal has level",
    "resource.owner == principal",
    "resource.owner.level > 2",
    "context.s > 3",
    "context.set.containsAny([1, 2, \"x\"])",
    "ip(context.s).isIpv4()",
    "principal in resource.owner",
    "context == {}",
    "context.flag || context.missing",
    "context.s",
    "context.set.contains(1)",
    "context.set.contains(context.n)",
    "[1, 4, \"4\"].contains(context.n)",
    "[\"ab\", \"127.0.0.1\"].contains(context.s)",
    "context.set.containsAll([1, \"y\"])",
    "context.set.containsAll(context.many)",
    "context.many.containsAll(context.set)",
    "context.many.containsAll([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])",
    "context.many.containsAny([\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\", 7])",
    "context.many.contains([1])",
    "context.set.isEmpty()",
    "[\"y\", 1, 1] == context.set",
    "context.set != context.many",
    "context has r.a.b",
    "context.r has a",
    "context.r.a has b.c",
    "context has who.level",
    "context.s has a",
    "context.r.a.b == 4",
    "context.r == {a: {b: 4}}",
    "{a: context.n}.a == 4",
    "context.s like \"\"",
    "context.s like \"*\"",
    "context.s like \"**b*\"",
    "context.s like \"*0.*.1\"",
    "context.s like \"a*ab*b\"",
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

fn condition(dice: &mut Dice, depth: usize) -> String {
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

fn policies(dice: &mut Dice) -> PolicySet {
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
    let mut set: PolicySet = text.parse().unwrap();
    let templates: Vec<PolicyId> = set.templates().map(|template| template.id().clone()).collect();
    for (n, template) in templates.into_iter().enumerate() {
        let slots: Vec<SlotId> = set.template(&template).unwrap().slots().cloned().collect();
        for link in 0..dice.roll(3) {
            let values: HashMap<SlotId, EntityUid> = slots
                .iter()
                .map(|slot| {
                    let name = if *slot == SlotId::principal() {
                        dice.of(&USERS)
                    } else {
                        dice.of(&["F::\"top\"", "F::\"sub\"", "R::\"one\""])
                    };
                    (slot.clone(), name.parse().unwrap())
                })
                .collect();
            let id = PolicyId::new(format!("link{n}-{link}"));
            set.link(template.clone(), id, values).unwrap();
        }
    }
    set
}

fn context(dice: &mut Dice) -> Context {
    let mut fields = serde_json::Map::new();
    let mut add = |name: &str, value: serde_json::Value, often: usize| {
        if dice.roll(often) > 0 {
            fields.insert(name.to_owned(), value);
        }
    };
    add("n", 4.into(), 5);
    add("s", "ab".into(), 5);
    add("flag", true.into(), 3);
    let set = if dice.roll(3) == 0 {
        serde_json::json!([])
    } else {
        serde_json::json!([1, "y"])
    };
    let mut add = |name: &str, value: serde_json::Value, often: usize| {
        if dice.roll(often) > 0 {
            fields.insert(name.to_owned(), value);
        }
    };
    add("set", set, 4);
    add("many", serde_json::json!([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, "y", [1]]), 4);
    add("r", serde_json::json!({"a": {"b": 4}}), 4);
    add("who", serde_json::json!({"__entity": {"type": "U", "id": "ann"}}), 4);
    if dice.roll(4) == 0 {
        fields.insert("s".to_owned(), "127.0.0.1".into());
        fields.insert("n".to_owned(), 0.into());
    }
    Context::from_json_value(fields.into(), None).unwrap()
}

#[test]
fn the_engine_finds_what_cedar_finds() {
    let wanted = std::env::var("GLASSBREAK_REQUESTS").ok().and_then(|n| n.parse().ok());
    let wanted: u32 = wanted.unwrap_or(20_000);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let entities = Entities::from_json_str(ENTITIES, None).unwrap();
    let (mut asked, mut allowed, mut in_error, mut forbid_in_error) = (0, 0, 0, 0);
    while asked < wanted {
        let set = policies(&mut dice);
        let engine = Engine::over(set.policies().cloned().collect(), set.clone(), entities.clone());
        for _ in 0..PER_SET {
            let mut name = |all: &[&str]| -> EntityUid { dice.of(all).parse().unwrap() };
            let names = Names {
                principal: name(&USERS),
                action: name(&ACTIONS),
                resource: name(&THINGS),
            };
            let (principal, action, resource) = (names.principal.clone(), names.action.clone(), names.resource.clone());
            let request = Request::new(principal, action, resource, context(&mut dice), None).unwrap();
            let places = engine.matching(&names);
            let (ours, cedars) = (
                engine.answer(&places, &Query::of(&request).unwrap()),
                engine.oracle(&request),
            );
            assert_eq!(ours, cedars, "{request:?}\n{set}");
            asked += 1;
            allowed += u32::from(cedars.decision == Decision::Allow);
            in_error += u32::from(!cedars.errors.is_empty());
            let forbids = |id: &PolicyId| set.policy(id).is_some_and(|policy| policy.effect() == Effect::Forbid);
            let unjudged = cedars.errors.iter().any(forbids);
            forbid_in_error += u32::from(unjudged && cedars.decision == Decision::Allow);
        }
    }
    println!(
        "{asked} requests: {allowed} that Cedar allows, {in_error} with errors, \
         {forbid_in_error} that Cedar allows although a forbid is in error"
    );
    // Else this would say nothing about what matters.
    assert!(allowed > asked / 20 && in_error > asked / 20 && forbid_in_error > 0);
}
