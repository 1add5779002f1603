//! `mode = "observe"`: what a rule would ask or deny is recorded, and not done.
//!
//! For learning what is normal, before a rule is put in force. Only what a rule's ladder, streak or pattern says is let
//! off, and only where the policy folder says so, in `[defaults]` or at the rule:
//!
//! - a *ceiling* is what people have said is the most, and holds also while a rule is observed;
//! - what broke, or did not answer, denies as ever; so do all other layers, and a policy that reads the counts;
//! - every ruling has a note that says which rules are not enforced, and so has every record of a call.

use super::Rules;
use crate::error::Problem;
use crate::facts::SeqFacts;
use crate::finding::{Finding, Layer, RuleId};
use crate::source::Source;

/// The numbers that people have written for a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds<'a> {
    /// The rule.
    pub id: &'a str,
    /// More than this fires, where its ladder says nothing else.
    pub limit: u64,
    /// More than this is denied, whoever agrees, and also while it is observed.
    pub ceiling: u64,
    /// Whether it is observed.
    pub observed: bool,
}

impl Rules {
    /// The rules that are observed and not enforced, in the order of the file.
    pub fn observed(&self) -> impl ExactSizeIterator<Item = &RuleId> + Clone {
        self.observed.iter().map(|observed| &observed.rule)
    }

    /// A word on each rule that is observed: a folder that is meant to guard should not have one by accident.
    pub(crate) fn observed_lints<'a>(&'a self, source: Source<'a>) -> impl Iterator<Item = Problem> + 'a {
        self.observed.iter().map(move |observed| {
            let what = format!("{} is observed and NOT ENFORCED", observed.rule);
            source.problem(
                observed.at,
                what,
                "write mode = \"enforce\", or leave it out, once you know what is normal",
            )
        })
    }

    /// The numbers of every budget, in the order of the file.
    pub fn bounds(&self) -> impl Iterator<Item = Bounds<'_>> {
        self.budgets.iter().map(|budget| Bounds {
            id: &budget.id,
            limit: budget.limit,
            ceiling: budget.ceiling,
            observed: self.is_observed(&budget.rule),
        })
    }

    pub(super) fn is_observed(&self, rule: &RuleId) -> bool {
        self.observed().any(|observed| observed == rule)
    }

    /// What each observed budget that the call meets counts, this call included.
    pub(crate) fn observed_counts<'a>(&'a self, seq: &'a SeqFacts) -> impl Iterator<Item = (&'a str, i64)> {
        let counted = self.bounds().zip(&seq.budgets);
        counted.filter_map(|(bounds, facts)| (bounds.observed && facts.count > 0).then_some((bounds.id, facts.count)))
    }

    /// The findings, those of observed rules as notes.
    pub(crate) fn let_off(&self, findings: Vec<Finding>) -> Vec<Finding> {
        if self.observed.is_empty() {
            return findings;
        }
        let one = |finding: Finding| match self.is_observed(finding.rule()) {
            true => finding.observed(),
            false => finding,
        };
        findings.into_iter().map(one).collect()
    }

    /// The same, with one note more that names all observed rules.
    pub(crate) fn unenforced(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let mut findings = self.let_off(findings);
        if !self.observed.is_empty() {
            let rules: Vec<&str> = self.observed().map(RuleId::as_str).collect();
            // No rule of the file is called so: their ids have no dash.
            let rule = RuleId::known(Layer::Budget, "observe-mode");
            let why = format!("OBSERVE MODE, NOT ENFORCED: {}", rules.join(", "));
            findings.push(Finding::note(rule, why));
        }
        findings
    }
}
