//! The checks: each is a sentence of the contract. [`store_suite!`](crate::store_suite) makes a test of each.

mod counting;
mod locks;
mod ops;
mod order;
mod races;

pub use self::counting::*;
pub use self::locks::*;
pub use self::ops::*;
pub use self::order::*;
pub use self::races::*;
