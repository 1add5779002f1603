//! What a child would inherit from the host.

use std::{fs, io};

/// A descriptor that every child gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inheritable {
    /// Its number.
    pub number: u32,
    /// What it is, as the kernel names it, such as a path, `pipe:[…]` or `socket:[…]`.
    pub what: String,
}

/// The descriptors above 2 that this process would hand to every program it starts.
///
/// What Rust opens is closed when a program is executed; what the host's own parent left open, or a C library opened
/// carelessly, is not, and closing it in the child takes `unsafe` code that this library does not have. A host should
/// call this once when it starts, and treat an answer as a fault of its own.
///
/// # Errors
/// When `/proc/self` cannot be read.
pub fn inheritable() -> io::Result<Vec<Inheritable>> {
    const CLOEXEC: u32 = 0o2_000_000;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if number <= 2 {
            continue;
        }
        // A descriptor closed meanwhile by another thread is of no interest.
        let Ok(info) = fs::read_to_string(format!("/proc/self/fdinfo/{number}")) else {
            continue;
        };
        let flags = info
            .lines()
            .find_map(|line| line.strip_prefix("flags:"))
            .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
        if flags.is_none_or(|flags| flags & CLOEXEC == 0) {
            let what = fs::read_link(format!("/proc/self/fd/{number}"))
                .map_or_else(|_| "unknown".to_owned(), |path| path.to_string_lossy().into_owned());
            found.push(Inheritable { number, what });
        }
    }
    found.sort_by_key(|found| found.number);
    Ok(found)
}
