//! Who may agree to a call: Cedar over persons, two-valued.

use cedar_policy::EntityTypeName;

use super::Policies;
use super::load::uid;
use super::persons::{Deed, text, texts};
use super::plan::{REPORT, refusal};
use crate::call::Word;
use crate::finding::Finding;
use crate::label::Risk;

/// A person who wants to agree to a call.
///
/// Being named by the asking rule is one half of being eligible, this the other; both are looked at when the vote
/// comes, not when the question was put.
#[derive(Debug, Clone, Copy)]
pub struct Approving<'a> {
    /// The person, by their name in `people.toml`.
    pub person: &'a Word,
    /// What the call is done to: the Cedar type and the id, such as `("Program", "kubectl")`, `("Tool", "ping")`, or
    /// the host's entity.
    pub resource: (&'a str, &'a str),
    /// The rules that ask.
    pub rules: &'a [&'a str],
    /// The risk of the call.
    pub risk: Risk,
    /// The labels of the call.
    pub labels: &'a [&'a str],
    /// The role that asks.
    pub role: &'a Word,
    /// What the vote would open: `once`, or `window`.
    pub scope: &'a str,
}

/// What `context.request.scope` can be.
pub(super) const SCOPES: [&str; 2] = ["once", "window"];

impl Policies {
    /// Whether a person may agree to a call: some permit on `Action::"approve"` holds, no forbid holds, and none of
    /// those that could say something is in error.
    ///
    /// # Errors
    /// The refusal: under `policy.<id>` of the forbid that holds, `policy.<id>.error` of what could not be judged, else
    /// under `policy.approve`.
    pub fn may_approve(&self, approving: &Approving<'_>) -> Result<(), Finding> {
        // No `..` here: what the schema declares must be built.
        let Approving {
            person,
            resource: (ty, id),
            rules,
            risk,
            labels,
            role,
            scope,
        } = *approving;
        // A policy that compares with the words that the schema promises must not be slipped past by another one.
        let ty = ty.parse::<EntityTypeName>().ok();
        let Some(ty) = ty.filter(|_| SCOPES.contains(&scope)) else {
            return Err(refusal("internal", "this is not a question about a call", REPORT));
        };
        self.may(Deed {
            person,
            action: "approve",
            resource: uid(&ty, id),
            about: (
                "request",
                vec![
                    ("rules", texts(rules.iter().copied())),
                    ("risk", text(risk.as_str())),
                    ("labels", texts(labels.iter().copied())),
                    ("role", text(role.as_str())),
                    ("scope", text(scope)),
                ],
            ),
            rule: "approve",
            what: "agree to this call".to_owned(),
        })
    }
}
