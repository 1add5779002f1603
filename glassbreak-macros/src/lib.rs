//! `#[guard]`, documented where it is re-exported: `glassbreak_core::guard`.

mod expand;
mod manifest;
mod mistakes;
mod options;
mod parameters;
mod shape;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

#[expect(
    missing_docs,
    reason = "documented at its re-export, so that its examples are tested there"
)]
#[proc_macro_attribute]
pub fn guard(options: TokenStream, function: TokenStream) -> TokenStream {
    expand::expand(options.into(), function.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
