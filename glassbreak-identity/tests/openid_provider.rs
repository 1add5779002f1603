//! Against a real OpenID provider, npm's `oidc-provider`, on the loopback. Needs Node (20 or newer) and npm:
//!
//!     cargo test -p glassbreak-identity --test openid_provider -- --ignored
//!
//! npm installs what `tests/openid/package-lock.json` names into the target folder; no script of a package is run.
#![cfg(feature = "fetch")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::tests_outside_test_module,
    reason = "this is a test binary"
)]

#[path = "broker/made.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod made;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::Word;
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::credential::CredentialBroker as _;
use glassbreak_core::people::{IdentityResolver as _, Unresolved};
use glassbreak_identity::jwks::{Jwks, Remote};
use glassbreak_identity::{ActorMapping, Algorithm, Expect, KeyError, TokenError, TokenKind, Verifier, person};

const RESOURCE: &str = "https://agents.example";
const PEOPLE: &str = r#"
[groups.oncall]
[issuers.sso]
email = true
[persons.alice]
groups = ["oncall"]
accounts = ["sso:alice"]
[persons.bob]
groups = ["oncall"]
email = ["robert@example.com", "unverified-bob@example.com"]
"#;

/// A folder of this process's own, in which the scripts find the provider. Whoever comes first installs it.
fn installed() -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openid");
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openid");
    let same = |name: &str| fs::read(all.join(name)).ok() == fs::read(from.join(name)).ok();
    if !(same("package-lock.json") && all.join("node_modules").exists()) {
        let fresh = all.with_extension(std::process::id().to_string());
        fs::create_dir_all(&fresh).unwrap();
        for name in ["package.json", "package-lock.json"] {
            fs::copy(from.join(name), fresh.join(name)).unwrap();
        }
        let npm = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&fresh)
            .stdout(Stdio::null())
            .status();
        assert!(
            npm.is_ok_and(|status| status.success()),
            "NOT RUN: npm could not install oidc-provider"
        );
        // Of two that come at once the other may have been faster.
        if fs::rename(&fresh, &all).is_err() {
            if same("package-lock.json") {
                fs::remove_dir_all(&fresh).unwrap();
            } else {
                fs::remove_dir_all(&all).unwrap();
                fs::rename(&fresh, &all).unwrap();
            }
        }
    }
    let own = all.join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&own).unwrap();
    for name in ["provider.mjs", "client.mjs"] {
        fs::copy(from.join(name), own.join(name)).unwrap();
    }
    own
}

struct Provider {
    child: Child,
    /// Kept open: it dies of a line that it cannot write.
    _said: BufReader<ChildStdout>,
    folder: PathBuf,
    issuer: String,
    jwks: String,
}

impl Provider {
    fn start(folder: &Path, port: &str, generation: &str) -> Self {
        let mut child = Command::new("node")
            .args(["provider.mjs", port, generation])
            .current_dir(folder)
            // It ends when this end is closed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let said: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("the provider says {line:?}"));
        let text = |name: &str| said.get(name).and_then(|value| value.as_str()).unwrap().to_owned();
        Self {
            child,
            _said: out,
            folder: folder.to_owned(),
            issuer: text("issuer"),
            jwks: text("jwks"),
        }
    }

    fn token(&self, who: &str, what: &str) -> String {
        let client = Command::new("node")
            .args(["client.mjs", &self.issuer, who, what])
            .current_dir(&self.folder)
            .output()
            .unwrap();
        assert!(client.status.success(), "{}", String::from_utf8_lossy(&client.stderr));
        String::from_utf8(client.stdout).unwrap().trim().to_owned()
    }

    fn port(&self) -> String {
        self.issuer.rsplit(':').next().unwrap().to_owned()
    }

    fn stop(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn people() -> Bundle {
    let files: Files = [("people.toml".to_owned(), PEOPLE.as_bytes().to_vec())].into();
    Bundle::from_files(&files).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and npm: see the head of this file"]
async fn tokens_of_a_real_provider_are_agents_and_people_also_after_it_changed_its_keys() {
    let folder = installed();
    let provider = Provider::start(&folder, "0", "one");
    let keys = Jwks::remote(Remote::new(&provider.jwks).pause(Duration::from_millis(1))).unwrap();
    let expect = |audience, kind, algorithm| Expect::new("sso", &provider.issuer, audience, kind, [algorithm]).unwrap();
    let agents = Verifier::new(expect(RESOURCE, TokenKind::Access, Algorithm::Es256), keys.clone());
    let persons = Verifier::new(expect("approvals", TokenKind::Identity, Algorithm::Rs256), keys.clone());
    let word = |text| Word::new(text).unwrap();
    let people = people();

    let of_agent = provider.token("agent", RESOURCE);
    let verified = agents.verify(&of_agent, Timestamp::now()).await.unwrap();
    let mapping = ActorMapping::role_from("role", [word("ops")])
        .instance_from("client_id")
        .on_behalf_of("act_for", "sso")
        .model_from("model");
    let actor = mapping.actor(&verified, word("s-1"), &people).unwrap();
    assert_eq!(
        (actor.role, actor.instance, actor.on_behalf_of),
        (word("ops"), Some(word("agent-7")), Some(word("alice")))
    );

    let of_alice = provider.token("person", "alice");
    let verified = persons.verify(&of_alice, Timestamp::now()).await.unwrap();
    let alice = person(&verified, &people).unwrap();
    assert_eq!((alice.person.as_str(), alice.account.as_str()), ("alice", "sso:alice"));
    // By an address that the provider vouches for, and not by one that it does not.
    let of_robert = persons
        .verify(&provider.token("person", "robert"), Timestamp::now())
        .await
        .unwrap();
    let bob = person(&of_robert, &people).unwrap();
    assert_eq!(
        (bob.person.as_str(), bob.account.as_str()),
        ("bob", "sso:email:robert@example.com")
    );
    let unverified = persons
        .verify(&provider.token("person", "unverified-bob"), Timestamp::now())
        .await
        .unwrap();
    assert!(matches!(
        people.resolve(&unverified.principal()),
        Err(Unresolved::Unknown(_))
    ));

    // One kind of token is no other, one audience no other, one algorithm no other.
    assert!(agents.verify(&of_alice, Timestamp::now()).await.is_err());
    assert!(persons.verify(&of_agent, Timestamp::now()).await.is_err());
    let elsewhere = provider.token("agent", "https://elsewhere.example");
    assert!(matches!(
        agents.verify(&elsewhere, Timestamp::now()).await,
        Err(TokenError::Audience { .. })
    ));
    let other = Verifier::new(expect(RESOURCE, TokenKind::Access, Algorithm::Rs256), keys.clone());
    assert!(matches!(
        other.verify(&of_agent, Timestamp::now()).await,
        Err(TokenError::Algorithm { .. })
    ));
    // Five minutes, says the provider.
    let late = Timestamp::now().after(Span::from_millis(300_000));
    assert!(matches!(
        agents.verify(&of_agent, late).await,
        Err(TokenError::Expired { .. })
    ));

    // It comes back with other keys: new tokens are taken, and those by the old keys no more.
    let (port, jwks) = (provider.port(), provider.jwks.clone());
    provider.stop();
    agents.verify(&of_agent, Timestamp::now()).await.unwrap();
    let provider = Provider::start(&folder, &port, "two");
    assert_eq!(provider.jwks, jwks);
    agents
        .verify(&provider.token("agent", RESOURCE), Timestamp::now())
        .await
        .unwrap();
    let old = agents.verify(&of_agent, Timestamp::now()).await.unwrap_err();
    assert!(matches!(old, TokenError::Key(KeyError::Unknown(_))), "{old}");
    persons
        .verify(&provider.token("person", "alice"), Timestamp::now())
        .await
        .unwrap();
}

/// The other way round: what the broker signs is taken by npm's `jose`.
#[tokio::test]
#[ignore = "needs Node and npm: see the head of this file"]
async fn a_credential_is_taken_by_another_library() {
    let folder = installed();
    let broker = made::broker();
    let order = made::order(Timestamp::now(), Span::from_millis(60_000));
    let issued = broker.issue(&order).await.unwrap();
    let (token, jwks) = (issued.secret.reveal(), broker.jwks());
    let script = "import { createLocalJWKSet, jwtVerify } from 'jose';\n\
        const [token, jwks] = process.argv.slice(1);\n\
        const { payload } = await jwtVerify(token, createLocalJWKSet(JSON.parse(jwks)), {\n\
          issuer: 'https://gate.example', audience: 'deploys', algorithms: ['EdDSA'], typ: 'glassbreak-credential+jwt' });\n\
        console.log(payload.glassbreak.action);";
    let node = |token: &str| {
        let args = ["--input-type=module", "-e", script, token, &jwks];
        Command::new("node").args(args).current_dir(&folder).output().unwrap()
    };
    let taken = node(token);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    assert_eq!(String::from_utf8_lossy(&taken.stdout), "tool:deploy\n");
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert!(!node(&format!("{signed}.{}", "A".repeat(86))).status.success());
}
