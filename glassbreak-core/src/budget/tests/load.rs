//! Every mistake in the file is named at its place, with what to write instead.

use super::*;

/// A file of one budget, with `line` for its last (line 9).
fn with(line: &str) -> String {
    let key = line.split(' ').next().unwrap_or_default();
    let usual = [
        "id = \"x\"",
        "match = { labels = [\"mutating\"] }",
        "key = [\"session\"]",
        "limit = 3",
        "window = { sliding = \"10m\" }",
        "durability = \"none\"",
    ];
    let mut text = String::from("schema = 1\n[[budget]]\n");
    let kept: Vec<&str> = usual
        .into_iter()
        .filter(|usual| !usual.starts_with(&format!("{key} ")))
        .collect();
    text.push_str(&kept.join("\n"));
    text.push_str(&"\n".repeat(usual.len() - kept.len() + 1));
    format!("{text}{line}\n")
}

fn only_problem(text: &str) -> String {
    let problems = load(text).expect_err(text);
    assert_eq!(problems.len(), 1, "{text}\n{problems:?}");
    problems[0].to_string()
}

#[test]
fn the_usual_file_loads() {
    load(&with("ceiling = 4")).unwrap();
    load(&with("amount = 1")).unwrap();
    load(&with("ladder = []")).unwrap();
    load(&with("match = { labels = [] }")).unwrap();
    load("schema = 1").unwrap();
}

#[test]
fn each_wrong_line_is_named() {
    // The line, the column, and parts of what is said.
    let cases: [(&str, u32, &[&str]); 46] = [
        (
            "match = { labels = [\"mutatign\"] }",
            21,
            &["unknown label `mutatign`", "did you mean `mutating`?"],
        ),
        (
            "match = { labels = [\"frob\"] }",
            21,
            &["unknown label `frob`", "glassbreak.toml under [labels]"],
        ),
        (
            "match = { lables = [] }",
            11,
            &["unknown key `lables`", "did you mean `labels`?"],
        ),
        ("match = {}", 9, &["nothing in particular", "labels = []"]),
        ("match = { tools = [] }", 19, &["empty", "leave it out"]),
        ("match = { tools = [\"a b\"] }", 20, &["`a b` is not a name"]),
        ("match = { tools = [\"a\", \"a\"] }", 25, &["stands twice"]),
        (
            "match = \"mutating\"",
            9,
            &["`match` is a string, and a table is wanted"],
        ),
        ("key = [\"target.name\"]", 7, &["does not begin with \"session\""]),
        ("key = []", 7, &["does not begin with \"session\""]),
        (
            "key = [\"session\", \"agent\"]",
            19,
            &[
                "\"agent\" is the second word for whose count it is",
                "one [[budget]] for each",
            ],
        ),
        (
            "key = [\"fleet\", \"target.name\"]",
            8,
            &[
                "a count of the fleet is not kept with the session",
                "durability = \"process\" or \"strict\"",
            ],
        ),
        (
            "key = [\"tenant\", \"target.name\"]",
            8,
            &["counting by tenant is not built", "its own store"],
        ),
        (
            "key = [\"session\", \"target.nmae\"]",
            19,
            &["did you mean \"target.name\"?"],
        ),
        (
            "key = [\"session\", \"resource.name\"]",
            19,
            &["did you mean \"target.name\"?"],
        ),
        ("key = [\"session\", \"session\"]", 19, &["stands twice"]),
        ("limit = -1", 9, &["`limit` is -1", "from 0 to 1024"]),
        ("limit = 1025", 9, &["`limit` is 1025"]),
        ("limit = 99999999999999999999", 9, &["`limit` is 99999999999999999999"]),
        ("limit = 1.5", 9, &["`limit` is a float"]),
        ("limit = \"3\"", 9, &["`limit` is a string"]),
        ("ceiling = 2", 11, &["the ceiling 2 is below the limit 3"]),
        ("ceiling = 0", 11, &["from 1 to 1024"]),
        ("ceiling = 1025", 11, &["from 1 to 1024"]),
        (
            "window = { calendar = \"dya\" }",
            23,
            &["cannot be \"dya\"", "did you mean \"day\"?"],
        ),
        ("window = { sliding = \"10m\", buckets = 0 }", 39, &["from 1 to 1024"]),
        (
            "window = { sliding = \"10m\", calendar = \"day\" }",
            10,
            &["of two kinds"],
        ),
        (
            "window = { sliding = \"10 m\" }",
            22,
            &["`10 m` is not a span of time", "5m"],
        ),
        ("window = { slidng = \"10m\" }", 12, &["did you mean `sliding`?"]),
        (
            "window = \"10m\"",
            10,
            &["does not say its kind", "{ sliding = \"10m\" }"],
        ),
        ("window = {}", 10, &["the window is empty"]),
        (
            "durability = \"strikt\"",
            14,
            &["`durability` cannot be \"strikt\"", "did you mean \"strict\"?"],
        ),
        ("amount = 0", 10, &["`amount` is 0"]),
        ("amount = \"usd\"", 10, &["`usd` is not an amount", "cost.objects"]),
        ("on_missing = \"ask\"", 1, &["never missing"]),
        ("event = \"asks\"", 9, &["did you mean \"ask\"?"]),
        ("celing = 10", 1, &["unknown key `celing`", "did you mean `ceiling`?"]),
        ("ladder = [{ at = 1 }]", 11, &["does not say what then"]),
        ("ladder = [{ then = \"ask\" }]", 11, &["either `at` or `over`"]),
        (
            "ladder = [{ at = 1, over = 1, then = \"ask\" }]",
            11,
            &["either `at` or `over`"],
        ),
        ("ladder = [{ at = 0, then = \"ask\" }]", 18, &["from 1 to 1024"]),
        (
            "ladder = [{ over = 0, then = \"aks\" }]",
            30,
            &["cannot be \"aks\"", "did you mean \"ask\"?"],
        ),
        (
            "ask = { group = \"onkall\" }",
            17,
            &["unknown group `onkall`", "did you mean `oncall`?"],
        ),
        ("ask = { quorum = 2 }", 1, &["names no group"]),
        ("ask = { group = \"oncall\", quorum = 21 }", 36, &["from 1 to 20"]),
        (
            "ask = { group = \"oncall\", self = \"yes\" }",
            34,
            &["\"allow\" or \"deny\""],
        ),
    ];
    for (line, column, parts) in cases {
        let problem = only_problem(&with(line));
        assert!(
            problem.starts_with(&format!("budgets.toml:9:{column}: ")),
            "{line}\n{problem}"
        );
        for part in parts {
            assert!(problem.contains(part), "{line}\n{problem}\nlacks {part}");
        }
    }
}

#[test]
fn what_a_rule_must_say() {
    let whole = with("id = \"x\"");
    for (key, part) in [
        ("id", "the rule has no id"),
        ("match", "does not say what it counts"),
        ("key", "has no key"),
        ("limit", "has no limit"),
    ] {
        let without: Vec<&str> = whole
            .lines()
            .filter(|line| !line.starts_with(&format!("{key} ")))
            .collect();
        let problem = only_problem(&without.join("\n"));
        assert!(problem.starts_with("budgets.toml:2:1: "), "{problem}");
        assert!(problem.contains(part), "{problem}");
    }
    assert!(only_problem("").contains("schema = 1"));
    assert!(only_problem("schema = 2").starts_with("budgets.toml:1:10: "));
}

#[test]
fn ids_can_stand_in_policies_and_are_unique() {
    for id in ["", "Pod", "9x", "_x", "a-b", "a.b", "in", "has", &"x".repeat(64)] {
        let problem = only_problem(&with(&format!("id = \"{id}\"")));
        assert!(problem.starts_with("budgets.toml:9:6: "), "{problem}");
    }
    load(&with(&format!("id = \"{}\"", "x".repeat(63)))).unwrap();
    let twice = with("id = \"x\"") + "[[loop]]\nid = \"x\"\nexact_repeat = 5\n";
    let problem = only_problem(&twice);
    assert!(
        problem.starts_with("budgets.toml:11:6: ") && problem.contains("share their ids"),
        "{problem}"
    );
}

#[test]
fn what_forgives_by_time_alone_is_refused_by_name() {
    let problem = only_problem("schema = 1\n[[decay]]\nid = \"x\"\n");
    assert!(
        problem.starts_with("budgets.toml:2:3: ") && problem.contains("[[budget]]"),
        "{problem}"
    );
    for (line, part) in [
        ("", "write exact_repeat = 5"),
        ("exact_repeat = 1", "from 2 to 1024"),
        ("exact_repeat = 1025", "from 2 to 1024"),
        ("failing_repeat = 17", "from 1 to 16"),
        ("cycle = { max_period = 1 }", "from 2 to 32"),
        ("cycle = { key = \"verb\" }", "norm+outcome"),
        ("exact_repeat = 5\nask = { group = \"nobody\" }", "[groups.nobody]"),
        ("exact_repeat = 5\nkey = [\"agent\"]", "kept with the session"),
    ] {
        let problem = only_problem(&format!("schema = 1\n[[loop]]\nid = \"x\"\n{line}\n"));
        assert!(problem.contains(part), "{problem}");
    }
    assert!(only_problem("schema = 1\n[budget]\nid = \"x\"\n").contains("write [[budget]]"));
    assert!(only_problem("schema = 1\n[defaults]\non_store_error = \"deny\"\n").contains("always denies"));
    assert!(only_problem("schema = 1\n[defaults]\ndurability = \"redis\"\n").starts_with("budgets.toml:3:14: "));
}

#[test]
fn each_kind_of_rule_says_where_it_is_wrong() {
    let labels = "match = { labels = [\"mutating\"] }";
    for (kind, lines, line, part) in [
        (
            "distinct",
            "of = \"target.name\"\nlimit = 3",
            2,
            "does not say what it is about",
        ),
        (
            "distinct",
            "match = { labels = [] }\nlimit = 3",
            2,
            "does not say what is told apart",
        ),
        (
            "distinct",
            "match = { labels = [] }\nof = \"target.nmae\"\nlimit = 3",
            5,
            "did you mean",
        ),
        (
            "distinct",
            "match = { labels = [] }\nof = \"tool\"\nlimit = 4097",
            6,
            "from 0 to 4096",
        ),
        (
            "pattern",
            "steps = [{ labels = [] }]\nwithin = \"5m\"",
            4,
            "a pattern of 1 steps",
        ),
        (
            "pattern",
            "steps = [{ labels = [] }, { labels = [] }]",
            2,
            "within what time",
        ),
        (
            "pattern",
            "steps = [{ labels = [] }, { lables = [] }]\nwithin = \"5m\"",
            4,
            "did you mean `labels`?",
        ),
        (
            "pattern",
            "steps = [{ labels = [] }, { labels = [] }]\nwithin = \"5m\"\ngap = \"1s\"",
            6,
            "not told exactly",
        ),
        ("latch", labels, 2, "names no labels"),
        ("latch", "match = { labels = [] }\nlatch = []", 5, "no labels"),
        ("breaker", "key = [\"session\"]", 2, "when it opens"),
        ("breaker", "consecutive = 3", 2, "has no key"),
        (
            "breaker",
            "consecutive = 3\nkey = [\"agent\"]",
            5,
            "kept with the session",
        ),
        (
            "breaker",
            "consecutive = 3\nkey = [\"session\"]\nopen = \"1h\"\nmax_open = \"1m\"",
            7,
            "less than 1h",
        ),
        (
            "breaker",
            "ratio = { of = 65, failed = 3 }\nkey = [\"session\"]",
            4,
            "from 1 to 64",
        ),
        (
            "approvals",
            "key = [\"session\"]\nlimit = 3\ndurability = \"strict\"",
            6,
            "counted in the session",
        ),
        (
            "denials",
            "key = [\"agent\"]\nlimit = 3",
            4,
            "not kept with the session",
        ),
        (
            "budget",
            "match = { labels = [] }\nlevels = []",
            5,
            "there are 0 levels",
        ),
        (
            "budget",
            "match = { labels = [] }\nlevels = [{ key = [\"session\"] }]",
            5,
            "has no limit",
        ),
        (
            "budget",
            "match = { labels = [] }\nlimit = 3\nlevels = [{ key = [\"session\"], limit = 3 }]",
            5,
            "each level has its own",
        ),
    ] {
        let problem = only_problem(&format!("schema = 1\n[[{kind}]]\nid = \"x\"\n{lines}\n"));
        assert!(
            problem.starts_with(&format!("budgets.toml:{line}:")),
            "{kind}: {problem}"
        );
        assert!(problem.contains(part), "{kind}: {problem}\nlacks {part}");
    }
    let over = load(
        "schema = 1\n[defaults]\nmax_state = \"1KiB\"\n[[budget]]\nid = \"x\"\nmatch = { labels = [] }\nkey = [\"session\"]\nlimit = 3\nwindow = { sliding = \"1m\" }\n",
    );
    assert!(over.unwrap_err()[0].to_string().contains("1024 are allowed"));
}

#[test]
fn what_cannot_be_undone_needs_a_rule_that_never_forgives() {
    let vocabulary = Vocabulary::built_in();
    let lint = |text: &str, carried: &[&str]| {
        let source = Source {
            file: "budgets.toml",
            text,
        };
        load(text).unwrap().unheld(source, &vocabulary, labels(carried))
    };
    let breaker = "schema = 1\n[[breaker]]\nid = \"b\"\nmatch = { labels = [\"irreversible\"] }\nkey = [\"session\"]\nconsecutive = 3\n";
    assert!(lint(breaker, &[]).unwrap().to_string().contains("`irreversible`"));
    assert!(lint("schema = 1", &["irreversible"]).is_some());
    assert!(lint("schema = 1", &["mutating"]).is_none());
    let latch =
        format!("{breaker}[[latch]]\nid = \"l\"\nlatch = [\"untrusted.in\"]\nmatch = {{ any = [\"irreversible\"] }}\n");
    assert!(lint(&latch, &["irreversible"]).is_none());
    let counts_only = with("match = { labels = [\"irreversible\"] }");
    assert!(lint(&counts_only, &["irreversible"]).is_none());
    assert!(lint(&(counts_only + "ladder = []\n"), &["irreversible"]).is_some());
}

#[test]
fn all_problems_of_a_file_are_reported() {
    let text = "[[budget]]\nid = \"A\"\nlimit = -1\n[[loop]]\nid = \"b\"\nexact_repeat = 0\n[[latch]]\n";
    let problems = load(text).unwrap_err();
    assert_eq!(problems.len(), 9, "{problems:#?}");
    let broken = load("schema = \n[[budget]\n").unwrap_err();
    assert!(!broken.is_empty());
}

/// A budget with this key and durability, and the lines before it.
fn keyed(before: &str, key: &str, durability: &str) -> String {
    format!(
        "schema = 1\n{before}\n[[budget]]\nid = \"x\"\nmatch = {{ labels = [] }}\nkey = {key}\nlimit = 3\n\
         window = {{ sliding = \"10m\" }}\n{durability}\n"
    )
}

#[test]
fn what_is_not_said_must_survive_and_the_rules_own_word_goes_before_the_default() {
    let needs = |text: &str| load(text).unwrap().durability();
    let of = |default: &str, own: &str| {
        let line = |word: &str| format!("durability = \"{word}\"");
        let before = (!default.is_empty()).then(|| format!("[defaults]\n{}", line(default)));
        let own = (!own.is_empty()).then(|| line(own));
        needs(&keyed(
            &before.unwrap_or_default(),
            "[\"session\"]",
            &own.unwrap_or_default(),
        ))
    };
    assert_eq!(of("", ""), Some(Needs::Strict));
    assert_eq!(of("none", ""), None);
    assert_eq!(of("process", ""), Some(Needs::Process));
    assert_eq!(of("none", "process"), Some(Needs::Process));
    assert_eq!(of("process", "strict"), Some(Needs::Strict));
    assert_eq!(of("strict", "none"), None);
    assert_eq!(needs("schema = 1"), None);
}

#[test]
fn the_strictest_is_what_a_store_must_give_and_the_rule_is_named() {
    let more = |id: &str, durability: &str| {
        keyed("", "[\"agent\"]", &format!("durability = \"{durability}\""))
            .replace("schema = 1\n", "")
            .replace("\"x\"", &format!("\"{id}\""))
    };
    let text = format!(
        "schema = 1\n{}{}{}",
        more("a", "process"),
        more("b", "strict"),
        more("c", "strict")
    );
    let rules = load(&text).unwrap();
    assert_eq!(rules.durability(), Some(Needs::Strict));
    assert_eq!(rules.first_needing(Needs::Strict), Some("b"));
    assert_eq!(rules.first_needing(Needs::Process), Some("a"));
    assert_eq!(ops().first_needing(Needs::Process), None);
}

#[test]
fn a_key_says_once_and_first_whose_count_it_is() {
    for whose in ["session", "agent", "role", "person", "fleet"] {
        load(&keyed("", &format!("[\"{whose}\", \"target.owner\", \"tool\"]"), "")).unwrap();
    }
    for (key, column, parts) in [
        (
            r#"["target.name"]"#,
            7,
            &["does not say whose", r#"["agent"], or "session""#][..],
        ),
        (r#"[]"#, 7, &["does not say whose"]),
        (
            r#"["target.name", "agent"]"#,
            23,
            &[r#""agent" does not come first"#, r#"begin the key with "agent""#],
        ),
        (r#"["agent", "fleet"]"#, 17, &[r#""fleet" is the second"#]),
        (r#"["agent", "agent"]"#, 17, &["stands twice"]),
        (r#"["tenant"]"#, 8, &["counting by tenant is not built", "\"fleet\""]),
        (r#"["on_behalf_of"]"#, 0, &[]),
        (r#"["agent", "on_behalf_of"]"#, 17, &[r#"did you mean "person"?"#]),
        (r#"["agnet", "agent"]"#, 0, &[]),
        (r#"["fleet", "target.nmae"]"#, 17, &[r#"did you mean "target.name"?"#]),
        (r#"["fleet", "rolle"]"#, 17, &[r#"did you mean "role"?"#]),
        (r#""agent""#, 7, &["`key` is a string, and a list is wanted"]),
    ] {
        let text = keyed("", key, "");
        if column == 0 {
            // Two things are wrong, and both are said.
            assert_eq!(load(&text).unwrap_err().len(), 2, "{key}");
            continue;
        }
        let problem = only_problem(&text);
        assert!(problem.starts_with(&format!("budgets.toml:6:{column}: ")), "{problem}");
        for part in parts {
            assert!(problem.contains(part), "{problem}\nlacks {part}");
        }
    }
    // The default makes it local as well.
    let text = keyed("[defaults]\ndurability = \"none\"", "[\"agent\"]", "");
    assert!(only_problem(&text).contains("durability = \"process\" or \"strict\""));
}
