//! A call as one line of JSON: what `glassbreak check` and other languages send.
//!
//! ```json
//! {"id":"c1","actor":{"role":"ops-agent","instance":"ops-7","session":"s1","on_behalf_of":"alice"},
//!  "exec":{"argv":["kubectl","get","pods"],"cwd":"."},"reason":"is it up?"}
//! ```
//! Exactly one of `exec`, `tool` and `connect`. Keys that are not known, stand twice or hold the wrong kind of value
//! are refused with their place.

use super::{Actor, Argv, Call, Connect, Conversation, Exec, Malformed, Model, Operation, Text, Tool, Word, args};
use crate::clock::Timestamp;
use crate::error::{nearest, shown};
use crate::json::{Json, Place};

/// The caller's name for a line: a string of at most 256 bytes, or a whole number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id {
    /// A string.
    Str(String),
    /// A whole number.
    Int(i64),
}

/// One line that is a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The caller's name for it.
    pub id: Option<Id>,
    /// When it was made, if the line says so.
    pub at: Option<Timestamp>,
    /// The call.
    pub call: Call,
}

/// The role of a call that names no actor.
pub const ANONYMOUS: &str = "anonymous";
/// The session of a call that names no actor.
pub const STREAM: &str = "stream";

/// Reads one line.
///
/// # Errors
/// When it is not strict JSON, or not a call; the refusal names the place and what to write instead.
pub fn read(line: &[u8]) -> Result<Line, Malformed> {
    if line.trim_ascii().is_empty() {
        return Err(Malformed::new(
            "call.json",
            "",
            "the line is empty",
            "write one JSON object per line",
        ));
    }
    let json = Json::read(line).map_err(|error| {
        Malformed::new(
            "call.json",
            format!("column {}", error.column()),
            format!("this is not JSON that can be read: {}", shown(&without_place(&error))),
            "write one JSON object per line, UTF-8, no key twice, at most 127 deep",
        )
    })?;
    let mut fields = Fields::of(&json, &Place::default())?;
    let id = fields
        .take("id")
        .map(|(value, place)| read_id(value, &place))
        .transpose()?;
    let at = fields.text("at")?.map(Timestamp::from_rfc3339).transpose();
    let at = at.map_err(|bad| Malformed::new("call.at", "at", bad.to_string(), bad.help()))?;
    let actor = match fields.take("actor") {
        Some((value, place)) => read_actor(value, &place)?,
        None => Actor::new(constant(ANONYMOUS)?, constant(STREAM)?),
    };
    let reason = fields.free_text("reason")?;
    let conversation = fields
        .take("conversation")
        .map(|(value, place)| read_conversation(value, &place))
        .transpose()?;
    let operations = [fields.take("exec"), fields.take("tool"), fields.take("connect")];
    fields.end(&["id", "at", "actor", "exec", "tool", "connect", "reason", "conversation"])?;
    let operation = match operations {
        [Some((exec, place)), None, None] => Operation::Exec(read_exec(exec, &place)?),
        [None, Some((tool, place)), None] => Operation::Tool(read_tool(tool, &place)?),
        [None, None, Some((connect, place))] => Operation::Connect(read_connect(connect, &place)?),
        [None, None, None] => return Err(one_operation("there is no exec, tool or connect")),
        _ => return Err(one_operation("there is more than one of exec, tool and connect")),
    };
    Ok(Line {
        id,
        at,
        call: Call {
            actor,
            operation,
            reason,
            conversation,
        },
    })
}

/// Writes the operation and the reason of a call as a line that [`read`] reads, without its actor; `None` where the
/// input of a program is not text, which a line cannot hold, and where an argument is secret, which none may.
pub fn write(call: &Call) -> Option<String> {
    let mut line = serde_json::Map::new();
    match &call.operation {
        Operation::Exec(exec) => {
            let mut fields = serde_json::Map::new();
            fields.insert(
                "argv".to_owned(),
                exec.argv().words().iter().map(|word| &**word).collect(),
            );
            if !exec.cwd().is_empty() {
                fields.insert("cwd".to_owned(), exec.cwd().into());
            }
            if !exec.env().is_empty() {
                let env = exec
                    .env()
                    .iter()
                    .map(|(name, value)| (name.to_string(), (&**value).into()));
                fields.insert("env".to_owned(), serde_json::Value::Object(env.collect()));
            }
            if let Some(stdin) = exec.stdin() {
                fields.insert("stdin".to_owned(), std::str::from_utf8(stdin).ok()?.into());
            }
            line.insert("exec".to_owned(), fields.into());
        }
        Operation::Tool(tool) => {
            let arguments = args::to_json(&tool.arguments)?;
            let fields = serde_json::json!({ "name": tool.name.as_str(), "arguments": arguments });
            line.insert("tool".to_owned(), fields);
        }
        Operation::Connect(connect) => {
            let fields = serde_json::json!({ "host": connect.host.as_str(), "port": connect.port });
            line.insert("connect".to_owned(), fields);
        }
    }
    if let Some(reason) = &call.reason {
        line.insert("reason".to_owned(), reason.as_str().into());
    }
    serde_json::to_string(&line).ok()
}

/// Turns a JSON object into a tool's arguments.
///
/// # Errors
/// For a float, a null, an integer beyond 64 bits, and for anything over its size, with its place.
pub fn arguments(object: &serde_json::Value) -> Result<super::Args, Malformed> {
    let strict = serde_json::to_vec(object)
        .ok()
        .and_then(|bytes| Json::read(&bytes).ok());
    let unreadable = || {
        Malformed::new(
            "args.shape",
            "arguments",
            "not strict JSON",
            "write an object of plain values",
        )
    };
    args::from_json(&strict.ok_or_else(unreadable)?, &Place::default().field("arguments"))
}

/// Reads the `id` of a line that may not be a call, or not even JSON to its end.
pub fn read_id_of(line: &[u8]) -> Option<Id> {
    let mut found = Found::default();
    // The result does not matter: what was seen before an error is kept.
    let _ = crate::json::with_stack(|| {
        serde::Deserializer::deserialize_map(&mut serde_json::Deserializer::from_slice(line), &mut found)
    });
    found.id.filter(|_| !found.twice)
}

#[derive(Default)]
struct Found {
    id: Option<Id>,
    twice: bool,
}

impl<'de> serde::de::Visitor<'de> for &mut Found {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a call")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "id" {
                self.twice |= self.id.is_some();
                let value: Json = map.next_value()?;
                self.id = read_id(&value, &Place::default()).ok();
            } else {
                map.next_value::<serde::de::IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

fn read_id(value: &Json, place: &Place) -> Result<Id, Malformed> {
    match value {
        Json::Str(id) if id.len() <= 256 => Ok(Id::Str(id.clone())),
        Json::Int(id) => Ok(Id::Int(*id)),
        _ => Err(wrong(
            place,
            "an id is a string of at most 256 bytes or a whole number",
            "write \"id\":\"c1\"",
        )),
    }
}

fn read_actor(value: &Json, place: &Place) -> Result<Actor, Malformed> {
    let mut fields = Fields::of(value, place)?;
    let role = fields.word("role")?.ok_or_else(|| missing(place, "role"))?;
    let session = fields.word("session")?.map_or_else(|| constant(STREAM), Ok)?;
    let mut actor = Actor::new(role, session);
    actor.instance = fields.word("instance")?;
    actor.on_behalf_of = fields.word("on_behalf_of")?;
    if let Some((value, place)) = fields.take("parents") {
        let Json::List(parents) = value else {
            return Err(wrong_kind(value, &place, "a list"));
        };
        if parents.len() > 32 {
            return Err(wrong(&place, "over 32 parents", "name at most 32"));
        }
        for (n, parent) in parents.iter().enumerate() {
            actor.parents.push(word_of(parent, &place.item(n))?);
        }
    }
    if let Some((value, place)) = fields.take("model") {
        let mut fields = Fields::of(value, &place)?;
        let id = fields.word("id")?.ok_or_else(|| missing(&place, "id"))?;
        actor.model = Some(Model {
            id,
            digest: fields.word("digest")?,
        });
        fields.end(&["id", "digest"])?;
    }
    fields.end(&["role", "instance", "session", "on_behalf_of", "parents", "model"])?;
    Ok(actor)
}

fn read_conversation(value: &Json, place: &Place) -> Result<Conversation, Malformed> {
    let mut fields = Fields::of(value, place)?;
    let id = fields.word("id")?.ok_or_else(|| missing(place, "id"))?;
    let conversation = Conversation {
        id,
        digest: fields.word("digest")?,
        link: fields.free_text("link")?,
    };
    fields.end(&["id", "digest", "link"])?;
    Ok(conversation)
}

fn read_exec(value: &Json, place: &Place) -> Result<Exec, Malformed> {
    let mut fields = Fields::of(value, place)?;
    if let Some((shell, place)) = fields.take("shell") {
        let Json::Str(shell) = shell else {
            return Err(wrong_kind(shell, &place, "a string"));
        };
        return Err(Malformed::new(
            "exec.shell",
            place.to_string(),
            format!(
                "`{}` is a shell string; what a shell makes of it cannot be judged",
                shown(shell)
            ),
            super::shell::hint(shell),
        ));
    }
    let (words, words_place) = fields.take("argv").ok_or_else(|| missing(place, "argv"))?;
    let Json::List(words) = words else {
        return Err(wrong_kind(words, &words_place, "a list of strings"));
    };
    let words: Vec<&str> = words
        .iter()
        .enumerate()
        .map(|(n, word)| match word {
            Json::Str(word) => Ok(word.as_str()),
            other => Err(wrong_kind(other, &words_place.item(n), "a string")),
        })
        .collect::<Result<_, _>>()?;
    let argv = Argv::new(words).map_err(|bad| bad.within(&words_place.to_string()))?;
    let mut exec = Exec::new(argv);
    let within = |bad: Malformed| bad.within(&place.to_string());
    if let Some(cwd) = fields.text("cwd")? {
        exec = exec.in_folder(cwd).map_err(within)?;
    }
    if let Some((env, place)) = fields.take("env") {
        let Json::Record(env) = env else {
            return Err(wrong_kind(env, &place, "an object of strings"));
        };
        for (name, value) in env {
            let Json::Str(value) = value else {
                return Err(wrong_kind(value, &place.field(name), "a string"));
            };
            exec = exec.with_env(name, value).map_err(within)?;
        }
    }
    if let Some(stdin) = fields.text("stdin")? {
        exec = exec.with_stdin(stdin.as_bytes()).map_err(within)?;
    }
    fields.end(&["argv", "cwd", "env", "stdin", "shell"])?;
    Ok(exec)
}

fn read_tool(value: &Json, place: &Place) -> Result<Tool, Malformed> {
    let mut fields = Fields::of(value, place)?;
    let name = fields.word("name")?.ok_or_else(|| missing(place, "name"))?;
    let arguments = match fields.take("arguments") {
        Some((value, place)) => args::from_json(value, &place)?,
        None => super::Args::new(),
    };
    fields.end(&["name", "arguments"])?;
    Ok(Tool { name, arguments })
}

fn read_connect(value: &Json, place: &Place) -> Result<Connect, Malformed> {
    let mut fields = Fields::of(value, place)?;
    let host = fields.word("host")?.ok_or_else(|| missing(place, "host"))?;
    let port = match fields.take("port") {
        Some((Json::Int(port), place)) => u16::try_from(*port)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| wrong(&place, "this is no port", "write a whole number from 1 to 65535"))?,
        Some((other, place)) => return Err(wrong_kind(other, &place, "a whole number")),
        None => return Err(missing(place, "port")),
    };
    fields.end(&["host", "port"])?;
    Ok(Connect { host, port })
}

/// The fields of an object, taken one by one; what is left at the end was not known.
struct Fields<'a> {
    place: Place,
    left: Vec<(&'a str, &'a Json)>,
}

impl<'a> Fields<'a> {
    fn of(json: &'a Json, place: &Place) -> Result<Self, Malformed> {
        match json {
            Json::Record(fields) => Ok(Self {
                place: place.clone(),
                left: fields.iter().map(|(name, value)| (name.as_str(), value)).collect(),
            }),
            other => Err(wrong_kind(other, place, "an object")),
        }
    }

    fn take(&mut self, name: &'a str) -> Option<(&'a Json, Place)> {
        let at = self.left.iter().position(|(known, _)| *known == name)?;
        let (_, value) = self.left.swap_remove(at);
        Some((value, self.place.field(name)))
    }

    fn text(&mut self, name: &'a str) -> Result<Option<&'a str>, Malformed> {
        match self.take(name) {
            None => Ok(None),
            Some((Json::Str(text), _)) => Ok(Some(text)),
            Some((other, place)) => Err(wrong_kind(other, &place, "a string")),
        }
    }

    fn word(&mut self, name: &'a str) -> Result<Option<Word>, Malformed> {
        self.take(name).map(|(value, place)| word_of(value, &place)).transpose()
    }

    fn free_text(&mut self, name: &'a str) -> Result<Option<Text>, Malformed> {
        let place = self.place.field(name).to_string();
        let text = self.text(name)?.map(Text::new).transpose();
        text.map_err(|bad| Malformed::new("text.too-long", place, "a text over 4,096 bytes", bad.help()))
    }

    fn end(self, known: &[&str]) -> Result<(), Malformed> {
        let Some((name, _)) = self.left.first() else {
            return Ok(());
        };
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? known here: {}", known.join(", ")),
            None => format!("known here: {}", known.join(", ")),
        };
        Err(Malformed::new(
            "call.unknown-key",
            self.place.field(name).to_string(),
            "this key is not known",
            help,
        ))
    }
}

fn word_of(value: &Json, place: &Place) -> Result<Word, Malformed> {
    let Json::Str(text) = value else {
        return Err(wrong_kind(value, place, "a string"));
    };
    Word::new(text).map_err(|bad| Malformed::new("call.name", place.to_string(), bad.to_string(), bad.help()))
}

fn constant(word: &str) -> Result<Word, Malformed> {
    Word::new(word).map_err(|bad| Malformed::new("call.name", "", bad.to_string(), bad.help()))
}

fn missing(place: &Place, name: &str) -> Malformed {
    Malformed::new(
        "call.missing",
        place.field(name).to_string(),
        "this key is missing",
        format!("add \"{name}\""),
    )
}

fn one_operation(what: &str) -> Malformed {
    Malformed::new(
        "call.operation",
        "",
        what,
        "give exactly one of \"exec\", \"tool\" and \"connect\"",
    )
}

fn wrong_kind(value: &Json, place: &Place, wanted: &str) -> Malformed {
    wrong(
        place,
        &format!("{} stands here", value.kind()),
        &format!("write {wanted}"),
    )
}

fn wrong(place: &Place, what: &str, help: &str) -> Malformed {
    Malformed::new("call.shape", place.to_string(), what, help)
}

/// The reader's message without its own "at line 1 column n": a call is one line.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}
