//! Who is who by tokens: an agent and the people who answer it sign in elsewhere, and what they agree to is handed to the
//! call as a token of its own, which ends with it.
//!
//! The sign-in is a stand-in with a key of its own; everything that reads its tokens is real. A host reads the keys of its
//! provider from an address: `Jwks::remote`.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the gate is built for Linux only");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(house::story())
}

#[cfg(target_os = "linux")]
mod house {
    use std::error::Error;
    use std::path::Path;

    use glassbreak_core::approval::{Answer, Ballot, Request};
    use glassbreak_core::audit::{AuditLog, State, Teller, Timeline, VerifyOptions, verify};
    use glassbreak_core::bundle::Bundle;
    use glassbreak_core::call::{Args, Word, wire};
    use glassbreak_core::clock::{Span, Timestamp};
    use glassbreak_core::gate::{Denied, Gate, Verdict};
    use glassbreak_core::store::MemoryStore;
    use glassbreak_examples::identity::{Service, SignIn, new_key};
    use glassbreak_examples::scratch::Scratch;
    use glassbreak_identity::{ActorMapping, Algorithm, Expect, Jwks, JwtBroker, TokenKind, Verifier, person};
    use serde_json::json;

    /// What this gate calls itself, where its credentials are taken.
    const GATE: &str = "https://gate.example.com";

    pub(super) async fn story() -> Result<(), Box<dyn Error>> {
        let scratch = Scratch::new("identity")?;
        let log = scratch.path().join("audit");
        let audit = AuditLog::open(&log)?;
        let key = new_key(&scratch.path().join("broker.key"))?;
        let broker = JwtBroker::new(GATE, Service::AUDIENCE, key.public(), key)?;
        let service = Service::new(GATE, &broker.jwks())?;
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/identity");
        let gate = Gate::builder(Bundle::open(policy)?)
            .store(MemoryStore::new())
            .audit(audit.clone())
            // People are shown the card by the story, and not by a notifier.
            .answered_elsewhere()
            .broker(Word::new("deploys")?, broker)
            .build()
            .await?;

        let sign_in = SignIn::open(scratch.path())?;
        let keys = Jwks::fixed(&sign_in.jwks()?)?;
        let expect = |audience, kind| Expect::new("sso", SignIn::ISSUER, audience, kind, [Algorithm::EdDsa]);
        let agents = Verifier::new(expect("https://agents.example.com", TokenKind::Access)?, keys.clone());
        let people = Verifier::new(expect("approvals", TokenKind::Identity)?, keys);

        println!("An agent comes with a token");
        let now = Timestamp::now();
        let token = sign_in.agent("deploys-7", "kim", now)?;
        let verified = agents.verify(&token, now).await?;
        let mapping = ActorMapping::role(Word::new("deployer")?)
            .instance_from("client_id")
            .on_behalf_of("act_for", "sso");
        let actor = mapping.actor(&verified, Word::new("release-42")?, &*gate.bundle())?;
        println!(
            "  {} {}, for {}",
            actor.role,
            shown(&actor.instance),
            shown(&actor.on_behalf_of)
        );
        let session = gate.session(actor).workspace(scratch.folder("work")?)?;
        let (start, _) = token.split_at(token.len() - 8);
        told(
            "one whose end was changed",
            agents.verify(&format!("{start}AAAAAAAA"), now).await,
        );
        told(
            "a person's token in its place",
            agents.verify(&sign_in.kim(now)?, now).await,
        );
        told(
            "its own, five minutes later",
            agents.verify(&token, now.after(MINUTES_5)).await,
        );

        println!("\nIt wants to deploy, and that asks");
        let arguments: Args = wire::arguments(&json!({ "service": "web", "version": "42" }))?;
        let Verdict::Ask(escalation) = session.tool(Word::new("deploy")?, arguments).check().await else {
            return Err("deploying does not ask".into());
        };
        let waiting = escalation.open().await.map_err(Denied::from)?;
        let request = waiting.request().clone();
        println!("{}", request.card.text());

        println!("\nPeople answer with tokens of their own");
        for (name, token) in [
            ("kim", sign_in.kim(now)?),
            ("eve", sign_in.person("eve", now)?),
            ("dana", sign_in.person("dana", now)?),
        ] {
            println!("  {name}: {}", answer(&gate, &people, &request, &token).await);
        }

        println!("\nThe call is handed a credential, and the service takes it");
        let permit = match waiting.wait().await.map_err(Denied::from)? {
            glassbreak_core::gate::AnyPermit::Tool(permit) => permit,
            glassbreak_core::gate::AnyPermit::Exec(_) => return Err("it is a tool".into()),
        };
        // A body that keeps what it was handed, as none should.
        let kept = permit
            .run_with_credential(async |plan, credential| -> Result<_, Box<dyn Error>> {
                let now = Timestamp::now();
                println!(
                    "  {}",
                    service.deploy(credential.reveal(), plan.name().as_str(), now).await?
                );
                Ok((credential.reveal().to_owned(), credential.expires_at()))
            })
            .await?;
        let (copy, ends) = kept;
        let left = ends.since(Timestamp::now());
        println!(
            "  it lives for two minutes at most: {}",
            left <= Span::from_millis(120_000)
        );
        told("a copy of it, after that", service.deploy(&copy, "deploy", ends).await);
        let other = Service::new("https://other.example.com", &sign_in.jwks()?)?;
        told(
            "the same at another service",
            other.deploy(&copy, "deploy", Timestamp::now()).await,
        );

        audit.close()?;
        println!("\nThe audit log of it");
        let mut teller = Teller::plain();
        for record in Timeline::open(&log)? {
            let told = teller.tell(&record.map_err(|fault| fault.to_string())?);
            if told.contains(&copy) {
                return Err("the credential is in the log".into());
            }
            print!("{told}");
        }
        let report = verify(&log, &VerifyOptions::default())?;
        println!("verified: {}", report.state().as_str());
        if report.state() != State::Intact {
            return Err("the audit log is not as it was written".into());
        }
        Ok(())
    }

    const MINUTES_5: Span = Span::from_millis(300_000);

    /// What comes of an answer to the request, by whoever the token is of.
    async fn answer(gate: &Gate, people: &Verifier, request: &Request, token: &str) -> String {
        let verified = match people.verify(token, Timestamp::now()).await {
            Ok(verified) => verified,
            Err(refused) => return refused.to_string(),
        };
        let who = match person(&verified, &*gate.bundle()) {
            Ok(who) => who,
            Err(nobody) => return nobody.to_string(),
        };
        let ballot = Ballot {
            account: who.account.clone(),
            answer: Answer::Once,
            reason: None,
            card: request.card.digest(),
        };
        match gate.desk().vote(request.id, &ballot).await {
            Ok(request) => format!("{} agrees, as {}: {}", who.person, who.account, request.state),
            Err(refused) => refused.to_string(),
        }
    }

    fn told<T>(what: &str, result: Result<T, impl std::fmt::Display>) {
        match result {
            Ok(_) => println!("  {what}: TAKEN"),
            Err(refused) => println!("  {what}: {refused}"),
        }
    }

    fn shown(name: &Option<Word>) -> &str {
        name.as_ref().map_or("nobody", Word::as_str)
    }
}
