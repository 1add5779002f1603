//! Which calls a rule speaks of.

use crate::budget::{Event, Name};
use crate::label::LabelSet;

/// Which calls a rule speaks of: those that fit everything that is said.
#[derive(Debug, Clone, Default)]
pub(in crate::budget) struct Match {
    /// All of these.
    pub(super) labels: LabelSet,
    /// At least one of these; none are named: any call.
    pub(super) any: Option<LabelSet>,
    /// Neither: any name.
    pub(super) tools: Vec<Box<str>>,
    pub(super) programs: Vec<Box<str>>,
    /// Facts of the target, each with the texts it may be.
    pub(super) target: Vec<(&'static str, Vec<Box<str>>)>,
    /// Only what has a cost in this unit.
    pub(super) cost: Option<Box<str>>,
}

impl Match {
    /// Whether `event` is meant: a call that was not understood is, if it might be.
    pub(in crate::budget) fn fits(&self, event: &Event<'_>) -> bool {
        let partial = event.facts.partial;
        self.by_name(event)
            && self.by_labels(event.may_have())
            && self
                .cost
                .as_deref()
                .is_none_or(|unit| partial || event.facts.has_cost(unit))
            && self.target.iter().all(|(name, texts)| {
                let known = event.facts.target.get(name).and_then(|fact| fact.text());
                let any = *name == "namespace" && known == Some("*");
                partial || any || known.is_none_or(|known| texts.iter().any(|text| **text == *known))
            })
    }

    /// Whether `event` is meant for sure: what forgives must be certain.
    pub(in crate::budget) fn surely(&self, event: &Event<'_>) -> bool {
        let known = self.target.iter().all(|(name, _)| {
            let text = event.facts.target.get(name).and_then(|fact| fact.text());
            text.is_some_and(|text| text != "*")
        });
        !event.facts.partial && known && self.fits(event)
    }

    /// Whether calls with just this label may be meant.
    pub(in crate::budget) fn meets(&self, label: LabelSet) -> bool {
        let all = self.labels.is_empty() || self.labels.intersects(label);
        all && self.any.is_none_or(|any| any.intersects(label))
    }

    /// Whether it names this label.
    pub(in crate::budget) fn names(&self, label: LabelSet) -> bool {
        self.labels.intersects(label) || self.any.is_some_and(|any| any.intersects(label))
    }

    fn by_name(&self, event: &Event<'_>) -> bool {
        let has = |names: &[Box<str>], name: &str| names.iter().any(|known| **known == *name);
        (self.tools.is_empty() && self.programs.is_empty())
            || match event.name {
                Name::Program(name) => has(&self.programs, name),
                Name::Tool(name) => has(&self.tools, name),
            }
    }

    fn by_labels(&self, labels: LabelSet) -> bool {
        labels.is_superset(self.labels) && self.any.is_none_or(|any| labels.intersects(any))
    }
}
