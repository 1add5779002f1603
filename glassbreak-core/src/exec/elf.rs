//! Whether the kernel would take a file for a program of this machine.

use std::fs::File;
use std::io::Read;
use std::sync::LazyLock;

/// How long the header of a 64-bit file is; that of a 32-bit file is shorter.
const HEADER: usize = 64;

/// The header of the running program: what fits it fits the machine.
static OWN: LazyLock<Option<Header>> = LazyLock::new(|| {
    let mut head = [0; HEADER];
    File::open("/proc/self/exe")
        .and_then(|mut file| file.read_exact(&mut head))
        .ok()?;
    Header::read(&head)
});

/// What the kernel looks at first (`load_elf_binary`).
struct Header {
    class: u8,
    data: u8,
    kind: u16,
    machine: u16,
    table_at: u64,
    entry: u16,
    entries: u16,
}

/// Whether a file of `size` bytes that begins with `head` is an ELF program for this machine.
///
/// This matters beyond a good message: for a file that the kernel does not know, the C library of GNU starts `/bin/sh`
/// with it. The shell then finds the descriptor closed and reads nothing, but it would have been started.
pub(super) fn is_program(head: &[u8], size: u64) -> bool {
    let (Some(own), Some(found)) = (&*OWN, Header::read(head)) else {
        return false;
    };
    let table = u64::from(found.entry) * u64::from(found.entries);
    (found.class, found.data, found.machine, found.entry) == (own.class, own.data, own.machine, own.entry)
        && matches!(found.kind, 2 | 3)
        && found.entries > 0
        && table <= 65_536
        && found.table_at.checked_add(table).is_some_and(|end| end <= size)
}

impl Header {
    fn read(head: &[u8]) -> Option<Self> {
        let head = head.strip_prefix(b"\x7fELF")?;
        let (class, data) = (*head.first()?, *head.get(1)?);
        // Offsets are those of the file format, less the four bytes of magic.
        let number = |at: usize, length: usize| {
            let bytes = head.get(at - 4..at - 4 + length)?;
            let join = |number, byte: &u8| number << 8 | u64::from(*byte);
            match data {
                1 => Some(bytes.iter().rev().fold(0, join)),
                2 => Some(bytes.iter().fold(0, join)),
                _ => None,
            }
        };
        let short = |at| number(at, 2).and_then(|number| u16::try_from(number).ok());
        let (table_at, entry, entries) = match class {
            1 => (number(28, 4)?, short(42)?, short(44)?),
            2 => (number(32, 8)?, short(54)?, short(56)?),
            _ => return None,
        };
        Some(Self {
            class,
            data,
            kind: short(16)?,
            machine: short(18)?,
            table_at,
            entry,
            entries,
        })
    }
}
