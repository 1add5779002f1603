//! The card: what an approver is shown, rendered by trusted code from the decoded call.
//!
//! Everything that an agent or a file wrote is escaped; nothing is cut silently. What cannot be shown whole is marked so,
//! and then nobody can agree to it ([`Card::is_whole`]). The order is fixed: what happens to what and how much is at
//! stake; the exact words; where, with what; who asks for whom; which rules stopped it; what may be opened; and last the
//! agent's own words, marked as unverified.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::approval::{Asked, Offer};
use crate::call::{ArgValue, Args, Call, Exec, Operation, Tool};
use crate::error::{shown, shown_once, shown_whole};
use crate::finding::Layer;
use crate::grant::{Grant, Pins};
use crate::judge::Judgement;
use crate::label::Risk;

/// The most lines of a card that a person is asked to agree to.
const MAX_LINES: usize = 400;
/// The most bytes of one.
const MAX_BYTES: usize = 32 * 1024;
/// The most of the agent's own words, in characters.
const MAX_SAYS: usize = 500;

/// What an approver is shown.
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
        let mut card = Self {
            risk: shown.judgement.facts.risk,
            headline: headline(shown),
            sections: Vec::new(),
            says: shown.call.reason.as_ref().map(|reason| words(reason.as_str())),
            whole: true,
        };
        match &shown.call.operation {
            Operation::Exec(exec) => card.exec(shown, exec),
            Operation::Tool(tool) => card.tool(tool),
            Operation::Connect(connect) => card.add("connects", [format!("{}:{}", connect.host, connect.port)]),
        }
        card.target(shown);
        card.add(
            "hands over",
            shown.judgement.handover.iter().map(|handover| handover.line()),
        );
        card.add("file", shown.file.map(str::to_owned));
        card.caller(shown.call);
        card.add("stopped by", shown.rules.iter().map(rule_line));
        card.add("may open", offers(shown));
        let text = card.text();
        if text.len() > MAX_BYTES || text.lines().count() > MAX_LINES {
            card.whole = false;
            card.cut();
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

    /// The card as plain text, without a newline at its end.
    pub fn text(&self) -> String {
        const WIDE: usize = 12;
        let mut text = format!("{} risk: {}", self.risk.as_str().to_uppercase(), self.headline);
        for Section { title, lines } in &self.sections {
            for (n, line) in lines.iter().enumerate() {
                let title = if n == 0 { &**title } else { "" };
                text.push_str(&format!("\n  {title:WIDE$}{line}"));
            }
        }
        if let Some(says) = &self.says {
            text.push_str(&format!("\n  {:WIDE$}{says}", "agent says"));
            text.push_str(&format!("\n  {:WIDE$}(unverified: the agent's own words)", ""));
        }
        text
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

    fn exec(&mut self, shown: &Shown<'_>, exec: &Exec) {
        let words: Vec<String> = match &shown.judgement.plan {
            Some(plan) => plan.argv().map(word_line).collect(),
            None => exec.argv().words().iter().map(|word| word_line(word)).collect(),
        };
        self.add("runs", words);
        self.add("in", [folder(exec.cwd())]);
        let env = exec
            .env()
            .iter()
            .map(|(name, value)| format!("{}={}", shown_whole(name), word_line(value)));
        let env: Vec<String> = env.collect();
        self.add("environment", env);
        if let Some(stdin) = exec.stdin() {
            match std::str::from_utf8(stdin) {
                Ok(text) => {
                    let lines: Vec<String> = text.split('\n').map(shown_whole).collect();
                    self.add("input", lines);
                }
                Err(_) => {
                    self.add("input", [format!("{} bytes that are not text", stdin.len())]);
                    self.whole = false;
                }
            }
        }
    }

    fn tool(&mut self, tool: &Tool) {
        self.add("calls", [shown_whole(tool.name.as_str())]);
        let mut lines = Vec::new();
        arguments(&tool.arguments, "", &mut lines);
        self.add("with", lines);
    }

    fn target(&mut self, shown: &Shown<'_>) {
        let target = &shown.judgement.facts.target;
        let mut lines = Vec::new();
        for (name, fact) in [
            ("kind", &target.kind),
            ("namespace", &target.namespace),
            ("name", &target.name),
            ("owner", &target.owner),
        ] {
            match fact.text() {
                Some("") => {}
                Some(text) => lines.push(format!("{name} {}", shown_whole(text))),
                None => lines.push(format!("{name}: several, or more than it names")),
            }
        }
        self.add("acts on", lines);
        if !shown.labels.is_empty() {
            self.add("means", [shown.labels.join(", ")]);
        }
        if shown.judgement.facts.partial {
            let findings = shown.judgement.ruling.findings().iter();
            let argv = findings.filter(|finding| finding.rule().layer() == Some(Layer::Argv));
            let mut lines = vec!["not understood whole: treat it as able to do anything".to_owned()];
            lines.extend(argv.map(|finding| shown_once(finding.why())));
            self.add("beware", lines);
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
            let link = conversation.link.as_ref().map(|link| shown_whole(link.as_str()));
            let id = shown_whole(conversation.id.as_str());
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

/// A text between quotes that it cannot close.
fn quoted(text: &str) -> String {
    format!("\"{}\"", shown_whole(text).replace('"', "\\\""))
}

/// A name that somebody made up; quoted where it could be taken for more than a name.
fn name_line(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// One word of the argv; quoted where its ends could not be seen.
fn word_line(word: &str) -> String {
    let plain = !word.is_empty() && !word.starts_with([' ', '"']) && !word.ends_with(' ');
    if plain { shown_whole(word) } else { quoted(word) }
}

fn folder(cwd: &str) -> String {
    match cwd {
        "" | "." => "the workspace".to_owned(),
        // A folder may be called so.
        cwd if cwd.contains([' ', '"']) => quoted(cwd),
        cwd => shown_whole(cwd),
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

fn rule_line(asked: &Asked) -> String {
    let requirement = &asked.requirement;
    let who = match &requirement.group {
        Some(group) if requirement.quorum > 1 => format!("{} persons of {group}", requirement.quorum),
        Some(group) => format!("a person of {group}"),
        None => "nobody is named".to_owned(),
    };
    // Some rules are named after a program.
    format!(
        "{}: {} ({who})",
        shown_whole(asked.rule.as_str()),
        shown_once(&asked.why)
    )
}

fn offers(shown: &Shown<'_>) -> Vec<String> {
    let minutes = Grant::ONCE;
    let mut lines = vec![format!("once: exactly this call, within {minutes}")];
    if let Some(offer) = shown.offer {
        let held: Vec<String> = shown
            .pins
            .iter()
            .map(|pin| {
                let value = shown.facts.get(pin).map_or("?", |value| value);
                format!("{} = {}", shown_whole(pin), quoted(value))
            })
            .collect();
        lines.push(format!(
            "window: {} for all of {}, at most {} calls, where {}; resource, labels and risk as here",
            offer.span,
            shown_whole(shown.action),
            offer.uses,
            held.join(", ")
        ));
    }
    lines
}

fn arguments(args: &Args, path: &str, lines: &mut Vec<String>) {
    for (name, value) in args {
        let path = if path.is_empty() {
            name_line(name)
        } else {
            format!("{path}.{}", name_line(name))
        };
        argument(value, &path, lines);
    }
}

fn argument(value: &ArgValue, path: &str, lines: &mut Vec<String>) {
    match value {
        ArgValue::Bool(value) => lines.push(format!("{path} = {value}")),
        ArgValue::Int(value) => lines.push(format!("{path} = {value}")),
        ArgValue::Str(text) => lines.push(format!("{path} = {}", quoted(text))),
        ArgValue::List(items) if items.is_empty() => lines.push(format!("{path} = []")),
        ArgValue::List(items) => {
            for (n, item) in items.iter().enumerate() {
                argument(item, &format!("{path}[{n}]"), lines);
            }
        }
        ArgValue::Record(args) if args.is_empty() => lines.push(format!("{path} = {{}}")),
        ArgValue::Record(args) => arguments(args, path, lines),
        // Without quotes, so that no text reads like it.
        ArgValue::Secret(_) => lines.push(format!("{path} = (secret)")),
    }
}

/// A short name for a line of output, such as the first of a list of requests.
impl std::fmt::Display for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} risk)", shown(&self.headline), self.risk)
    }
}
