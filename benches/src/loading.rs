//! What loading costs: every shipped pack, beside a hundred policies of Cedar.

use std::fmt::Write as _;
use std::str::FromStr;

use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};

/// A hundred policies, each as complex as the yardstick's, and the schema they are validated against.
#[derive(Debug)]
pub struct Hundred {
    validator: Validator,
    text: String,
}

const SCHEMA: &str = "entity Team; entity Agent in [Team]; entity Tool;\n\
    action exec appliesTo { principal: Agent, resource: Tool,\n\
    context: { argv0: String, flags: Set<String>, spent: Long, cost: Long, cwd: String } };";

impl Hundred {
    /// Their text; the schema is read already.
    pub fn new() -> Self {
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).expect("a schema");
        let mut text = String::new();
        for n in 0..100 {
            let _ = writeln!(
                text,
                "@id(\"p{n}\") permit (principal in Team::\"t{n}\", action == Action::\"exec\", resource is Tool) when {{ \
                 context.argv0 == \"cargo\" && !context.flags.containsAny([\"--force\", \"--no-verify\", \"-f\"]) && \
                 context.spent + context.cost <= {n} && context.cwd like \"/home/*/src/*\" }};"
            );
        }
        Self {
            validator: Validator::new(schema),
            text,
        }
    }

    /// Parses and validates them.
    pub fn load(&self) -> PolicySet {
        let policies = PolicySet::from_str(&self.text).expect("policies");
        let found = self.validator.validate(&policies, ValidationMode::Strict);
        assert!(found.validation_passed(), "the policies are valid");
        policies
    }
}

impl Default for Hundred {
    fn default() -> Self {
        Self::new()
    }
}
