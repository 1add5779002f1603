//! The checks: each is a sentence of the contract. [`store_suite!`](crate::store_suite) makes a test of each.

mod asked;
mod claims;
mod counting;
mod decisions;
mod locks;
mod nonsense;
mod ops;
mod order;
mod races;
mod requests;
mod restart;
mod revoking;
mod stages;
mod unknown;

pub use self::asked::*;
pub use self::claims::*;
pub use self::counting::*;
pub use self::decisions::*;
pub use self::locks::*;
pub use self::nonsense::*;
pub use self::ops::*;
pub use self::order::*;
pub use self::races::*;
pub use self::requests::*;
pub use self::restart::*;
pub use self::revoking::*;
pub use self::stages::*;
pub use self::unknown::*;
