//! Each property over inputs made from bytes: what proptest, libFuzzer and a loop over seeds call.

use glassbreak_core::argv::Role;
use glassbreak_core::argv::profile::Verdict;
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::finding::Outcome;
use glassbreak_core::judge::judge;

use crate::bundle::{Refusal, Sketch};
use crate::properties::{self, Holds};
use crate::{Choices, call, spelling};

fn load(files: &Files) -> Result<Bundle, String> {
    Bundle::from_files(files).map_err(|problems| {
        let texts: Vec<_> = files.values().map(|bytes| String::from_utf8_lossy(bytes)).collect();
        format!(
            "a generated folder does not load: {problems}\n{}",
            texts.join("\n---\n")
        )
    })
}

fn tell(error: &str, sketch: &Sketch) -> String {
    format!("{error}\nin {sketch:?}")
}

/// [`properties::never_allows_more`]: one more forbid, soft forbid, budget, loop rule, or a stricter verdict of a verb.
///
/// # Errors
/// What does not hold, and where.
pub fn adding_a_refusal_never_allows_more(bytes: &[u8]) -> Holds {
    let choices = &mut Choices::new(bytes);
    let steps = call::steps(choices);
    let sketch = Sketch::new(choices);
    let files = sketch.files();
    let (new, what) = if choices.once_in(4) {
        (sketch.tightened(choices).files(), "a stricter verb".to_owned())
    } else {
        let refusal = Refusal::any(choices);
        (refusal.add_to(&files), format!("{refusal:?}"))
    };
    properties::never_allows_more(&load(&files)?, &load(&new)?, &steps)
        .map_err(|error| tell(&format!("{error}\nafter {what}"), &sketch))
}

/// [`properties::an_unknown_word_never_allows_more`], in a session that has made some calls.
///
/// # Errors
/// What does not hold, and where.
pub fn an_unknown_word_never_allows_more(bytes: &[u8]) -> Holds {
    let choices = &mut Choices::new(bytes);
    let steps = call::steps(choices);
    let sketch = Sketch::new(choices);
    let bundle = load(&sketch.files())?;
    let mut state = properties::session()?;
    for step in &steps {
        properties::an_unknown_word_never_allows_more(&bundle, &state, &step.call, step.at)
            .map_err(|error| tell(&error, &sketch))?;
        let judgement = judge(&bundle, &state, &step.call, step.at);
        state.advance(&bundle, &step.call, &judgement, step.at, step.admitted);
    }
    Ok(())
}

/// [`properties::earlier_calls_never_allow_more`]: anywhere in a session where no loop rule counts, else before it.
///
/// # Errors
/// What does not hold, and where.
pub fn earlier_calls_never_allow_more(bytes: &[u8]) -> Holds {
    let choices = &mut Choices::new(bytes);
    let steps = call::steps(choices);
    let Some(more) = call::call(choices) else {
        return Ok(());
    };
    let extra = choices.below(steps.len());
    let mut sketch = Sketch::new(choices);
    if extra > 0 {
        sketch = sketch.without_loops();
    }
    properties::earlier_calls_never_allow_more(&load(&sketch.files())?, &steps, &more, extra)
        .map_err(|error| tell(&error, &sketch))
}

/// [`properties::emitted_equals_judged`], [`properties::allow_means_covered`] and [`properties::refusals_teach`] for
/// every call of a session.
///
/// # Errors
/// What does not hold, and where.
pub fn judgements_hold_together(bytes: &[u8]) -> Holds {
    let choices = &mut Choices::new(bytes);
    let steps = call::steps(choices);
    let sketch = Sketch::new(choices);
    let bundle = load(&sketch.files())?;
    let mut state = properties::session()?;
    for step in &steps {
        let judgement = judge(&bundle, &state, &step.call, step.at);
        properties::allow_means_covered(&judgement)
            .and_then(|()| properties::refusals_teach(&judgement))
            .and_then(|()| properties::emitted_equals_judged(&bundle, &state, &step.call, step.at))
            .map_err(|error| tell(&format!("{error}\n{:?}", step.call.operation), &sketch))?;
        state.advance(&bundle, &step.call, &judgement, step.at, step.admitted);
    }
    Ok(())
}

/// [`properties::judging_never_panics`]: bytes as they are, or a call written out and broken.
///
/// # Errors
/// What does not hold, and where.
pub fn judging_never_panics(bundle: &Bundle, bytes: &[u8]) -> Holds {
    properties::judging_never_panics(bundle, bytes)?;
    properties::judging_never_panics(bundle, &call::line(&mut Choices::new(bytes)))
}

/// The argv engine alone: any words for the programs of `bundle`.
///
/// # Errors
/// What does not hold, and where.
pub fn any_words_are_judged(bundle: &Bundle, bytes: &[u8]) -> Holds {
    let state = properties::session()?;
    let at = Timestamp::from_millis(0);
    let choices = &mut Choices::new(bytes);
    let Some(call) = words_as_they_are(bundle, choices) else {
        return Ok(());
    };
    let judgement = judge(bundle, &state, &call, at);
    properties::allow_means_covered(&judgement)?;
    properties::refusals_teach(&judgement)?;
    properties::emitted_equals_judged(bundle, &state, &call, at)?;
    properties::an_unknown_word_never_allows_more(bundle, &state, &call, at)
}

/// A program of the bundle, or any call; words from the bytes, split at newlines.
fn words_as_they_are(bundle: &Bundle, choices: &mut Choices<'_>) -> Option<glassbreak_core::call::Call> {
    use glassbreak_core::call::{Argv, Exec, Operation};

    let operation = if choices.once_in(4) {
        Operation::Exec(call::exec(choices)?)
    } else {
        let names: Vec<&str> = bundle.programs().names().collect();
        let program = names.get(choices.below(names.len())).copied().unwrap_or("rig");
        let text = String::from_utf8_lossy(choices.take(2048));
        let words = [program]
            .into_iter()
            .chain(text.split('\n').filter(|_| !text.is_empty()));
        Operation::Exec(Exec::new(Argv::new(words).ok()?))
    };
    properties::any_call(bundle, operation)
}

/// No spelling of an option that a profile denies is ever read as an option and allowed; and behind a word that nobody
/// knows, where every word may be that option, it denies.
///
/// # Errors
/// The call for which it does not hold.
pub fn forbidden_spellings_never_pass(bundle: &Bundle, bytes: &[u8]) -> Holds {
    let choices = &mut Choices::new(bytes);
    let programs = bundle.programs();
    let names: Vec<&str> = programs.names().collect();
    let Some(program) = names.get(choices.below(names.len())) else {
        return Ok(());
    };
    let options = programs.options_of(program);
    let denied: Vec<_> = options
        .iter()
        .filter(|option| option.verdict == Verdict::Deny)
        .collect();
    let Some(option) = denied.get(choices.below(denied.len())) else {
        return Ok(());
    };
    let here = || options.iter().filter(|known| known.command == option.command);
    let spelling = spelling::of(option, &here(), choices);
    let verbs = option.command.split(' ').filter(|verb| !verb.is_empty());
    let head: Vec<&str> = [*program].into_iter().chain(verbs).collect();
    let text = String::from_utf8_lossy(choices.take(256));
    let words: Vec<&str> = text.split('\n').filter(|word| !word.is_empty()).collect();
    let (before, behind) = words.split_at(choices.below(words.len() + 1));
    let place = head.len() + before.len();
    let all = [&head[..], before, &[&spelling], behind].concat();
    let judged = |words: &[&str]| properties::judge_words(bundle, words);
    if let Some(is) = judged(&all).filter(|is| is.ruling.outcome() == Outcome::Allow) {
        let taken = matches!(
            is.roles.get(place),
            Some(Role::Value(_) | Role::Operand(Some(_)) | Role::Verb(_))
        );
        if !taken {
            return Err(format!(
                "{spelling:?}, a spelling of {:?}, is allowed in {all:?}",
                option.names
            ));
        }
    }
    let poisoned = [&head[..], &[properties::POISON], before, &[&spelling], behind].concat();
    match judged(&poisoned) {
        Some(is) if is.roles.get(head.len()) == Some(&Role::Unknown) && is.ruling.outcome() != Outcome::Deny => {
            Err(format!(
                "{spelling:?}, a spelling of {:?}, is {} in {poisoned:?}",
                option.names,
                is.ruling.outcome()
            ))
        }
        _ => Ok(()),
    }
}

/// Any profile loads or says why not; one that loads judges words of its own text, and what it allows is covered.
///
/// # Errors
/// What does not hold.
pub fn profiles_load_or_say_why_not(bytes: &[u8]) -> Holds {
    let choices = &mut Choices::new(bytes);
    let name = choices.word(&["safe-bins.toml", "safe-bins.json"]).to_owned();
    let text = choices.take(usize::MAX).to_vec();
    let words = String::from_utf8_lossy(&text).into_owned();
    let words: Vec<&str> = words
        .split(['"', '\n', ' ', '[', ']', ','])
        .filter(|word| !word.is_empty())
        .collect();
    let role = b"[{\"uid\":{\"type\":\"Role\",\"id\":\"agent\"},\"attrs\":{},\"parents\":[]}]".to_vec();
    let all = b"@id(\"all\") permit (principal, action, resource);".to_vec();
    let others = [("entities.json".to_owned(), role), ("all.cedar".to_owned(), all)];
    let files = Files::from_iter([(name, text)].into_iter().chain(others));
    let Some(bundle) = properties::loading_never_panics(&files)? else {
        return Ok(());
    };
    for program in bundle.programs().names() {
        for at in 0..words.len().min(16) {
            let all = [
                &[program],
                words.get(at..).unwrap_or_default().get(..6).unwrap_or_default(),
            ]
            .concat();
            if let Some(judgement) = properties::judge_words(&bundle, &all) {
                properties::allow_means_covered(&judgement)?;
                properties::refusals_teach(&judgement)?;
            }
        }
    }
    Ok(())
}

/// [`properties::loading_never_panics`]: a folder of random files, or a good one with bytes changed.
///
/// # Errors
/// What does not hold, and where.
pub fn loading_never_panics(bytes: &[u8]) -> Holds {
    const NAMES: [&str; 13] = [
        "glassbreak.toml",
        "people.toml",
        "safe-bins.toml",
        "safe-bins.json",
        "tools.toml",
        "budgets.toml",
        "schema.cedarschema",
        "entities.json",
        "rules.cedar",
        "tests/a.toml",
        "egress.toml",
        "README.md",
        "tools.json",
    ];
    let choices = &mut Choices::new(bytes);
    let mut files = Files::new();
    if choices.once_in(2) {
        let break_at = choices.below(65_536);
        let broken = choices.take(6);
        let which = choices.below(8);
        files = Sketch::new(choices).files();
        if let Some(text) = files.values_mut().nth(which) {
            let at = break_at.checked_rem(text.len() + 1).unwrap_or(0);
            let end = (at + broken.len() / 2).min(text.len());
            text.splice(at..end, broken.iter().copied()).for_each(drop);
        }
    } else {
        // The whole input is one file, or a few with a byte that says how long each is.
        for _ in 0..1 + choices.below(3) {
            let name = choices.word(&NAMES).to_owned();
            let length = if choices.once_in(2) {
                choices.below(512)
            } else {
                usize::MAX
            };
            files.insert(name, choices.take(length).to_vec());
        }
    }
    if let Some(bundle) = properties::loading_never_panics(&files)? {
        let judged = call::steps(choices);
        let state = properties::session()?;
        for step in &judged {
            let judgement = judge(&bundle, &state, &step.call, step.at);
            properties::allow_means_covered(&judgement)?;
            properties::refusals_teach(&judgement)?;
        }
    }
    Ok(())
}
