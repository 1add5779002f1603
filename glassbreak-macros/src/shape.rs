//! What kind of function it is: how its body becomes a result.

use quote::ToTokens;
use syn::{
    AngleBracketedGenericArguments, GenericArgument, PathArguments, ReturnType, Signature, Type, TypeParamBound,
    TypePath, parse_quote,
};

use crate::mistakes::Mistakes;

/// How the body runs, and what it results in.
pub(crate) struct Shape {
    pub(crate) way: Way,
    /// What comes of the call in the end.
    pub(crate) result: Type,
}

/// How the body runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// `async fn f() -> R`.
    Async,
    /// `fn f() -> R`.
    Sync,
    /// `fn f() -> Pin<Box<dyn Future<Output = R>>>`; also what `#[async_trait]` makes of an async method.
    Boxed,
    /// `fn f() -> impl Future<Output = R>`.
    Opaque,
}

impl Shape {
    pub(crate) fn of(signature: &Signature, mistakes: &mut Mistakes) -> Option<Self> {
        if let Some(token) = &signature.constness {
            mistakes.at(token, "a const function can ask nobody, so it cannot be guarded");
        }
        if let Some(token) = &signature.unsafety {
            mistakes.at(
                token,
                "an unsafe function cannot be guarded; guard a safe one that calls it",
            );
        }
        let ReturnType::Type(_, output) = &signature.output else {
            let message = "a guarded function may be refused: let it return a Result whose error is From<Denied>";
            mistakes.at(&signature.ident, message);
            return None;
        };
        let opaque = match &**output {
            Type::ImplTrait(opaque) => opaque.bounds.iter().find_map(output_of),
            _ => None,
        };
        let (way, result) = match (signature.asyncness, opaque, boxed(output)) {
            (Some(_), ..) => (Way::Async, None),
            (None, Some(result), _) => (Way::Opaque, Some(result)),
            (None, None, Some(result)) => (Way::Boxed, Some(result)),
            (None, None, None) => (Way::Sync, None),
        };
        Some(Self {
            way,
            result: result.unwrap_or_else(|| Type::clone(output)),
        })
    }
}

/// The `R` of `Future<Output = R>`.
fn output_of(bound: &TypeParamBound) -> Option<Type> {
    let TypeParamBound::Trait(bound) = bound else {
        return None;
    };
    let last = bound.path.segments.last()?;
    if last.ident != "Future" {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(output) if output.ident == "Output" => Some(output.ty.clone()),
        _ => None,
    })
}

/// The `R` of `Pin<Box<dyn Future<Output = R>>>`, `BoxFuture<'_, R>` and `LocalBoxFuture<'_, R>`.
fn boxed(ty: &Type) -> Option<Type> {
    let (name, arguments) = generic(ty)?;
    let mut types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    match name.as_str() {
        "BoxFuture" | "LocalBoxFuture" => types.next().cloned(),
        "Pin" => {
            let (name, arguments) = generic(types.next()?)?;
            match (name.as_str(), arguments.args.first()?) {
                ("Box", GenericArgument::Type(Type::TraitObject(object))) => object.bounds.iter().find_map(output_of),
                _ => None,
            }
        }
        _ => None,
    }
}

fn generic(ty: &Type) -> Option<(String, &AngleBracketedGenericArguments)> {
    let Type::Path(TypePath { path, .. }) = ty else {
        return None;
    };
    let last = path.segments.last()?;
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) => Some((last.ident.to_string(), arguments)),
        _ => None,
    }
}

/// The same type as a closure may say it: there, what is `impl Trait` must be left open. Whether some of it was.
pub(crate) fn for_closure(ty: &Type) -> (Type, bool) {
    let mut ty = ty.clone();
    let opened = open(&mut ty);
    (ty, opened)
}

fn open(ty: &mut Type) -> bool {
    match ty {
        Type::ImplTrait(_) => {
            *ty = parse_quote!(_);
            true
        }
        Type::Reference(reference) => open(&mut reference.elem),
        Type::Paren(paren) => open(&mut paren.elem),
        Type::Group(group) => open(&mut group.elem),
        Type::Array(array) => open(&mut array.elem),
        Type::Tuple(tuple) => open_all(tuple.elems.iter_mut()),
        Type::Path(path) => {
            let arguments = path
                .path
                .segments
                .iter_mut()
                .filter_map(|segment| match &mut segment.arguments {
                    PathArguments::AngleBracketed(arguments) => Some(&mut arguments.args),
                    _ => None,
                });
            open_all(arguments.flatten().filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            }))
        }
        _ => false,
    }
}

/// Opens them all, and says whether any was.
fn open_all<'a>(types: impl Iterator<Item = &'a mut Type>) -> bool {
    let mut opened = false;
    for ty in types {
        opened |= open(ty);
    }
    opened
}

/// A type as one reads it.
pub(crate) fn text(ty: &Type) -> String {
    ty.to_token_stream().to_string()
}
