//! After the glass: an agent's memory is built anew when what people opened is shut again.
//!
//! The agent gives money back, behind glass. What it says of itself is no memory to build on: when the grant closes, the
//! hook notes what the audit log says was done under it, and builds the index over all notes anew. The agent's next
//! question is answered from that.

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
    use std::error::Error;
    use std::path::Path;

    use async_trait::async_trait;
    use glassbreak_core::approval::{Answer, Ballot};
    use glassbreak_core::audit::{AuditLog, Performed};
    use glassbreak_core::bundle::Bundle;
    use glassbreak_core::call::{Actor, Text, Word};
    use glassbreak_core::clock::Span;
    use glassbreak_core::gate::{AfterGlass, Closed, Denied, Gate, Session};
    use glassbreak_core::guard;
    use glassbreak_core::people::Account;
    use glassbreak_core::store::{MemoryStore, Which};
    use glassbreak_examples::memory::Memory;
    use glassbreak_examples::scratch::Scratch;
    use tokio::sync::mpsc;

    /// Notes what was done under a grant, and builds the index anew.
    #[derive(Debug)]
    struct Remember {
        memory: Memory,
        done: mpsc::UnboundedSender<String>,
    }

    #[async_trait]
    impl AfterGlass for Remember {
        async fn closed(&self, closed: &Closed) -> Result<(), Box<dyn Error + Send + Sync>> {
            let mut note = format!("A grant is {}. Under it:\n", closed.ending);
            for call in &closed.calls {
                let outcome = call.outcome.map_or("nobody told how it ended", Performed::as_str);
                note.push_str(&format!("- {}: {outcome}\n", call.what));
            }
            if closed.calls.is_empty() {
                note.push_str("- nothing\n");
            }
            if !closed.is_all() {
                note.push_str("- and more, which is recorded elsewhere\n");
            }
            // By the grant's id: told twice, it is noted once.
            self.memory.note(&format!("grant-{}", closed.grant.id), &note)?;
            let (notes, words) = self.memory.rebuild()?;
            self.done
                .send(format!("{note}the index has {notes} notes and {words} words"))?;
            Ok(())
        }
    }

    /// What goes wrong in the tool.
    #[derive(Debug, thiserror::Error)]
    enum ToolError {
        #[error(transparent)]
        Denied(#[from] Denied),
        #[error("the bank does not answer")]
        Bank,
    }

    #[guard(tool = "refund")]
    async fn refund(session: &Session, order: u64, cents: u64) -> Result<(), ToolError> {
        if order == 1003 { Err(ToolError::Bank) } else { Ok(()) }
    }

    pub(super) async fn story() -> Result<(), Box<dyn Error>> {
        let scratch = Scratch::new("after-glass")?;
        let memory = Memory::new(scratch.folder("memory")?);
        memory.note("letter-17", "A customer asks about the orders 1002 and 1003.")?;
        memory.rebuild()?;
        let (done, mut told) = mpsc::unbounded_channel();
        let hook = Remember {
            memory: memory.clone(),
            done,
        };
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/inbox");
        let gate = Gate::builder(Bundle::open(policy)?)
            .store(MemoryStore::new())
            .answered_elsewhere()
            .audit(AuditLog::open(scratch.path().join("audit"))?)
            .after_glass(hook)
            .build()
            .await?;
        let mut actor = Actor::new(Word::new("support")?, Word::new("letter-17")?);
        actor.on_behalf_of = Some(Word::new("kim")?);
        let session = gate.session(actor).workspace(scratch.folder("work")?)?;

        println!("The agent wants to give 75.00 back for order 1002, which is behind glass.");
        let asking = tokio::spawn({
            let session = session.clone();
            async move { refund(&session, 1002, 7_500).await }
        });
        let request = loop {
            if let Some(request) = gate.desk().pending().await?.pop() {
                break request;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        let ballot = Ballot {
            account: Account::of_host("inbox:dana")?,
            answer: Answer::Window {
                span: Span::from_millis(60_000),
                uses: 10,
                pins: Vec::new(),
            },
            reason: None,
            card: request.card.digest(),
        };
        gate.desk().vote(request.id, &ballot).await?;
        asking.await??;
        println!("dana opens a window of a minute; 1002 is given back.");
        // The same window covers the next one, and the bank does not answer.
        let second = refund(&session, 1003, 8_000).await;
        println!(
            "The agent tries 1003 as well: {}",
            second.err().map_or("done".to_owned(), |why| why.to_string())
        );
        println!("The agent says: all refunded! It is not asked; its memory is as it was:");
        recall(&memory, "refund 1003")?;

        let reason = Text::new("that is enough for tonight")?;
        gate.desk()
            .revoke(Which::Request(request.id), reason, Word::new("dana")?)
            .await?;
        println!("\ndana closes the window. The hook is told, notes it, and builds the index anew:");
        let note = told.recv().await.ok_or("the hook was not told")?;
        note.lines().for_each(|line| println!("  {line}"));

        println!("\nWhat does the agent remember of 1003 now?");
        let found = recall(&memory, "refund 1003")?;
        let failed = |note: &String| note.contains("1003") && note.contains("failed");
        if !found.iter().any(failed) {
            return Err("the memory does not know that the refund of 1003 failed".into());
        }
        Ok(())
    }

    fn recall(memory: &Memory, question: &str) -> Result<Vec<String>, Box<dyn Error>> {
        let found = memory.find(question)?;
        if found.is_empty() {
            println!("  {question}: nothing");
        }
        for note in &found {
            let lines = note.lines().filter(|line| line.contains("1003"));
            lines.for_each(|line| println!("  {question}: {line}"));
        }
        Ok(found)
    }
}
