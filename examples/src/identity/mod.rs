//! Who is who by tokens: a stand-in for a sign-in, and a service that takes credentials.

mod service;
mod sign_in;

pub use self::service::Service;
pub use self::sign_in::SignIn;

use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use glassbreak_core::audit::KeyFile;

/// A new signing key in a file that only its owner can read: what `openssl rand -hex 32` makes.
///
/// # Errors
/// When the file is there, or cannot be written.
pub fn new_key(path: &Path) -> Result<KeyFile, Box<dyn std::error::Error>> {
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    let digits: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = std::fs::OpenOptions::new();
    let mut file: std::fs::File = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(digits.as_bytes())?;
    Ok(KeyFile::open(path)?)
}

/// Base64url without padding, as tokens have it.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let all = three.iter().fold(0_u32, |all, byte| (all << 8) | u32::from(*byte)) << (8 * (3 - three.len()));
        let digit = |n: usize| {
            DIGITS
                .get((all >> (18 - 6 * n) & 63) as usize)
                .copied()
                .unwrap_or_default()
        };
        text.extend((0..=three.len()).map(|n| char::from(digit(n))));
    }
    text
}

/// Hexadecimal digits as bytes.
fn bytes(digits: &str) -> io::Result<Vec<u8>> {
    let pairs = (0..digits.len()).step_by(2);
    let pair = |at: usize| {
        digits
            .get(at..at + 2)
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    pairs
        .map(|at| pair(at).ok_or_else(|| io::ErrorKind::InvalidData.into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
        assert_eq!(base64url(&[0xfb, 0xff, 0xfe]), "-__-");
    }
}
