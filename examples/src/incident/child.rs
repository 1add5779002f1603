//! Whether a process that this one started is there, as the kernel shows it.

use std::fs;
use std::time::Duration;

use super::Failed;

/// Waits until this process has a child, and returns its id.
pub(super) async fn appears() -> Result<u32, Failed> {
    const LOOK: Duration = Duration::from_millis(10);
    for _ in 0..1_000 {
        if let Some(child) = children().next() {
            return Ok(child);
        }
        tokio::time::sleep(LOOK).await;
    }
    Err("the program was not started within ten seconds".into())
}

/// Whether it is no child of this process any more.
pub(super) fn is_gone(process: u32) -> bool {
    children().all(|child| child != process)
}

fn children() -> impl Iterator<Item = u32> {
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(move |entry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // After the name, which may hold anything but is in brackets: the state and the parent.
        let (_, after) = stat.rsplit_once(')')?;
        (after.split_whitespace().nth(1)? == own).then_some(process)
    })
}
