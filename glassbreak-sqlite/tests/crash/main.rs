//! `kill -9` between any two effects of asking, voting, granting, claiming and settling, over a real database and a real
//! audit log; and many who end one request at the same moment, from several processes.
//!
//! A round is a process that lives through one story and is killed in it, and another one that opens what is left and
//! holds it to what must be so. Every point is taken once; then come the same parts of the story all at once, killed at a
//! random point or from outside at a random moment. More rounds, as before a release:
//!
//! ```text
//! GLASSBREAK_ROUNDS=1000 cargo test -p glassbreak-sqlite --test crash -- --nocapture
//! ```
//!
//! `changes` ends one approval at every single change to a file that it makes, once in the process that asks and once in the
//! one that votes; unless told, it takes some of them:
//!
//! ```text
//! GLASSBREAK_CHANGES=all cargo test -p glassbreak-sqlite --test crash changes -- --nocapture
//! ```
//!
//! A killed process loses nothing that it has handed to the kernel: what a loss of power leaves is not tested here.
#![cfg(unix)]

#[cfg(test)]
mod changes;
#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod deadline;
#[cfg(test)]
mod house;
#[cfg(test)]
mod left;
#[cfg(test)]
mod race;
#[cfg(test)]
mod rounds;
#[cfg(test)]
mod story;
