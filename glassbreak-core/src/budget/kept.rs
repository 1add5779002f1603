//! The state of a session as text, for whoever keeps it over a restart.

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use crate::error::BadWord;

/// The version of the format; another one is not read.
const VERSION: u32 = 1;
/// The longest text that is read: many times what the bound on state comes to.
const LONGEST: usize = 8 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<C> {
    version: u32,
    counters: C,
}

impl Counters {
    /// The counters as JSON, to be read by [`from_json`](Self::from_json) of the same version. Whoever can change that
    /// text can change what counts: keep it out of the agent's reach.
    pub fn to_json(&self) -> String {
        let written = Written {
            version: VERSION,
            counters: self,
        };
        // Numbers and texts alone: it can be written.
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// When it is not that, or of another version: whoever gets this must not begin anew, but refuse.
    pub fn from_json(text: &str) -> Result<Self, BadWord> {
        let bad = |help| {
            BadWord::new(
                "state of a session",
                text.get(..40.min(text.len())).unwrap_or_default(),
                help,
            )
        };
        if text.len() > LONGEST {
            return Err(bad("it is too long to be one"));
        }
        let written: Written<Self> =
            serde_json::from_str(text).map_err(|_| bad("give back what was written, unchanged"))?;
        if written.version != VERSION {
            return Err(bad("it was written by another version of glassbreak"));
        }
        Ok(written.counters)
    }
}

/// A map as a list of pairs: keys need not be texts.
pub(super) mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::budget) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub(in crate::budget) fn deserialize<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Ok(Vec::<(K, V)>::deserialize(from)?.into_iter().collect())
    }
}

/// A map by the ids of rules.
pub(super) mod by_id {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::budget) fn serialize<V: Serialize, S: Serializer>(
        map: &BTreeMap<Arc<str>, V>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(map.iter().map(|(id, value)| (&**id, value)))
    }

    pub(in crate::budget) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<Arc<str>, V>, D::Error> {
        let map = BTreeMap::<String, V>::deserialize(from)?;
        Ok(map.into_iter().map(|(id, value)| (id.into(), value)).collect())
    }
}
