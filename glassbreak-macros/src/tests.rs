//! What the attribute makes of a function, as one reads it. After a change look at the difference, and write the new
//! text with `EXPANSIONS=overwrite cargo test -p glassbreak-macros`.

use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{File, ItemFn, Meta};

use crate::expand::expand;

/// What stands between the brackets, and the function without them.
fn parts(text: &str) -> (TokenStream, TokenStream) {
    let mut function: ItemFn = syn::parse_str(text).unwrap();
    let at = function
        .attrs
        .iter()
        .position(|attribute| attribute.path().is_ident("guard"))
        .unwrap();
    let Meta::List(list) = function.attrs.remove(at).meta else {
        panic!("no brackets")
    };
    (list.tokens, function.into_token_stream())
}

fn expanded(text: &str) -> String {
    let (options, function) = parts(text);
    let file: File = syn::parse2(expand(options, function).unwrap()).unwrap();
    prettyplease::unparse(&file)
}

fn mistakes(text: &str) -> Vec<String> {
    let (options, function) = parts(text);
    let all = expand(options, function).unwrap_err();
    all.into_iter().map(|one| one.to_string()).collect()
}

#[test]
fn functions_expand_as_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expansions");
    let overwrite = std::env::var_os("EXPANSIONS").is_some_and(|word| word == "overwrite");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.retain(|path| path.extension().is_some_and(|end| end == "rs"));
    assert!(cases.len() >= 5);
    for case in cases {
        let is = expanded(&std::fs::read_to_string(&case).unwrap());
        let golden = case.with_extension("expanded");
        if overwrite {
            std::fs::write(&golden, &is).unwrap();
        }
        assert_eq!(is, std::fs::read_to_string(&golden).unwrap(), "{}", case.display());
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let all = mistakes(
        "#[guard(tool = \"not a name\", session = GLOBAL.get())] const unsafe fn f((a, b): (u8, u8), #[guard(skp)] c: u8) {}",
    );
    let starts = [
        "a tool's name has",
        "a const function",
        "an unsafe function",
        "a guarded function may be refused",
        "give this parameter a plain name",
        "write #[guard(skip)]",
        "the session comes from a parameter or from `self`, never from a global",
    ];
    assert_eq!(all.len(), starts.len(), "{all:#?}");
    for (one, start) in all.iter().zip(starts) {
        assert!(one.starts_with(start), "{one}");
    }
}

#[test]
fn a_session_comes_from_a_parameter_or_from_self() {
    let of = |session: &str| {
        format!("#[guard(tool = \"t\", session = {session})] async fn f(&self, app: App) -> Result<(), E> {{ Ok(()) }}")
    };
    for good in ["self.session", "&self.0", "app.session()", "(*app).sessions[0]", "app"] {
        let (options, function) = parts(&of(good));
        assert!(expand(options, function).is_ok(), "{good}");
    }
    for bad in [
        "SESSION",
        "state::SESSION",
        "session()",
        "{ app.session }",
        "Session::current(app)",
        "self_.session",
    ] {
        assert!(mistakes(&of(bad))[0].contains("never from a global"), "{bad}");
    }
}

#[test]
fn there_is_one_session() {
    let two = "#[guard(tool = \"t\")] async fn f(session: &Session, other: &gate::Session) -> Result<(), E> { Ok(()) }";
    assert!(mistakes(two)[0].starts_with("there are two sessions"));
    let given = "#[guard(tool = \"t\", session = app.session)] async fn f(app: &App, session: &Session) -> R { x }";
    assert!(mistakes(given)[0].starts_with("there are two sessions"));
    let none = "#[guard(tool = \"t\")] async fn f(&self) -> Result<(), E> { Ok(()) }";
    assert!(mistakes(none)[0].contains("session = self.session"));
}
