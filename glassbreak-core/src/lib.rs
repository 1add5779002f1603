//! The guard between an AI agent and its tools: judges each call, in process, before the tool runs.
//!
//! A [`Bundle`] is a policy folder that was checked as a whole. [`judge`] takes it, the state of a session, a [`Call`]
//! and the time, and returns a [`Judgement`]: allow, ask a person, or deny, with the rule, the reason and what would be
//! allowed. It is a pure function: no I/O, no clock, no globals.
//!
//! What can make a call go through? A Cedar `permit` that holds, words that a profile covers to the last one (or
//! arguments that fit the tool's schema), and no finding of any layer that asks or denies. Nothing else: failure,
//! absence and doubt count against the call.
//!
//! ```
//! use glassbreak_core::bundle::Bundle;
//! use glassbreak_core::call::{Actor, Argv, Call, Exec, Operation, Word, Workspace};
//! use glassbreak_core::clock::Timestamp;
//! use glassbreak_core::finding::Outcome;
//! use glassbreak_core::judge::{SessionState, judge};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bundle = Bundle::read_only()?; // or Bundle::open("policy")
//! let session = SessionState::new(Workspace::new("/srv/ops")?);
//! let call = Call {
//!     actor: Actor::new(Word::new("anonymous")?, Word::new("session-1")?),
//!     operation: Operation::Exec(Exec::new(Argv::new(["git", "log", "--output=notes.txt"])?)),
//!     reason: None,
//!     conversation: None,
//! };
//!
//! let judgement = judge(&bundle, &session, &call, Timestamp::now());
//! assert_eq!(judgement.ruling.outcome(), Outcome::Deny);
//! let denial = judgement.denial().ok_or("allowed")?;
//! assert_eq!(denial.rules()[0].as_str(), "argv.git.log.--output");
//! assert_eq!(denial.hint(), "leave `--output` out");
//! # Ok(())
//! # }
//! ```
//!
//! A host that only judges also counts: [`SessionState::advance`] after each call. A [`gate`] does that, and makes the
//! ruling binding: it records, asks people, hands out permits, runs programs and can be locked. The README has both
//! stories, and the [`guide`] the rest, beginning with [one attribute on a tool function](guide::first_policy).
//!
//! # Modules, in reading order
//!
//! | module | has |
//! |---|---|
//! | [`call`] | what an agent asks to do, checked at the border |
//! | [`mod@judge`] | the way of a call, from bundle, session, call and time to a judgement |
//! | [`finding`] | what rules say of a call, and how that combines: the strictest wins |
//! | [`facts`], [`label`] | what the layers learned of a call, and what it means |
//! | [`argv`] | programs and their words: profiles, shipped packs, what would run |
//! | [`policy`] | Cedar with three outcomes |
//! | [`budget`] | what the calls of a session add up to |
//! | [`bundle`] | the policy folder: files, checks, digest, its own tests |
//! | [`gate`], [`guard`](mod@guard) | performing: sessions, permits, asking people, the kill switch (Linux) |
//! | [`guarded`] | the functions behind `#[guard]`, held together with the folder (Linux, feature `macros`) |
//! | [`approval`], [`grant`] | a question to people, their votes, and what they open: plain functions |
//! | [`desk`] | where questions are answered, ended and revoked, and locks worked; recorded before it takes effect |
//! | [`notify`] | the card that people are shown, who takes it to them, the terminal |
//! | [`store`], [`lock`] | what counts, requests, grants and locks must guarantee; the store in memory |
//! | [`audit`] | what was decided and done, so that tampering shows |
//! | [`credential`] | what a call is handed beyond the agent's own rights, for as long as it runs |
//! | [`exec`] | running a plan: pinned, limited, killable (Linux) |
//! | [`shape`], [`people`], [`clock`], [`error`] | what calls can look like; persons, groups and accounts; time; what is wrong with a folder |
//!
//! # Features
//!
//! - `macros` (on unless turned off): `#[guard]`.
//! - `tower`: the module `tower`, a layer that puts services behind a gate.
//! - `json-schema`: the module `schema`, with JSON Schemas of calls, verdicts, profiles and budgets.
//! - `explain-shell`: the refusal of a shell string names the calls in it.
//!
//! No feature changes a verdict.
//!
//! # What is not built
//!
//! Ways to people besides the terminal; a host writes a [`Notifier`](notify::Notifier). Performing, and asking, outside
//! Linux. Network destinations. A durable store is `glassbreak-sqlite`; one over the network is not built.
//!
//! [`Bundle`]: bundle::Bundle
//! [`judge`]: judge::judge
//! [`Call`]: call::Call
//! [`Judgement`]: judge::Judgement
//! [`SessionState::advance`]: judge::SessionState::advance

pub mod approval;
pub mod argv;
pub mod audit;
pub mod budget;
pub mod bundle;
pub mod call;
pub mod clock;
pub mod credential;
pub mod desk;
pub mod error;
// Runs what it checked by its descriptor, which needs Linux (5.4 or later); elsewhere it is not built.
#[cfg(target_os = "linux")]
pub mod exec;
pub mod facts;
pub mod finding;
#[cfg(target_os = "linux")]
pub mod gate;
pub mod grant;
#[cfg(target_os = "linux")]
pub mod guard;
#[cfg(all(feature = "macros", target_os = "linux"))]
pub mod guarded;
#[cfg(any(doc, doctest))]
pub mod guide;
mod json;
pub mod judge;
pub mod label;
pub mod lock;
pub mod notify;
pub mod people;
pub mod policy;
#[cfg(feature = "json-schema")]
pub mod schema;
pub mod shape;
mod source;
pub mod store;
mod stored;
mod table;
mod text;
#[cfg(all(feature = "tower", target_os = "linux"))]
pub mod tower;

/// One line on a tool function: its body runs only inside a permit.
///
/// The call is made from the arguments (each [taken](call::Arguments) as serde writes it; `None` is left out), judged,
/// and recorded; the body runs inside the permit; its result is recorded and settles what was counted. A refusal comes
/// back as the function's own error by `From<Denied>`. What the tool means (labels, target, types of the arguments) is
/// for `tools.toml` to say; [`guarded`] holds functions and file together.
///
/// ```
/// use glassbreak_core::gate::{Denied, Session};
/// use glassbreak_core::guard;
///
/// /// Restarts one service.
/// #[guard(tool = "restart_service")]
/// async fn restart_service(session: &Session, name: &str, #[guard(skip)] client: &str) -> Result<String, Denied> {
///     Ok(format!("{client} restarts {name}"))
/// }
/// ```
///
/// | it says | that |
/// |---|---|
/// | `tool = "…"` | which tool of `tools.toml` it is; always |
/// | `session = self.session` | where the session is, if no parameter is of type `Session` or `&Session`: a way that begins with a parameter or `self`, never a global |
/// | `outcome = ended` | how the result counts: a function from `&Result<T, E>` to [`Performed`](audit::Performed). Without it `Ok` is done and `Err` is failed; `NotRun` gives back what was counted |
/// | `#[guard(skip)]` on a parameter | it is no argument: a client, a connection |
/// | `#[guard(secret)]` on a parameter | it is judged, is part of the digest, and is [shown nowhere](call::ArgValue::Secret) |
/// | `#[guard(session)]` on a parameter | it is the session, whatever its type is called |
///
/// It goes on async functions, on functions that return a boxed future or an `impl Future`, on methods, on methods of
/// traits (also beneath `#[async_trait]`), and on functions that are not async. Making a future asks nobody; the call is
/// made when it is first polled.
///
/// # Functions that are not async
/// They run on the caller's thread, which stands still where the store must be asked. Where people must agree, they are
/// asked and the function is refused at once, [as pending](finding::Denial::request): the same call passes once they
/// agreed. A lock that comes while such a body runs cannot end it.
///
/// ```
/// use glassbreak_core::audit::Performed;
/// use glassbreak_core::gate::{Denied, Session};
/// use glassbreak_core::guard;
///
/// struct Mailer {
///     session: Session,
/// }
///
/// #[derive(Debug, thiserror::Error)]
/// enum MailError {
///     #[error(transparent)]
///     Denied(#[from] Denied),
///     #[error("the server cannot be reached")]
///     Unreachable,
/// }
///
/// fn ended(result: &Result<(), MailError>) -> Performed {
///     match result {
///         Ok(()) => Performed::Done,
///         Err(MailError::Unreachable) => Performed::NotRun,
///         Err(_) => Performed::Failed,
///     }
/// }
///
/// impl Mailer {
///     #[guard(tool = "send_mail", session = self.session, outcome = ended)]
///     fn send(&self, to: &str, text: &str, #[guard(secret)] token: &str) -> Result<(), MailError> {
///         Err(MailError::Unreachable)
///     }
/// }
/// ```
#[cfg(all(feature = "macros", target_os = "linux"))]
pub use glassbreak_macros::guard;

/// What `#[guard]` expands to; not part of the public interface.
#[doc(hidden)]
#[cfg(target_os = "linux")]
pub mod __macros {
    pub use crate::audit::Performed;
    pub use crate::call::Arguments;
    #[cfg(feature = "macros")]
    pub use inventory;

    pub use crate::gate::macros::{Guarded, Refusable, by_result, call, can_be_refused, run, run_now};
}

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
