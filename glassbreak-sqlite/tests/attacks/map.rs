//! `SECURITY.md` names every attack, and a test that is there for each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All functions of the workspace's crates, by name.
fn functions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let named = text.split("fn ").skip(1);
                let word = |rest: &str| {
                    rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                        .next()
                        .map(str::to_owned)
                };
                found.extend(named.filter_map(word));
            }
        }
    }
    found
}

/// Every test that is named for an attack: `a07_` and what it holds.
fn numbered(functions: &BTreeSet<String>) -> BTreeMap<u32, BTreeSet<String>> {
    let mut all: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for name in functions {
        let number = name.strip_prefix('a').and_then(|rest| rest.split_once('_'));
        if let Some((digits, _)) = number
            && digits.len() == 2
            && let Ok(number) = digits.parse()
        {
            all.entry(number).or_default().insert(name.clone());
        }
    }
    all
}

#[test]
fn the_map_of_attacks_has_every_number_and_every_test_that_it_names_is_there() {
    let security = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let functions = functions();
    let numbered = numbered(&functions);
    let mut rows = BTreeMap::new();
    for line in security.lines().filter(|line| line.starts_with("| A")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let &[number, attack, holds, tests] = cells.as_slice() else {
            panic!("a row of another form: {line}")
        };
        let number: u32 = number.strip_prefix('A').unwrap().parse().unwrap();
        assert!(!attack.is_empty() && !holds.is_empty(), "{line}");
        let named: BTreeSet<&str> = tests.split('`').skip(1).step_by(2).collect();
        for name in &named {
            assert!(
                functions.contains(*name),
                "A{number} names `{name}`, and there is no such test"
            );
        }
        let own = numbered.get(&number).cloned().unwrap_or_default();
        let missing: Vec<&String> = own.iter().filter(|name| !named.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "A{number} does not name {missing:?}");
        // Of a later crate, or cut; whatever else is there is tried by its number.
        let elsewhere = tests.contains("comes with") || holds.contains("Cut");
        assert!(!own.is_empty() || elsewhere, "A{number} has no test of its number");
        assert!(rows.insert(number, named.len()).is_none(), "A{number} stands twice");
    }
    assert!(rows.into_keys().eq(1..=40), "a number is missing");
    assert!(numbered.into_keys().all(|number| (1..=40).contains(&number)));
}
