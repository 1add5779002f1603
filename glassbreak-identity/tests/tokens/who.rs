//! Whom a token is of.

use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Text, Word};
use glassbreak_core::people::Unresolved;
use glassbreak_identity::{ActorMapping, Verified, WhoError, person};
use serde_json::{Map, Value, json};

use crate::support::{Mint, verifier, verify};

const PEOPLE: &str = r#"
[groups.oncall]
[issuers.sso]
email = true
[persons.alice]
groups = ["oncall"]
accounts = ["sso:alice"]
[persons.bob]
email = "bob@example.com"
[persons.eve]
accounts = ["sso:eve"]
disabled = true
"#;

fn people() -> Bundle {
    let files: Files = [("people.toml".to_owned(), PEOPLE.as_bytes().to_vec())].into();
    Bundle::from_files(&files).unwrap()
}

fn token(change: impl FnOnce(&mut Map<String, Value>)) -> Verified {
    let mint = Mint::new(1, "k");
    verify(&verifier(&mint), &mint.claiming(change)).unwrap()
}

fn of(sub: &str, email: Option<(&str, Value)>) -> Result<(String, String), Unresolved> {
    let verified = token(|claims| {
        claims.insert("sub".into(), sub.into());
        if let Some((email, verified)) = email {
            claims.insert("email".into(), email.into());
            claims.insert("email_verified".into(), verified);
        }
    });
    person(&verified, &people()).map(|who| (who.person.to_string(), who.account.to_string()))
}

#[test]
fn a_person_is_found_by_subject_or_by_an_address_that_is_verified() {
    let is = |person: &str, account: &str| Ok((person.to_owned(), account.to_owned()));
    assert_eq!(of("alice", None), is("alice", "sso:alice"));
    assert_eq!(
        of("7", Some(("Bob@example.com", json!(true)))),
        is("bob", "sso:email:bob@example.com")
    );
    for verified in [json!(false), json!("true"), json!(1), json!(null)] {
        let result = of("7", Some(("bob@example.com", verified.clone())));
        assert!(matches!(result, Err(Unresolved::Unknown(_))), "{verified}: {result:?}");
    }
    assert!(matches!(of("eve", None), Err(Unresolved::Disabled { .. })));
    let both = of("alice", Some(("bob@example.com", json!(true))));
    assert!(matches!(both, Err(Unresolved::Several { .. })), "{both:?}");
    let unknown = of("auth0|9", None).unwrap_err().to_string();
    assert!(
        unknown.contains("`accounts`") && unknown.contains("sso:enc:auth0+7C9"),
        "{unknown}"
    );
    // A subject that looks like an address is none.
    assert!(of("email:bob@example.com", None).is_err());
}

#[test]
fn an_agent_is_what_its_token_says_and_nothing_more() {
    let word = |text| Word::new(text).unwrap();
    let mapping = ActorMapping::role_from("role", [word("ops"), word("dev")])
        .instance_from("client_id")
        .on_behalf_of("act_for", "sso")
        .model_from("model")
        .claim("tenant", word("tenant"))
        .claim("level", word("level"));
    let full = |claims: &mut Map<String, Value>| {
        for (name, value) in [
            ("role", json!("ops")),
            ("client_id", json!("agent-7")),
            ("act_for", json!("alice")),
            ("model", json!("m-1")),
            ("tenant", json!("north")),
            ("level", json!(3)),
            ("admin", json!(true)),
        ] {
            claims.insert(name.into(), value);
        }
    };
    let actor = mapping.actor(&token(full), word("s-1"), &people()).unwrap();
    assert_eq!((actor.role.as_str(), actor.session.as_str()), ("ops", "s-1"));
    assert_eq!(actor.instance, Some(word("agent-7")));
    assert_eq!(actor.on_behalf_of, Some(word("alice")));
    assert_eq!(actor.model.unwrap().id, word("m-1"));
    assert!(actor.parents.is_empty());
    let text = |text: &str| Text::new(text).unwrap();
    let claims: Vec<(&str, &Text)> = actor.claims.iter().map(|(name, text)| (name.as_str(), text)).collect();
    assert_eq!(
        claims,
        [
            ("account", &text("sso:alice")),
            ("level", &text("3")),
            ("tenant", &text("north"))
        ],
        "what nobody asked for stays out"
    );
    for (name, value) in [
        ("role", json!("admin")),
        ("role", json!(["ops"])),
        ("role", json!("Ops")),
        ("client_id", json!("a b")),
        ("client_id", json!(7)),
        ("act_for", json!("nobody")),
        ("act_for", json!("eve")),
        ("act_for", json!(["alice"])),
        ("act_for", json!("")),
        ("model", json!(null)),
        ("tenant", json!({ "a": 1 })),
        ("tenant", json!("x".repeat(5_000))),
    ] {
        let verified = token(|claims| {
            full(claims);
            claims.insert(name.into(), value.clone());
        });
        assert!(
            mapping.actor(&verified, word("s-1"), &people()).is_err(),
            "{name} {value}"
        );
    }
    let without = token(|claims| {
        full(claims);
        claims.remove("act_for");
    });
    let error = mapping.actor(&without, word("s-1"), &people()).unwrap_err();
    assert!(matches!(error, WhoError::Claim { .. }), "{error}");
}
