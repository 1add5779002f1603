//! The bytes of a key, kept in place: every call makes one for each budget it meets, and most are counted already.

use std::fmt;
use std::ops::Deref;

use sha2::{Digest, Sha256};

/// Keys over this many bytes are kept as their SHA-256.
pub(in crate::budget) const LONGEST: usize = 96;
/// Begins a hashed key; no part has this tag.
const HASHED: u8 = 0xff;

/// At most [`LONGEST`] bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::budget) struct KeyBytes {
    length: u8,
    /// Zeros behind the length.
    bytes: [u8; LONGEST],
}

impl KeyBytes {
    const NONE: Self = Self {
        length: 0,
        bytes: [0; LONGEST],
    };

    /// `false`, and nothing is changed, where they find no place.
    fn push(&mut self, more: &[u8]) -> bool {
        let start = usize::from(self.length);
        let end = start.saturating_add(more.len());
        let (Some(place), Ok(length)) = (self.bytes.get_mut(start..end), u8::try_from(end)) else {
            return false;
        };
        place.copy_from_slice(more);
        self.length = length;
        true
    }
}

impl Deref for KeyBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&self.bytes)
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Parts of a key as they come, on the heap only where they are long.
#[derive(Debug)]
pub(super) struct Writer {
    short: KeyBytes,
    /// All of it, once it is too long for the other.
    long: Vec<u8>,
}

impl Writer {
    pub(super) const fn new() -> Self {
        Self {
            short: KeyBytes::NONE,
            long: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.long.is_empty() {
            if self.short.push(bytes) {
                return;
            }
            self.long.extend_from_slice(&self.short);
        }
        self.long.extend_from_slice(bytes);
    }

    /// One part, with its tag and length.
    pub(super) fn part(&mut self, tag: u8, text: &str) {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.push(&[tag]);
        self.push(&length.to_be_bytes());
        self.push(text.as_bytes());
    }

    /// What was written.
    pub(super) fn bytes(&self) -> &[u8] {
        if self.long.is_empty() { &self.short } else { &self.long }
    }

    /// The same as a key.
    pub(super) fn key(self) -> KeyBytes {
        if self.long.is_empty() {
            return self.short;
        }
        let mut key = KeyBytes::NONE;
        key.push(&[HASHED]);
        key.push(&Sha256::digest(&self.long));
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(pieces: &[&[u8]]) -> KeyBytes {
        let mut writer = Writer::new();
        pieces.iter().for_each(|piece| writer.push(piece));
        assert_eq!(writer.bytes(), pieces.concat());
        writer.key()
    }

    #[test]
    fn what_fits_stays_and_what_does_not_is_hashed_whole() {
        for length in [0, 1, 95, 96] {
            let bytes = vec![7; length];
            assert_eq!(&*key_of(&[&bytes]), bytes);
            assert_eq!(key_of(&[&bytes[..length / 2], &bytes[length / 2..]]), key_of(&[&bytes]));
        }
        for length in [97, 200, 70_000] {
            let bytes = vec![7; length];
            let hashed = [&[HASHED][..], &Sha256::digest(&bytes)].concat();
            assert_eq!(&*key_of(&[&bytes]), hashed);
            assert_eq!(&*key_of(&[&bytes[..50], &[], &bytes[50..]]), hashed);
        }
    }
}
