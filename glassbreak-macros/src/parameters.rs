//! Who asks, and with what arguments.

use quote::ToTokens;
use syn::{Expr, FnArg, Ident, Pat, PatType, Signature, Type, parse_quote};

use crate::mistakes::Mistakes;
use crate::options::{Mark, root, take_mark};

pub(crate) struct Parameters {
    pub(crate) session: Expr,
    pub(crate) arguments: Vec<Argument>,
}

pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    pub(crate) secret: bool,
}

/// Takes the marks off the parameters, and sorts them.
pub(crate) fn read(signature: &mut Signature, given: Option<Expr>, mistakes: &mut Mistakes) -> Option<Parameters> {
    let mut session: Option<Ident> = None;
    let mut arguments = Vec::new();
    let mut known: Vec<Ident> = Vec::new();
    let mut has_self = false;
    for input in &mut signature.inputs {
        let parameter = match input {
            FnArg::Typed(parameter) => parameter,
            FnArg::Receiver(receiver) => {
                has_self = true;
                known.push(Ident::new("self", receiver.self_token.span));
                continue;
            }
        };
        let mark = take_mark(&mut parameter.attrs, mistakes);
        let Pat::Ident(name) = &*parameter.pat else {
            // What is no argument needs no name.
            if mark != Some(Mark::Skip) {
                mistakes.at(
                    &parameter.pat,
                    "give this parameter a plain name, or mark it #[guard(skip)]",
                );
            }
            continue;
        };
        known.push(name.ident.clone());
        match mark {
            Some(Mark::Skip) => {}
            Some(Mark::Session) => set_session(&mut session, parameter, &name.ident, given.is_some(), mistakes),
            None if is_session(&parameter.ty) => {
                set_session(&mut session, parameter, &name.ident, given.is_some(), mistakes);
            }
            None | Some(Mark::Secret) => arguments.push(Argument {
                name: name.ident.clone(),
                ty: Type::clone(&parameter.ty),
                secret: mark == Some(Mark::Secret),
            }),
        }
    }
    let session = match (given, session) {
        (Some(given), _) => {
            if root(&given).is_none_or(|root| !known.contains(root)) {
                let message =
                    "the session comes from a parameter or from `self`, never from a global: begin with one of them";
                mistakes.at(&given, message);
            }
            given
        }
        (None, Some(name)) => parse_quote!(#name),
        (None, None) => {
            let message = if has_self {
                "no parameter is the session: add `session: &Session`, or say where it is, such as #[guard(tool = \"…\", session = self.session)]"
            } else {
                "no parameter is the session: add `session: &Session`, or mark one with #[guard(session)]"
            };
            mistakes.at(&signature.ident, message);
            return None;
        }
    };
    Some(Parameters { session, arguments })
}

fn set_session(session: &mut Option<Ident>, parameter: &PatType, name: &Ident, given: bool, mistakes: &mut Mistakes) {
    if given || session.is_some() {
        mistakes.at(
            parameter.to_token_stream(),
            "there are two sessions; mark the other #[guard(skip)]",
        );
    }
    *session = Some(name.clone());
}

/// `Session`, or a reference to one, by whatever path.
fn is_session(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => is_session(&reference.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "Session"),
        _ => false,
    }
}
