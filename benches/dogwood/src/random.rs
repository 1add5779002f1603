//! Random policies that both can say, and random traces.

use crate::{cases, schema};

const SCHEMA: &str = r#"
namespace Test {
  type In = { user: String };
  entity Gateway;
  entity User;
  action "A" appliesTo { principal: [User], resource: [Gateway], context: { input: In } };
  action "B" appliesTo { principal: [User], resource: [Gateway], context: { input: In } };
  action "C" appliesTo { principal: [User], resource: [Gateway], context: { input: In } };
}
"#;

/// A row of numbers that is always the same.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).expect("small")]
    }
}

fn leaf(random: &mut Random) -> String {
    let within = 1 + random.below(30);
    let alike = random.one(&["input.user: context.input.user", "input.user: _"]);
    let kind = random.one(&["request", "response"]);
    let leaf = match random.below(3) {
        0 => {
            let action = random.one(&["A", "B", "C"]);
            format!("formerly within {within}s Test::Action::\"{action}\"::{kind}{{ {alike} }}")
        }
        1 => {
            let (began, broke) = match random.below(3) {
                0 => ("A", "B"),
                1 => ("B", "C"),
                _ => ("C", "A"),
            };
            format!(
                "!Test::Action::\"{broke}\"::request{{ {alike} }} since within {within}s \
                 Test::Action::\"{began}\"::{kind}{{ {alike} }}"
            )
        }
        _ => {
            let op = random.one(&[">", ">=", "<", "<=", "==", "!="]);
            let with = random.below(6);
            format!(
                "exists (n: Long). ((count for (t: Timepoint). where (formerly within {within}s \
                 (Test::Action::\"A\"::request{{ {alike} }} && tp(t)))) == n && n {op} {with})"
            )
        }
    };
    match random.below(4) {
        0 => format!("!({leaf})"),
        _ => format!("({leaf})"),
    }
}

fn policy(random: &mut Random) -> String {
    let rules = 1 + random.below(3);
    let rule = |n: u64, random: &mut Random| {
        let effect = if n == 0 {
            "permit"
        } else {
            random.one(&["permit", "forbid"])
        };
        let clause = random.one(&["when", "when", "unless"]);
        let leaves: Vec<String> = (0..1 + random.below(3)).map(|_| leaf(random)).collect();
        let leaves = leaves.join(" && ");
        format!("{effect} (principal, action == Test::Action::\"A\", resource) {clause} temporal {{ {leaves} }};\n")
    };
    (0..rules).map(|n| rule(n, random)).collect()
}

fn log(random: &mut Random) -> String {
    let mut at = 0;
    let line = |n: u64, random: &mut Random| {
        at += 1 + random.below(8);
        let (user, action) = (random.one(&["u1", "u2"]), random.one(&["A", "A", "B", "C"]));
        let (kind, context) = match random.below(3) {
            0 => ("response", String::new()),
            _ => ("request", format!("request_context(input: {{ user: \"{user}\" }}) ")),
        };
        format!(
            "@{at} scope(principal: Test::User::\"p\", resource: Test::Gateway::\"g\") {context}Test::Action::\"{action}\"::{kind}\
             (input: {{ user: \"{user}\" }}, callerPrincipal: Test::User::\"p\", callerResource: Test::Gateway::\"g\", requestId: \"r{n}\")\n"
        )
    };
    let mut line = line;
    (0..60).map(|n| line(n, random)).collect()
}

/// So many policies, each with a trace of sixty events, as lines. Dogwood's interpreter and its published engine must say the
/// same of each.
pub fn print(wanted: usize) {
    let mut random = Random(7);
    let mut refused = 0;
    for case in 0..wanted {
        let (policy, log) = (policy(&mut random), log(&mut random));
        let Ok(lowered) = schema::lowered(&policy, SCHEMA) else {
            refused += 1;
            continue;
        };
        let policies = schema::policies(&policy).unwrap_or_else(|why| panic!("{why}: {policy}"));
        let verdicts = cases::verdicts(lowered, &log, false);
        let again = schema::lowered(&policy, SCHEMA).expect("as before");
        assert_eq!(verdicts, cases::verdicts(again, &log, true), "{policy}");
        println!("{}", cases::line(&format!("random {case}"), &policies, &log, &verdicts));
    }
    eprintln!(
        "{} of {wanted} random policies; Dogwood refuses the others",
        wanted - refused
    );
}
