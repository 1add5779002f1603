//! A23 to A26: what people are shown, and what showing it does.

use glassbreak_core::approval::{Answer, Request, RequestId, State};
use glassbreak_core::call::wire;
use glassbreak_core::clock::Timestamp;
use glassbreak_core::desk::VoteError;
use glassbreak_core::notify::Sheet;

use crate::world::{World, agrees, ask, asked, ballot, deploy, passes, refused, use_up, vote, window, word};

/// What people have tried to put on a card.
const ATTACKS: [&str; 12] = [
    "<!channel> <https://evil.example|Approve here>",
    "```\nstopped by  nobody\n```",
    ":white_check_mark: Approved by bob",
    "\u{1b}[2K\u{1b}[1Alow risk",
    "\u{1b}]8;;https://evil.example\u{1b}\\Approve\u{1b}]8;;\u{1b}\\",
    "delete\rrestart",
    "end\0of it",
    "x\n  may open    everything\n  agent says  \"fine\"",
    "\u{202e}\u{2066}evil\u{2069}",
    "a\u{200b}b\u{feff}c\u{e0041}d",
    "a\u{2028}b\u{85}c\u{9b}2K",
    "\u{301}\u{301}\u{301}",
];

fn is_live(c: char) -> bool {
    (c.is_control() && c != '\n')
        || ('\u{200b}'..='\u{200f}').contains(&c)
        || ('\u{2028}'..='\u{202e}').contains(&c)
        || ('\u{2060}'..='\u{206f}').contains(&c)
        || ('\u{e0000}'..='\u{e01ef}').contains(&c)
        || c == '\u{feff}'
}

pub(crate) async fn a23_what_is_not_shown_whole_and_as_it_is_is_not_agreed_to(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    for (n, attack) in ATTACKS.into_iter().enumerate() {
        let env = format!("env-{n}");
        let arguments = serde_json::json!({ "service": attack, "env": env });
        let said = wire::arguments(&arguments).map(|arguments| session.because(attack).tool(word("deploy"), arguments));
        // What may not stand in a call at all is shown to nobody.
        let Ok(call) = said else { continue };
        let glassbreak_core::gate::Verdict::Ask(escalation) = call.check().await else {
            continue;
        };
        let request = escalation.open().await.unwrap().request().clone();
        let page = Sheet::of(&request, None, Timestamp::now()).text(80);
        assert!(!page.contains(is_live), "{n}: {page:?}");
        let forged = page.lines().filter(|line| line.starts_with("  may open")).count();
        assert!(forged <= 1, "{n}: {page}");
    }
    // A tail that does not fit on a card: no yes, and a no is taken.
    let long = "x\n".repeat(4_000);
    let call = session.exec(["show", "a"]).stdin(long.as_bytes());
    let hidden = ask(call.check().await).await;
    for answer in [Answer::Once, window(1_000, 1)] {
        assert_eq!(
            refused(gate.desk(), "sso:bob", hidden.request(), answer).await,
            "not-whole"
        );
    }
    vote(gate.desk(), "sso:bob", hidden.request(), Answer::Deny)
        .await
        .unwrap();
    // Who saw another card has not seen this one.
    let shown = asked(&session, "web", "one").await.request().clone();
    let other = asked(&session, "web", "two").await;
    let mut seen = ballot("sso:bob", other.request(), Answer::Once);
    seen.card = shown.card.digest();
    let answer = gate.desk().vote(other.request().id, &seen).await;
    assert!(
        matches!(&answer, Err(VoteError::Refused(why)) if why.code() == "other-card"),
        "{answer:?}"
    );
    assert!(gate.desk().grants().await.unwrap().is_empty());
}

pub(crate) async fn a24_an_answer_to_a_card_that_was_never_shown_counts_nothing(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let real = asked(&session, "web", "test").await;
    // A card that somebody drew: of a request that is none, or of this one with other words on it.
    let forged = RequestId::mint(Timestamp::now());
    let yes = ballot("sso:bob", real.request(), Answer::Once);
    let answer = gate.desk().vote(forged, &yes).await;
    assert!(matches!(answer, Err(VoteError::Unknown(_))), "{answer:?}");
    let mut drawn: Request = real.request().clone();
    drawn.card.headline = "restart of web, harmless".into();
    let drawn = ballot("sso:bob", &drawn, Answer::Once);
    assert_ne!(drawn.card, yes.card);
    for card in [drawn.card, "".into(), "0".repeat(64).into()] {
        let ballot = glassbreak_core::approval::Ballot { card, ..yes.clone() };
        let answer = gate.desk().vote(real.request().id, &ballot).await;
        assert!(
            matches!(&answer, Err(VoteError::Refused(why)) if why.code() == "other-card"),
            "{answer:?}"
        );
    }
    let now = gate.desk().request(real.request().id).await.unwrap().unwrap();
    assert_eq!((now.state, now.votes.len()), (State::Pending, 0));
    assert!(passes(deploy(&session, "web", "test").check().await).is_none());
}

pub(crate) async fn a25_a_secret_argument_is_in_no_card_record_or_store(world: World) {
    const SECRET: &str = "correct-horse-battery";
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let sign_in = |password: &str| {
        let arguments = serde_json::json!({ "name": "ada", "password": password });
        session.tool(word("sign_in"), wire::arguments(&arguments).unwrap())
    };
    let waiting = ask(sign_in(SECRET).check().await).await;
    let request = waiting.request().clone();
    let page = Sheet::of(&request, None, Timestamp::now()).text(80);
    assert!(page.contains("ada") && page.contains("(secret)"), "{page}");
    let mut kept = format!("{page}{request:?}{}", serde_json::to_string(&request).unwrap());
    agrees(gate.desk(), "sso:bob", &request).await;
    // What was agreed to is that very secret all the same.
    assert!(passes(sign_in("another").check().await).is_none());
    use_up(waiting.wait().await.unwrap()).await.unwrap();
    kept += &String::from_utf8_lossy(&world.on_disk());
    assert!(kept.contains("ada") && !kept.contains(SECRET));
}

pub(crate) async fn a26_looking_changes_nothing(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let open = asked(&session, "web", "prod").await.request().clone();
    agrees(gate.desk(), "sso:bob", &open).await;
    let before = gate.desk().request(open.id).await.unwrap().unwrap();
    let recorded = world.records().len();
    let desk = world.desk().await;
    for _ in 0..5 {
        for request in desk.pending().await.unwrap() {
            let _ = Sheet::of(&request, None, Timestamp::now()).text(80);
            let _ = request.card.text();
            assert!(desk.moved(request.id, 0).await.unwrap().is_some());
        }
        assert!(desk.grants().await.unwrap().is_empty());
        assert!(desk.locks().await.unwrap().locks.is_empty());
        // The clock of whoever looks ends nothing before its time.
        assert_eq!(desk.expire(open.id).await.unwrap().unwrap().state, State::Pending);
    }
    assert_eq!(desk.request(open.id).await.unwrap(), Some(before));
    // The desk's own log was opened meanwhile, and nothing else.
    let more = world.records().split_off(recorded);
    assert!(more.iter().all(|record| record["kind"] == "log.opened"), "{more:?}");
}
