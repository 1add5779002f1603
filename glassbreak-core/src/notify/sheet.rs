//! A request as people read it: the card, and what stands around it and changes while it is open.

use serde::Serialize;
use serde_json::{Value, json};

use super::Card;
use super::page::{agreed, came_of, left, needed};
use super::rows::{Row, Tone};
use crate::approval::{Request, RequestId, State};
use crate::call::{CallDigest, Word};
use crate::clock::Timestamp;
use crate::error::shown_once;

/// How many earlier requests are told.
pub const EARLIER: usize = 5;

/// All that people are shown of a request: the [card](Card), and what changes while it is open.
///
/// One model with three renderings: [plain text](Self::text), [text in colour](Self::ansi), and [JSON](Self::json). **A vote
/// names the digest of the card alone.** The rest changes by itself (others vote, time goes by, an earlier question is
/// settled), and a person who agreed when one other had is not to be told that they saw something else because another
/// did meanwhile; nothing of it says what would be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    request: Request,
    earlier: Option<Vec<Earlier>>,
    now: Timestamp,
}

/// A question that was the same ([`Request::key`]) and is settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Earlier {
    /// Its request.
    pub request: RequestId,
    /// When people were asked.
    #[serde(serialize_with = "printed")]
    pub asked_at: Timestamp,
    /// What became of it: `approved`, `denied`, `expired` or `cancelled`.
    pub state: &'static str,
    /// Who answered.
    pub by: Vec<Word>,
    /// What the one who said no wrote, or why it was withdrawn; escaped.
    pub why: Option<Box<str>>,
    /// Whether it was about this very call, and not only one like it.
    pub same_call: bool,
}

fn printed<S: serde::Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(at)
}

impl Earlier {
    fn of(request: &Request, now: &Request) -> Self {
        let why = match &request.state {
            State::Denied { why, .. } | State::Cancelled { why } => Some(shown_once(why).into()),
            State::Pending | State::Approved { .. } | State::Expired => None,
        };
        Self {
            request: request.id,
            asked_at: request.opened_at,
            state: request.state.as_str(),
            by: request.votes.iter().map(|vote| vote.person.clone()).collect(),
            why,
            same_call: request.digest == now.digest,
        }
    }

    fn line(&self, now: Timestamp) -> String {
        let by: Vec<&str> = self.by.iter().map(Word::as_str).collect();
        let mut line = format!("{} ago: {}", ago(now, self.asked_at), self.state);
        match &self.why {
            // It says who said no.
            Some(why) => line.push_str(&format!(" ({why})")),
            None if by.is_empty() => {}
            None => line.push_str(&format!(" by {}", by.join(", "))),
        }
        line.push_str(if self.same_call {
            ", this very call"
        } else {
            ", a call like this"
        });
        line
    }
}

fn ago(now: Timestamp, at: Timestamp) -> String {
    let seconds = now.since(at).as_millis() / 1_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        _ => format!("{}h {}m", seconds / 3_600, seconds / 60 % 60),
    }
}

impl Sheet {
    /// The sheet of a request as it stands at `now`. `earlier` are the same questions as they were settled, the newest
    /// first, as [`Requests::earlier`](crate::store::Requests::earlier) tells them; `None` where nobody could tell.
    pub fn of(request: &Request, earlier: Option<&[Request]>, now: Timestamp) -> Self {
        let settled = |earlier: &[Request]| earlier.iter().map(|one| Earlier::of(one, request)).collect();
        Self {
            earlier: earlier.map(settled),
            request: request.clone(),
            now,
        }
    }

    /// What it is about.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// The card: what a vote names.
    pub const fn card(&self) -> &Card {
        &self.request.card
    }

    /// The same question as it was settled before, the newest first; `None` where that is not known.
    pub fn earlier(&self) -> Option<&[Earlier]> {
        self.earlier.as_deref()
    }

    /// Whether somebody can agree to it now. Where nobody can, no control for it is to be offered; the desk would refuse.
    pub fn can_be_approved(&self) -> bool {
        self.request.card.is_whole() && !self.request.state.is_final() && !self.request.is_late(self.now)
    }

    /// As plain text, in rows of at most `width` columns.
    ///
    /// A longer line goes on in a row that begins with blanks and `…`, so that nothing an agent wrote can begin a row of a
    /// terminal and pass for a line of the card, or for a prompt.
    pub fn text(&self, width: usize) -> String {
        self.rendered(width, false)
    }

    /// The same in colour, for terminals alone: the colours are the only control characters in it.
    pub fn ansi(&self, width: usize) -> String {
        self.rendered(width, true)
    }

    fn rendered(&self, width: usize, colour: bool) -> String {
        let mut page = String::new();
        for (n, mut row) in self.request.card.rows().chain(self.live()).enumerate() {
            if n > 0 {
                page.push('\n');
            }
            // The card comes from a store: what can be seen is made sure of here.
            row.text = shown_once(&row.text);
            row.title = row.title.map(|title| shown_once(&title).into());
            row.fold(&mut page, width, colour);
        }
        page
    }

    /// What changes.
    fn live(&self) -> Vec<Row> {
        let request = &self.request;
        let mut rows = Vec::new();
        let mut add = |title: &str, text: String| {
            rows.push(Row {
                title: Some(title.into()),
                text,
                tone: Tone::Plain,
            });
        };
        match self.earlier() {
            None => add(
                "before",
                "not known: nobody could tell whether this was asked before".to_owned(),
            ),
            Some([]) => add("before", "not asked before in this session".to_owned()),
            Some(earlier) => {
                for (n, one) in earlier.iter().take(EARLIER).enumerate() {
                    add(if n == 0 { "before" } else { "" }, one.line(self.now));
                }
                if earlier.len() > EARLIER {
                    add("", "and more often before".to_owned());
                }
            }
        }
        add("who", needed(request));
        for stages in request.stages.iter().filter(|_| !request.state.is_final()) {
            if let (Some(next), Some(at)) = (stages.next(), stages.next_at(request.opened_at)) {
                add("goes on to", format!("{} too, in {}", next.group, ago(at, self.now)));
            }
        }
        let agreed = agreed(request);
        let needs: u32 = request.wanted().iter().map(|(_, count)| u32::from(*count)).sum();
        if !agreed.is_empty() {
            add("agreed", format!("{agreed} ({} so far)", request.votes.len()));
        } else if needs > 1 && !request.state.is_final() {
            add("agreed", "nobody yet".to_owned());
        }
        let time = match &request.state {
            State::Pending => format!("{}; no answer means no", left(request, self.now)),
            _ => came_of(request),
        };
        add("time", time);
        add("request", request.id.to_string());
        rows
    }

    /// As JSON, for notifiers that draw it themselves.
    ///
    /// Its form is stable: keys are added, and none changes its meaning without another `format`. Every text is escaped as
    /// on the plain page and holds nothing that cannot be seen; none of it is marked up, so it goes where plain text goes.
    ///
    /// ```json
    /// {"format": "glassbreak.sheet.v1", "request": "0195…", "call": "<64 digits>",
    ///  "card": {"digest": "<64 digits: what a vote names>", "whole": true, "risk": "high", "headline": "kubectl delete …",
    ///           "sections": [{"title": "runs", "lines": ["kubectl", "delete"]}],
    ///           "says": "\"it is stuck\""},
    ///  "can_be_approved": true, "window": {"span_ms": 300000, "uses": 50},
    ///  "state": "pending", "came_of": null, "opened_at": "2026-03-01T14:05:00Z", "deadline": "2026-03-01T14:10:00Z",
    ///  "left_ms": 252000, "needs": [{"group": "oncall", "count": 2}],
    ///  "stages": [{"group": "oncall", "asked_now": "oncall", "next": "leads", "next_at": "2026-03-01T14:06:00Z"}],
    ///  "agreed": [{"person": "bob", "at": "2026-03-01T14:05:48Z", "own": false}],
    ///  "earlier": [{"request": "0195…", "asked_at": "2026-03-01T13:00:00Z", "state": "denied", "by": ["carol"],
    ///               "why": "carol said no: not now", "same_call": false}]}
    /// ```
    /// `says` are the agent's own words, to be marked as unverified. `window` is null where only this one call can be
    /// approved, `came_of` while it is pending, `earlier` where it is not known. Titles are those of
    /// [`Section`](super::Section).
    pub fn json(&self) -> Value {
        let request = &self.request;
        let card = &request.card;
        let votes = request.votes.iter();
        let agreed = votes.map(|vote| json!({"person": vote.person, "at": vote.at.to_string(), "own": vote.own}));
        let needs = request.wanted().into_iter();
        let needs = needs.map(|(group, count)| json!({"group": group, "count": count}));
        let stages = request.stages.iter().map(|stages| {
            let next = stages.next().map(|next| &next.group);
            let next_at = stages.next_at(request.opened_at).map(|at| at.to_string());
            json!({"group": stages.group, "asked_now": stages.current().0, "next": next, "next_at": next_at})
        });
        let sections = card.sections.iter().map(|section| {
            let lines = section.lines.iter().map(|line| shown_once(line));
            json!({"title": shown_once(&section.title), "lines": lines.collect::<Vec<_>>()})
        });
        let call: CallDigest = request.digest;
        json!({
            "format": "glassbreak.sheet.v1",
            "request": request.id,
            "call": call,
            "card": {
                "digest": card.digest(),
                "whole": card.is_whole(),
                "risk": card.risk,
                "headline": shown_once(&card.headline),
                "sections": sections.collect::<Vec<_>>(),
                "says": card.says.as_deref().map(shown_once),
            },
            "can_be_approved": self.can_be_approved(),
            "window": request.offer.as_ref().map(|offer| json!({"span_ms": offer.span, "uses": offer.uses})),
            "state": request.state.as_str(),
            "came_of": request.state.is_final().then(|| came_of(request)),
            "opened_at": request.opened_at.to_string(),
            "deadline": request.deadline.to_string(),
            "left_ms": request.deadline.since(self.now).as_millis(),
            "needs": needs.collect::<Vec<_>>(),
            "stages": stages.collect::<Vec<_>>(),
            "agreed": agreed.collect::<Vec<_>>(),
            "earlier": self.earlier,
        })
    }
}
