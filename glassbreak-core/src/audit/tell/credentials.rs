//! What became of credentials, in words.

use serde_json::Value;

use super::{Line, Teller, Tone, once, text};

impl Teller {
    pub(super) fn credential_issued(&self, json: &Value) -> Line {
        let seconds = json.get("ttl_ms").and_then(Value::as_u64).unwrap_or_default() / 1_000;
        let delivery = match text(json, "delivery").as_str() {
            "body" => "to its body".to_owned(),
            delivery => format!("in the {delivery}"),
        };
        let what = format!(
            "{} ({}) for {seconds}s, {delivery}",
            text(json, "name"),
            text(json, "type")
        );
        let mut below = vec![format!(
            "for {}; until {}; fingerprint {}",
            text(json, "action"),
            text(json, "expires_at"),
            text(json, "fingerprint")
        )];
        let grant = text(json, "grant");
        if !grant.is_empty() {
            below.push(format!("people agreed: by grant {grant}"));
        }
        below.push(ids(json));
        Line::new(Tone::Strong, "handed", what).below(below)
    }

    pub(super) fn credential_revoked(&self, json: &Value) -> Line {
        let why = once(json, "why");
        let until = text(json, "residual_until");
        let failed = once(json, "failed");
        let (tone, what) = match (until.as_str(), failed.as_str()) {
            ("", _) => (Tone::Plain, format!("a credential: {why}")),
            (until, "") => (
                Tone::Plain,
                format!("a credential: {why}; whoever kept it can use it until {until}"),
            ),
            (until, failed) => (
                Tone::Bad,
                format!("a credential: {why}; that failed ({failed}), and it can be used until {until}"),
            ),
        };
        Line::new(tone, "took back", what).below([ids(json)])
    }
}

fn ids(json: &Value) -> String {
    format!("credential {}; call {}", text(json, "credential"), text(json, "call"))
}
