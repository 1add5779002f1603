//! What is left when a call through the gate is broken off: its process killed, its future dropped, a lock while it runs.
#![cfg(target_os = "linux")]

#[cfg(test)]
mod drops;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod lock;
#[cfg(test)]
mod support;
