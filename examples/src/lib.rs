//! What the examples share: the stand-in `kubectl`, a folder to work in, and the incident.

#[cfg(target_os = "linux")]
pub mod incident;
pub mod kubectl;
pub mod scratch;
