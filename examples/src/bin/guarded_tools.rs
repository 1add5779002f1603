//! Tool functions behind `#[guard]`: what an agent that answers the customers of a small shop may do by itself, what a
//! person must agree to, and what nobody lets it do.
//!
//! The bodies are plain functions on a shop in memory. The attribute makes the call from their arguments, has it judged
//! by `policies/tools`, records it, and lets the body run only inside the permit. The audit log tells the story again at
//! the end.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the gate is built for Linux only");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(shop::story())
}

#[cfg(target_os = "linux")]
mod shop {
    use std::collections::BTreeMap;
    use std::error::Error;
    use std::fmt::Display;
    use std::path::Path;
    use std::sync::Mutex;

    use glassbreak_core::audit::{AuditLog, Kind, Record, State, Timeline, VerifyOptions, verify};
    use glassbreak_core::bundle::Bundle;
    use glassbreak_core::call::{Actor, Word};
    use glassbreak_core::error::{shown, shown_whole};
    use glassbreak_core::finding::RuleId;
    use glassbreak_core::gate::{Denied, Gate, Session};
    use glassbreak_core::guard;
    use glassbreak_core::store::MemoryStore;
    use glassbreak_examples::scratch::Scratch;

    /// What goes wrong in a tool: the guard's no is one kind of it.
    #[derive(Debug, thiserror::Error)]
    enum ToolError {
        #[error(transparent)]
        Denied(#[from] Denied),
        #[error("there is no order {0}")]
        NoOrder(u64),
        #[error("the shop is closed")]
        Closed,
    }

    /// The shop: cents paid, by order.
    #[derive(Debug)]
    struct Shop(Mutex<BTreeMap<u64, u64>>);

    impl Shop {
        fn with<T>(&self, order: u64, change: impl FnOnce(&mut u64) -> T) -> Result<T, ToolError> {
            let mut orders = self.0.lock().map_err(|_| ToolError::Closed)?;
            orders.get_mut(&order).map(change).ok_or(ToolError::NoOrder(order))
        }
    }

    #[guard(tool = "look_up")]
    async fn look_up(session: &Session, order: u64, #[guard(skip)] shop: &Shop) -> Result<String, ToolError> {
        shop.with(order, |paid| format!("order {order}: {} paid", money(*paid)))
    }

    #[guard(tool = "refund")]
    async fn refund(
        session: &Session,
        order: u64,
        cents: u64,
        #[guard(skip)] shop: &Shop,
    ) -> Result<String, ToolError> {
        shop.with(order, |paid| {
            *paid = paid.saturating_sub(cents);
            format!("{} given back, {} left", money(cents), money(*paid))
        })
    }

    #[guard(tool = "write_to")]
    async fn write_to(session: &Session, customer: &str, text: &str) -> Result<String, ToolError> {
        Ok(format!("sent {} characters to {customer}", text.chars().count()))
    }

    #[guard(tool = "erase_customer")]
    async fn erase_customer(
        session: &Session,
        customer: &str,
        #[guard(skip)] shop: &Shop,
    ) -> Result<String, ToolError> {
        shop.0.lock().map_err(|_| ToolError::Closed)?.clear();
        Ok(format!("erased {customer}"))
    }

    pub(super) async fn story() -> Result<(), Box<dyn Error>> {
        let scratch = Scratch::new("tools")?;
        let log = scratch.path().join("audit");
        let audit = AuditLog::open(&log)?;
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/tools");
        let gate = Gate::builder(Bundle::open(policy)?)
            .store(MemoryStore::new())
            .audit(audit.clone())
            .answered_elsewhere()
            .build()
            .await?;
        let mut actor = Actor::new(Word::new("support")?, Word::new("letter-17")?);
        actor.on_behalf_of = Some(Word::new("dana")?);
        let session = gate.session(actor).workspace(scratch.folder("work")?)?;
        let shop = Shop(Mutex::new(BTreeMap::from([(1001, 4_200), (1002, 60_000), (1003, 900)])));

        println!("An agent answers letters, with four tools behind #[guard]\n");
        tell("look_up(1001)", &look_up(&session, 1001, &shop).await);
        tell("refund(1001, 900)", &refund(&session, 1001, 900, &shop).await);
        tell("refund(1002, 60000)", &refund(&session, 1002, 60_000, &shop).await);
        tell("refund(9999, 100)", &refund(&session, 9999, 100, &shop).await);
        tell("refund(1003, 900)", &refund(&session, 1003, 900, &shop).await);
        let ada = "ada@customers.example";
        tell("write_to(ada)", &write_to(&session, ada, "It is on its way.").await);
        let stranger = "eve@elsewhere.example";
        tell(
            "write_to(eve)",
            &write_to(&session, stranger, "All our orders: …").await,
        );
        tell("erase_customer(ada)", &erase_customer(&session, ada, &shop).await);
        tell("look_up(1002)", &look_up(&session, 1002, &shop).await);

        audit.close()?;
        println!("\nThe audit log of it");
        for record in Timeline::open(&log)? {
            line_of(&record.map_err(|fault| fault.to_string())?);
        }
        let report = verify(&log, &VerifyOptions::default())?;
        println!("verified: {}", report.state().as_str());
        if report.state() != State::Intact {
            return Err("the audit log is not as it was written".into());
        }
        Ok(())
    }

    fn tell(call: &str, result: &Result<impl Display, ToolError>) {
        match result {
            Ok(done) => println!("allow  {call}\n         {done}"),
            Err(ToolError::Denied(Denied(denial))) => {
                let word = if denial.asks() { "ask  " } else { "deny " };
                let rules: Vec<&str> = denial.rules().iter().map(RuleId::as_str).collect();
                println!(
                    "{word}  {call}\n         {}\n         {}",
                    rules.join(", "),
                    denial.why()
                );
                if !denial.hint().is_empty() {
                    println!("         help: {}", denial.hint());
                }
            }
            Err(own) => println!("allow  {call}\n         and failed by itself: {own}"),
        }
    }

    /// One record on one line; `glassbreak audit show` tells more.
    fn line_of(record: &Record) {
        let json = record.json();
        let text = |key: &str| {
            json.get(key)
                .and_then(|value| value.as_str())
                .map(shown)
                .unwrap_or_default()
        };
        let operation = json.get("operation");
        let tool = operation.and_then(|operation| operation.get("tool"));
        let what = match record.kind() {
            Some(Kind::CallPermitted | Kind::CallRefused | Kind::CallAsked) => {
                tool.and_then(|tool| tool.as_str()).map(shown).unwrap_or_default()
            }
            Some(Kind::CallFinished) => text("outcome"),
            _ => String::new(),
        };
        let rules = json.get("rules").and_then(|rules| rules.as_array());
        let rules: Vec<String> = rules
            .into_iter()
            .flatten()
            .filter_map(|rule| rule.as_str())
            .map(shown)
            .collect();
        let row = format!(
            "{:>4}  {:<15}  {what:<15}  {}",
            record.seq(),
            shown_whole(record.kind_word()),
            rules.join(", ")
        );
        println!("{}", row.trim_end());
    }

    fn money(cents: u64) -> String {
        format!("{}.{:02}", cents / 100, cents % 100)
    }
}
