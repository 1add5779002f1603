#![doc = include_str!("../README.md")]
//!
//! # Modules, in reading order
//!
//! | module | has |
//! |---|---|
//! | [`expect`] | what a token must be: issuer, audience, algorithms, age |
//! | [`jwks`] | the keys of an issuer: fixed, from a file, or fetched and kept fresh |
//! | [`verify`] | from the text of a token to what its issuer vouches for, or a refusal |
//! | [`who`] | from that to a person, or to an agent |
//! | [`broker`] | the other way round: a short-lived token for a permitted call, and its check where it is used |
//!
//! # Features
//!
//! - `fetch` (on unless turned off): key sets over HTTPS.

pub mod broker;
pub mod error;
pub mod expect;
pub mod jwks;
mod strict;
pub mod verify;
pub mod who;

pub use self::broker::{CredentialVerifier, Handed, JwtBroker};
pub use self::error::{ConfigError, KeyError, TokenError};
pub use self::expect::{Algorithm, Expect, TokenKind};
pub use self::jwks::Jwks;
pub use self::verify::{Verified, Verifier};
pub use self::who::{ActorMapping, WhoError, person};
