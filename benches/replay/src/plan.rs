//! How sequences are replayed: a file beside the policy folder, because the folder itself says only what is judged.

use std::path::Path;

use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::Word;
use glassbreak_core::label::LabelSet;
use glassbreak_core::people::Account;
use serde::Deserialize;

use crate::consent::Consent;

/// How sequences are replayed.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The role of the agent.
    pub(crate) role: Word,
    /// The person whom it works for.
    pub(crate) person: Word,
    /// By what account they answer.
    pub(crate) account: Account,
    /// Labels of which a call that does something has one.
    pub(crate) effects: LabelSet,
    /// What the person's own words have agreed to.
    pub(crate) consent: Consent,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    role: String,
    account: String,
    effects: Vec<String>,
    #[serde(default)]
    consent: Consent,
}

impl Plan {
    /// Reads the file, and looks up in the folder what it names.
    ///
    /// # Errors
    /// When it cannot be read, or names what the folder does not have.
    pub(crate) fn open(path: &Path, bundle: &Bundle) -> Result<Self, String> {
        let at = |why: String| format!("{}: {why}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| at(error.to_string()))?;
        let file: File = toml::from_str(&text).map_err(|error| at(error.to_string()))?;
        let vocabulary = bundle.vocabulary();
        let mut effects = LabelSet::EMPTY;
        for word in &file.effects {
            let label = vocabulary.get(word);
            effects.insert(label.ok_or_else(|| at(format!("the folder has no label `{word}`")))?);
        }
        // A name that no tool has would exempt nothing, and nobody would notice.
        if let Some(name) = file.consent.tools().find(|name| bundle.tools().get(name).is_none()) {
            return Err(at(format!("the folder has no tool `{name}`")));
        }
        let account = Account::of_host(&file.account).map_err(|bad| at(bad.to_string()))?;
        Ok(Self {
            role: Word::new(&file.role).map_err(|bad| at(bad.to_string()))?,
            person: (bundle.people().person_of(&account).cloned())
                .ok_or_else(|| at(format!("`{account}` is nobody's account in the folder's people.toml")))?,
            account,
            effects,
            consent: file.consent,
        })
    }
}
