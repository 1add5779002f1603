//! Budgets that several sessions share: what a store is asked to count, and what its counts mean.

use std::sync::Arc;

use super::key::{KeyPart, Whose};
use super::rules::{Budget, Rules};
use super::story::{Story, Times};
use super::{Demand, Event};
use crate::call::Actor;
use crate::clock::Timestamp;
use crate::finding::{Finding, Layer, Requirement, RuleId};

/// Where the counts of shared budgets come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared<'a> {
    /// There is no store: they are counted in the session's own counters, as if this were the only session. So do tools
    /// that judge without performing, and the tests of a policy folder.
    Local,
    /// What the store counted for [`Rules::demands`], in the same order, this call included. The session's counters
    /// hold nothing of them.
    Counted(&'a [u64]),
}

/// What a shared budget needs of the store that counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Needs {
    /// `durability = "process"`: the count may be lost with the process.
    Process,
    /// `durability = "strict"`: the count must survive a restart.
    Strict,
}

impl Needs {
    /// The word that files use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Strict => "strict",
        }
    }
}

impl Rules {
    /// What a store is to count for this call of `actor`: for each shared budget that it meets, in the order of the file,
    /// one demand for each scope it counts in. Empty where no store need be asked.
    pub fn demands(&self, event: &Event<'_>, actor: &Actor) -> Vec<Demand> {
        let mut demands = Vec::new();
        // Rules share whose count it is, and what they count apart: each is hashed once.
        let mut scopes: Vec<(Whose, Vec<[u8; 16]>)> = Vec::new();
        let mut keys: Vec<(&[KeyPart], Option<[u8; 16]>)> = Vec::new();
        for budget in self.met(event) {
            let known = keys
                .iter()
                .find(|(parts, _)| *parts == &*budget.key)
                .map(|(_, key)| *key);
            let key = known.unwrap_or_else(|| {
                let key = super::key::hashed(&budget.key, event);
                keys.push((&budget.key, key));
                key
            });
            if !scopes.iter().any(|(whose, _)| *whose == budget.whose) {
                scopes.push((budget.whose, budget.whose.scopes(actor)));
            }
            let own = scopes.iter().find(|(whose, _)| *whose == budget.whose);
            let amount = budget.amount.of(event, budget.limit).amount;
            for scope in own.into_iter().flat_map(|(_, scopes)| scopes) {
                demands.push(Demand {
                    rule: Arc::clone(&budget.id),
                    scope: *scope,
                    key,
                    window: budget.window,
                    amount,
                    ceiling: budget.ceiling,
                });
            }
        }
        demands
    }

    /// The refusal where a store says that the demand at `demand` is past its ceiling: how many would `count`, when
    /// enough have left the window for it to pass, and what time the store has.
    ///
    /// A demand that this call does not make is a fault somewhere, and a refusal too.
    pub fn over(
        &self,
        event: &Event<'_>,
        actor: &Actor,
        demand: usize,
        count: u64,
        free_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Finding {
        let mut by_demand = self
            .met(event)
            .flat_map(|budget| std::iter::repeat_n(budget, budget.whose.scope_count(actor)));
        let Some(budget) = by_demand.nth(demand) else {
            return Finding::unavailable(
                RuleId::known(Layer::Store, "counts"),
                "the store refuses by a budget that this call does not meet",
            );
        };
        Story::new(budget, event, count, Times::FreeAt(free_at, now)).past_ceiling()
    }

    /// What the strictest shared budget needs of a store; `None` where there is none, and no store is needed.
    pub fn durability(&self) -> Option<Needs> {
        self.budgets.iter().filter_map(|budget| budget.needs).max()
    }

    /// The first budget that needs just this of a store, to be named where the store cannot give it.
    pub fn first_needing(&self, needs: Needs) -> Option<&str> {
        let mut budgets = self.budgets.iter();
        budgets
            .find(|budget| budget.needs == Some(needs))
            .map(|budget| &*budget.id)
    }

    /// The rules that say by themselves who must agree.
    pub fn asking(&self) -> impl Iterator<Item = (&RuleId, &Requirement)> {
        let budgets = self.budgets.iter().chain(self.events.iter().map(|event| &event.budget));
        let budgets = budgets.map(|budget| (&budget.rule, &budget.requirement));
        let heads = (self.distincts.iter().map(|rule| &rule.head))
            .chain(self.patterns.iter().map(|rule| &rule.head))
            .chain(self.latches.iter().map(|rule| &rule.head))
            .chain(self.loops.iter().map(|rule| &rule.head))
            .chain(self.breakers.iter().map(|rule| &rule.head));
        let all = budgets.chain(heads.map(|head| (&head.rule, &head.requirement)));
        all.filter_map(|(rule, requirement)| Some((rule, requirement.as_ref()?)))
    }

    /// The shared budgets that `event` meets.
    pub(super) fn met(&self, event: &Event<'_>) -> impl Iterator<Item = &Budget> {
        self.shared_of(event.name).filter(|budget| budget.matches.fits(event))
    }
}
