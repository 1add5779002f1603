//! A token that was changed anywhere is none, and no text does more than be refused.

use glassbreak_identity::{TokenError, Verifier};
use proptest::prelude::*;

use crate::support::{Mint, expect, keys, verifier, verify};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_token_that_was_changed_is_refused(at in any::<prop::sample::Index>(), to in 0_u8..128, how in 0..3) {
        let mint = Mint::new(1, "k");
        let token = mint.headed(|_| {});
        let mut bytes = token.clone().into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = to,
            1 => bytes.insert(at, to),
            _ => bytes.truncate(at),
        }
        let changed = String::from_utf8(bytes).unwrap();
        prop_assume!(changed != token);
        prop_assert!(verify(&verifier(&mint), &changed).is_err(), "{}", changed);
    }

    #[test]
    fn any_text_is_refused(text in "\\PC*") {
        prop_assert!(verify(&verifier(&Mint::new(1, "k")), &text).is_err());
    }

    #[test]
    fn any_three_parts_are_refused(parts in prop::collection::vec("[A-Za-z0-9_-]{0,60}", 0..6)) {
        prop_assert!(verify(&verifier(&Mint::new(1, "k")), &parts.join(".")).is_err());
    }
}

#[test]
fn a_token_by_another_key_is_refused() {
    let (mint, thief) = (Mint::new(1, "k"), Mint::new(2, "k"));
    assert_eq!(
        verify(&verifier(&mint), &thief.headed(|_| {})),
        Err(TokenError::Signature)
    );
}

#[test]
fn a_huge_token_is_not_read() {
    let mint = Mint::new(1, "k");
    let pad = |n: usize| mint.claiming(|claims| drop(claims.insert("pad".into(), "x".repeat(n).into())));
    assert!(verify(&verifier(&mint), &pad(4_000)).is_ok());
    assert_eq!(
        verify(&verifier(&mint), &pad(8_000)),
        Err(TokenError::TooLong { most: 8_192 })
    );
    let wide = Verifier::new(expect().size(usize::MAX), keys(&[mint.jwk()]));
    assert!(verify(&wide, &pad(40_000)).is_ok());
    assert_eq!(verify(&wide, &pad(60_000)), Err(TokenError::TooLong { most: 65_536 }));
    assert!(verify(&wide, &"a.".repeat(10_000_000)).is_err());
}

#[test]
fn the_ways_to_write_one_token_are_one() {
    let mint = Mint::new(1, "k");
    let token = mint.headed(|_| {});
    for other in [
        format!("{token}="),
        format!("{token} "),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{token}."),
        format!(".{token}"),
        token.replace('.', ".."),
        token.replace('.', "\u{ff0e}"),
        format!("Bearer {token}"),
    ] {
        assert!(verify(&verifier(&mint), &other).is_err(), "{other:?}");
    }
}
