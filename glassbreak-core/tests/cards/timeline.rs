//! The timeline of calls, questions and answers that hold every attack there is: nothing alive in it.

use glassbreak_core::approval::{Answer, Request};
use glassbreak_core::audit::{Teller, Timeline};
use glassbreak_core::call::{ArgValue, Args};
use glassbreak_core::error::shown_whole;
use glassbreak_core::gate::Verdict;

use crate::attacks::{attacks, odd};
use crate::house::{House, word};

fn can_be_seen(text: &str) -> bool {
    text.chars()
        .all(|c| c == '\n' || shown_whole(&format!("a{c}")) == format!("a{c}") || c == '\\')
}

#[tokio::test]
async fn a39_no_attack_lives_in_the_timeline() {
    let house = House::new().await;
    let odd: String = odd().collect();
    for (n, nasty) in attacks().into_iter().chain([odd]).enumerate() {
        let session = house.session_of(&format!("agent-{n}"));
        let mut arguments = Args::new();
        arguments.insert("service".into(), ArgValue::Str(nasty.as_str().into()));
        let restart = session.because(&nasty).tool(word("restart"), arguments.clone());
        arguments.insert(nasty.as_str().into(), ArgValue::Bool(true));
        let unfit = session.because(&nasty).tool(word("deploy"), arguments);
        let exec = session
            .because(&nasty)
            .exec(["shrink", &nasty, &nasty])
            .env("A", &nasty);
        for verdict in [restart.check().await, unfit.check().await, exec.check().await] {
            let Verdict::Ask(escalation) = verdict else { continue };
            if let Ok(waiting) = escalation.open().await {
                let request: Request = waiting.request().clone();
                house.vote(&request, "bob", Answer::Deny, Some(&nasty)).await;
            }
        }
    }
    fn painted(_: glassbreak_core::audit::Tone, text: &str) -> String {
        format!("\u{1b}[1m{text}\u{1b}[0m")
    }
    let (mut plain, mut colour) = (Teller::plain(), Teller::painted(painted));
    let mut told = 0;
    for record in Timeline::open(house.log()).unwrap() {
        let record = record.unwrap();
        let line = plain.tell(&record);
        assert!(can_be_seen(&line), "{line:?}");
        let bare = colour.tell(&record).replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
        assert_eq!(bare, line, "the colours are the only escapes");
        told += 1;
    }
    assert!(told > 300, "{told}");
}
