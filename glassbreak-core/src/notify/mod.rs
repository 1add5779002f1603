//! Showing requests to people: the card, and who takes it to them.

mod card;
#[cfg(test)]
mod card_tests;

pub use self::card::{Card, Section};
