//! What Dogwood says, for glassbreak to be held against: one half of `benches/dogwood.sh`.
//!
//! A condition of Dogwood is translated into sequence rules where they can say the same ([`said`]). What cannot be
//! translated is left out and counted, never guessed.
//!
//! - `formerly within W P`, and `!N since within W P`, are a `[[pattern]]` of two steps, the second with `unless`;
//! - a count of the calls that are judged themselves, `count … formerly within W (P && tp(t))`, is a `[[budget]]`;
//! - `&&` and `!` over these are taken from their answers.
//!
//! Where a condition compares a field of an event with one of the call that is judged, each value is a session of its own.

mod cases;
mod corpus;
mod random;
mod said;
mod schema;
mod times;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["corpus"] => corpus::print(),
        ["random", wanted] if wanted.parse::<usize>().is_ok() => random::print(wanted.parse().unwrap_or_default()),
        ["times"] => times::print(),
        _ => {
            eprintln!("usage: glassbreak-dogwood corpus | random <how many> | times");
            std::process::exit(2);
        }
    }
}
