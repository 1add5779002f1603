//! A profile's examples, tried whenever it is loaded: a profile that does not do what it says is not loaded.

use super::profile::{Example, Examples, Verdict};
use super::program::Program;
use super::types::Ground;
use super::{Others, judge_listed, verdict_of};
use crate::call::{Argv, Exec, Workspace};
use crate::error::{Problem, shown};
use crate::source::{Source, Step};

/// The examples whose outcome is not the one they stand under.
pub(crate) fn check(
    program: &Program,
    examples: &Examples,
    source: Source<'_>,
    at: &[Step<'_>],
    others: Others<'_>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (key, verdict, list) in [
        ("allow", Verdict::Allow, &examples.allow),
        ("ask", Verdict::Ask, &examples.ask),
        ("deny", Verdict::Deny, &examples.deny),
    ] {
        for (n, example) in list.iter().enumerate() {
            let place = [at, &[Step::Key("examples"), Step::Key(key), Step::Index(n)]].concat();
            if let Err((what, help)) = try_one(program, example, verdict, others) {
                problems.push(source.problem_at(&place, what, help));
            }
        }
    }
    problems
}

fn try_one(
    program: &Program,
    example: &Example,
    expected: Verdict,
    others: Others<'_>,
) -> Result<(), (String, String)> {
    let words = example.words();
    let line = shown(&words.join(" "));
    let argv = match Argv::new(words.iter().copied()) {
        Ok(argv) => argv,
        Err(_) if expected == Verdict::Deny => return Ok(()),
        Err(bad) => {
            return Err((
                format!("the example `{line}` is not a call: {bad}"),
                "mend the example".to_owned(),
            ));
        }
    };
    if !program.is_called(argv.program()) {
        return Err((
            format!("the example `{line}` is of another program"),
            format!("begin it with `{}`", program.name),
        ));
    }
    let exec = Exec::new(argv);
    let workspace = Workspace::new("/workspace").map_err(|bad| (bad.to_string(), String::new()))?;
    let judged = judge_listed(
        program,
        &exec,
        Ground {
            workspace: &workspace,
            cwd: "",
        },
        others,
    );
    let got = verdict_of(&judged.findings);
    if got == expected {
        return Ok(());
    }
    let name = |verdict| match verdict {
        Verdict::Allow => "allow",
        Verdict::Ask => "ask",
        Verdict::Deny => "deny",
    };
    let findings: Vec<String> = judged
        .findings
        .iter()
        .map(|f| format!("{}: {}", f.rule(), f.why()))
        .collect();
    Err((
        format!("the example `{line}` should be {} and is {}", name(expected), name(got)),
        format!(
            "move it, or mend the profile; it was judged so: {}",
            findings.join("; ")
        ),
    ))
}
