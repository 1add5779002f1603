//! What a rule said when people were asked about it.
//!
//! A grant lifts rules, and each only as long as it says what it said then. So every rule has a hash of what decides
//! what it asks:
//!
//! | rule | what its hash is over |
//! |---|---|
//! | `policy.<id>`, `policy.<id>.error`, `policy.<id>.partial` | the text of the policy with its annotations, as Cedar prints it |
//! | `policy.no-permit` | `no_permit`, and `[ask]` |
//! | `argv.unlisted.*` | `unlisted`, and `[ask]` |
//! | `argv.<program>.*` | the whole profile of the program with the pack it builds on, and `[ask]` |
//! | `budget.<id>`, `budget.<id>.ceiling` | the budget or loop rule, and `[ask]` |
//! | every other | the digest of the whole bundle: any change voids the grant |
//!
//! `[ask]` is in the hash wherever it may say who must agree, because then it is part of what the rule says. A policy
//! that asks always says so itself, by `@ask`. For a budget it is in also where the budget has an `ask` of its own:
//! that voids a grant too many at times, never one too few.
//!
//! The id of the rule is in its hash, so that one rule's hash never stands for another's. Who belongs to which group is
//! not: who may vote is looked at with each vote.

use sha2::{Digest, Sha256};

use super::Bundle;
use crate::finding::{Layer, Outcome, Requirement, RuleHash, RuleId};

impl Bundle {
    /// What `rule` says under this bundle. Two bundles give the same hash only if the rule asks the same in both.
    pub fn rule_hash(&self, rule: &RuleId) -> RuleHash {
        let said = match rule.layer() {
            Some(Layer::Policy) => self.policy_said(rule),
            Some(Layer::Argv) => self.argv_said(rule),
            Some(Layer::Budget) => self.budget_said(rule),
            Some(Layer::Hygiene | Layer::Host | Layer::Lock | Layer::Store) | None => None,
        };
        let said = said.unwrap_or_else(|| Said::by(rule).part("bundle", self.digest().as_bytes()));
        said.hash()
    }

    fn policy_said(&self, rule: &RuleId) -> Option<Said> {
        if let Some(text) = self.policies().text_of(rule) {
            return Some(Said::by(rule).part("policy", text.as_bytes()));
        }
        let no_permit = rule.as_str() == "policy.no-permit";
        no_permit.then(|| self.setting_said(rule, "no_permit", self.settings().no_permit))
    }

    fn argv_said(&self, rule: &RuleId) -> Option<Said> {
        let mut said = None;
        if rule.as_str().starts_with("argv.unlisted.") {
            said = Some(self.setting_said(rule, "unlisted", self.settings().unlisted));
        }
        for (program, hash) in self.programs().hashes_of(rule) {
            let before = said.unwrap_or_else(|| Said::by(rule).ask(&self.settings().ask));
            said = Some(before.part("program", program.as_bytes()).part("profile", hash));
        }
        said
    }

    fn setting_said(&self, rule: &RuleId, name: &str, outcome: Outcome) -> Said {
        Said::by(rule)
            .ask(&self.settings().ask)
            .part(name, outcome.as_str().as_bytes())
    }

    /// A rule past a ceiling is `budget.<id>.ceiling`, and ids may hold dots: what can be of two budgets is of both.
    fn budget_said(&self, rule: &RuleId) -> Option<Said> {
        let id = rule.as_str().strip_prefix("budget.")?;
        let ids = [Some(id), id.strip_suffix(".ceiling")];
        let mut said = None;
        for id in ids.into_iter().flatten() {
            let Some(hash) = self.budgets().hash_of(id) else {
                continue;
            };
            let before = said.unwrap_or_else(|| Said::by(rule).ask(&self.settings().ask));
            said = Some(before.part("budget", id.as_bytes()).part("says", hash.as_bytes()));
        }
        said
    }
}

/// What a rule says, part by part: each a name and a value, both with their length in eight bytes before them, so that
/// no two rows of parts are the same bytes.
struct Said(Sha256);

impl Said {
    fn by(rule: &RuleId) -> Self {
        Self(Sha256::new()).part("glassbreak.rule.v1", rule.as_str().as_bytes())
    }

    fn part(mut self, name: &str, value: &[u8]) -> Self {
        for bytes in [name.as_bytes(), value] {
            self.0.update((bytes.len() as u64).to_be_bytes());
            self.0.update(bytes);
        }
        self
    }

    /// Who must agree where the rule does not say.
    fn ask(self, ask: &Requirement) -> Self {
        // No `..` here: what a requirement says must be in the hash.
        let Requirement {
            group,
            quorum,
            window,
            self_approval,
        } = ask;
        let group = group.as_ref().map_or("", |group| group.as_str());
        let window = window.map_or(0, |window| window.as_millis());
        self.part("ask.group", group.as_bytes())
            .part("ask.quorum", &[*quorum])
            .part("ask.window", &window.to_be_bytes())
            .part("ask.self", &[u8::from(*self_approval)])
    }

    fn hash(self) -> RuleHash {
        RuleHash::from_bytes(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Files;

    const POLICIES: &str = "// Looking.\n@id(\"looks\")\npermit (principal, action in Action::\"exec\", resource);\n\
        @id(\"deletes\") @ask(\"oncall\") @window(\"5m\")\n\
        forbid (principal, action == Action::\"exec:kubectl\", resource)\n\
        when { context.argv.command == \"delete\" && context.risk != \"low\" };\n";
    const BINS: &str = "schema = 1\nuse = [\"builtin:git-readonly\"]\n[profiles.kubectl]\n\
        extends = \"builtin:kubectl-readonly\"\nverbs.delete.verdict = \"ask\"\nexamples.allow = [\"kubectl get pods\"]\n\
        [profiles.\"a\"]\nroot.verdict = \"ask\"\nexamples.ask = [\"a\"]\n\
        [profiles.\"a.b\"]\nroot.verdict = \"ask\"\nexamples.ask = [\"a.b\"]\n";
    const SETTINGS: &str =
        "unlisted = \"ask\"\nno_permit = \"ask\"\n[ask]\ngroup = \"oncall\"\nquorum = 1\nwindow = \"5m\"\n";
    const BUDGETS: &str = "schema = 1\n[[budget]]\nid = \"many\"\ndurability = \"none\"\nmatch = { labels = [\"mutating\"] }\n\
        key = [\"session\"]\nlimit = 3\nwindow = { sliding = \"10m\" }\n";
    /// One rule of each kind.
    const RULES: [&str; 12] = [
        "policy.looks",
        "policy.deletes",
        "policy.deletes.error",
        "policy.deletes.partial",
        "policy.no-permit",
        "argv.unlisted.program",
        "argv.kubectl.delete",
        "argv.git.log",
        "argv.a.b.run",
        "budget.many",
        "host.mine",
        "policy.gone",
    ];

    fn rule(name: &str) -> RuleId {
        let (layer, id) = name.split_once('.').unwrap();
        let layer = Layer::ALL.into_iter().find(|known| known.as_str() == layer).unwrap();
        RuleId::new(layer, id).unwrap()
    }

    fn files() -> Files {
        [
            ("glassbreak.toml", SETTINGS),
            (
                "people.toml",
                "[groups.oncall]\n[groups.leads]\n[persons.alice]\ngroups = [\"oncall\"]\n",
            ),
            ("safe-bins.toml", BINS),
            ("budgets.toml", BUDGETS),
            ("all.cedar", POLICIES),
            (
                "entities.json",
                r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#,
            ),
        ]
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
        .collect()
    }

    fn hashes(files: &Files) -> Vec<RuleHash> {
        let bundle = match Bundle::from_files(files) {
            Ok(bundle) => bundle,
            Err(problems) => panic!("{problems}"),
        };
        RULES.iter().map(|name| bundle.rule_hash(&rule(name))).collect()
    }

    /// Which rules say something else once `from` is `to` in the file.
    #[track_caller]
    fn changed(file: &str, from: &str, to: &str) -> Vec<&'static str> {
        let before = files();
        let mut after = files();
        let text = String::from_utf8(after[file].clone()).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        after.insert(file.to_owned(), text.replacen(from, to, 1).into_bytes());
        let (before, after) = (hashes(&before), hashes(&after));
        let rules = RULES.into_iter().zip(before.into_iter().zip(after));
        let differ = rules.filter(|(_, (before, after))| before != after);
        // Those that hang on the whole bundle always differ.
        let rules: Vec<&str> = differ.map(|(rule, _)| rule).collect();
        assert!(rules.ends_with(&["host.mine", "policy.gone"]), "{rules:?}");
        rules[..rules.len() - 2].to_vec()
    }

    const DELETES: [&str; 3] = ["policy.deletes", "policy.deletes.error", "policy.deletes.partial"];

    #[test]
    fn every_rule_has_a_hash_of_its_own_and_always_the_same() {
        let hashes_now = hashes(&files());
        assert_eq!(hashes_now, hashes(&files()));
        let mut distinct = hashes_now.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), hashes_now.len());
    }

    #[test]
    fn how_a_policy_is_written_and_where_does_not_matter() {
        for (from, to) in [
            ("// Looking.", "// Looking, as everybody may.\n\n"),
            (
                "@ask(\"oncall\") @window(\"5m\")",
                "@window(\"5m\")\n// who\n@ask(\"oncall\")",
            ),
            ("@id(\"deletes\") @ask(\"oncall\")", "@ask(\"oncall\") @id(\"deletes\")"),
            ("when { context", "when {\n  // why\n  context"),
            ("context.argv.command", "context[\"argv\"][\"command\"]"),
            ("forbid (principal, action", "forbid(principal,action"),
        ] {
            assert_eq!(changed("all.cedar", from, to), [""; 0], "{to}");
        }
        // In another file, behind another policy.
        let mut moved = files();
        moved.remove("all.cedar");
        moved.insert("other.cedar".to_owned(), POLICIES.as_bytes().to_vec());
        assert_eq!(hashes(&files())[..10], hashes(&moved)[..10]);
    }

    #[test]
    fn what_a_policy_says_matters_to_it_alone() {
        for (from, to) in [
            ("@ask(\"oncall\")", "@ask(\"leads\")"),
            ("@window(\"5m\")", "@window(\"6m\")"),
            (" @window(\"5m\")", ""),
            ("@window(\"5m\")", "@window(\"5m\") @quorum(\"2\")"),
            ("@window(\"5m\")", "@window(\"5m\") @self(\"allow\")"),
            ("@window(\"5m\")", "@window(\"5m\") @reason(\"x\")"),
            ("\"delete\"", "\"get\""),
            ("!= \"low\"", "== \"low\""),
            ("&& context.risk", "|| context.risk"),
            ("when {", "unless {"),
            ("forbid (principal,", "forbid (principal == Role::\"ops\","),
        ] {
            assert_eq!(changed("all.cedar", from, to), DELETES, "{to}");
        }
        assert_eq!(
            changed("all.cedar", "permit (principal,", "permit (principal is Role,"),
            ["policy.looks"]
        );
        let another = "@id(\"more\") forbid (principal, action in Action::\"call\", resource)\nwhen { context.risk == \"high\" };\n// Looking.";
        assert_eq!(changed("all.cedar", "// Looking.", another), [""; 0]);
    }

    #[test]
    fn texts_and_patterns_that_look_alike_are_told_apart() {
        let mut seen = Vec::new();
        for condition in [
            r#"context.target.name == "a\"b""#,
            r#"context.target.name == "a\\\"b""#,
            r#"context.target.name like "a*b""#,
            r#"context.target.name like "a\*b""#,
            r#"context.target.name == "a*b""#,
            r#"context.target.name == "a\nb""#,
            r#"context.target.name == "a\\nb""#,
            r#"!(context.target.name == "x" && context.risk == "low")"#,
            r#"!(context.target.name == "x") && context.risk == "low""#,
            r#"context.target.name == "x" || context.risk == "low" && context.risk == "high""#,
            r#"(context.target.name == "x" || context.risk == "low") && context.risk == "high""#,
            r#"["x", "y"].contains(context.target.name)"#,
            r#"["x\", \"y"].contains(context.target.name)"#,
        ] {
            let mut files = files();
            let policy = format!(
                "@id(\"x\") forbid (principal, action == Action::\"exec:kubectl\", resource)\nwhen {{ {condition} }};"
            );
            files.insert("x.cedar".to_owned(), policy.into_bytes());
            let hash = Bundle::from_files(&files).unwrap().rule_hash(&rule("policy.x"));
            assert!(!seen.contains(&hash), "{condition}");
            seen.push(hash);
        }
    }

    #[test]
    fn a_renamed_policy_is_another_rule() {
        let gone = changed("all.cedar", "@id(\"deletes\")", "@id(\"removes\")");
        assert_eq!(gone, DELETES);
    }

    #[test]
    fn a_profile_matters_to_its_program_alone() {
        for (from, to) in [
            ("verbs.delete.verdict = \"ask\"", "verbs.delete.verdict = \"allow\""),
            (
                "verbs.delete.verdict = \"ask\"",
                "verbs.delete.verdict = \"ask\"\nverbs.delete.why = \"x\"",
            ),
            (
                "verbs.delete.verdict = \"ask\"",
                "verbs.delete.verdict = \"ask\"\npin = [\"name\"]",
            ),
        ] {
            assert_eq!(changed("safe-bins.toml", from, to), ["argv.kubectl.delete"], "{to}");
        }
        for (from, to) in [
            ("schema = 1", "# which programs\nschema   =   1"),
            (
                "verbs.delete.verdict = \"ask\"",
                "verbs.delete = { verdict = 'ask' } # who?",
            ),
            (
                "verbs.delete.verdict = \"ask\"",
                "verbs = { delete = { \"verdict\" = \"ask\" } }",
            ),
            ("[profiles.\"a\"]", "[profiles.z]\nexamples.ask = [\"z\"]\n[profiles.a]"),
        ] {
            assert_eq!(changed("safe-bins.toml", from, to), [""; 0], "{to}");
        }
        // `argv.a.b.run` may be of `a` or of `a.b`: a change of either voids it.
        for name in ["a", "a.b"] {
            let from = format!("[profiles.\"{name}\"]\n");
            let to = format!("{from}about = \"x\"\n");
            assert_eq!(changed("safe-bins.toml", &from, &to), ["argv.a.b.run"], "{name}");
        }
    }

    #[test]
    fn losing_its_profile_or_its_pack_is_a_change() {
        let git = changed("safe-bins.toml", "use = [\"builtin:git-readonly\"]\n", "");
        assert_eq!(git, ["argv.git.log"]);
        let own = changed(
            "safe-bins.toml",
            "use = [\"builtin:git-readonly\"]\n",
            "[profiles.git]\nextends = \"builtin:git-readonly\"\nexamples.allow = [\"git log\"]\nverbs.log.why = \"x\"\n",
        );
        assert_eq!(own, ["argv.git.log"]);
    }

    #[test]
    fn the_four_key_json_has_hashes_too() {
        let of = |json: &str| {
            let mut files = files();
            for name in ["safe-bins.toml", "all.cedar"] {
                files.remove(name);
            }
            files.insert("safe-bins.json".to_owned(), json.as_bytes().to_vec());
            let bundle = Bundle::from_files(&files).unwrap();
            ["argv.x.run", "argv.y.run"].map(|name| bundle.rule_hash(&rule(name)))
        };
        let [x, y] = of(r#"{"safeBins":{"x":{"allowedValueFlags":["-a"]},"y":{}}}"#);
        assert_eq!(
            of("{ \"safeBins\": {\n \"y\": {},\"x\":{\"allowedValueFlags\":[ \"-a\" ] }}}"),
            [x, y]
        );
        let [x2, y2] = of(r#"{"safeBins":{"x":{"allowedValueFlags":["-b"]},"y":{}}}"#);
        assert!(x2 != x && y2 == y);
        let [x3, y3] = of(r#"{"safeBins":{"x":{"allowedValueFlags":["-a"],"forbiddenFlags":["-c"]},"y":{}}}"#);
        assert!(x3 != x && x3 != x2 && y3 == y);
    }

    #[test]
    fn who_is_asked_by_default_matters_where_a_rule_may_lean_on_it() {
        const LEAN: [&str; 6] = [
            "policy.no-permit",
            "argv.unlisted.program",
            "argv.kubectl.delete",
            "argv.git.log",
            "argv.a.b.run",
            "budget.many",
        ];
        for (from, to) in [
            ("group = \"oncall\"", "group = \"leads\""),
            ("quorum = 1", "quorum = 2"),
            ("window = \"5m\"", "window = \"6m\""),
            ("window = \"5m\"\n", ""),
            ("[ask]\ngroup = \"oncall\"\nquorum = 1\nwindow = \"5m\"\n", ""),
        ] {
            assert_eq!(changed("glassbreak.toml", from, to), LEAN, "{to}");
        }
        assert_eq!(changed("glassbreak.toml", "quorum = 1\n", ""), [""; 0]);
        assert_eq!(
            changed("glassbreak.toml", "window = \"5m\"", "window = \"300s\""),
            [""; 0]
        );
    }

    #[test]
    fn other_settings_and_people_matter_only_where_they_are_the_rule() {
        assert_eq!(
            changed("glassbreak.toml", "unlisted = \"ask\"", "unlisted = \"deny\""),
            ["argv.unlisted.program"]
        );
        assert_eq!(
            changed("glassbreak.toml", "no_permit = \"ask\"\n", ""),
            ["policy.no-permit"]
        );
        let requests = "[requests]\npending = 1\n[ask]";
        assert_eq!(changed("glassbreak.toml", "[ask]", requests), [""; 0]);
        assert_eq!(
            changed("people.toml", "[persons.alice]", "[persons.bob]\n[persons.alice]"),
            [""; 0]
        );
    }

    #[test]
    fn a_budget_matters_to_itself_alone() {
        assert_eq!(changed("budgets.toml", "limit = 3", "limit = 4"), ["budget.many"]);
        assert_eq!(
            changed("budgets.toml", "limit = 3", "limit = 3\nceiling = 9"),
            ["budget.many"]
        );
        let other = "schema = 1 # of this file\n[[loop]]\nid = \"stuck\"\nexact_repeat = 5";
        assert_eq!(changed("budgets.toml", "schema = 1", other), [""; 0]);
        let bundle = Bundle::from_files(&files()).unwrap();
        let [own, ceiling, gone] =
            ["budget.many", "budget.many.ceiling", "budget.gone"].map(|name| bundle.rule_hash(&rule(name)));
        assert!(own != ceiling && own != gone && ceiling != gone);
        let mut more = files();
        more.insert("notes.md".to_owned(), b"x".to_vec());
        let more = Bundle::from_files(&more).unwrap();
        assert_eq!(more.rule_hash(&rule("budget.many.ceiling")), ceiling);
        assert_ne!(more.rule_hash(&rule("budget.gone")), gone);
    }

    #[test]
    fn parts_cannot_run_into_each_other() {
        let id = rule("host.x");
        let said = |parts: &[(&str, &[u8])]| {
            let said = parts
                .iter()
                .fold(Said::by(&id), |said, (name, value)| said.part(name, value));
            said.hash()
        };
        assert_ne!(said(&[("ab", b"c")]), said(&[("a", b"bc")]));
        assert_ne!(said(&[("a", b""), ("b", b"")]), said(&[("a", b"b")]));
        assert_ne!(said(&[]), said(&[("", b"")]));
    }
}
