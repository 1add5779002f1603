//! Key sets that are more, or less, than public keys.

use glassbreak_identity::{Algorithm, Expect, Jwks, KeyError, TokenError, TokenKind, Verifier};
use serde_json::{Value, json};

use crate::support::{ISSUER, Mint, b64, expect, keys, verify};

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

#[test]
fn a_set_with_a_secret_in_it_is_refused_whole() {
    let mint = Mint::new(1, "k");
    for secret in [
        with(mint.jwk(), "d", json!(b64([1; 32]))),
        with(mint.jwk(), "d", json!("")),
        json!({ "kty": "oct", "k": b64([1; 32]), "kid": "s", "alg": "HS256" }),
        json!({ "kty": "oct", "kid": "s" }),
        json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "r", "p": "AQAB" }),
        json!({ "kty": "something", "kid": "x", "k": "AQAB" }),
    ] {
        let text = json!({ "keys": [mint.jwk(), secret] }).to_string();
        let error = Jwks::fixed(&text).unwrap_err().to_string();
        assert!(error.contains("private or shared key"), "{error}");
    }
}

#[test]
fn two_keys_of_one_name_are_none() {
    let (mint, other, third) = (Mint::new(1, "k"), Mint::new(2, "k"), Mint::new(3, "other"));
    let verifier = Verifier::new(expect(), keys(&[mint.jwk(), other.jwk(), third.jwk()]));
    for mint in [&mint, &other] {
        let result = verify(&verifier, &mint.headed(|_| {}));
        assert_eq!(result, Err(TokenError::Key(KeyError::Several("k".to_owned()))));
    }
    assert!(verify(&verifier, &third.headed(|_| {})).is_ok());
    // Also where it is the same key twice.
    let verifier = Verifier::new(expect(), keys(&[mint.jwk(), mint.jwk()]));
    assert!(verify(&verifier, &mint.headed(|_| {})).is_err());
}

#[test]
fn a_key_that_is_for_something_else_is_not_used() {
    let (mint, spare) = (Mint::new(1, "k"), Mint::new(2, "spare"));
    for (jwk, unknown) in [
        (with(mint.jwk(), "use", json!("enc")), true),
        (with(mint.jwk(), "use", json!(7)), true),
        (with(mint.jwk(), "key_ops", json!(["sign"])), true),
        (with(mint.jwk(), "key_ops", json!("verify")), true),
        (with(mint.jwk(), "kty", json!("ANY")), true),
        (with(mint.jwk(), "crv", json!("X25519")), true),
        (with(mint.jwk(), "crv", json!("Ed448")), true),
        (with(mint.jwk(), "x", json!(b64([1; 31]))), true),
        (with(mint.jwk(), "x", json!("!!")), true),
        (with(mint.jwk(), "kid", json!(7)), true),
        (with(mint.jwk(), "alg", json!(7)), true),
        (with(mint.jwk(), "alg", json!("RS256")), false),
        (with(mint.jwk(), "alg", json!("HS256")), false),
    ] {
        let verifier = Verifier::new(expect(), keys(&[jwk.clone(), spare.jwk()]));
        let result = verify(&verifier, &mint.headed(|_| {}));
        let expected = match unknown {
            true => KeyError::Unknown("k".to_owned()),
            false => KeyError::OtherAlgorithm("k".to_owned()),
        };
        assert_eq!(result, Err(TokenError::Key(expected)), "{jwk}");
    }
    let verifies = with(mint.jwk(), "key_ops", json!(["verify"]));
    assert!(verify(&Verifier::new(expect(), keys(&[verifies])), &mint.headed(|_| {})).is_ok());
}

#[test]
fn what_is_no_key_set_is_refused() {
    let mint = Mint::new(1, "k");
    let many: Vec<Value> = (0..101)
        .map(|n| with(mint.jwk(), "kid", json!(format!("k{n}"))))
        .collect();
    for text in [
        String::new(),
        "{}".to_owned(),
        r#"{"keys":[]}"#.to_owned(),
        r#"{"keys":{}}"#.to_owned(),
        r#"{"keys":[7]}"#.to_owned(),
        format!(r#"{{"keys":[],"keys":[{}]}}"#, mint.jwk()),
        json!({ "keys": many }).to_string(),
        json!({ "keys": [mint.jwk()], "pad": "x".repeat(300_000) }).to_string(),
        format!("{{\"keys\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000)),
        mint.jwk().to_string(),
    ] {
        assert!(
            Jwks::fixed(&text).is_err(),
            "{}",
            text.chars().take(80).collect::<String>()
        );
    }
}

#[derive(serde::Deserialize)]
struct Vector {
    alg: String,
    jwk: Value,
    token: String,
}

#[test]
fn tokens_of_another_maker_are_taken_by_their_own_algorithm_alone() {
    const ALL: [Algorithm; 9] = [
        Algorithm::EdDsa,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
    ];
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../vectors/tokens.json")).unwrap();
    assert_eq!(vectors.len(), ALL.len());
    let set = keys(&vectors.iter().map(|vector| vector.jwk.clone()).collect::<Vec<_>>());
    for Vector { alg, token, .. } in &vectors {
        for algorithm in ALL {
            let expect = Expect::new("sso", ISSUER, "approvals", TokenKind::Identity, [algorithm]).unwrap();
            let result = verify(&Verifier::new(expect, set.clone()), token);
            assert_eq!(
                result.is_ok(),
                algorithm.as_str() == alg,
                "{alg} as {algorithm:?}: {result:?}"
            );
        }
        // A header that says another algorithm of the same kind of key does not have it checked by that.
        let expect = Expect::new("sso", ISSUER, "approvals", TokenKind::Identity, ALL).unwrap();
        let verifier = Verifier::new(expect, set.clone());
        assert!(verify(&verifier, token).is_ok(), "{alg}");
        let (_, rest) = token.split_once('.').unwrap();
        for other in ALL.iter().filter(|other| other.as_str() != alg) {
            let header = json!({ "alg": other.as_str(), "typ": "JWT", "kid": format!("key-{alg}") }).to_string();
            assert!(
                verify(&verifier, &format!("{}.{rest}", b64(header))).is_err(),
                "{alg} as {other:?}"
            );
        }
    }
}
