//! The hash of a rule changes with what the rule says, and with nothing else.

use super::*;

const TEXT: &str = r#"
schema = 1
[defaults]
then = "ask"
durability = "process"

[[budget]]
id = "plain"
match = { labels = ["mutating"], programs = ["kubectl"] }
key = ["agent"]
limit = 3
window = { sliding = "10m" }
ask = { group = "oncall" }

[[budget]]
id = "own"
match = { labels = ["mutating"] }
key = ["agent"]
limit = 3
window = { sliding = "10m" }
ladder = [{ over = 0, then = "deny" }]
durability = "strict"

[[loop]]
id = "stuck"
exact_repeat = 5

[[loop]]
id = "stopped"
exact_repeat = 9
then = "deny"
"#;

const IDS: [&str; 4] = ["plain", "own", "stuck", "stopped"];

/// The rules whose hash is another once `from` is `to`.
fn changed(from: &str, to: &str) -> Vec<&'static str> {
    assert!(TEXT.contains(from), "{from}");
    let (before, after) = (load(TEXT).unwrap(), load(&TEXT.replacen(from, to, 1)).unwrap());
    let is_changed = |id: &&str| before.hash_of(id).unwrap() != after.hash_of(id).unwrap();
    IDS.into_iter().filter(is_changed).collect()
}

#[test]
fn what_a_rule_says_is_in_its_hash_and_in_no_other() {
    for (from, to) in [
        ("limit = 3", "limit = 4"),
        ("\"10m\"", "\"11m\""),
        ("\"oncall\" }", "\"oncall\", quorum = 2 }"),
        ("ask = { group = \"oncall\" }", ""),
        (", programs = [\"kubectl\"]", ""),
        ("labels = [\"mutating\"]", "labels = []"),
        ("key = [\"agent\"]", "key = [\"role\"]"),
        ("limit = 3", "limit = 3\nceiling = 9"),
        ("limit = 3", "limit = 3\nladder = []"),
        ("limit = 3", "limit = 3\ndurability = \"strict\""),
    ] {
        assert_eq!(changed(from, to), ["plain"], "{to}");
    }
    for (from, to) in [
        ("then = \"deny\" }]", "then = \"ask\" }]"),
        ("over = 0", "over = 1"),
        ("\"strict\"", "\"process\""),
    ] {
        assert_eq!(changed(from, to), ["own"], "{to}");
    }
    assert_eq!(changed("= 5", "= 6"), ["stuck"]);
    assert_eq!(changed("= 9\nthen = \"deny\"", "= 9\nthen = \"audit\""), ["stopped"]);
}

#[test]
fn a_default_is_in_the_hash_of_the_rules_that_use_it() {
    assert_eq!(changed("then = \"ask\"", "then = \"deny\""), ["plain", "stuck"]);
    assert_eq!(changed("= \"process\"", "= \"strict\""), ["plain"]);
    // What stands where nothing is said is the same said.
    assert!(changed("then = \"ask\"\n", "").is_empty());
    assert_eq!(changed("durability = \"process\"\n", ""), ["plain"]);
}

#[test]
fn rewriting_a_rule_changes_nothing() {
    for (from, to) in [
        ("limit = 3", "\n  limit   =  0x3 # three"),
        (
            "limit = 3\nwindow = { sliding = \"10m\" }",
            "window.sliding = '10m'\nlimit = +3",
        ),
        (
            "labels = [\"mutating\"], programs = [\"kubectl\"]",
            "programs = [\"kubectl\",], labels = [\"mutating\"]",
        ),
        (
            "[[loop]]\nid = \"stuck\"",
            "[[loop]]\nid = \"new\"\nexact_repeat = 7\n[[loop]]\nid = \"stuck\"",
        ),
    ] {
        assert!(changed(from, to).is_empty(), "{to}");
    }
    // The rules in another order.
    let (head, loops) = TEXT.split_once("[[loop]]").unwrap();
    let (top, budgets) = head.split_once("[[budget]]").unwrap();
    let turned = format!("{top}[[loop]]{loops}[[budget]]{budgets}");
    let (before, after) = (load(TEXT).unwrap(), load(&turned).unwrap());
    for id in IDS {
        assert_eq!(before.hash_of(id), after.hash_of(id));
    }
}

#[test]
fn each_rule_has_its_own_hash_and_others_have_none() {
    let rules = load(TEXT).unwrap();
    let hashes: std::collections::BTreeSet<_> = IDS.map(|id| rules.hash_of(id).unwrap()).into();
    assert_eq!(hashes.len(), IDS.len());
    for id in ["", "plain.ceiling", "budget.plain", "Plain"] {
        assert_eq!(rules.hash_of(id), None);
    }
}
