//! Why people are asked, what they may open, and what stays shut.

use super::Shown;
use crate::approval::Asked;
use crate::error::shown_once;
use crate::grant::Grant;
use crate::notify::spell::{quoted, spelled};

pub(super) fn rule(asked: &Asked) -> String {
    let requirement = &asked.requirement;
    let who = match &requirement.group {
        Some(group) if requirement.quorum > 1 => format!("{} persons of {group}", requirement.quorum),
        Some(group) => format!("a person of {group}"),
        None => "nobody is named".to_owned(),
    };
    // Some rules are named after a program.
    format!("{}: {} ({who})", spelled(asked.rule.as_str()), shown_once(&asked.why))
}

/// Once, and the window where one is offered: each condition on a line of its own.
pub(super) fn offers(shown: &Shown<'_>) -> Vec<String> {
    let mut lines = vec![format!("once: exactly this call, within {}", Grant::ONCE)];
    let Some(offer) = shown.offer else {
        return lines;
    };
    lines.push(format!(
        "window: for {} and {} calls at most, all of {} where",
        offer.span,
        offer.uses,
        spelled(shown.action)
    ));
    for pin in shown.pins {
        lines.push(match shown.facts.get(pin) {
            // Without quotes, so that no value reads like it.
            Some(value) if value.is_empty() => format!("  {} = (none)", spelled(pin)),
            Some(value) => format!("  {} = {}", spelled(pin), quoted(value)),
            None => format!("  {} = (not known)", spelled(pin)),
        });
    }
    lines.push("  and resource, labels and risk are as here".to_owned());
    lines
}

/// What no answer opens, in one line: what is on every card is soon read by nobody.
pub(super) fn shut(shown: &Shown<'_>) -> [String; 1] {
    let calls = match shown.offer {
        None => "no other call, and this one no second time; ",
        Some(_) => "",
    };
    [format!(
        "{calls}no other agent, session, person or program file; nothing that policies, budgets or locks deny"
    )]
}
