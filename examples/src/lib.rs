//! What the examples share: the stand-in `kubectl`, a folder to work in, the incident, the inbox, an agent's memory, and a
//! stand-in for a sign-in.

#[cfg(target_os = "linux")]
pub mod identity;
#[cfg(target_os = "linux")]
pub mod inbox;
#[cfg(target_os = "linux")]
pub mod incident;
pub mod kubectl;
pub mod memory;
pub mod scratch;
