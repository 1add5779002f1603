//! Showing requests to people: the card, and who takes it to them.

mod card;

pub use self::card::{Card, Section};
