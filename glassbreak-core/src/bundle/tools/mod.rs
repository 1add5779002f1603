//! `tools.toml`: the tools, what they mean, and what their arguments must be.

mod check;
mod listed;
#[cfg(test)]
mod listed_tests;
mod manifest;
mod offer;
mod schema;
mod secret;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::call::{ArgValue, Args, Call, Operation, Tool};
use crate::error::{Problem, nearest};
use crate::facts::{Fact, PinFact, Target};
use crate::finding::Finding;
use crate::label::{LabelSet, Vocabulary};
use crate::shape::ToolShape;
use crate::source::Source;

use self::listed::Listed;

/// The tools of a bundle.
///
/// ```toml
/// [tools.restart_service]
/// about = "restarts one service"
/// labels = ["mutating"]
/// resource = { type = "Service", id = "args.name" }                 # the host's entity; else the tool itself
/// target = { kind = "service", name = "args.name", namespace = "args.ns" }
/// pin = ["namespace", "args.name"]                                  # what an approved window holds fixed
/// cost = { objects = 1, seconds = "args.grace" }                    # what budgets count; of a list, how long it is
///
/// [tools.restart_service.schema]                                    # none: the tool takes no arguments
/// type = "object"
/// required = ["name"]
/// properties.name = { type = "string", pattern = "[a-z][a-z0-9-]*", maxLength = 63 }
/// properties.ns = { type = "string", enum = ["staging", "prod"] }
/// properties.grace = { type = "integer", minimum = 0, maximum = 600 }
/// properties.token = { type = "string", writeOnly = true }          # judged, and shown nowhere
/// ```
///
/// The schema is the part of JSON Schema that Cedar can speak of, and closed: no argument that is not named passes.
/// Two words are stricter than in JSON Schema, on purpose: `maxLength` counts bytes of UTF-8, and `pattern` must
/// match the whole text. An argument that is `writeOnly` is [secret](ArgValue::Secret): policies may read it, cards,
/// records and refusals do not show it, and it cannot say what the call acts on, costs, or is pinned by.
///
/// A tool of an MCP server can take its schema from the server's own listing, the result of `tools/list` in the file
/// `tools.json`. What policies cannot speak of (a fraction, a null, one of several types) is left out, and a call that
/// gives it is refused; where every call needs it, `map` must say what to take it for:
///
/// ```toml
/// [tools.place_order]
/// labels = ["mutating"]
/// schema = "tools.json"
/// map.price = { type = "string", pattern = "[0-9]+[.][0-9]{2}" }
/// map."where.zone" = { type = "string", enum = ["a", "b"] }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Tools {
    shapes: Vec<ToolShape>,
    entries: BTreeMap<Box<str>, ToolEntry>,
    lints: Vec<Problem>,
}

impl Tools {
    /// Reads `tools.toml`, and `tools.json` for it; a bundle without the first has no tools.
    ///
    /// # Errors
    /// Everything that is wrong with the files, each at its line and column; and a listing that no tool is taken from.
    pub(crate) fn load(
        source: Option<Source<'_>>,
        listing: Option<Source<'_>>,
        vocabulary: &Vocabulary,
    ) -> Result<Self, Vec<Problem>> {
        let listed = listing.map(Listed::read).transpose()?;
        let Some(source) = source else {
            return match listing {
                Some(listing) => Err(vec![unused(&listing)]),
                None => Ok(Self::default()),
            };
        };
        let (entries, lints) = manifest::entries(source, vocabulary, listed.as_ref())?;
        if let Some(listing) = listing.filter(|_| !entries.iter().any(|entry| entry.listed)) {
            return Err(vec![unused(&listing)]);
        }
        Ok(Self {
            lints,
            shapes: entries.iter().map(|entry| entry.shape.clone()).collect(),
            entries: entries
                .into_iter()
                .map(|entry| (entry.shape.name.as_str().into(), entry))
                .collect(),
        })
    }

    /// Arguments that were left out of what a listing says.
    pub(crate) fn lints(&self) -> &[Problem] {
        &self.lints
    }

    /// What calls of each tool look like, by name.
    pub fn shapes(&self) -> &[ToolShape] {
        &self.shapes
    }

    /// The tool called `name`.
    pub fn get(&self, name: &str) -> Option<&ToolEntry> {
        self.entries.get(name)
    }

    /// The names of the tools, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(|name| &**name)
    }

    /// Makes secret what the manifest marks `writeOnly` among the arguments of a call. A gate does this to every call
    /// before anything is said of it; a host that judges alone, and shows or keeps calls, does it by this.
    pub fn conceal(&self, call: &mut Call) {
        if let Operation::Tool(tool) = &mut call.operation
            && let Some(entry) = self.get(tool.name.as_str())
        {
            entry.conceal(&mut tool.arguments);
        }
    }

    /// The tool that `name` may have meant.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.names())
    }
}

/// One tool.
#[derive(Debug, Clone)]
pub struct ToolEntry {
    shape: ToolShape,
    labels: LabelSet,
    target: Vec<(&'static str, Origin)>,
    /// The type of the host's entity, and the way to its id among the arguments.
    resource: Option<(String, Path)>,
    /// What a window grant holds fixed.
    pins: Vec<PinFact>,
    /// What calling it costs, by unit.
    costs: Vec<(Arc<str>, Price)>,
    /// Whether its schema is from `tools.json`.
    listed: bool,
    /// What it does, in a line.
    about: Box<str>,
    /// Whether some argument is marked `writeOnly`, also one that was left out of what a listing says.
    secret: bool,
}

/// A listing beside which nobody says what its tools mean: they would look declared, and be refused.
fn unused(listing: &Source<'_>) -> Problem {
    let help = "write schema = \"tools.json\" for a tool in tools.toml, or remove the file";
    Problem::in_file(listing.file, "no tool takes its schema from this listing", help)
}

impl ToolEntry {
    /// What a call of this tool looks like.
    pub const fn shape(&self) -> &ToolShape {
        &self.shape
    }

    /// What calling it means.
    pub const fn labels(&self) -> LabelSet {
        self.labels
    }

    /// What a window grant for this tool holds fixed, beside the kind of target.
    pub fn pins(&self) -> &[PinFact] {
        &self.pins
    }

    fn conceal(&self, args: &mut Args) {
        if self.secret {
            secret::conceal(&self.shape.args, args);
        }
    }

    /// Checks the arguments of `tool` against the schema, and says what the call is about.
    ///
    /// # Errors
    /// The denial `hygiene.tool.argument`, which names the first argument that is missing, unknown or not what the
    /// schema allows, and what would be.
    pub fn judge(&self, tool: &Tool) -> Result<ToolFacts, Finding> {
        let mut args = tool.arguments.clone();
        self.conceal(&mut args);
        check::arguments(&self.shape.args, &args)?;
        let origins = self.target.iter().filter_map(|(_, origin)| origin.path());
        let paths = origins.chain(self.resource.iter().map(|(_, path)| path));
        if let Some(secret) = paths.into_iter().find(|path| path.is_secret(&args)) {
            return Err(check::secret(secret));
        }
        let mut target = Target::default();
        for (name, origin) in &self.target {
            if let Some(fact) = target.get_mut(name) {
                *fact = origin.fact(&args);
            }
        }
        let resource = match &self.resource {
            None => None,
            // Required by the schema, so it is there; were it not, no entity may stand for it.
            Some((ty, path)) => match path.text(&args) {
                Some(id) => Some((ty.clone(), id.to_owned())),
                None => return Err(check::missing(path)),
            },
        };
        let costs = self.costs.iter();
        let costs = costs.map(|(unit, price)| (Arc::clone(unit), price.of(&args))).collect();
        Ok(ToolFacts {
            args,
            target,
            labels: self.labels,
            costs,
            resource,
        })
    }
}

/// What the manifest says of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolFacts {
    /// The arguments; they are as the schema wants them.
    pub args: Args,
    /// What the call acts on.
    pub target: Target,
    /// What the call means.
    pub labels: LabelSet,
    /// What it costs, by unit; `None` where the arguments do not say how much.
    pub costs: Vec<(Arc<str>, Option<u64>)>,
    /// The type and id of the host's entity that the call acts on; `None` for the tool itself.
    pub resource: Option<(String, String)>,
}

/// Where a fact of the target comes from.
#[derive(Debug, Clone)]
enum Origin {
    Literal(Arc<str>),
    Arg(Path),
}

impl Origin {
    const fn path(&self) -> Option<&Path> {
        match self {
            Self::Literal(_) => None,
            Self::Arg(path) => Some(path),
        }
    }

    fn fact(&self, args: &Args) -> Fact {
        match self {
            Self::Literal(text) => Fact::Is(Arc::clone(text)),
            Self::Arg(path) => path.text(args).map_or(Fact::Absent, |text| Fact::Is(text.into())),
        }
    }
}

/// What a call costs in one unit.
#[derive(Debug, Clone)]
enum Price {
    Fixed(u64),
    /// A whole number, or how long a list is.
    Arg(Path),
}

impl Price {
    fn of(&self, args: &Args) -> Option<u64> {
        match self {
            Self::Fixed(price) => Some(*price),
            Self::Arg(path) => match path.value(args)? {
                ArgValue::Int(number) => u64::try_from(*number).ok(),
                ArgValue::List(items) => u64::try_from(items.len()).ok(),
                _ => None,
            },
        }
    }
}

/// The way to a value among the arguments.
#[derive(Debug, Clone)]
struct Path(Vec<Box<str>>);

impl Path {
    /// Whether what stands there may not be shown; what a call acts on must be.
    fn is_secret(&self, args: &Args) -> bool {
        let mut args = args;
        for name in &self.0 {
            match args.get(name) {
                Some(ArgValue::Record(fields)) => args = fields,
                Some(value) => return value.is_secret(),
                None => return false,
            }
        }
        false
    }

    fn text<'a>(&self, args: &'a Args) -> Option<&'a str> {
        match self.value(args)? {
            ArgValue::Str(text) => Some(text),
            _ => None,
        }
    }

    fn value<'a>(&self, args: &'a Args) -> Option<&'a ArgValue> {
        let (last, way) = self.0.split_last()?;
        let mut args = args;
        for name in way {
            match args.get(name) {
                Some(ArgValue::Record(fields)) => args = fields,
                _ => return None,
            }
        }
        args.get(last)
    }
}
