//! What the token says, where its signature holds.

use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_identity::{TokenError, Verifier};
use serde_json::{Value, json};

use crate::support::{ISSUER, Mint, NOW, at, expect, keys, verifier, verify, verify_at};

#[test]
fn a_token_is_over_at_its_end_and_not_a_moment_later() {
    let mint = Mint::new(1, "k");
    let verifier = verifier(&mint);
    let token = mint.claiming(|_| {});
    let end = at(NOW + 600);
    assert!(verify_at(&verifier, &token, Timestamp::from_millis(end.as_millis() - 1)).is_ok());
    assert_eq!(verify_at(&verifier, &token, end), Err(TokenError::Expired { at: end }));
    assert!(verify_at(&verifier, &token, at(NOW + 6_000)).is_err());
}

#[test]
fn a_token_of_the_future_is_refused_but_for_a_wrong_clock() {
    let mint = Mint::new(1, "k");
    let verifier = verifier(&mint);
    for name in ["nbf", "iat"] {
        let token = mint.claiming(|claims| drop(claims.insert(name.into(), json!(NOW))));
        assert!(verify_at(&verifier, &token, at(NOW - 30)).is_ok(), "{name}");
        let early = verify_at(&verifier, &token, Timestamp::from_millis(at(NOW - 30).as_millis() - 1));
        assert!(matches!(early, Err(TokenError::Early { .. })), "{name}: {early:?}");
    }
    let wide = Verifier::new(expect().leeway(Span::from_millis(u64::MAX)), keys(&[mint.jwk()]));
    let token = mint.claiming(|_| {});
    assert!(verify_at(&wide, &token, at(NOW - 120)).is_ok());
    assert!(
        verify_at(&wide, &token, at(NOW - 121)).is_err(),
        "no more than two minutes, whatever is said"
    );
}

#[test]
fn a_token_is_taken_only_for_a_while_after_it_was_made() {
    let mint = Mint::new(1, "k");
    let long = mint.claiming(|claims| drop(claims.insert("exp".into(), json!(NOW + 1_000_000))));
    let verifier = verifier(&mint);
    assert!(verify_at(&verifier, &long, at(NOW + 3_599)).is_ok());
    assert!(matches!(
        verify_at(&verifier, &long, at(NOW + 3_600)),
        Err(TokenError::Old { .. })
    ));
    let short = Verifier::new(expect().age(Span::from_millis(60_000)), keys(&[mint.jwk()]));
    assert!(verify_at(&short, &long, at(NOW + 60)).is_err());
}

#[test]
fn moments_are_whole_seconds_and_must_be_there() {
    let mint = Mint::new(1, "k");
    let verifier = verifier(&mint);
    for name in ["exp", "iat"] {
        let without = mint.claiming(|claims| drop(claims.remove(name)));
        assert!(
            matches!(verify(&verifier, &without), Err(TokenError::Claim { .. })),
            "{name}"
        );
    }
    for name in ["exp", "iat", "nbf"] {
        for value in [
            json!(null),
            json!("1800000600"),
            json!(1_800_000_600.5),
            json!(1e300),
            json!(-1),
            json!(u64::MAX),
            json!(253_402_300_800_i64),
            json!([NOW]),
            json!({}),
            json!(true),
        ] {
            let token = mint.claiming(|claims| drop(claims.insert(name.into(), value.clone())));
            let result = verify(&verifier, &token);
            assert!(
                matches!(result, Err(TokenError::Claim { .. })),
                "{name} {value}: {result:?}"
            );
        }
    }
}

#[test]
fn a_token_of_another_issuer_or_for_somebody_else_is_refused() {
    let mint = Mint::new(1, "k");
    let verifier = verifier(&mint);
    for issuer in [
        json!("https://sso.example.com/"),
        json!("https://SSO.example.com"),
        json!("http://sso.example.com"),
        json!("https://sso.example.com.evil.example"),
        json!(""),
        json!([ISSUER]),
        json!(null),
    ] {
        let token = mint.claiming(|claims| drop(claims.insert("iss".into(), issuer.clone())));
        assert!(
            matches!(verify(&verifier, &token), Err(TokenError::Issuer { .. })),
            "{issuer}"
        );
    }
    for audience in [
        json!("billing"),
        json!("Approvals"),
        json!("approvals "),
        json!(""),
        json!([]),
        json!(["billing"]),
        json!(["approvals", "billing"]),
        json!(["approvals", 7]),
        json!([["approvals"]]),
        json!({ "approvals": true }),
        json!(null),
    ] {
        let token = mint.claiming(|claims| drop(claims.insert("aud".into(), audience.clone())));
        assert!(
            matches!(verify(&verifier, &token), Err(TokenError::Audience { .. })),
            "{audience}"
        );
    }
    for name in ["iss", "aud", "sub"] {
        let token = mint.claiming(|claims| drop(claims.remove(name)));
        assert!(verify(&verifier, &token).is_err(), "{name}");
    }
    let list = mint.claiming(|claims| drop(claims.insert("aud".into(), json!(["approvals"]))));
    assert!(verify(&verifier, &list).is_ok());
    let beside = Verifier::new(expect().beside("billing"), keys(&[mint.jwk()]));
    let both = mint.claiming(|claims| drop(claims.insert("aud".into(), json!(["billing", "approvals"]))));
    assert!(verify(&beside, &both).is_ok());
    let other = mint.claiming(|claims| drop(claims.insert("aud".into(), json!("billing"))));
    assert!(verify(&beside, &other).is_err(), "ours must be among them");
}

#[test]
fn a_claim_that_stands_twice_is_refused() {
    let mint = Mint::new(1, "k");
    let verifier = verifier(&mint);
    let header = Value::from(mint.header()).to_string();
    let rest = format!(r#""iss":"{ISSUER}","aud":"approvals","iat":{NOW},"exp":{}"#, NOW + 600);
    assert!(verify(&verifier, &mint.sign(&header, &format!(r#"{{"sub":"alice",{rest}}}"#))).is_ok());
    for claims in [
        format!(r#"{{"sub":"alice","sub":"bob",{rest}}}"#),
        format!(r#"{{"sub":"alice","\u0073ub":"bob",{rest}}}"#),
        format!(r#"{{"sub":"alice","x":{{"a":1,"a":2}},{rest}}}"#),
        format!(r#"{{"sub":"alice","exp":1,{rest}}}"#),
        format!(r#"{{"sub":"alice",{rest}}}{{}}"#),
        format!(r#"[{{"sub":"alice",{rest}}}]"#),
        "null".to_owned(),
    ] {
        let result = verify(&verifier, &mint.sign(&header, &claims));
        assert!(matches!(result, Err(TokenError::Malformed(_))), "{claims}: {result:?}");
    }
}

#[test]
fn a_subject_is_a_text_that_makes_an_account() {
    let mint = Mint::new(1, "k");
    let verifier = verifier(&mint);
    let token = |sub: Value| mint.claiming(|claims| drop(claims.insert("sub".into(), sub)));
    let account = |sub: &str| verify(&verifier, &token(json!(sub))).map(|verified| verified.account().to_string());
    assert_eq!(account("alice").unwrap(), "sso:alice");
    assert_eq!(account("auth0|7").unwrap(), "sso:enc:auth0+7C7");
    assert_eq!(
        account("email:bob@example.com").unwrap(),
        "sso:enc:email+3Abob+40example.com"
    );
    assert_eq!(account("alice\u{202e}").unwrap(), "sso:enc:alice+E2+80+AE");
    for sub in [
        json!(""),
        json!("x".repeat(200)),
        json!(7),
        json!(null),
        json!(["alice"]),
    ] {
        assert!(verify(&verifier, &token(sub.clone())).is_err(), "{sub}");
    }
}
