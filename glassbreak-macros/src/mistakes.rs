//! What is wrong with a function, all of it at once.

use proc_macro2::Span;
use quote::ToTokens;

#[derive(Default)]
pub(crate) struct Mistakes(Option<syn::Error>);

impl Mistakes {
    pub(crate) fn push(&mut self, one: syn::Error) {
        match &mut self.0 {
            Some(all) => all.combine(one),
            None => self.0 = Some(one),
        }
    }

    pub(crate) fn add(&mut self, span: Span, message: &str) {
        self.push(syn::Error::new(span, message));
    }

    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: &str) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    pub(crate) fn into_result(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
