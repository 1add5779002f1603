//! What stands between the brackets.

use proc_macro2::TokenStream;
use syn::parse::Parser;
use syn::{Attribute, LitStr, Meta, meta};

/// `#[guard(tool = "…")]`.
pub(crate) struct Options {
    /// The tool's name in the manifest.
    pub(crate) tool: LitStr,
}

impl Options {
    pub(crate) fn read(tokens: TokenStream) -> syn::Result<Self> {
        let mut tool: Option<LitStr> = None;
        let parser = meta::parser(|meta| {
            if meta.path.is_ident("tool") {
                if tool.is_some() {
                    return Err(meta.error("`tool` stands twice"));
                }
                tool = Some(meta.value()?.parse()?);
                return Ok(());
            }
            Err(meta.error("not known here; write `tool = \"name in tools.toml\"`"))
        });
        parser.parse2(tokens.clone())?;
        let Some(tool) = tool else {
            return Err(syn::Error::new_spanned(
                tokens,
                "name the tool: #[guard(tool = \"name in tools.toml\")]",
            ));
        };
        let name = tool.value();
        let fit = |b: u8| b.is_ascii_alphanumeric() || b"_-.:@/+".contains(&b);
        if !name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) || name.len() > 128 || !name.bytes().all(fit)
        {
            return Err(syn::Error::new(
                tool.span(),
                "a tool's name has 1 to 128 letters, digits or `_-.:@/+`",
            ));
        }
        Ok(Self { tool })
    }
}

/// What `#[guard(…)]` on a parameter says; such attributes are taken off.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Not an argument of the call: a client, a connection.
    Skip,
    /// The session that asks.
    Session,
}

pub(crate) fn take_mark(attributes: &mut Vec<Attribute>) -> syn::Result<Option<Mark>> {
    let mut mark = None;
    let mut error: Option<syn::Error> = None;
    attributes.retain(|attribute| {
        if !attribute.path().is_ident("guard") {
            return true;
        }
        let read = match &attribute.meta {
            Meta::List(list) if list.tokens.to_string() == "skip" => Ok(Mark::Skip),
            Meta::List(list) if list.tokens.to_string() == "session" => Ok(Mark::Session),
            other => Err(syn::Error::new_spanned(
                other,
                "write #[guard(skip)] or #[guard(session)]",
            )),
        };
        match read {
            Ok(read) if mark.is_none() => mark = Some(read),
            Ok(_) => push(
                &mut error,
                syn::Error::new_spanned(attribute, "a parameter has one mark"),
            ),
            Err(bad) => push(&mut error, bad),
        }
        false
    });
    error.map_or(Ok(mark), Err)
}

/// Adds to the mistakes found, so that all are told at once.
pub(crate) fn push(all: &mut Option<syn::Error>, one: syn::Error) {
    match all {
        Some(all) => all.combine(one),
        None => *all = Some(one),
    }
}
