//! One way to write a table, for hashes: where a change must show and mere rewriting must not.

use toml::de::DeValue;

use super::Fields;

impl Fields<'_> {
    /// The table without comments, places and spelling, its keys sorted. Each value has a tag and a length, so that
    /// different tables are written differently; lists keep their order.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let fields = self
            .table
            .iter()
            .map(|(key, value)| (&**key.get_ref(), value.get_ref()));
        table(fields)
    }
}

fn table<'a, 'd: 'a>(fields: impl Iterator<Item = (&'a str, &'a DeValue<'d>)>) -> Vec<u8> {
    let mut fields: Vec<_> = fields.collect();
    fields.sort_by_key(|(key, _)| *key);
    let written = fields.into_iter().flat_map(|(key, value)| {
        let mut both = part(b'k', key.as_bytes());
        both.extend(write(value));
        both
    });
    part(b't', &written.collect::<Vec<u8>>())
}

fn write(value: &DeValue<'_>) -> Vec<u8> {
    match value {
        DeValue::String(text) => part(b's', text.as_bytes()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => part(b'i', &number.to_be_bytes()),
            // Too large for any rule; it stays apart from what fits.
            Err(_) => part(b'n', number.to_string().as_bytes()),
        },
        DeValue::Float(number) => part(b'f', number.as_str().as_bytes()),
        DeValue::Boolean(value) => part(b'b', &[u8::from(*value)]),
        DeValue::Datetime(date) => part(b'd', date.to_string().as_bytes()),
        DeValue::Array(items) => {
            let items = items.iter().flat_map(|item| write(item.get_ref()));
            part(b'l', &items.collect::<Vec<u8>>())
        }
        DeValue::Table(fields) => table(fields.iter().map(|(key, value)| (&**key.get_ref(), value.get_ref()))),
    }
}

fn part(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&[tag], &length.to_be_bytes()[..], bytes].concat()
}

#[cfg(test)]
mod tests {
    use crate::source::Source;

    fn canonical(text: &str) -> Vec<u8> {
        let source = Source { file: "x.toml", text };
        super::super::read(source, |_, fields| fields.canonical()).unwrap()
    }

    #[test]
    fn rewriting_does_not_show_and_changes_do() {
        let one = canonical("b = [1, 'x']\na = { c = true, d = 1.5 }\n");
        assert_eq!(
            one,
            canonical("a.d = 1.5 # so\na.c = true\nb = [ 0x1, \"\\u0078\", ]\n")
        );
        for other in [
            "b = [1, 'x']\na = { c = true, d = 1.25 }\n",
            "b = ['x', 1]\na = { c = true, d = 1.5 }\n",
            "b = [[1, 'x']]\na = { c = true, d = 1.5 }\n",
            "b = ['1', 'x']\na = { c = true, d = 1.5 }\n",
            "b = [1, 'x']\na = { d = 1.5 }\nc = true\n",
            "b = [1, 'x']\na = { c = false, d = 1.5 }\n",
        ] {
            assert_ne!(one, canonical(other), "{other}");
        }
        assert_ne!(canonical("a = 9999999999999999999999"), canonical("a = 0"));
    }
}
