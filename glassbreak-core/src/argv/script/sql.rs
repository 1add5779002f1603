//! SQL: one statement that reads, of functions known to do nothing else.
//!
//! A database has functions that write files or end sessions, and anyone may have defined more: so a function is known
//! by its name or refused. That a name means what it says is up to the database; a role that may only read is the
//! surer guard.

mod called;

use super::{Chars, is_name};
use called::Called;

/// What may stand before `(`: words of the language, types, and functions that only compute.
const BEFORE_PAREN: &[&str] = &[
    "ABS",
    "AGE",
    "ALL",
    "AND",
    "ANY",
    "ARRAY",
    "ARRAY_AGG",
    "ARRAY_LENGTH",
    "ARRAY_TO_STRING",
    "AS",
    "AVG",
    "BETWEEN",
    "BOOL_AND",
    "BOOL_OR",
    "BTRIM",
    "BY",
    "CAST",
    "CEIL",
    "CEILING",
    "CHAR",
    "CHAR_LENGTH",
    "COALESCE",
    "CONCAT",
    "CONCAT_WS",
    "COUNT",
    "CUBE",
    "CURRENT_DATABASE",
    "CURRENT_SCHEMA",
    "CURRENT_TIMESTAMP",
    "DATE",
    "DATETIME",
    "DATE_PART",
    "DATE_TRUNC",
    "DECIMAL",
    "DENSE_RANK",
    "DISTINCT",
    "ELSE",
    "EVERY",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "EXTRACT",
    "FILTER",
    "FIRST_VALUE",
    "FLOOR",
    "FORMAT_TYPE",
    "FROM",
    "GENERATE_SERIES",
    "GREATEST",
    "GROUP",
    "GROUPING",
    "HAVING",
    "IFNULL",
    "IN",
    "INITCAP",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "JSONB_AGG",
    "JSONB_ARRAY_ELEMENTS",
    "JSONB_ARRAY_LENGTH",
    "JSONB_BUILD_OBJECT",
    "JSONB_EACH",
    "JSONB_OBJECT_KEYS",
    "JSON_AGG",
    "JSON_ARRAY_ELEMENTS",
    "JSON_ARRAY_LENGTH",
    "JSON_BUILD_OBJECT",
    "JSON_EXTRACT",
    "JSON_OBJECT_AGG",
    "JULIANDAY",
    "LAG",
    "LAST_VALUE",
    "LATERAL",
    "LEAD",
    "LEAST",
    "LEFT",
    "LENGTH",
    "LIKE",
    "LIMIT",
    "LOWER",
    "LPAD",
    "LTRIM",
    "MATERIALIZED",
    "MAX",
    "MD5",
    "MIN",
    "MOD",
    "NOT",
    "NOW",
    "NTILE",
    "NULLIF",
    "NUMERIC",
    "OCTET_LENGTH",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "OVERLAPS",
    "PARTITION",
    "PERCENTILE_CONT",
    "PERCENTILE_DISC",
    "PG_COLUMN_SIZE",
    "PG_DATABASE_SIZE",
    "PG_GET_CONSTRAINTDEF",
    "PG_GET_INDEXDEF",
    "PG_GET_VIEWDEF",
    "PG_INDEXES_SIZE",
    "PG_IS_IN_RECOVERY",
    "PG_POSTMASTER_START_TIME",
    "PG_RELATION_SIZE",
    "PG_SIZE_PRETTY",
    "PG_TABLE_SIZE",
    "PG_TOTAL_RELATION_SIZE",
    "POSITION",
    "POWER",
    "RANK",
    "REGEXP_MATCHES",
    "REGEXP_REPLACE",
    "REPLACE",
    "RIGHT",
    "ROLLUP",
    "ROUND",
    "ROW",
    "ROW_NUMBER",
    "ROW_TO_JSON",
    "RTRIM",
    "SELECT",
    "SETS",
    "SIGN",
    "SOME",
    "SPLIT_PART",
    "SQRT",
    "STDDEV",
    "STRFTIME",
    "STRING_AGG",
    "STRPOS",
    "SUBSTR",
    "SUBSTRING",
    "SUM",
    "THEN",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "TO_CHAR",
    "TO_DATE",
    "TO_JSON",
    "TO_JSONB",
    "TO_NUMBER",
    "TO_TIMESTAMP",
    "TRIM",
    "TRUNC",
    "TYPEOF",
    "UNION",
    "UNNEST",
    "UPPER",
    "USING",
    "VALUES",
    "VARCHAR",
    "VARIANCE",
    "VERSION",
    "WHEN",
    "WHERE",
    "WITHIN",
];

/// Words by which a statement changes something, wherever they stand.
const CHANGING: &[&str] = &[
    "ALTER", "CALL", "COPY", "CREATE", "DELETE", "DO", "DROP", "EXECUTE", "GRANT", "INSERT", "INTO", "LOAD", "LOCK",
    "MERGE", "PRAGMA", "PREPARE", "REFRESH", "REVOKE", "SET", "TRUNCATE", "UPDATE", "VACUUM",
];

/// Tables and columns that hold passwords or their hashes.
const SECRET: &[&str] = &[
    "PG_AUTHID",
    "PG_SHADOW",
    "PG_USER_MAPPING",
    "PG_USER_MAPPINGS",
    "PG_HBA_FILE_RULES",
    "PG_LARGEOBJECT",
    "PG_SUBSCRIPTION",
    "USER_MAPPING_OPTIONS",
    "_PG_USER_MAPPINGS",
    "PRIMARY_CONNINFO",
    "SUBCONNINFO",
    "ROLPASSWORD",
    "PASSWD",
    "AUTHENTICATION_STRING",
];

pub(super) fn check(text: &str) -> Result<(), String> {
    let mut chars = Chars::new(text);
    let mut words = 0usize;
    let mut explains = false;
    // What the last token was: a parenthesis behind a name calls it.
    let mut last = Last::Start;
    let mut called = Called::default();
    while let Some(c) = chars.next() {
        if last == Last::End && !c.is_ascii_whitespace() && c != ';' {
            return Err("more than one statement".to_owned());
        }
        last = match c {
            c if c.is_ascii_whitespace() => continue,
            '\'' => {
                quoted(&mut chars, '\'')?;
                called.mark(c);
                Last::Other
            }
            '"' => {
                let name = quoted(&mut chars, '"')?.to_ascii_uppercase();
                secret(&name)?;
                called.name(name, true)?;
                Last::Name
            }
            '-' if chars.peek() == Some('-') => return Err("a comment".to_owned()),
            '/' if chars.peek() == Some('*') => return Err("a comment".to_owned()),
            ';' => {
                called.mark(c);
                Last::End
            }
            '(' if matches!(last, Last::Name | Last::For) => {
                return Err("a function that is not known to only read".to_owned());
            }
            '(' if last == Last::Start => return Err("it begins with a parenthesis".to_owned()),
            '.' => {
                called.dot()?;
                Last::Dot
            }
            ':' if chars.eat(':') => {
                called.mark(c);
                Last::Other
            }
            c if c.is_ascii_digit() => {
                chars.number()?;
                called.mark(c);
                Last::Name
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let rest = chars.take_while(is_name);
                let word: String = std::iter::once(c).chain(rest.chars()).collect();
                let word = word.to_ascii_uppercase();
                words += 1;
                explains |= words == 1 && word == "EXPLAIN";
                if word == "U" && (chars.rest.starts_with("&\"") || chars.rest.starts_with("&'")) {
                    return Err("a name or text with escapes of its own".to_owned());
                }
                let next = name(&word, words, explains, last)?;
                called.name(word, false)?;
                next
            }
            c if "()[],*+-/%<>=!~|&^".contains(c) => {
                called.mark(c);
                Last::Other
            }
            other => {
                return Err(format!(
                    "`{}` is no part of a plain query",
                    crate::error::shown(&other.to_string())
                ));
            }
        };
    }
    if words == 0 {
        return Err("no statement".to_owned());
    }
    called.end()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Start,
    /// A name behind which a parenthesis calls a function that is not known.
    Name,
    /// `FOR`.
    For,
    /// A word that may stand before a parenthesis.
    Word,
    Dot,
    Other,
    End,
}

fn name(word: &str, nth: usize, explains: bool, last: Last) -> Result<Last, String> {
    const FIRST: [&str; 6] = ["SELECT", "WITH", "SHOW", "VALUES", "TABLE", "EXPLAIN"];
    if nth == 1 && !FIRST.contains(&word) {
        return Err(format!("`{word}` begins no statement that only reads"));
    }
    // What is explained is a statement of its own, behind words such as `ANALYZE`.
    let changes = CHANGING.contains(&word) || (explains && matches!(word, "DECLARE" | "REINDEX"));
    if changes && last != Last::Dot {
        return Err(format!("`{word}` changes something"));
    }
    if last == Last::For && matches!(word, "SHARE" | "KEY" | "NO") {
        return Err(format!("`FOR {word}` locks what is read"));
    }
    if word == "UESCAPE" {
        return Err("a name or text with escapes of its own".to_owned());
    }
    secret(word)?;
    let known = BEFORE_PAREN.binary_search(&word).is_ok();
    if word == "FOR" {
        return Ok(Last::For);
    }
    Ok(if known && last != Last::Dot {
        Last::Word
    } else {
        Last::Name
    })
}

/// Refuses the name of what holds passwords, in upper case; quotes round it do not hide it.
fn secret(name: &str) -> Result<(), String> {
    if SECRET.contains(&name) {
        return Err(format!("`{name}` holds passwords"));
    }
    Ok(())
}

/// A text between quotes, without them; a doubled quote stands for one. Whether a backslash escapes depends on settings.
fn quoted(chars: &mut Chars<'_>, quote: char) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match chars.next() {
            Some('\\') => return Err("a backslash".to_owned()),
            Some(c) if c == quote && !chars.eat(quote) => return Ok(text),
            Some(c) => text.push(c),
            None => return Err("a text without end".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Language, tests::try_all};

    #[test]
    fn the_words_before_a_parenthesis_are_sorted() {
        assert!(super::BEFORE_PAREN.is_sorted());
    }

    #[test]
    fn statements_that_read_pass_and_others_do_not() {
        try_all(
            Language::Sql,
            &[
                "select 1",
                "SELECT count(*) FROM users;",
                "select \"a\".b, 'it''s; drop' from t where x::int in (1,2)",
                "show all",
                "with x as (select 1) select * from x",
                "explain analyze select * from t",
                "explain (analyze, buffers) select 1",
                "table t",
                "values (1), (2)",
                "select date_trunc('day', created_at), count(*) from t group by 1 order by 2 desc limit 5 ;",
                "select pg_size_pretty(pg_total_relation_size('t'))",
                "select * from pg_stat_activity where state <> 'idle'",
                "select a, row_number() over (partition by b order by c) from s.t",
                "select updated_at, deleted from t",
                "select x.set from x",
                "select 1.5e3, 2e-4, .5 from t where a[1] = 0.25",
                "select t.a, u.b from t join (select a, b from s) u on (u.a = t.a) where t.a in (1, 2) and u.b > .5",
                "select s.c from t as s, lateral (values (1)) v where s.\"user\" = current_user",
                "select g from generate_series(1, 3) g",
            ],
            &[
                "",
                "drop table users",
                "select 1; drop table x",
                "select 1; select 2",
                "delete from t",
                "insert into t values (1)",
                "with x as (delete from t returning *) select * from x",
                "select * into y from t",
                "select 1into y from t",
                "select 1.into y from t",
                "select .5into y from t",
                "select 1einto y from t",
                "with x as (select 1delete from t returning 1) select 1",
                "select * from t limit 1for share",
                "select pg_read_file('/etc/passwd')",
                "select lo_export(1, '/tmp/x')",
                "select pg_terminate_backend(1)",
                "select evil.count(1)",
                "select \"pg_read_file\"('x')",
                "select U&\"!0070g_read_file\" UESCAPE '!' ('x')",
                "select * from \"pg_authid\"",
                "select \"rolpassword\" from x",
                "show primary_conninfo",
                "copy t to program 'id'",
                "select 1 -- x",
                "select /* x */ 1",
                "select $$a$$",
                "select E'a\\'b'",
                "\\copy (select 1) to program 'id'",
                "select 1 \\g |id",
                "explain analyze insert into t values (1)",
                "explain analyze create table x as select 1",
                "select * from pg_shadow",
                "select nextval('s')",
                "select * from t for update",
                "select * from t for share of t nowait",
                "vacuum",
                "set role x",
                "call f()",
                "do 'x'",
                "select 'a",
                "begin; select 1",
                "(select 1)",
                "select :x",
                "select 1;;x",
                "select dblink('x')",
                "select pg_sleep(100)",
                "1",
                "select set_config('a','b',false)",
                "select pg_catalog.pg_read_file ('x')",
                "explain analyze execute q",
                "select ('/etc/passwd'::text).pg_read_file",
                "select ( 100 ) . pg_sleep",
                "select (array['/etc/passwd'])[1].pg_read_file",
                "select t.a[1].\"pg_read_file\" from (select array['/etc/passwd'] a) t",
                "select c.pg_read_file from lower('/ETC/PASSWD') c",
                "select C.pg_read_file from lower('/ETC/PASSWD') as \"c\"",
                "select c.pg_read_file from lower('/ETC/PASSWD') as c(x)",
                "select lower.pg_read_file from lower('/ETC/PASSWD')",
                "select c.pg_read_file from rows from (lower('/ETC/PASSWD')) c",
                "select c.pg_read_file from cast('/etc/passwd' as text)c",
                "select c.pg_read_file from lower((select '/ETC/PASSWD')) c",
                "select c.pg_terminate_backend from generate_series(1, 99999) c",
                "select c.evil from t, lower(values) c",
                "select c.evil from current_user c",
                "select current_user.evil from current_user",
                "select c.pg_read_file from lower('/ETC/PASSWD') U&\"c\"",
                "select * from lower('/ETC/PASSWD') x where x.pg_read_file like 'root%'",
                "select a123456789b123456789c123456789d123456789e123456789f123456789123y.pg_read_file from lower('/ETC/PASSWD') a123456789b123456789c123456789d123456789e123456789f123456789123z",
                "table pg_subscription",
                "select option_value from information_schema.user_mapping_options",
                "select * from t for no key share",
            ],
        );
    }
}
