//! The scripts, and messages that run one.

use std::sync::LazyLock;

use redis::Cmd;

/// A script as it is sent.
#[derive(Debug)]
pub(crate) struct Script {
    text: String,
    hash: String,
    /// Whether running it twice is running it once.
    pub(crate) repeats: bool,
}

/// What a script may do: nothing is told the server by mistake.
#[derive(Clone, Copy)]
enum May {
    /// Write, where there is room.
    Write,
    /// Write also where the server is full: whatever stops something, or ends it.
    WriteFull,
    /// Only look.
    Look,
}

const HEAD: &str = include_str!("lua/head.lua");
const COUNT: &str = include_str!("lua/count.lua");

impl Script {
    fn new(may: May, repeats: bool, parts: &[&str]) -> Self {
        let flags = match may {
            May::Write => "",
            May::WriteFull => " flags=allow-oom",
            May::Look => " flags=no-writes",
        };
        let text = format!("#!lua{flags}\n{}", parts.concat());
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash, repeats }
    }

    /// The message; with the whole text where the server does not have it.
    pub(crate) fn message(&self, whole: bool, keys: &[String], args: &[Vec<u8>]) -> Cmd {
        let mut cmd = if whole {
            let mut cmd = redis::cmd("EVAL");
            cmd.arg(&self.text);
            cmd
        } else {
            let mut cmd = redis::cmd("EVALSHA");
            cmd.arg(&self.hash);
            cmd
        };
        cmd.arg(keys.len()).arg(keys);
        for arg in args {
            cmd.arg(&**arg);
        }
        cmd
    }
}

macro_rules! scripts {
    ($($name:ident: $may:ident, $repeats:literal, [$($part:expr),*];)*) => {
        $(pub(crate) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(May::$may, $repeats, &[$($part),*]));)*
        #[cfg(test)]
        static ALL: &[&LazyLock<Script>] = &[$(&$name),*];
    };
}

scripts! {
    RESERVE: Write, true, [HEAD, COUNT, include_str!("lua/reserve.lua")];
    SETTLE: WriteFull, true, [HEAD, COUNT, include_str!("lua/settle.lua")];
    CLAIM: Write, true, [HEAD, include_str!("lua/claim.lua")];
    // A second one joins, or finds its own decision: whoever repeats these looks into it.
    OPEN: Write, true, [HEAD, include_str!("lua/open.lua")];
    DECIDE: Write, true, [HEAD, include_str!("lua/decide.lua")];
    // What it ended is named once, so the answer must not be lost.
    END: WriteFull, false, [HEAD, include_str!("lua/end.lua")];
    UNLOCK: WriteFull, false, [HEAD, include_str!("lua/unlock.lua")];
    LOOK: Look, true, [HEAD, include_str!("lua/look.lua")];
    TIDY: WriteFull, true, [HEAD, include_str!("lua/tidy.lua")];
    TIME: WriteFull, true, [HEAD, include_str!("lua/time.lua")];
    DROP: WriteFull, true, [HEAD, include_str!("lua/drop.lua")];
    INIT: Write, true, [include_str!("lua/init.lua")];
    REIGN: WriteFull, true, [include_str!("lua/reign.lua")];
    DOUBT: WriteFull, true, [include_str!("lua/doubt.lua")];
    ADOPT: WriteFull, false, [include_str!("lua/adopt.lua")];
    INFO: Look, true, [include_str!("lua/info.lua")];
}

/// The arguments of a script, as it reads them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Args(pub(crate) Vec<Vec<u8>>);

/// The largest whole number that scripts can tell from the next.
pub(crate) const MOST: u64 = 1 << 53;

impl Args {
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.push(bytes.to_vec());
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn flag(self, flag: bool) -> Self {
        self.text(if flag { "1" } else { "0" })
    }

    /// A number; one that is larger than any sense is [`MOST`].
    pub(crate) fn number(self, number: u64) -> Self {
        let number = number.min(MOST);
        self.text(&number.to_string())
    }

    /// A number that may be negative, cut at both ends.
    pub(crate) fn signed(self, number: i64) -> Self {
        let most = MOST.cast_signed();
        self.text(&number.clamp(-most, most).to_string())
    }

    /// A list, with its length.
    pub(crate) fn list<T: AsRef<str>>(self, list: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>) -> Self {
        let list = list.into_iter();
        let counted = self.number(u64::try_from(list.len()).unwrap_or(u64::MAX));
        list.fold(counted, |args, one| args.text(one.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_script_holds_what_a_server_may_run_out_of_turn() {
        // A walk over all keys, or an error that is swallowed.
        for script in ALL {
            for word in ["pcall", "'KEYS'", "'SCAN'", "tostring"] {
                assert!(
                    !script.text.replace("tostring() of a large", "").contains(word),
                    "{word}: {}",
                    script.text
                );
            }
        }
    }

    #[test]
    fn numbers_are_cut_where_scripts_cannot_tell_them_apart() {
        let args = Args::default()
            .number(u64::MAX)
            .signed(i64::MIN)
            .signed(-3)
            .list(["a", "b"]);
        let texts: Vec<_> = args.0.iter().map(|arg| std::str::from_utf8(arg).unwrap()).collect();
        assert_eq!(texts, ["9007199254740992", "-9007199254740992", "-3", "2", "a", "b"]);
    }
}
