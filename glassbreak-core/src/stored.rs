//! How values are written where they are kept: as the text that people know them by, checked again when read back.

/// Serializes a type by its `Display`, and reads it back by a function from text.
macro_rules! stored_as_text {
    ($type:ty, $read:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(from)?;
                ($read)(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Sixteen random or dated bytes that name something, written as a UUID.
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A new id, minted at `at`.
            pub fn mint(at: crate::clock::Timestamp) -> Self {
                Self(crate::stored::dated(at))
            }

            /// The id with these bytes, as it was stored.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// When it was minted, by the clock of whoever minted it.
            pub fn minted_at(&self) -> crate::clock::Timestamp {
                crate::stored::date_of(&self.0)
            }

            /// Reads an id as it is printed.
            ///
            /// # Errors
            /// When it is not one.
            pub fn from_text(text: &str) -> Result<Self, crate::error::BadWord> {
                crate::stored::id_of(text).map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&uuid::Uuid::from_bytes(self.0), f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        crate::stored::stored_as_text!($name, $name::from_text);
    };
}

pub(crate) use {id_type, stored_as_text};

use crate::clock::Timestamp;
use crate::error::BadWord;

/// The bytes of a UUID of version 7.
pub(crate) fn dated(at: Timestamp) -> [u8; 16] {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    let nanos = u32::try_from(millis % 1_000 * 1_000_000).unwrap_or(0);
    let time = uuid::Timestamp::from_unix(uuid::NoContext, millis / 1_000, nanos);
    uuid::Uuid::new_v7(time).into_bytes()
}

pub(crate) fn date_of(bytes: &[u8; 16]) -> Timestamp {
    let millis = u128::from_be_bytes(*bytes) >> 80;
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

pub(crate) fn id_of(text: &str) -> Result<[u8; 16], BadWord> {
    uuid::Uuid::try_parse(text)
        .map(uuid::Uuid::into_bytes)
        .map_err(|_| BadWord::new("id", text, "write it as it was printed"))
}

/// The 32 bytes that 64 hexadecimal digits stand for.
pub(crate) fn hash_of(text: &str) -> Result<[u8; 32], BadWord> {
    let bad = || BadWord::new("digest", text, "write 64 hexadecimal digits");
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(bad());
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
    }
    Ok(bytes)
}
