//! What a guarded function tells of itself: the tool, and its arguments as far as their types say.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Expr, ExprLit, GenericArgument, ItemFn, Lit, LitStr, Meta, PathArguments, Type, TypePath};

use crate::parameters::Parameters;
use crate::shape::text;

pub(crate) fn entry(tool: &LitStr, function: &ItemFn, parameters: &Parameters) -> TokenStream {
    let name = function.sig.ident.to_string();
    let about = about(&function.attrs);
    let arguments = parameters.arguments.iter().map(|argument| {
        let name = argument.name.to_string();
        let name = name.trim_start_matches("r#");
        let (ty, required) = match inner(&argument.ty, &["Option"]) {
            Some(within) => (within, false),
            None => (&argument.ty, true),
        };
        let kind = kind(ty);
        let secret = argument.secret;
        quote!(::glassbreak_core::guarded::Argument {
            name: #name,
            kind: #kind,
            required: #required,
            secret: #secret,
        })
    });
    quote! {
        ::glassbreak_core::__macros::inventory::submit! {
            ::glassbreak_core::guarded::GuardedTool {
                tool: #tool,
                function: ::core::concat!(::core::module_path!(), "::", #name),
                about: #about,
                arguments: &[#(#arguments),*],
            }
        }
    }
}

/// The first line of the function's documentation.
fn about(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(line), ..
            }) => Some(line.value()),
            _ => None,
        },
        _ => None,
    });
    let lines = lines.map(|line| line.trim().to_owned());
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The kind of argument that a type is, by its name; a type of the host's own is left for a person to describe.
fn kind(ty: &Type) -> TokenStream {
    let of = quote!(::glassbreak_core::guarded::Kind);
    let whole = |min: i128, max: i128| {
        let clamp = |n: i128| i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX });
        let (min, max) = (clamp(min), clamp(max));
        quote!(#of::Int { min: #min, max: #max })
    };
    if let Type::Reference(reference) = ty {
        return kind(&reference.elem);
    }
    let list = match ty {
        Type::Slice(slice) => Some(&*slice.elem),
        Type::Array(array) => Some(&*array.elem),
        _ => inner(ty, &["Vec", "VecDeque", "HashSet", "BTreeSet"]),
    };
    if let Some(element) = list {
        let element = kind(element);
        return quote!(#of::List(&#element));
    }
    if let Some(within) = inner(ty, &["Box", "Rc", "Arc", "Cow"]) {
        return kind(within);
    }
    let Type::Path(TypePath { qself: None, path }) = ty else {
        let written = text(ty);
        return quote!(#of::Other(#written));
    };
    let last = path
        .segments
        .last()
        .map(|last| last.ident.to_string())
        .unwrap_or_default();
    match last.as_str() {
        "bool" => quote!(#of::Bool),
        "str" | "String" | "char" => quote!(#of::Str),
        "i8" => whole(i8::MIN.into(), i8::MAX.into()),
        "i16" => whole(i16::MIN.into(), i16::MAX.into()),
        "i32" => whole(i32::MIN.into(), i32::MAX.into()),
        "i64" | "isize" | "i128" => whole(i64::MIN.into(), i64::MAX.into()),
        "u8" => whole(0, u8::MAX.into()),
        "u16" => whole(0, u16::MAX.into()),
        "u32" => whole(0, u32::MAX.into()),
        "u64" | "usize" | "u128" => whole(0, i64::MAX.into()),
        _ => {
            let written = text(ty);
            quote!(#of::Other(#written))
        }
    }
}

/// The `T` of `Name<T>`, for these names.
fn inner<'a>(ty: &'a Type, names: &[&str]) -> Option<&'a Type> {
    let Type::Path(TypePath { path, .. }) = ty else {
        return None;
    };
    let last = path.segments.last()?;
    if !names.iter().any(|name| last.ident == name) {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}
