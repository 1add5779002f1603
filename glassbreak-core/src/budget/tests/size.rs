//! How much one session takes.

use super::*;

/// What is promised of one session.
const MOST: usize = 16 * 1_024;

/// Twenty budgets of the session, in every kind of window, half of them such as a store would keep; and each other kind.
fn many() -> String {
    let mut text = String::from("schema = 1\n");
    for n in 0..20 {
        let window = match n % 5 {
            0 | 1 => "window = { sliding = \"10m\" }\n",
            2 => "window = { sliding = \"12h\", buckets = 12 }\n",
            3 => "window = { calendar = \"day\" }\n",
            // A lifetime.
            _ => "",
        };
        let durability = if n % 2 == 0 { "none" } else { "strict" };
        text += &format!(
            "[[budget]]\nid = \"b{n}\"\nmatch = {{ labels = [\"mutating\"] }}\nkey = [\"session\"]\nlimit = 10\n\
             {window}durability = \"{durability}\"\nladder = []\nceiling = 20\n"
        );
    }
    text + "[[approvals]]\nid = \"tired\"\nkey = [\"session\"]\nlimit = 5\nthen = \"deny\"\nwindow = { sliding = \"1h\", buckets = 12 }\n\
            [[denials]]\nid = \"probing\"\nkey = [\"session\"]\nlimit = 5\nthen = \"kill\"\n\
            [[distinct]]\nid = \"d\"\nmatch = { labels = [\"mutating\"] }\nof = \"target.namespace\"\nlimit = 10\n\
            [[pattern]]\nid = \"p\"\nsteps = [{ labels = [\"secret.read\"] }, { labels = [\"net.egress\"] }]\nwithin = \"1h\"\n\
            [[latch]]\nid = \"l\"\nlatch = [\"secret.read\"]\nmatch = { labels = [\"net.egress\"] }\n\
            [[loop]]\nid = \"c\"\nexact_repeat = 5\nfailing_repeat = 3\ncycle = { max_period = 8, repeats = 3 }\n\
            [[breaker]]\nid = \"b\"\nkey = [\"session\"]\nconsecutive = 5\n"
}

#[test]
fn twenty_budgets_and_one_of_each_other_kind_stay_within_16_kib_after_100_000_events() {
    let rules = load(&many()).unwrap();
    assert!(rules.most_bytes() <= MOST, "{} bytes at most", rules.most_bytes());
    let mut counters = Counters::default();
    let words: [&[&str]; 4] = [
        &["mutating"],
        &["mutating", "secret.read"],
        &["mutating", "net.egress"],
        &["mutating"],
    ];
    let (mut largest, mut written) = (0, 0);
    for n in 0..100_000_u32 {
        let labels = labels(words[n as usize % words.len()]);
        let mut facts = Facts {
            labels,
            possible_labels: labels,
            ..Facts::default()
        };
        facts.target.namespace = Fact::Is(format!("team-{n}-{}", "x".repeat(40)).into());
        facts.partial = n % 97 == 0;
        let event = event(n % 5_000, &facts);
        let seconds = i64::from(n) * 7;
        rules.take(&mut counters, &event, at(seconds), true);
        rules.ended(&mut counters, &event, at(seconds), at(seconds + 1), n % 3 > 0);
        rules.asked(&mut counters, &event, &actor(), at(seconds));
        if n % 11 == 0 {
            rules.take(&mut counters, &event, at(seconds), false);
        }
        if n % 100 == 99 {
            largest = largest.max(counters.bytes());
            written = written.max(counters.to_json().len());
        }
    }
    println!(
        "bound {} bytes, in memory at most {largest}, written at most {written}",
        rules.most_bytes()
    );
    assert!(counters.life().1 >= 100_000, "{:?}", counters.life());
    assert!(largest <= rules.most_bytes(), "{largest} > {}", rules.most_bytes());
    assert!(written <= MOST, "{written} bytes written");
    // Every rule has counted something, so that none is small for having seen nothing.
    assert!(largest >= rules.most_bytes() / 4, "{largest} of {}", rules.most_bytes());
}
