//! The function kept as written, with the guard around its body.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ItemFn, ReturnType, Type};

use crate::manifest;
use crate::mistakes::Mistakes;
use crate::options::Options;
use crate::parameters::{self, Parameters};
use crate::shape::{Shape, Way, for_closure};

pub(crate) fn expand(options: TokenStream, function: TokenStream) -> syn::Result<TokenStream> {
    let mut function: ItemFn = syn::parse2(function)?;
    let mut mistakes = Mistakes::default();
    let Options { tool, session, outcome } = Options::read(options, &mut mistakes);
    let shape = Shape::of(&function.sig, &mut mistakes);
    let parameters = parameters::read(&mut function.sig, session, &mut mistakes);
    mistakes.into_result()?;
    let (Some(tool), Some(shape), Some(parameters)) = (tool, shape, parameters) else {
        return Err(syn::Error::new_spanned(&function.sig.ident, "this cannot be guarded"));
    };

    let manifest = manifest::entry(&tool, &function, &parameters);
    let refusable = refusable(&shape.result);
    let Parameters { session, arguments } = parameters;
    let arguments = arguments.iter().map(|argument| {
        let (name, text) = (&argument.name, argument.name.to_string());
        // A raw identifier is the same name without its mark.
        let text = text.trim_start_matches("r#");
        if argument.secret {
            quote!(.with_secret(#text, &#name))
        } else {
            quote!(.with(#text, &#name))
        }
    });
    let outcome = outcome.map_or_else(
        || quote!(::glassbreak_core::__macros::by_result),
        |given| quote!(#given),
    );
    let call = quote! {
        ::glassbreak_core::__macros::call(
            &#session,
            #tool,
            ::glassbreak_core::__macros::Arguments::new() #(#arguments)*,
        )
    };
    let ItemFn { attrs, vis, sig, block } = &function;
    let future: &ReturnType = &sig.output;
    let (result, _) = for_closure(&shape.result);
    // The call is made, and asked about, where the work is done: making a future asks nobody.
    let body = match shape.way {
        Way::Async => quote! {
            ::glassbreak_core::__macros::run(#call, #outcome, async move || -> #result #block).await
        },
        Way::Sync => quote! {
            ::glassbreak_core::__macros::run_now(#call, #outcome, move || -> #result #block)
        },
        Way::Boxed => quote! {
            ::std::boxed::Box::pin(async move {
                let __glassbreak_call = #call;
                ::glassbreak_core::__macros::run(__glassbreak_call, #outcome, async move || -> #result {
                    (move || #future #block)().await
                }).await
            })
        },
        Way::Opaque => quote! {
            async move {
                let __glassbreak_call = #call;
                ::glassbreak_core::__macros::run(__glassbreak_call, #outcome, async move || -> #result {
                    (move || #block)().await
                }).await
            }
        },
    };
    Ok(quote! {
        #(#attrs)*
        #vis #sig {
            #manifest
            #refusable
            #body
        }
    })
}

/// A function whose result cannot hold a refusal is told so where the result is written.
fn refusable(result: &Type) -> Option<TokenStream> {
    let (_, open) = for_closure(result);
    (!open).then(|| quote_spanned!(result.span()=> ::glassbreak_core::__macros::can_be_refused::<#result>();))
}
