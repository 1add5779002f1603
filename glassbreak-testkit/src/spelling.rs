//! The spellings by which a program takes an option: made from its dialect alone, not from what the engine looks for.

use glassbreak_core::argv::KnownOption;
use glassbreak_core::argv::profile::Long;

use crate::Choices;

/// A word that the program takes for `option`, among `all` the options that it knows there.
pub(crate) fn of<'a>(
    option: &KnownOption<'_>,
    all: &(impl Iterator<Item = &'a KnownOption<'a>> + Clone),
    choices: &mut Choices<'_>,
) -> String {
    let name = option
        .names
        .get(choices.below(option.names.len()))
        .copied()
        .unwrap_or("--");
    let known = |word: &str| all.clone().any(|option| option.names.contains(&word));
    let short = name.len() == 2 && name.starts_with('-') && option.dialect.long != Long::Single;
    let dialect = option.dialect;
    if short {
        let flags: Vec<char> = all
            .clone()
            .filter(|known| !known.takes_value)
            .flat_map(|known| &known.names)
            .filter(|name| name.len() == 2 && name.starts_with('-'))
            .filter_map(|name| name.chars().nth(1))
            .collect();
        let letter = name.trim_start_matches('-');
        let before = flags
            .get(choices.below(flags.len() + 1))
            .filter(|_| dialect.short_cluster);
        let value = match choices.below(3) {
            0 if option.takes_value && dialect.short_attached => "x",
            1 if option.takes_value && dialect.short_equals => "=x",
            _ => "",
        };
        return ["-", &before.map(char::to_string).unwrap_or_default(), letter, value].concat();
    }
    let mut word = name.to_owned();
    if dialect.abbreviates && choices.once_in(2) {
        let dashes = name.len() - name.trim_start_matches('-').len();
        let shortest = dashes + 1 + choices.below(name.len().saturating_sub(dashes + 1));
        let short = name.get(..shortest).unwrap_or(name);
        // One that is the whole name of another option is that option.
        if !known(short) && (dashes == 2 || short.len() > 2) {
            word = short.to_owned();
        }
    }
    if dialect.underscore_is_dash && choices.once_in(2) {
        let dashes = word.len() - word.trim_start_matches('-').len();
        let (dash, stem) = word.split_at(dashes);
        word = [dash, &stem.replace('-', "_")].concat();
    }
    if dialect.long == Long::Either && choices.once_in(2) {
        word = match word.strip_prefix("--") {
            Some(stem) => ["-", stem].concat(),
            None => ["-", &word].concat(),
        };
    }
    if choices.once_in(3) && name.starts_with("--") {
        word.push_str("=x");
    }
    word
}
