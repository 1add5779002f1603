//! Findings, and how they combine: the strictest wins.
//!
//! A layer that objects says so in a [`Finding`]. [`Ruling::combine`] joins the findings of all layers;
//! there are no priorities, no order and no negation, so no finding can undo another.
//!
//! [`Level`] is what one finding asks for; [`Outcome`] is what a [`Ruling`] comes to; a [`Denial`] is a ruling that is not
//! an allow, put so that an agent can act on it. [`Requirement`] says who may agree to an ask.
//!
//! ```
//! use glassbreak_core::finding::{Finding, Findings, Layer, Outcome, RuleId, Ruling};
//!
//! let permit = Finding::clear(RuleId::new(Layer::Policy, "ops-kubectl")?, "policy `ops-kubectl` permits this");
//! let ask = Finding::ask(RuleId::new(Layer::Argv, "kubectl.scale")?, "it changes how many pods run", "", None);
//! let findings = Findings { policy: vec![permit], argv: vec![ask], ..Findings::default() };
//! let ruling = Ruling::combine(findings);
//! assert_eq!(ruling.outcome(), Outcome::Ask);
//! assert!(ruling.deciding().map(|finding| finding.rule().as_str()).eq(["argv.kubectl.scale"]));
//!
//! // Nothing judged it, so nothing lets it through.
//! assert_eq!(Ruling::combine(Findings::default()).outcome(), Outcome::Deny);
//! # Ok::<(), glassbreak_core::error::BadWord>(())
//! ```

use std::fmt;
use std::sync::Arc;

use crate::approval::RequestId;
use crate::call::{CallDigest, Word};
use crate::clock::Span;
use crate::error::BadWord;

/// The part of the guard that a finding comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Sizes, encodings, known role and tool, working folder.
    Hygiene,
    /// Programs and their arguments.
    Argv,
    /// Cedar.
    Policy,
    /// What the sequence of calls adds up to.
    Budget,
    /// The host's own checks.
    Host,
    /// The kill switch.
    Lock,
    /// The store of reservations and grants.
    Store,
}

impl Layer {
    /// Every layer, in the order in which a call meets them.
    pub const ALL: [Self; 7] = [
        Self::Hygiene,
        Self::Argv,
        Self::Policy,
        Self::Budget,
        Self::Host,
        Self::Lock,
        Self::Store,
    ];

    /// The word that rule ids begin with.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hygiene => "hygiene",
            Self::Argv => "argv",
            Self::Policy => "policy",
            Self::Budget => "budget",
            Self::Host => "host",
            Self::Lock => "lock",
            Self::Store => "store",
        }
    }
}

/// The name of a rule, `<layer>.<id>[.<code>]`, such as `argv.kubectl.unknown-option`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(Arc<str>);

impl RuleId {
    /// The rule `id` of `layer`; `id` may itself hold dots.
    ///
    /// # Errors
    /// When `id` is empty, longer than 200 bytes, or holds a character other than letters, digits and `_ - . : *`.
    pub fn new(layer: Layer, id: &str) -> Result<Self, BadWord> {
        let fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':' | b'*');
        if id.is_empty() || id.len() > 200 || !id.bytes().all(fit) {
            return Err(BadWord::new(
                "rule id",
                id,
                "write letters, digits, `_`, `-`, `.` or `:`, at most 200",
            ));
        }
        Ok(Self::known(layer, id))
    }

    /// A rule whose name is a constant of this crate, or was checked when its file was loaded.
    pub(crate) fn known(layer: Layer, id: &str) -> Self {
        Self([layer.as_str(), ".", id].concat().into())
    }

    /// The same name, kept apart: threads that clone one name for every call meet at its reference count.
    pub(crate) fn apart(&self) -> Self {
        Self(Arc::from(&*self.0))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The layer it begins with.
    pub fn layer(&self) -> Option<Layer> {
        let (word, _) = self.0.split_once('.')?;
        Layer::ALL.into_iter().find(|layer| layer.as_str() == word)
    }
}

impl RuleId {
    /// Reads a rule id as it is printed: `<layer>.<id>`.
    ///
    /// # Errors
    /// When it is not one.
    pub fn from_text(text: &str) -> Result<Self, BadWord> {
        let bad = || BadWord::new("rule id", text, "write `<layer>.<id>`");
        let (layer, id) = text.split_once('.').ok_or_else(bad)?;
        let layer = Layer::ALL.into_iter().find(|known| known.as_str() == layer);
        // Some are made of names that a file may not write, such as a program's.
        if id.is_empty() || id.len() > 512 {
            return Err(bad());
        }
        Ok(Self::known(layer.ok_or_else(bad)?, id))
    }
}

crate::stored::stored_as_text!(RuleId, RuleId::from_text);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a rule said when it was asked about: a hash of its text. A grant lifts a rule only as long as this is the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleHash([u8; 32]);

impl RuleHash {
    /// The hash with these bytes, as it was stored or computed.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for RuleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::call::write_hex(f, &self.0)
    }
}

impl fmt::Debug for RuleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

crate::stored::stored_as_text!(RuleHash, |text: &str| crate::stored::hash_of(text).map(RuleHash));

/// What a finding asks for, in rising order of strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Looked at, and fine.
    Clear,
    /// Fine, and flagged on the record.
    Note,
    /// A person must agree.
    Ask,
    /// No.
    Deny,
    /// No, and the session is locked until a person lifts the lock.
    DenyAndLock,
}

impl Level {
    /// The word used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Note => "note",
            Self::Ask => "ask",
            Self::Deny => "deny",
            Self::DenyAndLock => "deny-and-lock",
        }
    }

    /// What a rule does that says so, after `would`.
    const fn as_verb(self) -> &'static str {
        match self {
            Self::Clear | Self::Note => "pass",
            Self::Ask => "ask",
            Self::Deny => "deny",
            Self::DenyAndLock => "deny and lock the session",
        }
    }
}

/// Who must agree to lift one ask, and what they may open.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The group whose members may agree; `None` means that nobody was named, so nobody can.
    pub group: Option<Word>,
    /// How many distinct persons must agree; at least 1.
    pub quorum: u8,
    /// How long a window an approval may open; `None` means once only.
    pub window: Option<Span>,
    /// Whether the person the agent acts for may agree.
    pub self_approval: bool,
}

impl Default for Requirement {
    fn default() -> Self {
        Self {
            group: None,
            quorum: 1,
            window: None,
            self_approval: false,
        }
    }
}

/// What one rule says of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    rule: RuleId,
    level: Level,
    why: Box<str>,
    hint: Box<str>,
    requirement: Option<Requirement>,
    breakdown: bool,
    /// What it would be, were its rule enforced.
    would: Option<Level>,
}

impl Finding {
    /// The rule looked and has nothing against the call; `why` says what it saw.
    pub fn clear(rule: RuleId, why: impl Into<Box<str>>) -> Self {
        Self::new(rule, Level::Clear, why, "")
    }

    /// The call may pass, flagged on its record.
    pub fn note(rule: RuleId, why: impl Into<Box<str>>) -> Self {
        Self::new(rule, Level::Note, why, "")
    }

    /// A person must agree; `hint` says what would be allowed without asking.
    pub fn ask(
        rule: RuleId,
        why: impl Into<Box<str>>,
        hint: impl Into<Box<str>>,
        requirement: Option<Requirement>,
    ) -> Self {
        Self {
            requirement,
            ..Self::new(rule, Level::Ask, why, hint)
        }
    }

    /// No; `hint` says what would be allowed.
    pub fn deny(rule: RuleId, why: impl Into<Box<str>>, hint: impl Into<Box<str>>) -> Self {
        Self::new(rule, Level::Deny, why, hint)
    }

    /// No, and the session is to be locked.
    pub fn deny_and_lock(rule: RuleId, why: impl Into<Box<str>>, hint: impl Into<Box<str>>) -> Self {
        Self::new(rule, Level::DenyAndLock, why, hint)
    }

    /// No, because something broke or did not answer: the same call may be tried again.
    pub fn unavailable(rule: RuleId, why: impl Into<Box<str>>) -> Self {
        Self {
            breakdown: true,
            ..Self::new(rule, Level::Deny, why, "try again in a moment")
        }
    }

    fn new(rule: RuleId, level: Level, why: impl Into<Box<str>>, hint: impl Into<Box<str>>) -> Self {
        Self {
            rule,
            level,
            why: why.into(),
            hint: hint.into(),
            requirement: None,
            breakdown: false,
            would: None,
        }
    }

    /// The same as a note, because its rule is only observed: what it would have done is said, and not done. What says
    /// that something broke is no rule's word, and stays as it is.
    pub(crate) fn observed(self) -> Self {
        if self.breakdown || self.level <= Level::Note {
            return self;
        }
        let why = format!("OBSERVED, NOT ENFORCED, would {}: {}", self.level.as_verb(), self.why);
        Self {
            would: Some(self.level),
            ..Self::note(self.rule, why)
        }
    }

    /// The rule.
    pub const fn rule(&self) -> &RuleId {
        &self.rule
    }

    /// How strict it is.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// What the rule saw, in one line.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What would be allowed, and how to ask; empty where there is nothing to say.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Whether it says that something broke, rather than that the call is wrong.
    pub const fn is_breakdown(&self) -> bool {
        self.breakdown
    }

    /// For a rule that is only observed: what it would have come to.
    pub const fn would(&self) -> Option<Level> {
        self.would
    }

    /// For an ask, what its own rule requires; `None` means that `[ask]` in `glassbreak.toml` decides.
    pub const fn requirement(&self) -> Option<&Requirement> {
        self.requirement.as_ref()
    }
}

/// The findings of every layer that judges. Adding a layer must stop the compiler where they combine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// From hygiene.
    pub hygiene: Vec<Finding>,
    /// From the argv engine.
    pub argv: Vec<Finding>,
    /// From Cedar.
    pub policy: Vec<Finding>,
    /// From the budgets.
    pub budget: Vec<Finding>,
    /// From the host's own checks.
    pub host: Vec<Finding>,
    /// From the locks.
    pub lock: Vec<Finding>,
}

/// What a ruling comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The call may be performed.
    Allow,
    /// People must agree first.
    Ask,
    /// The call is refused, finally.
    Deny,
}

impl Outcome {
    /// The word used in files and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }

    /// Reads the word used in files.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "allow" => Some(Self::Allow),
            "ask" => Some(Self::Ask),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What findings combine to: plain data, for verdicts, explanations, replay and fuzzing.
#[must_use = "an unread ruling guards nothing"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    outcome: Outcome,
    locks: bool,
    findings: Vec<Finding>,
}

impl Ruling {
    /// Joins the findings of all layers: the strictest wins.
    ///
    /// A call is allowed only if some rule permits it: no finding at all is a refusal, because it means that
    /// nothing judged the call.
    pub fn combine(findings: Findings) -> Self {
        // No `..` here: a new layer must be combined.
        let Findings {
            hygiene,
            argv,
            policy,
            budget,
            host,
            lock,
        } = findings;
        let mut all = hygiene;
        for more in [argv, policy, budget, host, lock] {
            if all.is_empty() {
                all = more;
            } else {
                all.extend(more);
            }
        }
        if all.is_empty() {
            all.push(Finding::deny(
                RuleId::known(Layer::Hygiene, "not-judged"),
                "no layer judged this call",
                "this is a fault of the guard; report it",
            ));
        }
        // Stable, so that findings of one level keep the order of the layers.
        all.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        let level = all.first().map_or(Level::Deny, Finding::level);
        Self {
            outcome: outcome_of(level),
            locks: level == Level::DenyAndLock,
            findings: all,
        }
    }

    /// The same ruling with what others found later; it can only become stricter.
    #[must_use = "this ruling stays as it is"]
    pub fn and(mut self, more: impl IntoIterator<Item = Finding>) -> Self {
        self.findings.extend(more);
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        let level = self.findings.first().map_or(Level::Deny, Finding::level);
        self.outcome = self.outcome.max(outcome_of(level));
        self.locks |= level == Level::DenyAndLock;
        self
    }

    /// What it comes to.
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether the session is to be locked.
    pub const fn locks(&self) -> bool {
        self.locks
    }

    /// All findings, the strictest first.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The findings that made the outcome: all that deny, or all that ask, or, for an allow, all there are.
    pub fn deciding(&self) -> impl Iterator<Item = &Finding> + Clone {
        self.findings
            .iter()
            .filter(|finding| outcome_of(finding.level) == self.outcome)
    }

    /// What the deciding rules saw, in one line.
    pub fn why(&self) -> String {
        joined(self.telling().map(Finding::why))
    }

    /// What would be allowed and how to ask, in one line; empty for an allow.
    pub fn hint(&self) -> String {
        joined(self.telling().map(Finding::hint))
    }

    /// The deciding findings, and before those of a denial what the argv engine could not understand: a policy that denies
    /// because it could not be judged says nothing of the word that was the cause.
    fn telling(&self) -> impl Iterator<Item = &Finding> {
        let denies = self.outcome == Outcome::Deny;
        let cause = move |f: &&Finding| denies && f.level == Level::Ask && f.rule.layer() == Some(Layer::Argv);
        self.findings.iter().filter(cause).chain(self.deciding())
    }
}

const fn outcome_of(level: Level) -> Outcome {
    match level {
        Level::Clear | Level::Note => Outcome::Allow,
        Level::Ask => Outcome::Ask,
        Level::Deny | Level::DenyAndLock => Outcome::Deny,
    }
}

fn joined<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for part in parts.filter(|part| !part.is_empty()) {
        if !seen.contains(&part) {
            seen.push(part);
        }
    }
    seen.join("; ")
}

/// A refusal: which rules, why, and what would be allowed.
///
/// It is an answer, not an error; it is made from a [`Ruling`] that is not an allow, or from input that is not a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    kind: DenialKind,
    rules: Box<[RuleId]>,
    why: Box<str>,
    hint: Box<str>,
    digest: Option<CallDigest>,
    asks: bool,
    request: Option<RequestId>,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenialKind {
    /// The rules say no; the same call gets the same answer until a person changes something.
    Refused,
    /// The guard could not judge; the same call may be tried again.
    Unavailable,
}

impl Denial {
    /// The refusal that `ruling` amounts to, or `None` for an allow.
    pub fn from_ruling(ruling: &Ruling, digest: Option<CallDigest>) -> Option<Self> {
        if ruling.outcome() == Outcome::Allow {
            return None;
        }
        Some(Self {
            // A rule that says no is final, whatever broke beside it.
            kind: if ruling.deciding().all(Finding::is_breakdown) {
                DenialKind::Unavailable
            } else {
                DenialKind::Refused
            },
            rules: ruling.deciding().map(|finding| finding.rule().clone()).collect(),
            why: ruling.why().into(),
            hint: ruling.hint().into(),
            digest,
            asks: ruling.outcome() == Outcome::Ask,
            request: None,
        })
    }

    /// A refusal because something broke: the same call may be tried again.
    pub(crate) fn unavailable(rule: RuleId, why: impl Into<String>) -> Self {
        Self {
            kind: DenialKind::Unavailable,
            rules: Box::new([rule]),
            why: why.into().into(),
            hint: "try again in a moment".into(),
            digest: None,
            asks: false,
            request: None,
        }
    }

    /// The same refusal of a call that people are asked about meanwhile.
    #[cfg(target_os = "linux")]
    pub(crate) fn pending(mut self, request: RequestId, hint: String) -> Self {
        self.request = Some(request);
        self.hint = hint.into();
        self
    }

    /// The open request, where people are asked meanwhile and nobody waits for them.
    pub const fn request(&self) -> Option<RequestId> {
        self.request
    }

    /// Whether people could have agreed to the call.
    pub const fn asks(&self) -> bool {
        self.asks
    }

    /// Whether trying again can help.
    pub const fn kind(&self) -> DenialKind {
        self.kind
    }

    /// The rules that refused.
    pub fn rules(&self) -> &[RuleId] {
        &self.rules
    }

    /// What they saw, in one line.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What would be allowed, and how to ask.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// The call, where it could be read.
    pub const fn digest(&self) -> Option<CallDigest> {
        self.digest
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<&str> = self.rules.iter().map(RuleId::as_str).collect();
        let what = if self.asks {
            "a person must agree, by"
        } else {
            "refused by"
        };
        write!(f, "{what} {}: {}", rules.join(", "), self.why)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str) -> RuleId {
        RuleId::new(Layer::Policy, id).unwrap()
    }

    #[test]
    fn nothing_found_is_a_refusal() {
        assert_eq!(Ruling::combine(Findings::default()).outcome(), Outcome::Deny);
    }

    #[test]
    fn the_strictest_wins_whatever_the_order() {
        let clear = Finding::clear(rule("a"), "fine");
        let ask = Finding::ask(rule("b"), "hm", "", None);
        let lock = Finding::deny_and_lock(rule("c"), "no", "");
        let ruling = Ruling::combine(Findings {
            policy: vec![clear.clone(), ask.clone()],
            ..Findings::default()
        });
        assert_eq!(ruling.outcome(), Outcome::Ask);
        assert_eq!(ruling.deciding().count(), 1);
        for policy in [vec![clear.clone(), lock.clone(), ask.clone()], vec![ask, clear, lock]] {
            let ruling = Ruling::combine(Findings {
                policy,
                ..Findings::default()
            });
            assert_eq!((ruling.outcome(), ruling.locks()), (Outcome::Deny, true));
            assert_eq!(ruling.deciding().next().map(|f| f.rule().as_str()), Some("policy.c"));
        }
    }

    #[test]
    fn an_allow_is_no_denial() {
        let ruling = Ruling::combine(Findings {
            policy: vec![Finding::clear(rule("a"), "fine")],
            ..Findings::default()
        });
        assert!(Denial::from_ruling(&ruling, None).is_none());
        assert!(RuleId::new(Layer::Policy, "a b").is_err());
    }
}
