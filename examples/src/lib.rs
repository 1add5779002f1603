//! What the examples share: the stand-in `kubectl`, and a folder to work in.

pub mod kubectl;
pub mod scratch;
