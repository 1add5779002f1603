//! Why a command was not run, or not to its end, on standard error; and the exit code that says so.

use glassbreak_core::error::shown_once;
use glassbreak_core::finding::{Denial, DenialKind, Requirement, RuleId};
use glassbreak_core::gate::{Escalation, Failure as Broken};

pub(super) const REFUSED: u8 = 120;
pub(super) const EXPIRED: u8 = 121;
pub(super) const UNAVAILABLE: u8 = 122;

pub(super) fn tell_ask(escalation: Escalation) -> u8 {
    let who: Vec<String> = escalation
        .requirements()
        .map(|(_, requirement)| people(requirement))
        .collect();
    let denial = escalation.into_denial();
    eprintln!("glassbreak: not run: people must agree, by {}", rules(&denial));
    eprintln!("  why:  {}", shown_once(denial.why()));
    for who in who {
        eprintln!("  who:  {who}");
    }
    eprintln!("  help: add --ask to ask them, and --store FILE so that they can answer elsewhere");
    hint(&denial);
    REFUSED
}

fn people(requirement: &Requirement) -> String {
    let count = requirement.quorum;
    let many = if count == 1 { "person" } else { "persons" };
    match &requirement.group {
        Some(group) => format!("{count} {many} of {group}"),
        None => "nobody is named, so nobody could".to_owned(),
    }
}

pub(super) fn tell_denial(denial: &Denial) -> u8 {
    let (what, code) = meaning(denial);
    eprintln!("glassbreak: {what}, by {}", rules(denial));
    eprintln!("  why:  {}", shown_once(denial.why()));
    hint(denial);
    code
}

/// What a refusal comes to, in words and as an exit code.
fn meaning(denial: &Denial) -> (&'static str, u8) {
    if denial.rules().iter().any(|rule| rule.as_str() == "lock.permit-expired") {
        ("not run: the permit expired", EXPIRED)
    } else if denial.kind() == DenialKind::Unavailable {
        ("not run: something it needs is missing or broke", UNAVAILABLE)
    } else if denial.rules().iter().any(|rule| rule.as_str() == "lock.came") {
        ("ended: a lock came", REFUSED)
    } else {
        ("not run: refused", REFUSED)
    }
}

pub(super) fn tell_broken(broken: &Broken) -> u8 {
    match broken {
        Broken::Denied(denied) => tell_denial(denied.denial()),
        Broken::Exec(error) => {
            let code = error.code();
            let swapped = [
                "pin.changed",
                "pin.swapped",
                "cwd.link",
                "cwd.outside",
                "workspace.moved",
            ];
            eprintln!("glassbreak: not run to its end, by exec.{code}");
            eprintln!("  why:  {}", shown_once(error.why()));
            if !error.help().is_empty() {
                eprintln!("  help: {}", error.help());
            }
            if swapped.contains(&code) { REFUSED } else { UNAVAILABLE }
        }
        other => {
            eprintln!("glassbreak: not run to its end: {}", shown_once(&other.to_string()));
            UNAVAILABLE
        }
    }
}

fn rules(denial: &Denial) -> String {
    let rules: Vec<&str> = denial.rules().iter().map(RuleId::as_str).collect();
    rules.join(", ")
}

fn hint(denial: &Denial) {
    if !denial.hint().is_empty() {
        eprintln!("  help: {}", shown_once(denial.hint()));
    }
}

#[cfg(test)]
mod tests {
    use glassbreak_core::finding::{Finding, Findings, Layer, Ruling};

    use super::*;

    fn denied(finding: Finding) -> u8 {
        let lock = vec![finding];
        let ruling = Ruling::combine(Findings {
            lock,
            ..Findings::default()
        });
        meaning(&Denial::from_ruling(&ruling, None).unwrap()).1
    }

    #[test]
    fn each_kind_of_refusal_has_its_code() {
        let rule = |layer, id| RuleId::new(layer, id).unwrap();
        assert_eq!(denied(Finding::deny(rule(Layer::Lock, "session"), "", "")), REFUSED);
        assert_eq!(denied(Finding::deny(rule(Layer::Lock, "came"), "", "")), REFUSED);
        assert_eq!(
            denied(Finding::deny(rule(Layer::Lock, "permit-expired"), "", "")),
            EXPIRED
        );
        assert_eq!(
            denied(Finding::unavailable(rule(Layer::Lock, "unknown"), "")),
            UNAVAILABLE
        );
        assert_eq!(
            denied(Finding::unavailable(rule(Layer::Store, "audit"), "")),
            UNAVAILABLE
        );
        let file = rule(Layer::Argv, "kubectl.program-file");
        assert_eq!(denied(Finding::unavailable(file, "")), UNAVAILABLE);
    }
}
