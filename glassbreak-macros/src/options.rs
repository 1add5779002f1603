//! What stands between the brackets.

use proc_macro2::{Span, TokenStream};
use syn::parse::Parser;
use syn::{Attribute, Expr, Ident, LitStr, Member, Meta, meta};

use crate::mistakes::Mistakes;

/// `#[guard(tool = "…", session = …, outcome = …)]`.
#[derive(Default)]
pub(crate) struct Options {
    /// The tool's name in the manifest.
    pub(crate) tool: Option<LitStr>,
    /// Where the session is, if it is no parameter.
    pub(crate) session: Option<Expr>,
    /// What says how the result counts.
    pub(crate) outcome: Option<Expr>,
}

impl Options {
    /// Reads as much as can be read; what is wrong goes to `mistakes`.
    pub(crate) fn read(tokens: TokenStream, mistakes: &mut Mistakes) -> Self {
        let mut options = Self::default();
        let mut twice = Vec::new();
        let parser = meta::parser(|meta| {
            let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            let again = match name.as_str() {
                "tool" => options.tool.replace(meta.value()?.parse()?).is_some(),
                "session" => options.session.replace(meta.value()?.parse()?).is_some(),
                "outcome" => options.outcome.replace(meta.value()?.parse()?).is_some(),
                _ => {
                    return Err(meta.error(
                        "not known here; write `tool = \"name in tools.toml\"`, `session = …` or `outcome = …`",
                    ));
                }
            };
            if again {
                twice.push(meta.error(format!("`{name}` stands twice")));
            }
            Ok(())
        });
        let read = parser.parse2(tokens);
        let whole = read.is_ok();
        if let Err(bad) = read {
            mistakes.push(bad);
        }
        twice.into_iter().for_each(|bad| mistakes.push(bad));
        match &options.tool {
            Some(tool) => check_name(tool, mistakes),
            // Where something else is wrong between the brackets, that may be the tool.
            None if whole => mistakes.add(
                Span::call_site(),
                "name the tool: #[guard(tool = \"name in tools.toml\")]",
            ),
            None => {}
        }
        options
    }
}

fn check_name(tool: &LitStr, mistakes: &mut Mistakes) {
    let name = tool.value();
    let fit = |b: u8| b.is_ascii_alphanumeric() || b"_-.:@/+".contains(&b);
    if !name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) || name.len() > 128 || !name.bytes().all(fit) {
        mistakes.add(tool.span(), "a tool's name has 1 to 128 letters, digits or `_-.:@/+`");
    }
}

/// The variable that an expression begins with, where it is nothing but a way from one: `self.a.b`, `&app.session`,
/// `state.session()`.
pub(crate) fn root(mut expression: &Expr) -> Option<&Ident> {
    loop {
        expression = match expression {
            Expr::Field(field) if matches!(field.member, Member::Named(_) | Member::Unnamed(_)) => &field.base,
            Expr::MethodCall(call) => &call.receiver,
            Expr::Reference(reference) => &reference.expr,
            Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Deref(_)) => &unary.expr,
            Expr::Paren(paren) => &paren.expr,
            Expr::Group(group) => &group.expr,
            Expr::Index(index) => &index.expr,
            Expr::Path(path) => return path.path.get_ident(),
            _ => return None,
        };
    }
}

/// What `#[guard(…)]` on a parameter says; such attributes are taken off.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Not an argument of the call: a client, a connection.
    Skip,
    /// The session that asks.
    Session,
    /// An argument that is judged and shown nowhere.
    Secret,
}

pub(crate) fn take_mark(attributes: &mut Vec<Attribute>, mistakes: &mut Mistakes) -> Option<Mark> {
    let mut mark = None;
    attributes.retain(|attribute| {
        if !attribute.path().is_ident("guard") {
            return true;
        }
        let word = match &attribute.meta {
            Meta::List(list) => list.tokens.to_string(),
            _ => String::new(),
        };
        let read = match word.as_str() {
            "skip" => Mark::Skip,
            "session" => Mark::Session,
            "secret" => Mark::Secret,
            _ => {
                mistakes.at(attribute, "write #[guard(skip)], #[guard(session)] or #[guard(secret)]");
                return false;
            }
        };
        if mark.replace(read).is_some() {
            mistakes.at(attribute, "a parameter has one mark");
        }
        false
    });
    mark
}
