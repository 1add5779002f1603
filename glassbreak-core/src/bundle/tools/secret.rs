//! Arguments that the manifest marks `writeOnly`: judged, part of the digest, and shown nowhere.

use crate::call::{ArgValue, Args};
use crate::shape::{ArgField, ArgType};

/// Whether some argument is marked.
pub(super) fn any(fields: &[ArgField]) -> bool {
    fields.iter().any(|field| field.secret || any_in(&field.ty))
}

fn any_in(ty: &ArgType) -> bool {
    match ty {
        ArgType::Record(fields) => any(fields),
        ArgType::List(item) => any_in(item),
        ArgType::Bool | ArgType::Int { .. } | ArgType::Str { .. } => false,
    }
}

/// Makes what is marked secret, whatever it is: also what the schema will refuse, because a refusal is recorded with the
/// call. So what is not declared, which may be it, misspelt, or was left out of a listing; and what stands in place of a
/// record that holds it. For a tool that has secrets.
pub(super) fn conceal(fields: &[ArgField], args: &mut Args) {
    for field in fields {
        let Some(value) = args.get_mut(field.name.as_str()) else {
            continue;
        };
        if field.secret {
            hide(value);
        } else {
            within(&field.ty, value);
        }
    }
    let declared = |name: &str| fields.iter().any(|field| field.name == *name);
    let strangers = args.iter_mut().filter(|(name, _)| !declared(name));
    strangers.for_each(|(_, value)| hide(value));
}

fn within(ty: &ArgType, value: &mut ArgValue) {
    match (ty, value) {
        (ArgType::Record(fields), ArgValue::Record(args)) => conceal(fields, args),
        (ArgType::List(item), ArgValue::List(items)) => items.iter_mut().for_each(|value| within(item, value)),
        (ty, value) if any_in(ty) => hide(value),
        _ => {}
    }
}

fn hide(value: &mut ArgValue) {
    if !matches!(value, ArgValue::Secret(_)) {
        *value = std::mem::replace(value, ArgValue::Bool(false)).secret();
    }
}
