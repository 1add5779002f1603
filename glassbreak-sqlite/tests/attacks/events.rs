//! What may happen in a play: events, how they come together, and the folders that gates judge by.

use glassbreak_core::approval::Answer;
use glassbreak_core::bundle::Files;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_oneof};

use crate::world::{changed, window};

pub(crate) const ENVS: [&str; 2] = ["test", "prod"];
pub(crate) const SESSIONS: [&str; 3] = ["s-0", "s-1", "s-2"];
/// Who says something: the second of bob's and of the relay's accounts are the same person's.
pub(crate) const VOICES: [&str; 9] = [
    "sso:alice",
    "sso:bob",
    "pager:bob",
    "sso:carol",
    "webhook:first",
    "webhook:second",
    "sso:dave",
    "sso:eve",
    "sso:mallory",
];

/// What one of the two gates is told to do.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Ask(usize, usize),
    Vote {
        which: usize,
        who: usize,
        answer: Answer,
        seen: bool,
    },
    Expire(usize),
    Cancel(usize),
    RevokeRequest(usize),
    RevokeSession(usize),
    Lock(usize),
    Unlock(usize),
    Call(usize, usize, Then),
    Resume(usize, Then),
}

/// What becomes of a permit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Then {
    Runs,
    Fails,
    IsDropped,
    IsGivenBack,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// These at once, each through one of the gates.
    Events(Vec<(usize, Event)>),
    /// The store's time comes to the deadline of a request, or to just before it.
    Pass(usize, bool),
    /// A gate judges by another folder.
    Reload(usize, usize),
    /// A gate is gone, and another one takes its place.
    Crash(usize),
}

pub(crate) fn event() -> impl Strategy<Value = (usize, Event)> {
    let (session, env, which) = (|| 0..SESSIONS.len(), || 0..ENVS.len(), || 0..64_usize);
    let then = || {
        prop_oneof![
            4 => Just(Then::Runs),
            1 => Just(Then::Fails),
            1 => Just(Then::IsDropped),
            1 => Just(Then::IsGivenBack),
        ]
    };
    let answer = prop_oneof![
        6 => Just(Answer::Once),
        4 => (1..300_000_u64, 1..5_u32).prop_map(|(span, uses)| window(span, uses)),
        1 => Just(Answer::Deny),
    ];
    let seen = proptest::bool::weighted(0.95);
    // Mostly those who may, so that something comes of it.
    let who = prop_oneof![3 => 1..6_usize, 1 => 0..VOICES.len()];
    let event = prop_oneof![
        6 => (session(), env()).prop_map(|(session, env)| Event::Ask(session, env)),
        20 => (which(), who, answer, seen)
            .prop_map(|(which, who, answer, seen)| Event::Vote { which, who, answer, seen }),
        1 => which().prop_map(Event::Expire),
        1 => which().prop_map(Event::Cancel),
        1 => which().prop_map(Event::RevokeRequest),
        1 => session().prop_map(Event::RevokeSession),
        1 => session().prop_map(Event::Lock),
        2 => session().prop_map(Event::Unlock),
        10 => (session(), env(), then()).prop_map(|(session, env, then)| Event::Call(session, env, then)),
        8 => (which(), then()).prop_map(|(which, then)| Event::Resume(which, then)),
    ];
    (0..2_usize, event)
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => event().prop_map(|event| Step::Events(vec![event])),
        14 => vec(event(), 2..7).prop_map(Step::Events),
        1 => (0..64_usize, proptest::bool::ANY).prop_map(|(which, whole)| Step::Pass(which, whole)),
        4 => (0..2_usize, 0..FOLDERS).prop_map(|(gate, folder)| Step::Reload(gate, folder)),
        2 => (0..2_usize).prop_map(Step::Crash),
    ]
}

pub(crate) const FOLDERS: usize = 4;

/// The folders that a gate may judge by: as it is, without bob, with a rule that says something else, and without carol.
pub(crate) fn folder(n: usize) -> Files {
    let mut files = match n {
        1 => changed("people.toml", "\"pager:bob\"]", "\"pager:bob\"]\ndisabled = true"),
        2 => changed(
            "p.cedar",
            "@ask(\"oncall\") @window(\"5m\")\nforbid",
            "@ask(\"oncall\") @window(\"4m\")\nforbid",
        ),
        3 => changed(
            "people.toml",
            "[persons.carol]\ngroups = [\"oncall\"]",
            "[persons.carol]",
        ),
        _ => crate::world::files(),
    };
    let settings = "[requests]\npending = 100\nper_hour = 1000\ncooldown = \"off\"\n";
    files.insert("glassbreak.toml".to_owned(), settings.into());
    files
}

/// Whether a person may agree by a folder to what an agent of alice's asks.
pub(crate) fn may_agree(folder: usize, person: &str) -> bool {
    match person {
        "bob" => folder != 1,
        "carol" => folder != 3,
        "relay" => true,
        _ => false,
    }
}

/// Which of its two wordings the rule has that asks about every deployment.
pub(crate) fn wording(folder: usize) -> bool {
    folder == 2
}
