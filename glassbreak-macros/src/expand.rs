//! The function kept as written, with the guard around its body.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{FnArg, Ident, ItemFn, Pat, PatType, ReturnType, Type};

use crate::options::{Mark, Options, push, take_mark};

pub(crate) fn expand(options: TokenStream, function: TokenStream) -> syn::Result<TokenStream> {
    let mut function: ItemFn = syn::parse2(function)?;
    let mut mistakes = None;
    let options = Options::read(options).map_err(|bad| push(&mut mistakes, bad)).ok();
    if function.sig.asyncness.is_none() {
        push(
            &mut mistakes,
            syn::Error::new_spanned(function.sig.fn_token, "only async functions can be guarded so far"),
        );
    }
    if matches!(function.sig.output, ReturnType::Default) {
        let message = "a guarded function may be refused: let it return a Result whose error is From<Denied>";
        push(&mut mistakes, syn::Error::new_spanned(&function.sig.ident, message));
    }
    let parameters = parameters(&mut function, &mut mistakes);
    let session = parameters.session;
    if session.is_none() {
        let message = "no parameter is the session: add `session: &Session`, or mark one with #[guard(session)]";
        push(&mut mistakes, syn::Error::new_spanned(&function.sig.ident, message));
    }
    let (Some(options), Some(session), None) = (options, session, &mistakes) else {
        return Err(mistakes.unwrap_or_else(|| syn::Error::new_spanned(&function.sig.ident, "this cannot be guarded")));
    };

    let ItemFn { attrs, vis, sig, block } = &function;
    let tool = options.tool;
    let names = parameters.arguments.iter().map(ToString::to_string);
    let values = &parameters.arguments;
    let output = match &sig.output {
        ReturnType::Type(_, ty) => quote!(#ty),
        ReturnType::Default => quote!(()),
    };
    Ok(quote! {
        #(#attrs)*
        #vis #sig {
            let __arguments = ::glassbreak_core::__macros::arguments([
                #((#names, ::glassbreak_core::__macros::argument(&#values))),*
            ]);
            ::glassbreak_core::__macros::run(#session, #tool, __arguments, async move || -> #output { #block }).await
        }
    })
}

#[derive(Default)]
struct Parameters {
    session: Option<Ident>,
    arguments: Vec<Ident>,
}

fn parameters(function: &mut ItemFn, mistakes: &mut Option<syn::Error>) -> Parameters {
    let mut found = Parameters::default();
    for input in &mut function.sig.inputs {
        let parameter = match input {
            FnArg::Typed(parameter) => parameter,
            FnArg::Receiver(receiver) => {
                push(
                    mistakes,
                    syn::Error::new_spanned(receiver, "methods cannot be guarded so far; guard a free function"),
                );
                continue;
            }
        };
        let mark = take_mark(&mut parameter.attrs).unwrap_or_else(|bad| {
            push(mistakes, bad);
            None
        });
        let Pat::Ident(name) = &*parameter.pat else {
            push(
                mistakes,
                syn::Error::new_spanned(&parameter.pat, "give this parameter a plain name"),
            );
            continue;
        };
        match mark {
            Some(Mark::Skip) => {}
            Some(Mark::Session) => set_session(&mut found, parameter, &name.ident, mistakes),
            None if is_session(&parameter.ty) => set_session(&mut found, parameter, &name.ident, mistakes),
            None => found.arguments.push(name.ident.clone()),
        }
    }
    found
}

fn set_session(found: &mut Parameters, parameter: &PatType, name: &Ident, mistakes: &mut Option<syn::Error>) {
    if found.session.is_some() {
        push(
            mistakes,
            syn::Error::new_spanned(parameter, "there are two sessions; mark the other #[guard(skip)]"),
        );
    }
    found.session = Some(name.clone());
}

/// `&Session` or `&path::to::Session`.
fn is_session(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => {
            matches!(&*reference.elem, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Session"))
        }
        _ => false,
    }
}
