//! What calls that are alike have in common.

use crate::call::{ArgValue, Args, Operation};

/// A hash of what `operation` does, blind to what changes from one try to the next: numbers, ids, hashes, what stands
/// in quotes. `delete pod web-7d4b9` and `delete pod web-x2x1p` are alike; `get pod` and `delete pod` are not.
///
/// It finds things that go on and on; nothing is permitted by it. Two that differ may come out alike, which only makes a
/// loop rule see more.
pub fn norm(operation: &Operation) -> u64 {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    match operation {
        Operation::Exec(exec) => {
            for word in exec.argv().words() {
                hash.text(word);
            }
        }
        Operation::Tool(tool) => {
            hash.text(tool.name.as_str());
            hash.args(&tool.arguments);
        }
        Operation::Connect(connect) => hash.text(connect.host.as_str()),
    }
    hash.0
}

/// FNV-1a: any hash will do.
struct Fnv(u64);

impl Fnv {
    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }

    fn args(&mut self, args: &Args) {
        for (name, value) in args {
            self.text(name);
            self.value(value);
        }
    }

    fn value(&mut self, value: &ArgValue) {
        match value {
            ArgValue::Bool(value) => self.byte(u8::from(*value)),
            ArgValue::Int(_) => self.byte(b'#'),
            ArgValue::Str(text) => self.text(text),
            ArgValue::List(items) => items.iter().for_each(|item| self.value(item)),
            ArgValue::Record(fields) => self.args(fields),
            ArgValue::Secret(_) => self.value(value.revealed()),
        }
    }

    /// The text, each piece with a digit in it as one `#`, and what stands in quotes left out.
    fn text(&mut self, text: &str) {
        let mut quote = None;
        let mut start = 0;
        let bytes = text.as_bytes();
        for (n, byte) in bytes.iter().enumerate() {
            match (quote, byte) {
                (Some(open), close) if open == *close => {
                    quote = None;
                    start = n + 1;
                }
                (Some(_), _) => {}
                (None, b'"' | b'\'') => {
                    self.piece(bytes.get(start..n).unwrap_or_default());
                    self.byte(b'"');
                    quote = Some(*byte);
                }
                (None, byte) if !byte.is_ascii_alphanumeric() => {
                    self.piece(bytes.get(start..n).unwrap_or_default());
                    self.byte(*byte);
                    start = n + 1;
                }
                (None, _) => {}
            }
        }
        if quote.is_none() {
            self.piece(bytes.get(start..).unwrap_or_default());
        }
        self.byte(0);
    }

    fn piece(&mut self, piece: &[u8]) {
        if piece.iter().any(u8::is_ascii_digit) {
            self.byte(b'#');
        } else {
            piece.iter().for_each(|byte| self.byte(*byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Argv, Exec};

    fn of(line: &str) -> u64 {
        let words: Vec<&str> = line.split(' ').collect();
        norm(&Operation::Exec(Exec::new(Argv::new(words).unwrap())))
    }

    #[test]
    fn what_changes_from_try_to_try_is_left_out_and_nothing_else() {
        for (one, other) in [
            ("kubectl delete pod web-7d4b9", "kubectl delete pod web-x2x1p"),
            ("cat /tmp/run-17/log", "cat /tmp/run-18/log"),
            (
                "get 550e8400-e29b-41d4-a716-446655440000",
                "get 1b4e28ba-2fa1-11d2-883f-0016d3cca427",
            ),
            ("grep \"a\" x", "grep \"bcd\" x"),
        ] {
            assert_eq!(of(one), of(other), "{one}");
        }
        for (one, other) in [
            ("kubectl get pod", "kubectl delete pod"),
            ("a b c", "a bc"),
            ("a", "a b"),
            ("cat notes.txt", "cat notes.md"),
        ] {
            assert_ne!(of(one), of(other), "{one}");
        }
    }
}
