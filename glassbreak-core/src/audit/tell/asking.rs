//! What people were asked, what they said, and what came of it, in words.

use serde_json::Value;

use super::{Line, Teller, Tone, list, once, text};
use crate::clock::Span;
use crate::error::{shown_once, shown_whole};

impl Teller {
    pub(super) fn request_opened(&mut self, json: &Value) -> Line {
        let id = text(json, "request");
        let card = json
            .get("card")
            .and_then(|card| card.get("text"))
            .and_then(Value::as_str);
        let headline = card.and_then(|card| card.lines().next()).map(shown_once);
        let headline = headline.unwrap_or_else(|| text(json, "action"));
        self.known.insert(id.clone(), headline.clone());
        let mut below = Vec::new();
        for rule in json.get("rules").and_then(Value::as_array).into_iter().flatten() {
            // Why it asks was told with the call.
            below.push(format!(
                "{} must agree, by {}",
                who(rule.get("requirement")),
                text(rule, "rule")
            ));
        }
        let mut until = format!("until {}", text(json, "deadline"));
        if let Some(offer) = json.get("offer") {
            until.push_str(&format!("; once, or for {} at most", span(offer)));
        } else {
            until.push_str("; once only");
        }
        below.push(until);
        below.push(format!("request {id}; call {}", text(json, "call")));
        let what = format!("{}  {}", caller(json), self.paint(Tone::Strong, &headline));
        Line::new(Tone::Asks, "request", what).below(below)
    }

    pub(super) fn request_joined(&self, json: &Value) -> Line {
        let what = format!(
            "call {} waits for the same answer: nobody is asked twice",
            text(json, "call")
        );
        Line::new(Tone::Asks, "joined", self.about(json)).below([what])
    }

    pub(super) fn request_refused(&mut self, json: &Value) -> Line {
        let about = self.about(json);
        self.known.remove(&text(json, "request"));
        Line::new(Tone::Bad, "not asked", about).below([once(json, "why")])
    }

    pub(super) fn request_escalated(&self, json: &Value) -> Line {
        let stage = json.get("stage").and_then(Value::as_u64).unwrap_or_default();
        let why = match text(json, "because").as_str() {
            "delay" => "nobody had answered".to_owned(),
            "not-delivered" => "nobody could be shown it".to_owned(),
            "nobody-there" => "nobody there may answer".to_owned(),
            other => other.to_owned(),
        };
        let what = format!(
            "stage {stage}: {} may answer for {} too, because {why}",
            text(json, "adds"),
            text(json, "group")
        );
        Line::new(Tone::Asks, "goes on", self.about(json)).below([what])
    }

    pub(super) fn notify_sent(&self, json: &Value) -> Line {
        let stage = json.get("stage").and_then(Value::as_u64).unwrap_or_default();
        let what = format!("by {}, at stage {stage}", text(json, "notifier"));
        Line::new(Tone::Plain, "shown", self.about(json)).below([what])
    }

    pub(super) fn notify_failed(&self, json: &Value) -> Line {
        Line::new(Tone::Bad, "no card", self.about(json)).below([once(json, "why")])
    }

    pub(super) fn request_settled(&mut self, json: &Value) -> Line {
        let about = self.about(json);
        self.known.remove(&text(json, "request"));
        let why = once(json, "why");
        match text(json, "state").as_str() {
            "approved" => {
                Line::new(Tone::Good, "approved", about).below([format!("opens grant {}", text(json, "grant"))])
            }
            "denied" => Line::new(Tone::Bad, "denied", about).below([why]),
            "expired" if why == "no-route" => {
                Line::new(Tone::Bad, "expired", about).below(["nobody could be reached, and that is a no".to_owned()])
            }
            "expired" => {
                Line::new(Tone::Bad, "expired", about).below(["nobody answered in time, and that is a no".to_owned()])
            }
            "cancelled" => Line::new(Tone::Plain, "withdrawn", about).below([why]),
            other => Line::new(Tone::Plain, "settled", format!("{other}  {about}")),
        }
    }

    pub(super) fn vote_cast(&self, json: &Value) -> Line {
        let mut what = format!(
            "{} says {}",
            text(json, "person"),
            self.paint(Tone::Strong, &answer(json))
        );
        if json.get("self_approved") == Some(&Value::Bool(true)) {
            let word = if text(json, "answer") == "deny" {
                "own call"
            } else {
                "SELF-APPROVED"
            };
            what.push_str(&format!(" ({word}: the agent acts for them)"));
        }
        let mut below = vec![self.about(json)];
        let reason = text(json, "reason");
        if !reason.is_empty() {
            below.push(format!("they write: \"{}\"", reason.replace('"', "\\\"")));
        }
        below.push(format!("by account {}", text(json, "account")));
        Line::new(Tone::Plain, "vote", what).below(below)
    }

    pub(super) fn vote_refused(&self, json: &Value) -> Line {
        let account = text(json, "account");
        let who = match text(json, "person").as_str() {
            "" => format!("{account} (nobody's account)"),
            person => format!("{person} ({account})"),
        };
        let what = format!("{who} says {}, which does not count", answer(json));
        let why = format!("{}: {}", text(json, "code"), once(json, "why"));
        Line::new(Tone::Bad, "no vote", what).below([self.about(json), why])
    }

    pub(super) fn grant_opened(&self, json: &Value) -> Line {
        let uses = json.get("max_uses").and_then(Value::as_u64).unwrap_or_default();
        let until = text(json, "expires_at");
        let (what, held) = match text(json, "scope").as_str() {
            "once" => (format!("once, until {until}"), String::new()),
            scope => {
                let pins = json.get("pins").and_then(Value::as_object).into_iter().flatten();
                let pins: Vec<String> = pins
                    .map(|(name, value)| {
                        let value = value.as_str().map(shown_whole).unwrap_or_default();
                        format!("{} = \"{}\"", shown_whole(name), value.replace('"', "\\\""))
                    })
                    .collect();
                let held = format!("all of {} where {}", text(json, "action"), pins.join(", "));
                (format!("{scope} until {until}, {uses} calls at most"), held)
            }
        };
        let lifts = json.get("lifts").and_then(Value::as_array).into_iter().flatten();
        let lifts: Vec<String> = lifts.map(|lift| text(lift, "rule")).collect();
        let mut below = vec![self.about(json)];
        below.extend((!held.is_empty()).then_some(held));
        below.push(format!("lifts {}; grant {}", lifts.join(", "), text(json, "grant")));
        let what = format!("{}  {}", caller(json), self.paint(Tone::Strong, &what));
        Line::new(Tone::Good, "grant", what).below(below)
    }

    pub(super) fn grant_closed(&self, json: &Value) -> Line {
        let number = |key: &str| json.get(key).and_then(Value::as_u64).unwrap_or_default();
        let ending = match (text(json, "ending").as_str(), text(json, "by").as_str()) {
            ("revoked", by) => format!("revoked by {by}"),
            ("used-up", _) => "used up".to_owned(),
            (other, _) => other.to_owned(),
        };
        let what = format!(
            "grant {} is {}, after {} of {} calls",
            text(json, "grant"),
            self.paint(Tone::Strong, &ending),
            number("uses"),
            number("max_uses")
        );
        let calls = json.get("calls").and_then(Value::as_array).into_iter().flatten();
        let calls = calls.map(|call| {
            let outcome = match text(call, "outcome").as_str() {
                "" => "nobody told how it ended".to_owned(),
                "not_run" => "not run".to_owned(),
                outcome => outcome.to_owned(),
            };
            format!("call {}: {outcome}", text(call, "call"))
        });
        Line::new(Tone::Plain, "closed", what)
            .below([self.about(json)])
            .below(calls)
    }

    /// What a request is about, where it was told before, and its id.
    fn about(&self, json: &Value) -> String {
        let id = text(json, "request");
        match self.known.get(&id) {
            Some(headline) => format!("{headline}  (request {id})"),
            None => format!("request {id}"),
        }
    }
}

pub(super) fn revoked(json: &Value) -> Line {
    let what = format!(
        "{} by {}: {}",
        text(json, "which"),
        text(json, "by"),
        text(json, "reason")
    );
    Line::new(Tone::Bad, "revoked", what)
}

pub(super) fn overflow(json: &Value) -> Line {
    Line::new(Tone::Bad, "too often", caller(json)).below([once(json, "why")])
}

pub(super) fn hook_failed(json: &Value) -> Line {
    let attempt = json.get("attempt").and_then(Value::as_u64).unwrap_or_default();
    let again = match json.get("again") {
        Some(Value::Bool(true)) => "it is tried again",
        _ => "the next start of a gate tries again",
    };
    let what = format!("grant {}, try {attempt}: {}", text(json, "grant"), once(json, "why"));
    Line::new(Tone::Bad, "no hook", what).below([again.to_owned()])
}

pub(super) fn not_operated(json: &Value) -> Line {
    let what = format!(
        "{} may not {} {}: {}",
        text(json, "by"),
        text(json, "operate"),
        text(json, "which"),
        text(json, "why")
    );
    Line::new(Tone::Bad, "refused", what)
}

/// Who asks: the agent, for whom, in which session.
fn caller(json: &Value) -> String {
    let nobody = Value::Null;
    let caller = json
        .get("caller")
        .and_then(|path| path.get("caller"))
        .unwrap_or(&nobody);
    let agents = list(caller, "agents");
    let mut who = agents.split(", ").next().unwrap_or_default().to_owned();
    for (key, joint) in [("person", " for "), ("session", " in ")] {
        let part = text(caller, key);
        if !part.is_empty() {
            who.push_str(&format!("{joint}{part}"));
        }
    }
    who
}

/// Such as `2 persons of oncall`.
fn who(requirement: Option<&Value>) -> String {
    let Some(requirement) = requirement else {
        return "somebody".to_owned();
    };
    let quorum = requirement.get("quorum").and_then(Value::as_u64).unwrap_or(1);
    match (text(requirement, "group").as_str(), quorum) {
        ("", _) => "nobody is named who".to_owned(),
        (group, 1) => format!("a person of {group}"),
        (group, quorum) => format!("{quorum} persons of {group}"),
    }
}

/// What a person said.
fn answer(json: &Value) -> String {
    let word = text(json, "answer");
    if word != "window" {
        return word;
    }
    let uses = json.get("uses").and_then(Value::as_u64).unwrap_or_default();
    let mut said = format!("{word} of {}, {uses} calls at most", text(json, "span"));
    let pins = list(json, "pins");
    if !pins.is_empty() {
        said.push_str(&format!(", fixing {pins}"));
    }
    said
}

/// The span and uses of an offer.
fn span(offer: &Value) -> String {
    let millis = offer.get("span").and_then(Value::as_u64).unwrap_or_default();
    let uses = offer.get("uses").and_then(Value::as_u64).unwrap_or_default();
    format!("{} and {uses} calls", Span::from_millis(millis))
}
