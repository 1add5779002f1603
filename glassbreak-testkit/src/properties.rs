//! What must hold for every policy folder and every call. Each property returns what is wrong, in words.
//!
//! They look at verdicts from outside, through the public API only, so that they also hold *your* bundle to it.
//!
//! A property that cannot fail shows nothing. Beside the unit tests below, these faults were put into the library one
//! at a time, and each was found within 256 cases:
//!
//! | fault | found by |
//! |---|---|
//! | the finding of a stopped parse is dropped | `an_unknown_word_never_allows_more`, `allow_means_covered` |
//! | the most lenient finding wins | `an_unknown_word_never_allows_more`, `allow_means_covered` |
//! | the digest leaves out the input | `emitted_equals_judged` |
//! | counts run backwards | `earlier_calls_never_allow_more` |
//! | a word is shown as it came | `refusals_teach` |
//! | operands are taken by no form | `allow_means_covered` |

use glassbreak_core::argv::Role;
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, Argv, Call, CallDigest, Exec, Operation, Word, Workspace, wire};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::finding::Outcome;
use glassbreak_core::judge::{Judgement, SessionState, judge, refused};

use crate::call::Step;

/// What is wrong, or nothing.
pub type Holds = Result<(), String>;

/// The session in which the properties judge, working beneath `/workspace`.
///
/// # Errors
/// Never, as long as `/workspace` is an absolute path.
pub fn session() -> Result<SessionState, String> {
    Workspace::new("/workspace")
        .map(SessionState::new)
        .map_err(|bad| bad.to_string())
}

/// A bundle that is at least as strict as another allows no call of a session that the other does not, at any point
/// of it: what `new` says is never less strict than what `old` says.
///
/// Both see the same history: whether a call was performed is the step's own, not the verdict's. Otherwise the
/// stricter bundle would have counted fewer calls.
///
/// # Errors
/// The first call for which it does not hold.
pub fn never_allows_more(old: &Bundle, new: &Bundle, steps: &[Step]) -> Holds {
    let (mut before, mut after) = (session()?, session()?);
    for (n, Step { call, at, admitted }) in steps.iter().enumerate() {
        let was = judge(old, &before, call, *at);
        let is = judge(new, &after, call, *at);
        if is.ruling.outcome() < was.ruling.outcome() {
            return Err(format!(
                "call {n} was {}, and with one more refusal it is {}\n{}",
                told(&was),
                told(&is),
                shown(call)
            ));
        }
        before.advance(old, call, &was, *at, *admitted);
        after.advance(new, call, &is, *at, *admitted);
    }
    Ok(())
}

/// A call of `operation` by a role that the bundle has; `None` if it has neither of the two that are tried.
pub(crate) fn any_call(bundle: &Bundle, operation: Operation) -> Option<Call> {
    let names = ["anonymous", "agent"]
        .into_iter()
        .filter_map(|name| Word::new(name).ok());
    let role = names.into_iter().find(|role| bundle.policies().has_role(role))?;
    Some(Call {
        actor: Actor::new(role, Word::new("s1").ok()?),
        operation,
        reason: None,
        conversation: None,
    })
}

/// What the bundle says of these words, the program's name first; `None` if they may not stand in a call.
pub(crate) fn judge_words(bundle: &Bundle, words: &[&str]) -> Option<Judgement> {
    let exec = Exec::new(Argv::new(words.iter().copied()).ok()?);
    let call = any_call(bundle, Operation::Exec(exec))?;
    Some(judge(bundle, &session().ok()?, &call, Timestamp::from_millis(0)))
}

/// With one more call before it, no call is judged more leniently. The extra call stands at `extra` among `steps`.
///
/// Exact repeats are counted anew after every other call, which is what makes them exact: a bundle with a loop rule
/// is held to this only for `extra == 0`.
///
/// # Errors
/// The first call for which it does not hold.
pub fn earlier_calls_never_allow_more(bundle: &Bundle, steps: &[Step], more: &Call, extra: usize) -> Holds {
    let (mut without, mut with) = (session()?, session()?);
    for (n, Step { call, at, admitted }) in steps.iter().enumerate() {
        if n == extra {
            let judgement = judge(bundle, &with, more, *at);
            with.advance(bundle, more, &judgement, *at, true);
        }
        let was = judge(bundle, &without, call, *at);
        let is = judge(bundle, &with, call, *at);
        if is.ruling.outcome() < was.ruling.outcome() {
            return Err(format!(
                "call {n} was {}, and after one more call it is {}\n{}\nafter {}",
                told(&was),
                told(&is),
                shown(call),
                shown(more)
            ));
        }
        without.advance(bundle, call, &was, *at, *admitted);
        with.advance(bundle, call, &is, *at, *admitted);
    }
    Ok(())
}

/// A word that no profile knows.
pub const UNKNOWN: [&str; 3] = ["--glassbreak-unknown", "--glassbreak-unknown=x", "-\u{29c9}"];
/// A word that no type of one line takes either, nor any language of scripts.
pub const POISON: &str = "--glassbreak\n`unknown";

/// A word that is not known, put in at any place, never turns an ask or a deny into an allow.
///
/// A word that a rule takes (as the value of an option, say, or as an operand behind `--`) is not unknown; that is
/// granted to [`UNKNOWN`], and to [`POISON`] only as an operand.
///
/// # Errors
/// The word, and the place.
pub fn an_unknown_word_never_allows_more(bundle: &Bundle, state: &SessionState, call: &Call, at: Timestamp) -> Holds {
    let Operation::Exec(exec) = &call.operation else {
        return Ok(());
    };
    let was = judge(bundle, state, call, at);
    let words = exec.argv().words();
    for place in 1..=words.len() {
        for word in UNKNOWN.into_iter().chain([POISON]) {
            let Some(with) = with_words(call, exec, &insert(words, place, word)) else {
                continue;
            };
            let is = judge(bundle, state, &with, at);
            if is.ruling.outcome() != Outcome::Allow {
                continue;
            }
            // A program that takes options first takes any word for an operand behind the first, and a few of them are
            // texts of several lines, as the sets of tr.
            let taken = match is.roles.get(place) {
                Some(Role::Operand(Some(_))) => true,
                Some(Role::Value(_)) => word != POISON,
                _ => false,
            };
            if !taken {
                return Err(format!(
                    "{word:?} at {place} is allowed\n{}\nwas {}\n{}",
                    shown(&with),
                    told(&was),
                    shown(call)
                ));
            }
        }
    }
    Ok(())
}

/// As [`an_unknown_word_never_allows_more`], and more: nor does it turn a deny into an ask, which people could lift.
///
/// # Errors
/// The word, and the place.
pub fn an_unknown_word_never_loosens(bundle: &Bundle, state: &SessionState, call: &Call, at: Timestamp) -> Holds {
    an_unknown_word_never_allows_more(bundle, state, call, at)?;
    let Operation::Exec(exec) = &call.operation else {
        return Ok(());
    };
    let was = judge(bundle, state, call, at);
    let words = exec.argv().words();
    for place in 1..=words.len() {
        let Some(with) = with_words(call, exec, &insert(words, place, POISON)) else {
            continue;
        };
        let is = judge(bundle, state, &with, at);
        if is.ruling.outcome() < was.ruling.outcome() {
            return Err(format!(
                "{POISON:?} at {place} makes it {}\n{}\nwas {}\n{}",
                told(&is),
                shown(&with),
                told(&was),
                shown(call)
            ));
        }
    }
    Ok(())
}

/// Judging any line, by any bundle, comes to an answer, and the answer teaches.
///
/// # Errors
/// When the refusal of a line teaches nothing. A panic is for the caller's harness to see.
pub fn judging_never_panics(bundle: &Bundle, line: &[u8]) -> Holds {
    let _ = wire::read_id_of(line);
    let judgement = match wire::read(line) {
        Ok(line) => judge(
            bundle,
            &session()?,
            &line.call,
            line.at.unwrap_or(Timestamp::from_millis(0)),
        ),
        Err(malformed) => {
            let judgement = refused(bundle, malformed.finding());
            if judgement.ruling.outcome() != Outcome::Deny || judgement.digest.is_some() {
                return Err(format!("a line that is not a call is {}", told(&judgement)));
            }
            judgement
        }
    };
    allow_means_covered(&judgement)?;
    refusals_teach(&judgement)
}

/// Loading any files comes to a bundle, or to problems that each name a file, a line and what to do.
///
/// # Errors
/// When there is no problem, or one that teaches nothing.
pub fn loading_never_panics(files: &Files) -> Result<Option<Bundle>, String> {
    match Bundle::from_files(files) {
        Ok(bundle) => Ok(Some(bundle)),
        Err(problems) => {
            if problems.iter().next().is_none() {
                return Err("refused without a problem".to_owned());
            }
            for problem in &problems {
                let dumb = problem.file().is_empty() || problem.what().is_empty() || problem.help().is_empty();
                if dumb || problem.line() == 0 || problem.column() == 0 {
                    return Err(format!("a problem without file, line or help: {problem:?}"));
                }
                if let Some(c) = [problem.file(), problem.what(), problem.help()]
                    .into_iter()
                    .find_map(unshowable)
                {
                    return Err(format!("U+{:04X} in {problem:?}", u32::from(c)));
                }
            }
            Ok(None)
        }
    }
}

/// What would run is what was judged: the words as they came, with the profile's own words behind the program's name
/// and behind the last verb and nowhere else; folder, variables and input as judged; and the digest is of just that,
/// so every other call has another one.
///
/// # Errors
/// What differs.
pub fn emitted_equals_judged(bundle: &Bundle, state: &SessionState, call: &Call, at: Timestamp) -> Holds {
    let Operation::Exec(exec) = &call.operation else {
        return Ok(());
    };
    let judgement = judge(bundle, state, call, at);
    let (Some(plan), Some(digest)) = (&judgement.plan, judgement.digest) else {
        return Ok(());
    };
    let came: Vec<&str> = exec.argv().words().iter().map(|word| &**word).collect();
    let emitted: Vec<&str> = plan.argv().collect();
    if judgement.roles.len() == came.len() && !emits(&came, &emitted, &judgement.roles) {
        return Err(format!("{came:?} would run as {emitted:?}"));
    }
    if judgement.roles.len() != came.len() {
        return Err(format!("{came:?} has {} roles", judgement.roles.len()));
    }
    if plan.stdin() != exec.stdin() || plan.program() != exec.argv().program() {
        return Err(format!("another input or program than judged: {}", shown(call)));
    }
    for (name, value) in exec.env() {
        if !plan.env().any(|given| given == (&**name, &**value)) {
            return Err(format!("`{name}` does not reach the program: {}", shown(call)));
        }
    }
    if CallDigest::of_exec(plan.program(), plan.argv(), plan.cwd(), exec) != digest {
        return Err(format!("the digest is not that of what would run: {}", shown(call)));
    }
    for other in mutations(exec) {
        let other = Call {
            operation: Operation::Exec(other),
            ..call.clone()
        };
        if judge(bundle, state, &other, at).digest == Some(digest) {
            return Err(format!("one digest for two calls\n{}\n{}", shown(call), shown(&other)));
        }
    }
    Ok(())
}

/// Whether `emitted` is `came` with words put in right behind the first word and right behind the last verb.
fn emits(came: &[&str], emitted: &[&str], roles: &[Role]) -> bool {
    let runs = roles
        .iter()
        .position(|role| *role == Role::Command)
        .filter(|at| *at > 0);
    if let Some(at) = runs {
        let ((came, inner), (own, roles)) = (came.split_at(at), roles.split_at(at));
        let mut roles = roles.to_vec();
        if let Some(first) = roles.first_mut() {
            *first = Role::Program;
        }
        return (0..=emitted.len()).any(|at| {
            let (outer, run) = emitted.split_at(at);
            emits(came, outer, own) && emits(inner, run, &roles)
        });
    }
    if roles.iter().any(|role| matches!(role, Role::Unknown | Role::Unread)) {
        return came == emitted;
    }
    let verb = roles
        .iter()
        .rposition(|role| matches!(role, Role::Verb(_)))
        .unwrap_or(0);
    let Some(more) = emitted.len().checked_sub(came.len()) else {
        return false;
    };
    let (first, rest) = came.split_at(1.min(came.len()));
    let (verbs, rest) = rest.split_at(verb.min(rest.len()));
    // How many of the words that were put in stand behind the first.
    (0..=more).any(|behind_first| {
        let parts = emitted
            .strip_prefix(first)
            .and_then(|left| left.split_at_checked(behind_first));
        let left = parts.and_then(|(_, left)| left.strip_prefix(verbs));
        left.and_then(|left| left.get(more - behind_first..)) == Some(rest)
    })
}

/// Calls that differ from `exec` in one field.
fn mutations(exec: &Exec) -> Vec<Exec> {
    let words = exec.argv().words();
    let rebuilt = |words: &[Box<str>], cwd: &str, env: &[(&str, &str)], stdin: Option<&[u8]>| -> Option<Exec> {
        let mut other = Exec::new(Argv::new(words.to_vec()).ok()?).in_folder(cwd).ok()?;
        for (name, value) in env {
            other = other.with_env(name, value).ok()?;
        }
        match stdin {
            Some(bytes) => other.with_stdin(bytes).ok(),
            None => Some(other),
        }
    };
    let env: Vec<(&str, &str)> = exec.env().iter().map(|(name, value)| (&**name, &**value)).collect();
    let (cwd, stdin) = (exec.cwd(), exec.stdin());
    let mut rows: Vec<Vec<Box<str>>> = Vec::new();
    for at in 0..words.len() {
        let mut changed = words.to_vec();
        if let Some(word) = changed.get_mut(at) {
            *word = format!("{word}x").into();
        }
        rows.push(changed);
        let mut shorter = words.to_vec();
        shorter.remove(at);
        rows.push(shorter);
        rows.push(insert(words, at + 1, "zz"));
        if let (Some(one), Some(two)) = (words.get(at), words.get(at + 1)) {
            let mut joined = words.to_vec();
            joined.remove(at + 1);
            if let Some(word) = joined.get_mut(at) {
                *word = format!("{one}{two}").into();
            }
            rows.push(joined);
            let mut swapped = words.to_vec();
            swapped.swap(at, at + 1);
            if one != two {
                rows.push(swapped);
            }
        }
    }
    let mut others: Vec<Option<Exec>> = rows
        .iter()
        // An empty word joined with its neighbour, or taken away beside another, may give the same row.
        .filter(|row| row[..] != *words)
        .map(|row| rebuilt(row, cwd, &env, stdin))
        .collect();
    others.push(rebuilt(words, &format!("{cwd}/deeper"), &env, stdin));
    let more = [&env[..], &[("ZZ", "1")]].concat();
    others.push(rebuilt(words, cwd, &more, stdin));
    for at in 0..env.len() {
        let mut fewer = env.clone();
        let (name, value) = fewer.remove(at);
        others.push(rebuilt(words, cwd, &fewer, stdin));
        let value = format!("{value}x");
        fewer.push((name, &value));
        others.push(rebuilt(words, cwd, &fewer, stdin));
    }
    let input = [stdin.unwrap_or_default(), b"x"].concat();
    others.push(rebuilt(words, cwd, &env, Some(&input)));
    others.push(match stdin {
        Some(_) => rebuilt(words, cwd, &env, None),
        None => rebuilt(words, cwd, &env, Some(b"")),
    });
    others.into_iter().flatten().collect()
}

/// An allowed call is understood to its last word: each has exactly one rule that took it.
///
/// # Errors
/// The word that has none.
pub fn allow_means_covered(judgement: &Judgement) -> Holds {
    if judgement.ruling.outcome() != Outcome::Allow {
        return Ok(());
    }
    if judgement.facts.partial {
        return Err(format!("allowed on partial facts: {:?}", judgement.facts));
    }
    let covered = |role: &Role| {
        matches!(
            role,
            Role::Program
                | Role::Command
                | Role::Verb(_)
                | Role::Option(_)
                | Role::Value(_)
                | Role::Operand(Some(_))
                | Role::DashDash
        )
    };
    match judgement.roles.iter().position(|role| !covered(role)) {
        Some(at) => Err(format!(
            "allowed with word {at} taken for nothing: {:?}",
            judgement.roles
        )),
        None if judgement.facts.argv.is_some() && judgement.roles.is_empty() => {
            Err("a program is allowed without roles".to_owned())
        }
        None if judgement.digest.is_none() => Err("allowed without a digest".to_owned()),
        None => Ok(()),
    }
}

/// A refusal names its rules, each of a layer that there is, says why, and holds nothing that a terminal would obey
/// or a reader could not see.
///
/// # Errors
/// What is missing, or stands there and may not.
pub fn refusals_teach(judgement: &Judgement) -> Holds {
    let ruling = &judgement.ruling;
    for finding in ruling.findings() {
        if finding.rule().layer().is_none() {
            return Err(format!("`{}` is of no layer", finding.rule()));
        }
        if let Some(c) = [finding.why(), finding.hint(), finding.rule().as_str()]
            .into_iter()
            .find_map(unshowable)
        {
            return Err(format!("U+{:04X} in {finding:?}", u32::from(c)));
        }
    }
    if ruling.outcome() == Outcome::Allow {
        return Ok(());
    }
    if ruling.deciding().next().is_none() {
        return Err(format!("refused by no rule: {ruling:?}"));
    }
    if let Some(mute) = ruling.deciding().find(|finding| finding.why().trim().is_empty()) {
        return Err(format!("`{}` does not say why", mute.rule()));
    }
    match judgement.denial() {
        Some(denial) if !denial.rules().is_empty() && !denial.why().is_empty() => Ok(()),
        other => Err(format!("a refusal without its denial: {other:?}")),
    }
}

/// The first character that a terminal obeys or a reader cannot see.
fn unshowable(text: &str) -> Option<char> {
    text.chars().find(|c| {
        c.is_control()
            || matches!(c,
                '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    })
}

fn insert(words: &[Box<str>], at: usize, word: &str) -> Vec<Box<str>> {
    let mut with = words.to_vec();
    with.insert(at.min(words.len()), word.into());
    with
}

/// The same call with other words; `None` where they may not stand in a call.
fn with_words(call: &Call, exec: &Exec, words: &[Box<str>]) -> Option<Call> {
    let mut other = Exec::new(Argv::new(words.to_vec()).ok()?).in_folder(exec.cwd()).ok()?;
    for (name, value) in exec.env() {
        other = other.with_env(name, value).ok()?;
    }
    if let Some(stdin) = exec.stdin() {
        other = other.with_stdin(stdin).ok()?;
    }
    Some(Call {
        operation: Operation::Exec(other),
        ..call.clone()
    })
}

fn told(judgement: &Judgement) -> String {
    let rules: Vec<&str> = judgement
        .ruling
        .deciding()
        .map(|finding| finding.rule().as_str())
        .collect();
    format!("{} by {}", judgement.ruling.outcome(), rules.join(", "))
}

fn shown(call: &Call) -> String {
    format!("  {:?} by {}", call.operation, call.actor.role)
}

/// Each property fails where it should: a property that cannot fail shows nothing.
#[cfg(test)]
mod tests {
    use glassbreak_core::finding::{Finding, Findings, Layer, RuleId, Ruling};

    use super::*;
    use crate::bundle::Sketch;
    use crate::{Choices, call, seeded};

    fn plain() -> (Files, Bundle) {
        let files = Sketch::new(&mut Choices::new(&[])).files();
        let bundle = Bundle::from_files(&files).unwrap();
        (files, bundle)
    }

    fn with(files: &Files, name: &str, text: &str) -> Bundle {
        let mut files = files.clone();
        files.insert(name.to_owned(), text.as_bytes().to_vec());
        Bundle::from_files(&files).unwrap()
    }

    fn step(line: &str, millis: i64) -> Step {
        let line = format!("{{\"actor\":{{\"role\":\"agent\"}},\"exec\":{{\"argv\":{line}}}}}");
        Step {
            call: wire::read(line.as_bytes()).unwrap().call,
            at: Timestamp::from_millis(millis),
            admitted: true,
        }
    }

    #[test]
    fn one_permit_more_is_found() {
        let (files, wide) = plain();
        let narrow = with(&files, "rules.cedar", "");
        let steps = [step(r#"["rig","show","web"]"#, 0)];
        never_allows_more(&wide, &narrow, &steps).unwrap();
        let error = never_allows_more(&narrow, &wide, &steps).unwrap_err();
        assert!(error.contains("it is allow by argv.rig.show, policy.p0"), "{error}");
    }

    #[test]
    fn a_rule_that_wants_more_calls_is_found() {
        let (mut files, _) = plain();
        let budgets = "schema = 1\n[[distinct]]\nid = \"d\"\nmatch = { labels = [] }\nof = \"program\"\nlimit = 9\n";
        files.insert("budgets.toml".to_owned(), budgets.as_bytes().to_vec());
        // One on a count would not load.
        let policy = "@id(\"again\") permit (principal, action in Action::\"call\", resource)\n\
                      when { !context.seq.distinct.d.is_new };";
        let bundle = with(&files, "rules.cedar", policy);
        let show = step(r#"["rig","show"]"#, 0);
        assert!(earlier_calls_never_allow_more(&bundle, std::slice::from_ref(&show), &show.call, 0).is_err());
    }

    #[test]
    fn a_type_that_takes_any_word_is_found() {
        let (files, _) = plain();
        let text = String::from_utf8_lossy(&files["safe-bins.toml"]).replace(
            r#""--name"], value = "thing""#,
            r#""--name"], value = "lines", dash-value = true"#,
        );
        // Every word is a value of this type.
        let bundle = with(&files, "safe-bins.toml", &text);
        let show = step(r#"["rig","show","-n","web"]"#, 0);
        let state = session().unwrap();
        let error = an_unknown_word_never_allows_more(&bundle, &state, &show.call, show.at).unwrap_err();
        assert!(error.starts_with(&format!("{POISON:?}")), "{error}");
    }

    #[test]
    fn a_word_without_a_rule_and_a_mute_refusal_are_found() {
        let (_, bundle) = plain();
        let show = step(r#"["rig","show"]"#, 0);
        let good = judge(&bundle, &session().unwrap(), &show.call, show.at);
        assert_eq!(good.ruling.outcome(), Outcome::Allow);
        for role in [Role::Unknown, Role::Unread, Role::Operand(None)] {
            let mut bad = good.clone();
            bad.roles.push(role);
            allow_means_covered(&good).unwrap();
            assert!(allow_means_covered(&bad).is_err());
        }
        let mut partial = good.clone();
        partial.facts.partial = true;
        assert!(allow_means_covered(&partial).is_err());

        let rule = RuleId::new(Layer::Host, "x").unwrap();
        for finding in [
            Finding::deny(rule.clone(), "", "do that"),
            Finding::deny(rule.clone(), "no\u{1b}[2J", ""),
            Finding::ask(rule, "who knows", "see \u{202e}txt", None),
        ] {
            let mut bad = good.clone();
            bad.ruling = Ruling::combine(Findings {
                policy: vec![finding],
                ..Findings::default()
            });
            assert!(refusals_teach(&bad).is_err());
        }
    }

    #[test]
    fn words_that_are_put_in_stand_in_two_places_only() {
        let came = ["rig", "make", "one", "x"];
        let read = [Role::Program, Role::Verb(1), Role::Verb(2), Role::Operand(Some(0))];
        let stopped = [Role::Program, Role::Verb(1), Role::Unknown, Role::Unread];
        assert!(emits(&came, &["rig", "-q", "make", "one", "-s", "x"], &read));
        assert!(emits(&came, &came, &stopped));
        assert!(!emits(&came, &["rig", "make", "-q", "one", "x"], &read));
        assert!(!emits(&came, &["rig", "make", "one", "x", "-q"], &read));
        assert!(!emits(&came, &["rig", "-q", "make", "one", "x"], &stopped));
        assert!(!emits(&came, &["rig", "make", "x"], &read));
        let wrapped = ["nice", "rig", "make", "x"];
        let runs = [Role::Program, Role::Command, Role::Verb(1), Role::Operand(Some(0))];
        assert!(emits(&wrapped, &["nice", "rig", "-q", "make", "-s", "x"], &runs));
        assert!(!emits(&wrapped, &["nice", "rig", "make", "x", "-s"], &runs));
    }

    #[test]
    fn every_field_of_a_call_is_mutated() {
        let exec = (0..).find_map(|seed| {
            let exec = call::exec(&mut Choices::new(&seeded(seed, 64)))?;
            (!exec.env().is_empty() && exec.stdin().is_some() && exec.argv().words().len() > 2).then_some(exec)
        });
        let exec = exec.unwrap();
        let others = mutations(&exec);
        assert!(others.iter().all(|other| *other != exec));
        for differs in [
            |a: &Exec, b: &Exec| a.argv() != b.argv(),
            |a: &Exec, b: &Exec| a.cwd() != b.cwd(),
            |a: &Exec, b: &Exec| a.env() != b.env(),
            |a: &Exec, b: &Exec| a.stdin() != b.stdin(),
        ] {
            assert!(others.iter().any(|other| differs(other, &exec)));
        }
    }
}
