//! `pin` of a profile: what an approval that opens a window holds fixed.

use super::compile::Compiler;
use super::program::{FactRef, Program};
use crate::error::{nearest, shown};
use crate::facts::{PinFact, Target};
use crate::source::Step;

impl Compiler<'_> {
    /// What a window grant holds fixed. A pin that holds nothing fixed would only look like one.
    pub(super) fn pins(&mut self, pins: &[String], program: &Program, at: &[Step<'_>]) -> Vec<PinFact> {
        const CAN: &str = "write `namespace`, `name` or `owner`";
        let mut known: Vec<PinFact> = Vec::new();
        for (n, pin) in pins.iter().enumerate() {
            let place = [at, &[Step::Key("pin"), Step::Index(n)]].concat();
            let found = Target::NAMES.into_iter().find(|name| name == pin);
            match found {
                _ if matches!(pin.as_str(), "kind" | "command") => {
                    let what = format!("`{pin}` is always held fixed");
                    self.problem(&place, what, "leave it out");
                }
                Some(name) if known.contains(&PinFact::Target(name)) => {
                    self.problem(&place, format!("`{pin}` stands twice in `pin`"), "write it once");
                }
                Some(name) if !program.fills(FactRef::Target(name)) => {
                    let what = format!("nothing fills `target.{pin}`, so that `pin` would hold nothing fixed");
                    let help = format!("add `target.{pin}` to the `facts` of what says it, or leave the pin out");
                    self.problem(&place, what, help);
                }
                Some(name) => known.push(PinFact::Target(name)),
                None => {
                    let bare = pin.strip_prefix("target.").unwrap_or(pin);
                    let help = match nearest(bare, Target::NAMES) {
                        Some(near) if near != "kind" => format!("did you mean `{near}`?"),
                        _ => CAN.to_owned(),
                    };
                    let what = format!("`{}` cannot be held fixed", shown(pin));
                    self.problem(&place, what, help);
                }
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argv::Programs;
    use crate::finding::Outcome;
    use crate::label::Vocabulary;
    use crate::source::Source;

    fn load(text: &str) -> Result<Programs, Vec<String>> {
        let source = Source {
            file: "safe-bins.toml",
            text,
        };
        Programs::load(Some(source), Outcome::Deny, &Vocabulary::built_in())
            .map(|(programs, _)| programs)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    fn own(pin: &str) -> Result<Programs, Vec<String>> {
        load(&format!(
            "schema = 1\n[profiles.shop]\npin = {pin}\n\
             globals = [{{ names = [\"-n\"], value = \"word\", facts = [\"target.namespace\"] }},\n\
             {{ names = [\"--all\"], sets = {{ \"target.name\" = \"*\" }} }}]\n\
             types.word = {{ pattern = \"[a-z]+\" }}\ntypes.person = {{ pattern = \"[a-z]+\", facts = [\"target.owner\"] }}\n\
             root.verdict = \"allow\"\nroot.forms = [{{ operands = [{{ type = \"person\" }}] }}]\n\
             examples.allow = [\"shop bob\"]\n"
        ))
    }

    #[test]
    fn a_profile_pins_what_it_fills() {
        let programs = own("[\"owner\", \"namespace\", \"name\"]").unwrap();
        let pinned = ["owner", "namespace", "name"].map(PinFact::Target);
        assert_eq!(programs.pins("shop"), pinned);
        assert_eq!(own("[]").unwrap().pins("shop"), []);
        assert_eq!(programs.pins("unlisted"), []);
    }

    #[test]
    fn packs_pin_what_fits_and_what_extends_them_keeps_it() {
        let every = load(
            "schema = 1\nuse = [\"builtin:kubectl-readonly\", \"builtin:git-readonly\", \"builtin:mcporter-readonly\"]\n",
        )
        .unwrap();
        assert_eq!(every.pins("kubectl"), [PinFact::Target("namespace")]);
        assert_eq!(every.pins("git"), []);
        let extended = |pin: &str| {
            load(&format!(
                "schema = 1\n[profiles.kubectl]\nextends = \"builtin:kubectl-readonly\"\n{pin}\n\
                 examples.allow = [\"kubectl get pods\"]\n"
            ))
        };
        let pinned = |pin: &str| -> Vec<String> {
            let programs = extended(pin).unwrap();
            programs.pins("kubectl").iter().map(ToString::to_string).collect()
        };
        assert_eq!(pinned(""), ["namespace"]);
        // An empty list takes nothing away, and what the pack pins may be said again.
        assert_eq!(pinned("pin = []"), ["namespace"]);
        assert_eq!(pinned("pin = [\"namespace\"]"), ["namespace"]);
        assert_eq!(pinned("pin = [\"name\"]"), ["name", "namespace"]);
        let problems = extended("pin = [\"name\", \"kind\"]").map(|_| ()).unwrap_err();
        assert!(
            problems[0].starts_with("safe-bins.toml:4:16: profile `kubectl`: `kind` is always"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_pin_that_would_hold_nothing_fixed_is_refused() {
        for (pin, said) in [
            (
                "[\"kind\"]",
                "3:8: profile `shop`: `kind` is always held fixed\n  help: leave it out",
            ),
            ("[\"command\"]", "3:8: profile `shop`: `command` is always held fixed"),
            ("[\"owner\", \"owner\"]", "3:17: profile `shop`: `owner` stands twice"),
            (
                "[\"namespaec\"]",
                "3:8: profile `shop`: `namespaec` cannot be held fixed\n  help: did you mean `namespace`?",
            ),
            (
                "[\"target.namespace\"]",
                "3:8: profile `shop`: `target.namespace` cannot be held fixed\n  help: did you mean `namespace`?",
            ),
            (
                "[\"args.x\"]",
                "3:8: profile `shop`: `args.x` cannot be held fixed\n  help: write `namespace`",
            ),
            ("[\"\"]", "3:8: profile `shop`: `` cannot be held fixed"),
            ("\"owner\"", "3:7: invalid type"),
        ] {
            let problems = own(pin).map(|_| ()).expect_err(pin);
            assert_eq!(problems.len(), 1, "{pin}: {problems:?}");
            assert!(
                problems[0].starts_with(&format!("safe-bins.toml:{said}")),
                "{}",
                problems[0]
            );
        }
        let empty = load("schema = 1\n[profiles.x]\npin = [\"owner\"]\nexamples.ask = [\"x\"]\n");
        let problems = empty.map(|_| ()).unwrap_err();
        assert!(problems[0].contains("nothing fills `target.owner`"), "{problems:?}");
        let plural = load("schema = 1\n[profiles.x]\npins = [\"owner\"]\n")
            .map(|_| ())
            .unwrap_err();
        assert!(plural[0].contains("unknown field `pins`"), "{plural:?}");
    }
}
