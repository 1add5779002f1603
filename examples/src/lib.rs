//! What the examples share: the stand-in `kubectl`, a folder to work in, the incident, and the inbox.

#[cfg(target_os = "linux")]
pub mod inbox;
#[cfg(target_os = "linux")]
pub mod incident;
pub mod kubectl;
pub mod scratch;
