//! Keys that are fetched: rotation, and every way in which fetching goes wrong.
#![cfg(feature = "fetch")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod server;
#[path = "../tokens/support.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod support;

use std::time::Duration;

use glassbreak_identity::jwks::{Jwks, Remote};
use glassbreak_identity::{KeyError, TokenError, Verified, Verifier};
use serde_json::json;

use self::server::{Answer, Server};
use self::support::{Mint, NOW, at, expect};

/// Fetched keys with all spans as short as a test has time for.
fn quick(server: &Server) -> Remote {
    Remote::new(server.address())
        .fresh(Duration::from_secs(60))
        .stale(Duration::from_secs(120))
        .pause(Duration::ZERO)
        .timeout(Duration::from_millis(500))
}

fn verifier(settings: Remote) -> Verifier {
    Verifier::new(expect(), Jwks::remote(settings).unwrap())
}

async fn verify(verifier: &Verifier, mint: &Mint) -> Result<Verified, TokenError> {
    verifier.verify(&mint.headed(|_| {}), at(NOW + 1)).await
}

fn set(mints: &[&Mint]) -> Answer {
    let keys: Vec<_> = mints.iter().map(|mint| mint.jwk()).collect();
    Answer::ok(json!({ "keys": keys }).to_string())
}

#[tokio::test]
async fn keys_are_fetched_once_and_again_for_a_name_that_is_new() {
    let (old, new) = (Mint::new(1, "old"), Mint::new(2, "new"));
    let server = Server::start(set(&[&old]));
    let verifier = verifier(quick(&server));
    assert_eq!(server.asked(), 0, "nothing is fetched before a token comes");
    for _ in 0..3 {
        verify(&verifier, &old).await.unwrap();
    }
    assert_eq!(server.asked(), 1);
    server.answer(set(&[&new]));
    verify(&verifier, &new).await.unwrap();
    assert_eq!(server.asked(), 2);
    // What the issuer withdrew is gone.
    assert!(matches!(
        verify(&verifier, &old).await,
        Err(TokenError::Key(KeyError::Unknown(_)))
    ));
}

#[tokio::test]
async fn names_that_are_made_up_do_not_make_it_fetch_without_end() {
    let mint = Mint::new(1, "k");
    let server = Server::start(set(&[&mint]));
    let verifier = verifier(quick(&server).pause(Duration::from_secs(60)));
    verify(&verifier, &mint).await.unwrap();
    for _ in 0..50 {
        let result = verify(&verifier, &Mint::new(2, "made-up")).await;
        assert!(
            matches!(result, Err(TokenError::Key(KeyError::Unknown(_)))),
            "{result:?}"
        );
    }
    assert_eq!(server.asked(), 1, "one pause, one fetch");
    verify(&verifier, &mint).await.unwrap();
}

#[tokio::test]
async fn many_tokens_at_once_make_one_fetch() {
    let mint = Mint::new(1, "k");
    let server = Server::start(set(&[&mint]).after(Duration::from_millis(100)));
    let verifier = verifier(quick(&server));
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), mint.headed(|_| {}));
            tokio::spawn(async move { verifier.verify(&token, at(NOW + 1)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn old_keys_count_for_a_while_where_new_ones_cannot_be_had_and_then_none_do() {
    let mint = Mint::new(1, "k");
    let server = Server::start(set(&[&mint]));
    let settings = quick(&server)
        .fresh(Duration::from_millis(50))
        .stale(Duration::from_millis(1_500));
    let verifier = verifier(settings);
    verify(&verifier, &mint).await.unwrap();
    server.answer(Answer::status(503));
    tokio::time::sleep(Duration::from_millis(100)).await;
    verify(&verifier, &mint).await.unwrap();
    assert!(server.asked() >= 2, "it was tried");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let result = verify(&verifier, &mint).await.unwrap_err();
    assert!(result.is_unavailable(), "{result}");
    // And they count again once they can be had.
    server.answer(set(&[&mint]));
    verify(&verifier, &mint).await.unwrap();
}

#[tokio::test]
async fn what_is_no_plain_answer_brings_no_keys() {
    let mint = Mint::new(1, "k");
    let keys = json!({ "keys": [mint.jwk()] }).to_string();
    let elsewhere = Server::start(Answer::ok(keys.clone()));
    let secret = json!({ "keys": [mint.jwk(), { "kty": "oct", "k": "AQAB", "kid": "s" }] }).to_string();
    for (answer, said) in [
        (Answer::redirect(&elsewhere.address()), "redirects are not followed"),
        (Answer::status(404), "status 404"),
        (Answer::status(204), "status 204"),
        (Answer::status(500), "status 500"),
        (Answer::ok("<html>".to_owned()), "not JSON"),
        (Answer::ok(String::new()), "not JSON"),
        (Answer::ok(secret), "private or shared key"),
        (Answer::ok(format!("{keys}{}", " ".repeat(300_000))), "too long"),
        (Answer::ok(keys.clone()).cut(), ""),
        (Answer::ok(keys.clone()).after(Duration::from_secs(2)), ""),
    ] {
        let server = Server::start(answer);
        let error = verify(&verifier(quick(&server)), &mint).await.unwrap_err();
        assert!(
            error.is_unavailable() && error.to_string().contains(said),
            "{said}: {error}"
        );
    }
    assert_eq!(elsewhere.asked(), 0);
    let gone = {
        let server = Server::start(Answer::ok(keys));
        quick(&server)
    };
    assert!(verify(&verifier(gone), &mint).await.unwrap_err().is_unavailable());
}

#[tokio::test]
async fn a_fetch_that_nobody_waits_for_any_more_is_kept() {
    let mint = Mint::new(1, "k");
    let server = Server::start(set(&[&mint]).after(Duration::from_millis(200)));
    let verifier = verifier(quick(&server).pause(Duration::from_secs(60)));
    let token = mint.headed(|_| {});
    let hasty = tokio::time::timeout(Duration::from_millis(20), verifier.verify(&token, at(NOW + 1))).await;
    assert!(hasty.is_err());
    tokio::time::sleep(Duration::from_millis(600)).await;
    verify(&verifier, &mint).await.unwrap();
    assert_eq!(server.asked(), 1);
}

#[test]
fn an_address_in_clear_is_refused_off_the_loopback() {
    assert!(Jwks::remote(Remote::new("http://sso.example.com/jwks")).is_err());
    assert!(
        Jwks::remote(Remote::new("https://sso.example.com/jwks").roots("")).is_err(),
        "nobody to trust"
    );
}
