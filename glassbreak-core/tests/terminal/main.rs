//! Asking at a real terminal: a pty, with a child of this very program as the host whose agent asks.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod child;
mod pty;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use self::pty::Seated;

/// Not a test of its own: what the child of the others runs.
#[test]
fn the_child() {
    if let Ok(case) = std::env::var("GLASSBREAK_TTY_CASE") {
        child::run(&case);
    }
}

fn me() -> String {
    std::env::current_exe().unwrap().to_str().unwrap().to_owned()
}

const CHILD: [&str; 3] = ["--exact", "the_child", "--nocapture"];

fn seat(case: &str) -> Option<Seated> {
    Seated::start(&me(), &CHILD, |command| {
        command.env("GLASSBREAK_TTY_CASE", case);
    })
}

/// A child that asks once, answered by `keys`: what came of it, and the screen.
fn answered(keys: &str) -> Option<(String, String)> {
    let mut seated = seat("one")?;
    seated.prompt(0);
    seated.type_in(keys);
    seated.out.wait("RESULT ");
    let (code, out, screen) = seated.end();
    assert_eq!(code, Some(0), "{out}\n{screen}");
    let result = out.lines().find_map(|line| line.strip_prefix("RESULT ")).unwrap();
    Some((result.to_owned(), screen))
}

#[test]
fn only_a_whole_word_that_is_typed_after_the_question_answers() {
    let Some(mut seated) = seat("one") else { return };
    seated.out.wait("READY");
    seated.type_in("once\nonce\non");
    let mut at = seated.prompt(0);
    for keys in [
        "\n",
        "y\n",
        "yes\n",
        "ONCE\n",
        "once please\n",
        "window forever\n",
        "y\nonce\n",
    ] {
        seated.type_in(keys);
        let (said, _) = seated.screen.wait_from(at, "Nothing was done");
        at = seated.prompt(said);
    }
    assert!(!seated.out.text().contains("RESULT"), "{}", seated.out.text());
    seated.type_in("once\n");
    seated.screen.wait_from(at, "Approved by carol: grant ");
    let (code, out, _) = seated.end();
    assert_eq!(code, Some(0));
    assert!(out.contains("RESULT ran deploy standing []"), "{out}");
}

#[test]
fn a_window_is_opened_and_a_no_reaches_the_agent() {
    let Some((window, _)) = answered("window 5m\n") else {
        return;
    };
    assert_eq!(window, "ran deploy standing [50]");
    let Some((denied, screen)) = answered("deny because it is friday\n") else {
        return;
    };
    assert!(denied.contains("carol said no: because it is friday"), "{denied}");
    assert!(screen.contains("Denied: carol said no"), "{screen}");
}

#[test]
fn left_for_later_it_stays_open() {
    for keys in ["later\n", "\u{4}"] {
        let Some(mut seated) = seat("later") else { return };
        let at = seated.prompt(0);
        seated.type_in(keys);
        seated.screen.wait_from(at, "Left open for others");
        let (_, out, screen) = seated.end();
        assert!(out.contains("RESULT denied") && out.contains("bob said no"), "{out}");
        assert_eq!(screen.matches(" > ").count(), 1, "{screen}");
    }
}

#[test]
fn without_a_terminal_of_its_own_nobody_is_asked() {
    let mut alone = Command::new("setsid");
    alone
        .arg("--wait")
        .arg(me())
        .args(CHILD)
        .env("GLASSBREAK_TTY_CASE", "deliver");
    alone.stdin(Stdio::null());
    let out = alone.output();
    let Ok(out) = out else {
        println!("NOT RUN: there is no `setsid` of util-linux on this machine");
        return;
    };
    let out = String::from_utf8(out.stdout).unwrap();
    assert!(out.contains("this process has no terminal to ask at"), "{out}");
    assert!(out.contains("VOTES 0"), "{out}");
    // In the background of a terminal.
    let shell = format!("set -m; '{}' {} & wait", me(), CHILD.join(" "));
    let Some(seated) = Seated::start("sh", &["-c", &shell], |command| {
        command.env("GLASSBREAK_TTY_CASE", "deliver");
    }) else {
        return;
    };
    let (_, out, screen) = seated.end();
    assert!(out.contains("not in the foreground"), "{out}\n{screen}");
    assert!(!screen.contains("deploy"), "{screen}");
}

#[test]
fn whom_nobody_knows_is_not_asked() {
    let Some(seated) = Seated::start(&me(), &CHILD, |command| {
        command
            .env("GLASSBREAK_TTY_CASE", "deliver")
            .env("GLASSBREAK_TTY_UID", "4000000000");
    }) else {
        return;
    };
    let (_, out, screen) = seated.end();
    assert!(out.contains("no person in people.toml has the account uid:"), "{out}");
    assert_eq!(screen, "");
}

#[test]
fn settled_elsewhere_the_prompt_ends_and_what_was_typed_answers_nothing() {
    let Some(mut seated) = seat("elsewhere") else { return };
    seated.prompt(0);
    seated.type_in("on");
    seated.out.wait("SETTLING");
    let began = Instant::now();
    let at = seated.screen.wait("This question is over. Approved by bob");
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    // The person goes on typing, for the question that is over.
    seated.screen.wait_from(at, "drop");
    seated.type_in("ce\nonce\n");
    let at = seated.prompt(at);
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        !seated.screen.text()[at..].contains("Approved"),
        "{}",
        seated.screen.text()
    );
    seated.type_in("deny not this\n");
    let (_, out, screen) = seated.end();
    assert!(out.contains("FIRST ran deploy"), "{out}");
    assert!(out.contains("SECOND denied") && out.contains("not this"), "{out}");
    assert_eq!(screen.matches("MEDIUM risk: ").count(), 2, "{screen}");
}

#[test]
fn an_agent_that_asks_too_often_is_told_of() {
    let Some(seated) = seat("alert") else { return };
    seated
        .screen
        .wait("ops, session s-1, is asking too often: 5 questions of this agent are open already");
    let (_, out, _) = seated.end();
    assert!(out.contains("RESULT Ok(())"), "{out}");
}

#[test]
fn one_question_after_the_other() {
    let Some(mut seated) = seat("two") else { return };
    let at = seated.prompt(0);
    std::thread::sleep(Duration::from_millis(600));
    assert!(
        !seated.screen.text().contains("MEDIUM risk: drop"),
        "{}",
        seated.screen.text()
    );
    seated.type_in("once\n");
    let (at, _) = seated.screen.wait_from(at, "MEDIUM risk: drop");
    seated.prompt(at);
    seated.type_in("deny no\n");
    let (_, out, screen) = seated.end();
    assert!(
        out.contains("FIRST ran deploy") && out.contains("SECOND denied"),
        "{out}"
    );
    let first = screen.find("Approved by carol").unwrap();
    assert!(first < screen.find("MEDIUM risk: drop").unwrap(), "{screen}");
}

#[test]
fn a_deadline_ends_the_prompt() {
    let Some(seated) = seat("one") else { return };
    seated
        .screen
        .wait("This question is over. Its time has passed: the answer is no.");
    let (_, out, _) = seated.end();
    assert!(
        out.contains("RESULT denied") && out.contains("nobody answered in time"),
        "{out}"
    );
}

#[test]
fn a_terminal_that_is_closed_says_nothing() {
    // It outlives the hangup, as a daemon does.
    let shell = format!("trap '' HUP; exec '{}' {}", me(), CHILD.join(" "));
    let Some(mut seated) = Seated::start("sh", &["-c", &shell], |command| {
        command.env("GLASSBREAK_TTY_CASE", "deliver").stderr(Stdio::null());
    }) else {
        return;
    };
    seated.prompt(0);
    seated.type_in("once");
    seated.hang_up();
    seated.out.wait("VOTES 0");
    let out = seated.out.text();
    assert!(
        out.contains("DELIVERED Err(\"terminal: the terminal was closed\")"),
        "{out}"
    );
}

#[test]
fn an_open_question_holds_up_no_shutdown() {
    let Some(seated) = seat("shutdown") else { return };
    seated.prompt(0);
    let (_, out, _) = seated.end();
    let down = out.lines().find_map(|line| line.strip_prefix("DOWN ")).unwrap();
    assert!(down.parse::<u64>().unwrap() < 500, "{out}");
}

#[test]
fn nothing_that_an_agent_writes_draws_a_card_or_a_prompt() {
    let Some(mut seated) = seat("words") else { return };
    seated.prompt(0);
    seated.type_in("deny no\n");
    let (_, _, screen) = seated.end();
    println!("{screen}");
    let shown: String = screen
        .lines()
        .map(|line| match line.trim_end_matches('\r') {
            line if line.starts_with("  request") => "  request     ID\n".to_owned(),
            line if line.starts_with("  time") => "  time        LEFT\n".to_owned(),
            line => format!("{line}\n"),
        })
        .collect();
    assert_eq!(shown, include_str!("words.txt"), "{shown}");
}

#[test]
fn a_terminal_that_was_left_in_raw_mode_takes_lines_and_is_put_back() {
    let shell = format!(
        "stty raw -echo; '{}' {}; stty -a | tr ' ' '\\n' | grep -x -e -icanon",
        me(),
        CHILD.join(" ")
    );
    let Some(mut seated) = Seated::start("sh", &["-c", &shell], |command| {
        command.env("GLASSBREAK_TTY_CASE", "one");
    }) else {
        return;
    };
    seated.prompt(0);
    seated.type_in("on\u{7f}nce\r");
    let (code, out, screen) = seated.end();
    assert_eq!(code, Some(0), "{out}\n{screen}");
    assert!(out.contains("RESULT ran deploy") && out.ends_with("-icanon\n"), "{out}");
}

#[test]
fn sent_to_the_background_it_waits_and_asks_anew_in_the_foreground() {
    let shell = format!("set -m; '{}' {}; bg %1; sleep 1; fg %1", me(), CHILD.join(" "));
    let Some(mut seated) = Seated::start("sh", &["-c", &shell], |command| {
        command.env("GLASSBREAK_TTY_CASE", "one");
    }) else {
        return;
    };
    let at = seated.prompt(0);
    seated.type_in("on\u{1a}");
    std::thread::sleep(Duration::from_millis(500));
    // The shell would read this, and what asks must not.
    seated.type_in("ce\n");
    let at = seated.prompt(at);
    seated.type_in("deny no\n");
    let (_, out, screen) = seated.end();
    assert!(out.contains("RESULT denied"), "{at} {out}\n{screen}");
}

#[test]
fn on_a_terminal_with_colours_the_card_has_them() {
    let Some(mut seated) = Seated::start(&me(), &CHILD, |command| {
        command.env("GLASSBREAK_TTY_CASE", "one").env_remove("NO_COLOR");
        command.env("TERM", "xterm");
    }) else {
        return;
    };
    seated.prompt(0);
    seated.type_in("deny no\n");
    seated.out.wait("RESULT ");
    let (_, _, screen) = seated.end();
    assert!(screen.contains("\u{1b}[1;33mMEDIUM risk: deploy"), "{screen:?}");
    assert!(
        screen.contains("\u{1b}[36m  calls       \u{1b}[0m\u{1b}[1mdeploy\u{1b}[0m"),
        "{screen:?}"
    );
}
