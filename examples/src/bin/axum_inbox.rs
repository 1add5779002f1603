//! Approvals in the browser: an agent gives money back, and two persons answer on a small page.
//!
//! Each person has a link of their own. Open it, and the cards appear by themselves. The story ends when all is answered,
//! or after five minutes, because no answer is a no.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the gate is built for Linux only");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => 0,
        [option, port] if option == "--port" => port.parse()?,
        _ => return Err("write nothing, or --port NUMBER".into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(story(port))
}

#[cfg(target_os = "linux")]
async fn story(port: u16) -> Result<(), Box<dyn std::error::Error>> {
    use glassbreak_core::gate::Denied;
    use glassbreak_examples::inbox::Inbox;
    use glassbreak_examples::inbox::shop::{Shop, refund};

    let shop = Shop::open("inbox").await?;
    let (inbox, listener) = Inbox::open(shop.gate.clone(), shop.bell.clone(), port, &["dana", "lee"]).await?;
    println!("Whoever opens a link is that person; it is for them alone.");
    for (name, link) in inbox.links() {
        println!("  {name:<5} {link}");
    }
    tokio::spawn(inbox.serve(listener));
    println!("\nThe agent waits until somebody has the page open.");
    shop.bell.heard().await;

    for (order, cents) in [(1001, 900), (1002, 12_000), (1003, 7_500), (1004, 60_000)] {
        println!("refund({order}, {cents}): asked");
        match refund(&shop.session, order, cents).await {
            Ok(done) => println!("  allowed: {done}"),
            Err(Denied(denial)) => println!("  refused: {}", denial.why()),
        }
    }
    println!("That was all.");
    Ok(())
}
