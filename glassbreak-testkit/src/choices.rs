//! Decisions, made from bytes.

/// A source of decisions over bytes that come from outside.
///
/// Each decision takes a byte or two; when they are used up every decision is the first choice. So a shorter input
/// is a simpler case, which is what shrinking and corpus minimising need.
#[derive(Debug, Clone)]
pub struct Choices<'a> {
    left: &'a [u8],
}

impl<'a> Choices<'a> {
    /// Decisions from `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// The next byte; 0 at the end.
    pub fn byte(&mut self) -> u8 {
        match self.left.split_first() {
            Some((byte, left)) => {
                self.left = left;
                *byte
            }
            None => 0,
        }
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        let wide = usize::from(self.byte());
        let wide = if end > 256 {
            wide << 8 | usize::from(self.byte())
        } else {
            wide
        };
        wide.checked_rem(end).unwrap_or(0)
    }

    /// True once in `of` times; never at the end of the bytes.
    pub fn once_in(&mut self, of: usize) -> bool {
        self.below(of) + 1 == of
    }

    /// One of these texts; empty when there are none.
    pub fn word(&mut self, of: &[&'static str]) -> &'static str {
        let at = self.below(of.len());
        of.get(at).copied().unwrap_or_default()
    }

    /// At most `most` of the bytes that are left, taken.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, left) = self.left.split_at(most.min(self.left.len()));
        self.left = left;
        taken
    }

    /// Whether all bytes are used up.
    pub const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }
}

/// `length` bytes that follow from `seed` (SplitMix64), for runs without a fuzzer.
pub fn seeded(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend((z ^ (z >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_make_the_same_decisions_and_none_make_the_first() {
        let bytes = seeded(7, 32);
        let decisions = |mut choices: Choices<'_>| [choices.below(3), choices.below(1000), choices.below(0)];
        assert_eq!(decisions(Choices::new(&bytes)), decisions(Choices::new(&bytes)));
        assert_eq!(decisions(Choices::new(&[])), [0, 0, 0]);
        assert_eq!(Choices::new(&[]).word(&["a", "b"]), "a");
        assert_ne!(seeded(1, 8), seeded(2, 8));
    }
}
