//! Agents that run away: each lets through at most the limit and what people agree to, whatever it tries.
//!
//! Each test is an agent that never stops by itself. The rules are those of [`house::BUDGETS`], written once for all of
//! them, and a store counts what sessions share.

#[cfg(test)]
mod agents;
#[cfg(test)]
mod house;
