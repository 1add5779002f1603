//! What a broker makes, and what is taken of it.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "this is a test binary"
)]

mod made;

use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::credential::{CredentialBroker as _, TakenBack};
use glassbreak_core::grant::{Pins, Scope};
use glassbreak_identity::{Algorithm, CredentialVerifier, Expect, Jwks, JwtBroker, TokenError, TokenKind, Verifier};

use self::made::{ISSUER, Key, broker, granted, order};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_400);

fn taker(broker: &JwtBroker) -> CredentialVerifier {
    CredentialVerifier::new(ISSUER, "deploys", Jwks::fixed(&broker.jwks()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_credential_says_what_it_is_for() {
    let broker = broker();
    let alone = order(NOW, Span::from_millis(60_000));
    let once = granted(alone.clone(), None);
    let pins: Pins = [("namespace".into(), "web".into())].into();
    let window = granted(alone.clone(), Some(pins));
    for order in [alone, once, window] {
        let issued = broker.issue(&order).await.unwrap();
        let handed = taker(&broker).verify(issued.secret.reveal(), NOW).await.unwrap();
        assert_eq!((handed.id, &*handed.call), (order.id, &*order.call.to_string()));
        assert_eq!(
            (&*handed.action, &*handed.session, &*handed.agent),
            ("tool:deploy", "s-1", "ops/agent-7")
        );
        assert_eq!(handed.grant, order.grant.as_ref().map(|grant| grant.id.to_string()));
        let in_window = (order.grant.as_ref()).is_some_and(|grant| matches!(grant.scope, Scope::Window { .. }));
        assert_eq!(
            (handed.digest.is_none(), handed.pins.contains_key("namespace")),
            (in_window, in_window)
        );
        assert_eq!(handed.ends, issued.expires_at);
    }
}

#[tokio::test]
async fn a_credential_is_over_with_what_people_agreed_to_or_before() {
    let broker = broker();
    for millis in [1_000, 1_600, 59_999, 60_000, 300_000, 900_000] {
        let order = order(NOW, Span::from_millis(millis));
        let issued = broker.issue(&order).await.unwrap();
        assert!(issued.expires_at <= order.not_after, "{millis}");
        assert!(
            order.not_after.since(issued.expires_at) < Span::from_millis(1_000),
            "{millis}"
        );
        let taker = taker(&broker);
        let just = Timestamp::from_millis(issued.expires_at.as_millis() - 1);
        assert!(taker.verify(issued.secret.reveal(), just).await.is_ok(), "{millis}");
        let over = taker.verify(issued.secret.reveal(), issued.expires_at).await;
        assert!(matches!(over, Err(TokenError::Expired { .. })), "{millis}: {over:?}");
    }
    for millis in [0, 1, 599] {
        assert!(
            broker.issue(&order(NOW, Span::from_millis(millis))).await.is_err(),
            "{millis}"
        );
    }
    let long = broker.issue(&order(NOW, Span::from_millis(u64::MAX))).await.unwrap();
    assert!(long.expires_at.since(NOW) <= Span::from_millis(3_600_000));
}

#[tokio::test]
async fn a_credential_is_for_one_service_and_is_no_token_of_anybody() {
    let broker = broker();
    let issued = broker.issue(&order(NOW, Span::from_millis(60_000))).await.unwrap();
    let token = issued.secret.reveal();
    let keys = Jwks::fixed(&broker.jwks()).unwrap();
    for (issuer, audience) in [
        (ISSUER, "billing"),
        ("https://other.example", "deploys"),
        (ISSUER, "deploys/"),
    ] {
        let taker = CredentialVerifier::new(issuer, audience, keys.clone()).unwrap();
        assert!(taker.verify(token, NOW).await.is_err(), "{issuer} {audience}");
    }
    for kind in [TokenKind::Identity, TokenKind::Access] {
        let expect = Expect::new("sso", ISSUER, "deploys", kind, [Algorithm::EdDsa]).unwrap();
        let result = Verifier::new(expect, keys.clone()).verify(token, NOW).await;
        assert!(matches!(result, Err(TokenError::Kind { .. })), "{result:?}");
    }
    let other = Key::new(8);
    let other = JwtBroker::new(ISSUER, "deploys", other.public(), other).unwrap();
    assert!(taker(&other).verify(token, NOW).await.is_err());
}

#[tokio::test]
async fn what_is_taken_back_is_known_where_it_was_made_and_lives_elsewhere() {
    let broker = broker();
    let order = order(Timestamp::now(), Span::from_millis(60_000));
    broker.issue(&order).await.unwrap();
    assert!(!broker.is_revoked(order.id));
    assert_eq!(broker.revoke(order.id).await, Ok(TakenBack::Lives));
    assert!(broker.is_revoked(order.id));
    assert!(broker.issue(&order).await.is_err(), "what was taken back is not made");
}

#[tokio::test]
async fn a_signer_with_another_key_makes_nothing() {
    let broker = JwtBroker::new(ISSUER, "deploys", Key::new(1).public(), Key::new(2)).unwrap();
    assert!(broker.issue(&order(NOW, Span::from_millis(60_000))).await.is_err());
    let said = format!("{broker:?} {}", broker.jwks());
    assert!(!said.contains("\"d\"") && !said.contains("0101010101"), "{said}");
    assert!(JwtBroker::new("", "x", Key::new(1).public(), Key::new(1)).is_err());
    assert!(JwtBroker::new("x", "", Key::new(1).public(), Key::new(1)).is_err());
}
