//! The digest of a call: what people approve, and what grants match.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{ArgValue, Args, Connect, Exec, Tool};
use crate::credential::Handover;
use crate::stored::stored_as_text;

/// SHA-256 over the fields of a call.
///
/// The fields stand in a row, each written as a tag of one byte, a length of four bytes (big-endian) and the bytes:
///
/// | tag | field |
/// |---|---|
/// | `01` | `glassbreak.call.v1` |
/// | `02` | `exec`, `tool` or `connect` |
/// | `10` | exec: the name of the program |
/// | `11` | exec: one word of the argv that would run, the program's name first; repeated, in order |
/// | `12` | exec: the working folder relative to the workspace, without `.` and `..`; empty for the workspace itself |
/// | `13` `14` | exec: name and value of a variable added to the environment; repeated, by name |
/// | `15` | exec: SHA-256 of the standard input; absent without input |
/// | `20` | tool: its name |
/// | `21` | tool: its arguments, a record |
/// | `50` | exec, tool: the name of the credential that is handed over; absent where none is |
/// | `51` | with `50`: the variable that a program finds it in; absent for a tool |
/// | `52` `53` | with `50`: how long it may live at most, in milliseconds (eight bytes, big-endian); `granted` or `always` |
/// | `40` `41` | connect: host; port (two bytes, big-endian) |
///
/// Values among arguments are fields of their own: `31` a boolean (one byte), `32` an integer (eight bytes,
/// big-endian, two's complement), `33` a text, `34` a list (its elements, in order), `35` a record (for each field,
/// by name: `36` the name, then the value). A secret value is written as the value within.
///
/// Test vectors are in `tests/vectors/call_digest.json` of this crate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallDigest([u8; 32]);

impl CallDigest {
    /// The digest of running `argv` (the words that would run) in `cwd` (relative to the workspace).
    pub fn of_exec<'a>(program: &str, argv: impl IntoIterator<Item = &'a str>, cwd: &str, exec: &Exec) -> Self {
        Self::of_exec_handed(program, argv, cwd, exec, None)
    }

    /// The same for a program that is handed a credential.
    pub fn of_exec_handed<'a>(
        program: &str,
        argv: impl IntoIterator<Item = &'a str>,
        cwd: &str,
        exec: &Exec,
        handover: Option<&Handover>,
    ) -> Self {
        let mut hasher = Hasher::new(b"exec");
        hasher.field(0x10, program.as_bytes());
        argv.into_iter().for_each(|word| hasher.field(0x11, word.as_bytes()));
        hasher.field(0x12, cwd.as_bytes());
        for (name, value) in exec.env() {
            hasher.field(0x13, name.as_bytes());
            hasher.field(0x14, value.as_bytes());
        }
        if let Some(stdin) = exec.stdin() {
            hasher.field(0x15, &Sha256::digest(stdin));
        }
        hasher.handover(handover);
        hasher.finish()
    }

    /// The digest of calling a tool.
    pub fn of_tool(tool: &Tool) -> Self {
        Self::of_tool_handed(tool, None)
    }

    /// The same for a tool whose body is handed a credential.
    pub fn of_tool_handed(tool: &Tool, handover: Option<&Handover>) -> Self {
        let mut hasher = Hasher::new(b"tool");
        hasher.field(0x20, tool.name.as_str().as_bytes());
        let mut arguments = Vec::new();
        write_args(&mut arguments, &tool.arguments);
        hasher.field(0x21, &arguments);
        hasher.handover(handover);
        hasher.finish()
    }

    /// The digest of opening a connection.
    pub fn of_connect(connect: &Connect) -> Self {
        let mut hasher = Hasher::new(b"connect");
        hasher.field(0x40, connect.host.as_str().as_bytes());
        hasher.field(0x41, &connect.port.to_be_bytes());
        hasher.finish()
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for CallDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for CallDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

stored_as_text!(CallDigest, |text: &str| crate::stored::hash_of(text).map(CallDigest));

/// Lower-case hexadecimal digits: a digest in one piece, because every record holds several.
pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8; 32]) -> fmt::Result {
    f.write_str(std::str::from_utf8(&hex_digits(bytes)).unwrap_or_default())
}

/// The same, where it is not formatted.
pub(crate) fn hex_digits(bytes: &[u8; 32]) -> [u8; 64] {
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' - 10 + half };
    let mut digits = [0; 64];
    let (pairs, _) = digits.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    digits
}

/// Tagged, length-prefixed fields, hashed a few hundred bytes at a time: many small updates cost more than the copy.
struct Hasher {
    sha: Sha256,
    waiting: [u8; 320],
    /// How many bytes wait.
    has: usize,
}

impl Hasher {
    fn new(kind: &[u8]) -> Self {
        let mut hasher = Self {
            sha: Sha256::new(),
            waiting: [0; 320],
            has: 0,
        };
        hasher.field(0x01, b"glassbreak.call.v1");
        hasher.field(0x02, kind);
        hasher
    }

    fn field(&mut self, tag: u8, bytes: &[u8]) {
        self.put(&[tag]);
        self.put(&length(bytes));
        self.put(bytes);
    }

    fn handover(&mut self, handover: Option<&Handover>) {
        // No `..` here: all that is handed over is part of the call.
        let Some(Handover {
            name,
            variable,
            lasts,
            granted,
        }) = handover
        else {
            return;
        };
        self.field(0x50, name.as_str().as_bytes());
        if let Some(variable) = variable {
            self.field(0x51, variable.as_bytes());
        }
        self.field(0x52, &lasts.as_millis().to_be_bytes());
        self.field(0x53, if *granted { b"granted" } else { b"always" });
    }

    fn put(&mut self, bytes: &[u8]) {
        if bytes.len() > self.waiting.len() - self.has {
            self.flush();
        }
        match self.waiting.get_mut(self.has..self.has + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.has += bytes.len();
            }
            None => self.sha.update(bytes),
        }
    }

    fn flush(&mut self) {
        self.sha.update(self.waiting.get(..self.has).unwrap_or_default());
        self.has = 0;
    }

    fn finish(mut self) -> CallDigest {
        self.flush();
        CallDigest(self.sha.finalize().into())
    }
}

/// Lengths are bounded far below 4 GiB where a call is made.
fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()
}

fn write_field(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend(length(bytes));
    out.extend(bytes);
}

fn write_args(out: &mut Vec<u8>, args: &Args) {
    let mut fields = Vec::new();
    for (name, value) in args {
        write_field(&mut fields, 0x36, name.as_bytes());
        write_value(&mut fields, value);
    }
    write_field(out, 0x35, &fields);
}

fn write_value(out: &mut Vec<u8>, value: &ArgValue) {
    match value {
        ArgValue::Bool(value) => write_field(out, 0x31, &[u8::from(*value)]),
        ArgValue::Int(value) => write_field(out, 0x32, &value.to_be_bytes()),
        ArgValue::Str(value) => write_field(out, 0x33, value.as_bytes()),
        ArgValue::List(items) => {
            let mut elements = Vec::new();
            items.iter().for_each(|item| write_value(&mut elements, item));
            write_field(out, 0x34, &elements);
        }
        ArgValue::Record(args) => write_args(out, args),
        ArgValue::Secret(_) => write_value(out, value.revealed()),
    }
}
