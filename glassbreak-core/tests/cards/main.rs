//! The cards of some calls, exactly as people see them: plain, in colour, and as JSON. Each is a file beside this one, to be
//! read side by side; `GLASSBREAK_GOLDEN=write` writes them anew.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

#[path = "../../src/notify/attacks.rs"]
mod attacks;
mod house;
mod timeline;

use glassbreak_core::approval::{Answer, Request};
use glassbreak_core::call::wire;
use glassbreak_core::notify::Sheet;
use serde_json::json;

use self::house::{House, text};

/// Compares with the file of this name, or writes it.
fn is_golden(name: &str, is: &str) {
    let path = format!("{}/tests/cards/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("GLASSBREAK_GOLDEN").is_some() {
        std::fs::write(&path, is).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(is, expected, "{path}: GLASSBREAK_GOLDEN=write writes it anew");
}

/// The plain page, with what differs from run to run taken out.
async fn page(house: &House, request: &Request) -> Sheet {
    let sheet = house.gate.desk().sheet(request).await;
    let plain = house.steady(&sheet.text(100));
    println!("{plain}\n");
    sheet
}

#[tokio::test]
async fn deleting_a_pod() {
    let house = House::new().await;
    let call = house.session.because("stuck in Terminating for 20 minutes");
    let request = house
        .ask(call.exec(["kubectl", "delete", "pod", "web-7d4b", "-n", "web"]))
        .await;
    let sheet = page(&house, &request).await;
    is_golden("pod.txt", &house.steady(&sheet.text(100)));
    is_golden("pod.ansi", &house.steady(&sheet.ansi(100)));
    let json = serde_json::to_string_pretty(&sheet.json()).unwrap();
    is_golden("pod.json", &house.steady(&json));
    is_golden("pod-narrow.txt", &house.steady(&sheet.text(60)));
}

#[tokio::test]
async fn an_unlisted_program_that_is_not_understood() {
    let house = House::new().await;
    let call = house.session.because("the disk is full");
    let request = house
        .ask(
            call.exec(["shrink", "--all", "/var/lib/d\u{43e}cker", "; rm -rf /"])
                .env("LEVEL", "9 "),
        )
        .await;
    let sheet = page(&house, &request).await;
    is_golden("unlisted.txt", &house.steady(&sheet.text(100)));
}

#[tokio::test]
async fn a_tool_with_nested_arguments_and_secrets() {
    let house = House::new().await;
    let arguments = json!({
        "service": "web",
        "env": "prod",
        "token": "hunter2",
        "steps": [
            { "run": "migrate --to 41", "wait_s": 30 },
            { "run": "echo \"done\"\n# then as \u{430}dmin", "notify": [] },
        ],
    });
    let call = house.session.because("release 41; bob said it is fine\" (verified)");
    let request = house
        .ask(call.tool(house::word("deploy"), wire::arguments(&arguments).unwrap()))
        .await;
    let sheet = page(&house, &request).await;
    let text = house.steady(&sheet.text(100));
    assert!(!text.contains("hunter2"), "{text}");
    is_golden("tool.txt", &text);
}

#[tokio::test]
async fn two_must_agree_and_one_has_and_it_was_asked_before() {
    let house = House::new().await;
    let restart = |why: &str| {
        let arguments = wire::arguments(&json!({ "service": "queue" })).unwrap();
        house.session.because(why).tool(house::word("restart"), arguments)
    };
    let first = house.ask(restart("it is slow")).await;
    house
        .vote(&first, "bob", Answer::Deny, Some("not while the import runs"))
        .await;
    let request = house.ask(restart("it is slow, and the import is done")).await;
    house.vote(&request, "carol", Answer::Once, None).await;
    let request = house.gate.desk().request(request.id).await.unwrap().unwrap();
    let sheet = page(&house, &request).await;
    is_golden("two.txt", &house.steady(&sheet.text(100)));
    let json = serde_json::to_string_pretty(&sheet.json()).unwrap();
    is_golden("two.json", &house.steady(&json));
}

#[tokio::test]
async fn what_cannot_be_shown_whole() {
    let house = House::new().await;
    let input = "drop table a;\n".repeat(500);
    let call = house
        .session
        .because("clean up")
        .exec(["load", "-"])
        .stdin(input.as_bytes());
    let request = house.ask(call).await;
    let sheet = page(&house, &request).await;
    assert!(!sheet.can_be_approved());
    is_golden("not-whole.txt", &house.steady(&sheet.text(100)));
    let refused = house.refused(&request, "bob", Answer::Once).await;
    assert_eq!(refused, "not-whole");
    // What it is called by in lists says so too.
    assert!(text(&sheet).contains("nobody can agree to it"));
}
