//! What each key of a dialect makes of words.

use super::Programs;
use super::profile::Verdict;
use crate::call::{Argv, Exec, Workspace};
use crate::finding::Outcome;
use crate::label::Vocabulary;
use crate::source::Source;

pub(super) fn load(text: &str) -> Programs {
    let source = Source {
        file: "safe-bins.toml",
        text,
    };
    match Programs::load(Some(source), Outcome::Ask, &Vocabulary::built_in()) {
        Ok((programs, _)) => programs,
        Err(problems) => panic!("{problems:?}"),
    }
}

pub(super) fn judged(programs: &Programs, words: &[&str]) -> super::Judged {
    let exec = Exec::new(Argv::new(words.iter().copied()).unwrap());
    programs.judge(&exec, "", &Workspace::new("/workspace").unwrap())
}

pub(super) fn verdict(programs: &Programs, line: &str) -> Verdict {
    let words: Vec<&str> = line.split(' ').collect();
    super::verdict_of(&judged(programs, &words).findings)
}

pub(super) fn expect(programs: &Programs, verdict: Verdict, lines: &[&str]) {
    for line in lines {
        assert_eq!(self::verdict(programs, line), verdict, "{line}");
    }
}

#[test]
fn the_first_word_without_dash_is_a_row_of_options_where_the_program_reads_it_so() {
    let tar = load(
        "schema = 1\n[profiles.tar]\ndialect.old-bundle = true\nroot.verdict = \"allow\"\n\
         root.options = [{ names = [\"-t\"] }, { names = [\"-v\"] }, { names = [\"-f\"], value = \"path\" },\n\
         { names = [\"-x\"], verdict = \"deny\" }, { names = [\"-C\"], value = \"path\" }]\n\
         root.forms = [{ operands = [{ type = \"path\", min = 0, max = 9 }] }]\n\
         examples.allow = [\"tar tf a.tar\"]\n",
    );
    expect(
        &tar,
        Verdict::Allow,
        &["tar tvf a.tar", "tar -tvf a.tar", "tar tfC a.tar src b", "tar ft a.tar"],
    );
    expect(&tar, Verdict::Ask, &["tar tfz a.tar", "tar tf", "tar tff a.tar b.tar"]);
    expect(
        &tar,
        Verdict::Deny,
        &[
            "tar xf a.tar",
            "tar tzx a.tar",
            "tar zx",
            "tar tf /etc/passwd",
            "tar tCf / a.tar",
        ],
    );
    // An empty word is no bundle: each word has its role.
    let words = ["tar", "", "-tf", "a.tar"];
    let empty = judged(&tar, &words);
    assert_eq!(empty.roles.len(), words.len());
    assert_ne!(super::verdict_of(&empty.findings), Verdict::Allow);
}

#[test]
fn words_with_a_plus_are_options_where_the_program_reads_them_so() {
    let vim = load(
        "schema = 1\n[profiles.vim]\ndialect.plus = true\nroot.verdict = \"allow\"\n\
         root.options = [{ names = [\"+NUM\"], value = \"int\" }, { names = [\"+F\"] },\n\
         { names = [\"+\"], value = \"text\", verdict = \"deny\" }]\n\
         root.forms = [{ operands = [{ type = \"path\", min = 0, max = 9 }] }]\n\
         examples.allow = [\"vim a\"]\n",
    );
    expect(
        &vim,
        Verdict::Allow,
        &["vim +10 a", "vim a +10", "vim +F a", "vim -- +x"],
    );
    expect(&vim, Verdict::Deny, &["vim +q a", "vim +", "vim --zz +q", "vim +10x"]);
    let tail = load(
        "schema = 1\n[profiles.tail]\ndialect.plus = true\nroot.verdict = \"allow\"\n\
         root.options = [{ names = [\"+NUM\"] }]\nroot.forms = [{ operands = [{ type = \"path\" }] }]\n\
         examples.allow = [\"tail +5 a\"]\n",
    );
    expect(&tail, Verdict::Ask, &["tail +f a", "tail + a", "tail +5 +6 a"]);
}

#[test]
fn verbs_in_any_case_and_words_behind_them_are_read_as_the_program_does() {
    let redis = load(
        "schema = 1\n[profiles.redis-cli]\ndialect = { verbs-fold = true, verbs-end-options = true }\n\
         globals = [{ names = [\"-n\"], value = \"int\" }]\n\
         verbs.get = { verdict = \"allow\", forms = [{ operands = [{ type = \"text\" }] }] }\n\
         verbs.flushall = { verdict = \"deny\" }\n\
         verbs.config.verbs.get = { verdict = \"allow\", forms = [{ operands = [{ type = \"text\" }] }] }\n\
         examples.allow = [\"redis-cli GET x\"]\n",
    );
    expect(
        &redis,
        Verdict::Allow,
        &[
            "redis-cli -n 1 GET x",
            "redis-cli gEt -n",
            "redis-cli CONFIG Get --",
            "redis-cli get -x",
        ],
    );
    expect(
        &redis,
        Verdict::Ask,
        &["redis-cli GET x -n 1", "redis-cli SET x", "redis-cli -x GET a"],
    );
    expect(
        &redis,
        Verdict::Deny,
        &[
            "redis-cli FlushAll",
            "redis-cli -n 1 flushall now",
            "redis-cli --zz FLUSHALL",
        ],
    );
    let text = "schema = 1\n[profiles.x]\ndialect.verbs-fold = true\nverbs.GET = {}\nexamples.ask = [\"x\"]\n";
    let source = Source {
        file: "safe-bins.toml",
        text,
    };
    let problems = Programs::load(Some(source), Outcome::Ask, &Vocabulary::built_in())
        .map(|_| ())
        .unwrap_err();
    assert!(problems[0].to_string().contains("cases are alike"), "{problems:?}");
}

#[test]
fn an_option_of_two_values_takes_two_words() {
    let jq = load(
        "schema = 1\n[profiles.jq]\nroot.verdict = \"allow\"\n\
         root.options = [{ names = [\"--arg\"], value = \"name\", second = \"text\", many = true },\n\
         { names = [\"--slurpfile\"], value = \"name\", second = \"path\", many = true }]\n\
         root.forms = [{ operands = [{ type = \"text\" }, { type = \"path\", min = 0 }] }]\n\
         types.name = { pattern = \"[a-z]+\" }\nexamples.allow = [\"jq .\"]\n",
    );
    expect(
        &jq,
        Verdict::Allow,
        &["jq --arg n web . a.json", "jq --slurpfile a a.json . b.json"],
    );
    expect(
        &jq,
        Verdict::Ask,
        &[
            "jq --arg n",
            "jq --arg=n web .",
            "jq --arg N web .",
            "jq --arg n web",
            "jq --arg n --arg .",
        ],
    );
    expect(&jq, Verdict::Deny, &["jq --slurpfile a /etc/passwd ."]);
}

#[test]
fn an_address_tells_its_host_and_a_script_why_it_does_not_fit() {
    let tool = load(
        "schema = 1\n[profiles.tool]\nfacts = [\"hosts\"]\nroot.verdict = \"allow\"\n\
         root.options = [{ names = [\"-e\"], value = \"script\", many = true }]\n\
         root.forms = [{ operands = [{ type = \"url\", min = 0 }] }]\n\
         types.url.url = { schemes = [\"https\"], host-facts = [\"hosts\", \"target.name\"] }\n\
         types.script = { script = \"sed\" }\nexamples.allow = [\"tool https://example.com/\"]\n",
    );
    let judged = judged(&tool, &["tool", "https://example.com/x"]);
    assert_eq!(judged.target.name.text(), Some("example.com"));
    assert!(judged.facts.sets[0].1.contains("example.com"));
    let why = |words: &[&str]| {
        let judged = super::dialect_tests::judged(&tool, words);
        assert!(judged.partial);
        judged.findings[0].why().to_owned()
    };
    assert!(why(&["tool", "https://localhost/"]).contains("not of the public network"));
    assert!(why(&["tool", "-e", "s/a/id/e"]).contains("runs what it made"));
    let judged = super::dialect_tests::judged(&tool, &["tool", "-e", "s/a/b/\np"]);
    assert_eq!(super::verdict_of(&judged.findings), Verdict::Allow);
}

#[test]
fn a_flood_of_words_is_few_findings_and_one_switched_off_hides_none() {
    let tool = load(
        "schema = 1\n[profiles.tool]\ndialect.flag-equals = true\nroot.verdict = \"allow\"\nroot.options = [\
         { names = [\"-q\"] }, { names = [\"-a\"], verdict = \"ask\", many = true }, { names = [\"-d\", \"--del\"], verdict = \"deny\", many = true }]\n\
         root.forms = [{ operands = [{ type = \"path\", min = 0, max = 9 }] }]\nexamples.allow = [\"tool -q\"]\n",
    );
    let outside: String = (0..9_000).map(|n| format!("/{n},")).collect();
    for words in [
        ["tool", &format!("-{}", "q".repeat(60_000))],
        ["tool", &format!("-{}", "a".repeat(60_000))],
        ["tool", &format!("--zz={outside}")],
    ] {
        let judged = judged(&tool, &words);
        assert!(judged.findings.len() < 20, "{} findings", judged.findings.len());
        assert_ne!(super::verdict_of(&judged.findings), Verdict::Allow);
    }
    expect(
        &tool,
        Verdict::Deny,
        &["tool --del=false --del", "tool --del=false -d", "tool -d --del=false"],
    );
}
