//! The header says too much, or another thing.

use glassbreak_identity::{Algorithm, Expect, KeyError, TokenError, TokenKind, Verifier};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{ISSUER, Mint, b64, claims, keys, verifier, verify};

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([&pad(0x36)[..], message].concat());
    Sha256::digest([&pad(0x5c)[..], &inner].concat()).to_vec()
}

#[test]
fn no_algorithm_comes_from_the_token() {
    let mint = Mint::new(1, "k");
    let verifier = verifier(&mint);
    assert!(verify(&verifier, &mint.headed(|_| {})).is_ok());
    for alg in [
        "none", "None", "NONE", "nOnE", "HS256", "HS512", "RS256", "ES256", "eddsa", "EdDSA ", "",
    ] {
        let token = mint.headed(|header| drop(header.insert("alg".into(), alg.into())));
        let result = verify(&verifier, &token);
        assert!(matches!(result, Err(TokenError::Algorithm { .. })), "{alg}: {result:?}");
    }
    let without = mint.headed(|header| drop(header.remove("alg")));
    assert!(matches!(verify(&verifier, &without), Err(TokenError::Algorithm { .. })));
    // Signed with the public key as if it were a shared secret.
    let header = json!({ "alg": "HS256", "typ": "JWT", "kid": "k" }).to_string();
    let signed = format!("{}.{}", b64(header), b64(Value::from(claims()).to_string()));
    let confused = format!("{signed}.{}", b64(hmac(&mint.public(), signed.as_bytes())));
    assert!(matches!(
        verify(&verifier, &confused),
        Err(TokenError::Algorithm { .. })
    ));
}

#[test]
fn an_unsigned_token_is_none() {
    let mint = Mint::new(1, "k");
    let verifier = verifier(&mint);
    let header = json!({ "alg": "none", "kid": "k" }).to_string();
    let body = b64(Value::from(claims()).to_string());
    for token in [
        format!("{}.{body}.", b64(&header)),
        format!("{}.{body}", b64(&header)),
        format!("{}.{body}.{}", b64(&header), b64("x")),
    ] {
        assert!(verify(&verifier, &token).is_err(), "{token}");
    }
}

#[test]
fn a_token_does_not_bring_its_own_key() {
    let (mint, thief) = (Mint::new(1, "k"), Mint::new(2, "k"));
    let verifier = verifier(&mint);
    let own = [
        ("jwk", thief.jwk()),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("abc")),
    ];
    for (name, value) in own {
        let forged = thief.headed(|header| drop(header.insert(name.into(), value.clone())));
        assert_eq!(verify(&verifier, &forged), Err(TokenError::Signature), "{name}");
        // Of the issuer itself it is passed over.
        let honest = mint.headed(|header| drop(header.insert(name.into(), value)));
        assert!(verify(&verifier, &honest).is_ok(), "{name}");
    }
}

#[test]
fn what_must_be_understood_and_is_not_is_refused() {
    let mint = Mint::new(1, "k");
    let verifier = verifier(&mint);
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("cty", json!("JWT")),
    ] {
        let token = mint.headed(|header| drop(header.insert(name.into(), value)));
        assert_eq!(verify(&verifier, &token), Err(TokenError::Header(name)));
    }
}

#[test]
fn one_kind_of_token_does_not_pass_for_another() {
    let mint = Mint::new(1, "k");
    let of = |kind| {
        let expect = Expect::new("sso", ISSUER, "approvals", kind, [Algorithm::EdDsa]).unwrap();
        Verifier::new(expect, keys(&[mint.jwk()]))
    };
    let typed = |typ: Option<&str>| {
        mint.headed(|header| match typ {
            Some(typ) => drop(header.insert("typ".into(), typ.into())),
            None => drop(header.remove("typ")),
        })
    };
    for (typ, identity, access, other) in [
        (None, true, false, false),
        (Some("JWT"), true, false, false),
        (Some("application/jwt"), true, false, false),
        (Some("at+jwt"), false, true, false),
        (Some("application/AT+JWT"), false, true, false),
        (Some("logout+jwt"), false, false, true),
        (Some(""), false, false, false),
        (Some("at+jwt "), false, false, false),
    ] {
        for (kind, taken) in [
            (TokenKind::Identity, identity),
            (TokenKind::Access, access),
            (TokenKind::Other("logout+jwt"), other),
        ] {
            let result = verify(&of(kind.clone()), &typed(typ));
            assert_eq!(result.is_ok(), taken, "{typ:?} as {kind:?}: {result:?}");
        }
    }
    let number = mint.headed(|header| drop(header.insert("typ".into(), json!(1))));
    assert!(matches!(
        verify(&of(TokenKind::Identity), &number),
        Err(TokenError::Malformed(_))
    ));
}

#[test]
fn a_key_is_named_exactly() {
    let mint = Mint::new(1, "k");
    let verifier = verifier(&mint);
    for kid in [
        "K",
        "k ",
        "../k",
        "k/../k",
        "/etc/passwd",
        "k\0",
        "k'--",
        "%6b",
        "",
        "\u{202e}k",
    ] {
        let token = mint.headed(|header| drop(header.insert("kid".into(), kid.into())));
        let result = verify(&verifier, &token);
        assert!(
            matches!(result, Err(TokenError::Key(KeyError::Unknown(_) | KeyError::Unnamed))),
            "{kid:?}: {result:?}"
        );
        assert!(!result.unwrap_err().to_string().contains(['\u{202e}', '\0']), "{kid:?}");
    }
    let long = mint.headed(|header| drop(header.insert("kid".into(), "k".repeat(3_000).into())));
    assert!(matches!(
        verify(&verifier, &long),
        Err(TokenError::Key(KeyError::Unknown(_)))
    ));
    let without = mint.headed(|header| drop(header.remove("kid")));
    assert_eq!(verify(&verifier, &without), Err(TokenError::Key(KeyError::Unnamed)));
    let list = mint.headed(|header| drop(header.insert("kid".into(), json!(["k"]))));
    assert!(matches!(verify(&verifier, &list), Err(TokenError::Malformed(_))));
}

#[test]
fn a_key_of_the_header_that_stands_twice_is_refused() {
    let mint = Mint::new(1, "k");
    let verifier = verifier(&mint);
    let body = Value::from(claims()).to_string();
    for header in [
        r#"{"alg":"none","alg":"EdDSA","typ":"JWT","kid":"k"}"#,
        r#"{"alg":"EdDSA","\u0061lg":"EdDSA","typ":"JWT","kid":"k"}"#,
        r#"{"alg":"EdDSA","typ":"JWT","kid":"other","kid":"k"}"#,
        r#"["alg","EdDSA"]"#,
        r#""EdDSA""#,
        "{}x",
        "",
    ] {
        let result = verify(&verifier, &mint.sign(header, &body));
        assert!(matches!(result, Err(TokenError::Malformed(_))), "{header}: {result:?}");
    }
}
