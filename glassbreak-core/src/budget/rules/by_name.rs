//! Which budgets a call can meet by its name alone.

use super::Budget;
use crate::budget::Name;

/// The places of budgets, by the tools and programs that they name. One that names none stands under each.
#[derive(Debug, Clone, Default)]
pub(super) struct ByName {
    tools: Vec<(Box<str>, Vec<usize>)>,
    programs: Vec<(Box<str>, Vec<usize>)>,
    /// Those that name none.
    any: Vec<usize>,
}

impl ByName {
    pub(super) fn new(budgets: &[Budget]) -> Self {
        let names_none = |budget: &Budget| budget.matches.tools.is_empty() && budget.matches.programs.is_empty();
        let all = |fits: &dyn Fn(&Budget) -> bool| -> Vec<usize> {
            let places = budgets.iter().enumerate().filter(|(_, budget)| fits(budget));
            places.map(|(place, _)| place).collect()
        };
        let by = |of: fn(&Budget) -> &Vec<Box<str>>| -> Vec<(Box<str>, Vec<usize>)> {
            let mut named: Vec<&Box<str>> = budgets.iter().flat_map(of).collect();
            named.sort_unstable();
            named.dedup();
            let fits = |budget: &Budget, name: &str| of(budget).iter().any(|known| **known == *name);
            let places = |name: &str| all(&|budget| names_none(budget) || fits(budget, name));
            named.into_iter().map(|name| (name.clone(), places(name))).collect()
        };
        Self {
            tools: by(|budget| &budget.matches.tools),
            programs: by(|budget| &budget.matches.programs),
            any: all(&names_none),
        }
    }

    /// The places of those that name this, or nothing, in their order.
    pub(super) fn of(&self, name: Name<'_>) -> &[usize] {
        let (named, name) = match name {
            Name::Tool(name) => (&self.tools, name),
            Name::Program(name) => (&self.programs, name),
        };
        match named.binary_search_by(|(known, _)| (**known).cmp(name)) {
            Ok(at) => named.get(at).map_or(&self.any, |(_, places)| places),
            Err(_) => &self.any,
        }
    }
}
