//! What glassbreak's own tests, its fuzz targets and its users' CI share: inputs made from bytes, and the properties
//! that must hold for all of them.
//!
//! - [`Choices`] turns bytes into decisions, so that one generator serves proptest, libFuzzer and a fixed seed.
//! - [`bundle`] makes random policy folders, and adds refusals to any folder, also to yours.
//! - [`call`] makes calls: words that a profile knows, and words that try to get past it.
//! - [`properties`] are plain functions that return what is wrong; [`runs`] tries each over inputs made from bytes.
//! - [`store`] is the conformance suite: one named test for each sentence that a store must keep.
//!
//! To try a policy folder of one's own, give its files to the properties:
//!
//! ```
//! use glassbreak_core::bundle::{Bundle, Files};
//! use glassbreak_testkit::{Choices, bundle::Refusal, call, properties, seeded};
//!
//! # fn main() -> Result<(), String> {
//! # let files: Files = glassbreak_testkit::bundle::Sketch::new(&mut Choices::new(&seeded(1, 64))).files();

//! let old = Bundle::from_files(&files).map_err(|problems| problems.to_string())?;
//! for seed in 0..8 {
//!     let bytes = seeded(seed, 256);
//!     let choices = &mut Choices::new(&bytes);
//!     let refusal = Refusal::any(choices);
//!     let new = Bundle::from_files(&refusal.add_to(&files)).map_err(|problems| problems.to_string())?;
//!     let steps = call::steps(choices);
//!     properties::never_allows_more(&old, &new, &steps)?;
//! }
//! # Ok(())
//! # }
//! ```

pub mod bundle;
pub mod call;
mod choices;
pub mod properties;
pub mod runs;
mod spelling;
pub mod store;

pub use self::choices::{Choices, seeded};
