//! The card: what an approver is shown, rendered by trusted code from the decoded call.
//!
//! Everything that an agent or a file wrote is escaped so that it can be read back exactly; nothing is cut silently. What
//! cannot be shown whole is marked so, and then nobody can agree to it ([`Card::is_whole`]). The order is fixed: what
//! happens to what and how much is at stake, and what to beware of; the exact words, where and with what; what it changes
//! and on what; who asks for whom; which rules stopped it; what may be opened and what not; and last the agent's own
//! words, marked as unverified.
//!
//! A card is made once, when people are asked, and does not change: its [digest](Card::digest) is what a vote names. What
//! changes while a request is open (who has agreed, the time left, what was asked before) is no part of it, and stands in
//! a [`Sheet`](super::Sheet).

mod action;
mod meaning;
mod opens;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::action::Action;
use super::rows::{Row, Tone};
use super::spell::{quoted, spelled};
use crate::approval::{Asked, Offer};
use crate::call::{Call, Operation};
use crate::error::shown;
use crate::grant::Pins;
use crate::judge::Judgement;
use crate::label::Risk;

/// The most lines of a card that a person is asked to agree to.
const MAX_LINES: usize = 400;
/// The most bytes of one.
const MAX_BYTES: usize = 32 * 1024;
/// The most of the agent's own words, in characters.
const MAX_SAYS: usize = 500;

/// What an approver is shown.
///
/// Every text in it is escaped: it holds no control character, nothing invisible and no newline. It is not marked up, and
/// is to be shown as plain text, never as HTML or anything else that gives characters a meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// How much is at stake.
    pub risk: Risk,
    /// What would happen to what, in a few words.
    pub headline: Box<str>,
    /// The facts, in the order in which they are to be read.
    pub sections: Vec<Section>,
    /// The agent's own words, escaped and cut; to be marked as unverified.
    pub says: Option<Box<str>>,
    whole: bool,
}

/// Facts of one kind.
///
/// These are the titles that there are, in this order; one without facts is left out. What a call is: `beware`, `runs`,
/// `in`, `environment`, `input`, `calls`, `with`, `connects`, `file`. What it means: `changes`, `acts on`, `hands over` (a
/// credential). Who asks:
/// `asked by`, `started by`, `model`, `for`, `context`. What people decide: `stopped by`, `may open`, `not opened`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// What they are, in a word or two.
    pub title: Box<str>,
    /// One fact a line, escaped.
    pub lines: Vec<Box<str>>,
}

/// What a card is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) call: &'a Call,
    pub(crate) judgement: &'a Judgement,
    /// The Cedar action.
    pub(crate) action: &'a str,
    /// The words of its labels.
    pub(crate) labels: &'a [Box<str>],
    /// The words of the labels that it may have besides, where it was not understood whole.
    pub(crate) possible: &'a [Box<str>],
    pub(crate) rules: &'a [Asked],
    pub(crate) offer: Option<&'a Offer>,
    pub(crate) facts: &'a Pins,
    pub(crate) pins: &'a [Box<str>],
    /// The file that would run, as its pin prints it.
    pub(crate) file: Option<&'a str>,
}

impl Card {
    /// The card of a call.
    pub(crate) fn of(shown: &Shown<'_>) -> Self {
        let action = Action::of(shown);
        let mut card = Self {
            risk: shown.judgement.facts.risk,
            headline: headline(shown),
            sections: Vec::new(),
            says: shown.call.reason.as_ref().map(|reason| words(reason.as_str())),
            whole: action.whole,
        };
        for (title, lines) in action.sections {
            card.add(title, lines);
        }
        card.add("changes", meaning::changes(shown));
        card.add("acts on", meaning::target(shown));
        card.add(
            "hands over",
            shown.judgement.handover.iter().map(|handover| handover.line()),
        );
        card.caller(shown.call);
        card.add("stopped by", shown.rules.iter().map(opens::rule));
        card.add("may open", opens::offers(shown));
        card.add("not opened", opens::shut(shown));
        let mut beware = meaning::beware(shown, &card);
        let text = card.text();
        let lines = text.lines().count() + beware.len();
        if text.len() + beware.iter().map(String::len).sum::<usize>() > MAX_BYTES || lines > MAX_LINES {
            card.whole = false;
            card.cut();
        }
        if !card.whole {
            card.sections
                .retain(|section| !matches!(&*section.title, "may open" | "not opened"));
            beware.insert(0, "this cannot be shown whole, so nobody can agree to it".to_owned());
        }
        card.add("beware", beware);
        // A tired reader reads the first lines.
        if card.sections.last().is_some_and(|last| &*last.title == "beware") {
            card.sections.rotate_right(1);
        }
        card
    }

    /// Nobody can agree to it, so nobody needs all of it: whoever looks must not be flooded, nor the store.
    fn cut(&mut self) {
        const LINES: usize = 20;
        for section in &mut self.sections {
            let left = section.lines.len().saturating_sub(LINES);
            section.lines.truncate(LINES);
            for line in &mut section.lines {
                if line.len() > MAX_SAYS {
                    let end = (0..=MAX_SAYS).rev().find(|end| line.is_char_boundary(*end));
                    let cut = end.and_then(|end| line.get(..end)).unwrap_or_default();
                    *line = format!("{cut} … ({} more bytes)", line.len() - cut.len()).into();
                }
            }
            if left > 0 {
                section.lines.push(format!("… ({left} more lines)").into());
            }
        }
    }

    /// A card of one line, for tests of what keeps and carries requests.
    #[doc(hidden)]
    pub fn plain(headline: &str, risk: Risk) -> Self {
        Self {
            risk,
            headline: headline.into(),
            sections: Vec::new(),
            says: None,
            whole: true,
        }
    }

    /// Whether it shows the whole call. Where it does not, nobody can agree to the call.
    pub const fn is_whole(&self) -> bool {
        self.whole
    }

    /// A digest of all that is shown: what a vote names, so that nobody agrees to what they have not seen.
    pub fn digest(&self) -> Box<str> {
        let mut text = String::with_capacity(64);
        // Writing into a string cannot fail.
        let hash = Sha256::digest(format!("{}\n{}", self.whole, self.text()));
        hash.iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
        text.into()
    }

    /// The card as plain text, without a newline at its end. A [`Sheet`](super::Sheet) has this and what changes.
    pub fn text(&self) -> String {
        let lines: Vec<String> = self.rows().map(|row| row.line()).collect();
        lines.join("\n")
    }

    /// Its lines, from the first to the last.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row> {
        let risk = self.risk.as_str().to_uppercase();
        let headline = Row {
            title: None,
            text: format!("{risk} risk: {}", self.headline),
            tone: Tone::Risk(self.risk),
        };
        let facts = self.sections.iter().flat_map(|Section { title, lines }| {
            let tone = match &**title {
                "beware" => Tone::Beware,
                "runs" | "calls" | "connects" | "with" => Tone::Action,
                _ => Tone::Plain,
            };
            lines.iter().enumerate().map(move |(n, line)| Row {
                title: Some(if n == 0 { title.clone() } else { "".into() }),
                text: line.to_string(),
                tone,
            })
        });
        // What it is comes before the words: they are read first.
        let says = self.says.iter().map(|says| Row {
            title: Some("agent says".into()),
            text: format!("(unverified) {says}"),
            tone: Tone::Says,
        });
        std::iter::once(headline).chain(facts).chain(says)
    }

    fn add(&mut self, title: &str, lines: impl IntoIterator<Item = String>) {
        let lines: Vec<Box<str>> = lines.into_iter().map(Into::into).collect();
        if !lines.is_empty() {
            self.sections.push(Section {
                title: title.into(),
                lines,
            });
        }
    }

    fn caller(&mut self, call: &Call) {
        let actor = &call.actor;
        let agent = match &actor.instance {
            Some(instance) => format!("{} {instance}, session {}", actor.role, actor.session),
            None => format!("{}, session {}", actor.role, actor.session),
        };
        self.add("asked by", [agent]);
        let parents: Vec<&str> = actor.parents.iter().map(|parent| parent.as_str()).collect();
        if !parents.is_empty() {
            self.add("started by", [parents.join(", by ")]);
        }
        if let Some(model) = &actor.model {
            self.add("model", [model.id.to_string()]);
        }
        let person = match &actor.on_behalf_of {
            Some(person) => person.to_string(),
            None => "nobody named".to_owned(),
        };
        self.add("for", [person]);
        if let Some(conversation) = &call.conversation {
            let digest = conversation.digest.as_ref().map(|digest| format!("digest {digest}"));
            let link = conversation.link.as_ref();
            let link = link.map(|link| format!("link {}", spelled(link.as_str())));
            let id = conversation.id.to_string();
            self.add("context", [id].into_iter().chain(link).chain(digest));
        }
    }
}

/// Such as `kubectl delete pod web-7d4b in web`.
fn headline(shown: &Shown<'_>) -> Box<str> {
    let facts = &shown.judgement.facts;
    let (mut text, verb) = match (&shown.call.operation, &facts.argv) {
        (Operation::Exec(exec), Some(argv)) if *argv.program == *exec.argv().program() => {
            (part(exec.argv().program()), &*argv.command)
        }
        // Such as `timeout kubectl delete`.
        (Operation::Exec(exec), Some(argv)) => {
            let names = [part(exec.argv().program()), part(&argv.program)];
            (names.join(" "), &*argv.command)
        }
        (Operation::Exec(exec), None) => (part(exec.argv().program()), ""),
        (Operation::Tool(tool), _) => (tool.name.to_string(), ""),
        (Operation::Connect(connect), _) => (format!("connect to {}:{}", connect.host, connect.port), ""),
    };
    // The verb is the profile's own, of one word or several.
    let verb = crate::error::shown(verb);
    let kind = part(facts.target.kind.text().unwrap_or(""));
    let name = facts.target.name.text();
    let name = name.map_or_else(|| "(several, or more than it names)".to_owned(), part);
    for part in [verb, kind, name].iter().filter(|part| !part.is_empty()) {
        text.push(' ');
        text.push_str(part);
    }
    match facts.target.namespace.text() {
        Some("") => {}
        Some(namespace) => text.push_str(&format!(" in {}", part(namespace))),
        None => text.push_str(" in several places"),
    }
    text.into()
}

/// One part of a headline; quoted where it could be taken for several. The parts are shown whole further down.
fn part(text: &str) -> String {
    if text.contains([' ', '"', '(']) {
        format!("\"{}\"", shown(text).replace('"', "\\\""))
    } else {
        shown(text)
    }
}

fn words(reason: &str) -> Box<str> {
    let mut cut: String = reason.chars().take(MAX_SAYS).collect();
    let left = reason.chars().count().saturating_sub(MAX_SAYS);
    cut = quoted(&cut);
    if left > 0 {
        cut.push_str(&format!(" … ({left} more characters)"));
    }
    cut.into()
}

/// A short name for a line of output, such as the first of a list of requests.
impl std::fmt::Display for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} risk)", shown(&self.headline), self.risk)
    }
}
