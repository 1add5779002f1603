//! The shortest way: a gate, a session, and four calls of an agent. What is allowed really runs.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the gate is built for Linux only");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(story())
}

#[cfg(target_os = "linux")]
async fn story() -> Result<(), Box<dyn std::error::Error>> {
    use glassbreak_core::audit::AuditLog;
    use glassbreak_core::bundle::Bundle;
    use glassbreak_core::call::{Actor, Word};
    use glassbreak_core::gate::{Gate, Verdict};
    use glassbreak_core::store::MemoryStore;

    let scratch = glassbreak_examples::scratch::Scratch::new("quickstart")?;
    let work = scratch.folder("work")?;
    std::fs::write(work.join("notes.txt"), "web answers 502 since nine\n")?;

    // The shipped policy: looking is free. A folder of your own goes in by `Bundle::open("policy")`.
    let gate = Gate::builder(Bundle::read_only()?)
        .store(MemoryStore::new())
        .audit(AuditLog::open(scratch.path().join("audit"))?)
        .build()
        .await?;
    let actor = Actor::new(Word::new("anonymous")?, Word::new("session-1")?);
    let session = gate.session(actor).workspace(&work)?;

    for words in ["cat notes.txt", "cat .env", "grep -r 502 .", "rm -rf ."] {
        match session.exec(words.split(' ')).check().await {
            Verdict::Allow(glassbreak_core::gate::AnyPermit::Exec(permit)) => {
                let (_, output) = permit.exec().await?;
                println!(
                    "allow  {words}\n         {}",
                    String::from_utf8_lossy(&output.stdout).trim_end()
                );
            }
            Verdict::Allow(other) => other.forgo().await,
            Verdict::Ask(escalation) => println!("ask    {words}\n         {}", escalation.denial()),
            Verdict::Deny(denial) => println!("deny   {words}\n         {denial}"),
        }
    }
    Ok(())
}
