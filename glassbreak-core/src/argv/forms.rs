//! Operands: which form of a node they follow, and whether each fits its slot.

use std::sync::Arc;

use super::parse::{Parse, Role};
use super::program::{Form, Node, Program, Slot};
use super::refuse;
use super::types::{self, Ground, Kind, Said};
use super::wrapper::Command;
use crate::finding::Finding;

/// Matches the operands of `parse` against the forms of its node: the first that fits takes them.
///
/// # Errors
/// When none fits; the finding speaks of the form that came furthest.
pub(crate) fn take(
    program: &Program,
    node: &Node,
    parse: &mut Parse<'_>,
    ground: Ground<'_>,
    said: &mut Said,
) -> Result<(), Finding> {
    let mut best: Option<(usize, Finding)> = None;
    for form in node.forms.iter().filter(|form| applies(program, form, parse)) {
        let mark = said.mark();
        let mut types = Vec::with_capacity(parse.operands.len() + parse.after.len());
        let result = row(program, node, &form.operands, &parse.operands, ground, said, &mut types)
            .and_then(|()| row(program, node, &form.after, &parse.after, ground, said, &mut types));
        match result {
            Ok(()) => {
                for (at, ty) in types {
                    if let Some(role) = parse.roles.get_mut(at) {
                        *role = Role::Operand(Some(ty));
                    }
                }
                return Ok(());
            }
            Err(finding) => {
                said.go_back(mark);
                if best.as_ref().is_none_or(|(most, _)| types.len() > *most) {
                    best = Some((types.len(), finding));
                }
            }
        }
    }
    Err(match best {
        Some((_, finding)) => finding,
        None => refuse::no_form(
            program,
            node,
            parse
                .operands
                .first()
                .or_else(|| parse.after.first())
                .map(|(_, word)| *word),
        ),
    })
}

/// Whether the first operand can only be a script: it is none of the places that the call may read or write, however it
/// looks.
pub(crate) fn begins_with_script(program: &Program, node: &Node, parse: &Parse<'_>) -> bool {
    let is_script = |slot: &Slot| program.ty(slot.ty).is_some_and(|ty| matches!(ty.kind, Kind::Script(_)));
    let mut forms = node
        .forms
        .iter()
        .filter(|form| applies(program, form, parse))
        .peekable();
    forms.peek().is_some() && forms.all(|form| form.operands.first().is_some_and(is_script))
}

fn applies(program: &Program, form: &Form, parse: &Parse<'_>) -> bool {
    let given = |opt: &usize| {
        parse
            .options
            .iter()
            .filter(|present| present.opt == *opt)
            .copied()
            .collect::<Vec<_>>()
    };
    let present = |opt: &usize| given(opt).iter().any(|present| !present.is_off(program));
    form.when.iter().all(present) && !form.unless.iter().any(present)
}

/// Fills the slots in order, each with as many words as fit.
fn row(
    program: &Program,
    node: &Node,
    slots: &[Slot],
    words: &[(usize, &str)],
    ground: Ground<'_>,
    said: &mut Said,
    types: &mut Vec<(usize, usize)>,
) -> Result<(), Finding> {
    let mut words = words.iter().peekable();
    for slot in slots {
        let mut taken = 0;
        // A command is whatever is left: the slot is the last one.
        if let (Some(Kind::Command), Some((at, _))) = (program.ty(slot.ty).map(|ty| &ty.kind), words.peek()) {
            said.command = Some(Command {
                at: *at,
                adds_words: slot.adds_words,
            });
            types.extend(words.map(|(at, _)| (*at, slot.ty)));
            return Ok(());
        }
        while taken < slot.max
            && let Some((at, word)) = words.peek()
        {
            let mark = said.mark();
            let reference = node
                .dialect
                .value_refs
                .iter()
                .any(|prefix| word.starts_with(prefix.as_str()));
            if reference || !types::fits(program, slot.ty, word, ground, said) {
                said.go_back(mark);
                break;
            }
            if !slot.facts.is_empty() {
                let text: Arc<str> = (*word).into();
                said.facts
                    .extend(slot.facts.iter().map(|fact| (*fact, Arc::clone(&text))));
            }
            types.push((*at, slot.ty));
            words.next();
            taken += 1;
        }
        if taken < slot.min {
            return Err(match words.peek() {
                Some((_, word)) => refuse::unfit_operand(program, node, Some(slot.ty), word, said.unfit.take()),
                None => refuse::missing_operand(program, node, slot.ty),
            });
        }
    }
    match words.next() {
        None => Ok(()),
        Some((_, word)) => Err(refuse::unfit_operand(
            program,
            node,
            slots.last().map(|slot| slot.ty),
            word,
            said.unfit.take(),
        )),
    }
}
