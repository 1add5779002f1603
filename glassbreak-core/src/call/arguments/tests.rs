use std::collections::BTreeMap;

use serde::Serialize;

use super::*;
use crate::call::wire;

#[derive(Serialize)]
struct Order {
    id: u64,
    lines: Vec<Line>,
    note: Option<String>,
}

#[derive(Serialize)]
enum Line {
    Free,
    Sold(u32),
    Pair(u8, i8),
    Named { name: &'static str },
}

fn order(note: Option<&str>) -> Order {
    let lines = vec![Line::Free, Line::Sold(3), Line::Pair(1, -1), Line::Named { name: "x" }];
    Order {
        id: 7,
        lines,
        note: note.map(Into::into),
    }
}

fn refused(value: &(impl Serialize + ?Sized)) -> String {
    let wrong = Arguments::new().with("a", value).finish().unwrap_err();
    format!("{} {wrong}", wrong.finding().rule().as_str())
}

#[test]
fn values_are_taken_as_their_json_is() {
    fn same(value: &(impl Serialize + ?Sized)) {
        let taken = Arguments::new().with("a", value).finish().unwrap();
        let read = wire::arguments(&serde_json::json!({ "a": value })).unwrap();
        assert_eq!(taken, read);
    }
    same(&true);
    same(&-5_i8);
    same(&u32::MAX);
    same(&i64::MIN);
    same(&'x');
    same("text");
    same(&[1, 2, 3]);
    same(&(1, "two", false));
    same(&BTreeMap::from([("k", vec!["v"])]));
    same(&order(Some("n")));
    same(&serde_json::json!({"deep": {"er": [1, {"x": "y"}]}}));
    same(&Some(3));
}

#[test]
fn what_is_none_as_a_whole_is_left_out() {
    let args = Arguments::new().with("a", &None::<u8>).with("b", &()).finish().unwrap();
    assert!(args.is_empty());
}

#[test]
fn what_arguments_cannot_hold_is_refused_with_its_place() {
    assert!(refused(&1.5_f64).starts_with("hygiene.args.number arguments.a: the number 1.5"));
    assert!(refused(&u64::MAX).starts_with("hygiene.args.number arguments.a:"));
    assert!(refused(&i128::MIN).starts_with("hygiene.args.number"));
    assert!(refused(&order(None)).starts_with("hygiene.args.null arguments.a.note: a null"));
    assert!(refused(&[Some(1), None]).starts_with("hygiene.args.null arguments.a[1]:"));
    assert!(refused(&BTreeMap::from([(1, 2)])).starts_with("hygiene.args.shape arguments.a: a key"));
    assert!(refused("a\0b").starts_with("hygiene.text.nul arguments.a:"));
    assert!(refused(&["ok", "a\u{202e}b"]).starts_with("hygiene.text.unshowable arguments.a[1]:"));
    assert!(refused(&"x".repeat(65_537)).starts_with("hygiene.args.too-long arguments.a:"));
    assert!(refused(&vec![0_u8; 4097]).starts_with("hygiene.args.too-many arguments.a"));
    let mut deep = serde_json::json!(1);
    for _ in 0..9 {
        deep = serde_json::json!([deep]);
    }
    assert!(
        refused(&deep).starts_with("hygiene.args.too-deep"),
        "{}",
        refused(&deep)
    );
    let texts = vec!["y".repeat(60_000); 5];
    assert!(
        refused(&texts).starts_with("hygiene.args.too-long arguments.a[4]:"),
        "{}",
        refused(&texts)
    );
}

#[test]
fn the_depth_allowed_is_that_of_the_wire() {
    let mut value = serde_json::json!(1);
    for depth in 0..12 {
        let taken = Arguments::new().with("a", &value).finish().is_ok();
        assert_eq!(
            taken,
            wire::arguments(&serde_json::json!({ "a": &value })).is_ok(),
            "{depth}"
        );
        value = serde_json::json!([value]);
    }
}

#[test]
fn nothing_is_taken_twice() {
    #[derive(Serialize)]
    struct Flat {
        id: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }
    let twice = Flat {
        id: 1,
        rest: BTreeMap::from([("id".into(), 2)]),
    };
    assert!(refused(&twice).starts_with("hygiene.args.twice arguments.a.id:"));
    let wrong = Arguments::new().with("a", &1).with("a", &1).finish().unwrap_err();
    assert_eq!(wrong.place(), "arguments.a");
}

#[test]
fn values_that_only_their_own_crate_can_write_are_refused() {
    struct Odd;
    impl Serialize for Odd {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeStruct;
            let mut fields = to.serialize_struct("$own::private::Number", 1)?;
            fields.serialize_field("$own", "1.5")?;
            fields.end()
        }
    }
    assert!(refused(&Odd).starts_with("hygiene.args.shape"));
}

#[test]
fn of_a_secret_nothing_is_shown() {
    let args = Arguments::new()
        .with_secret("pin", "hunter2")
        .with_secret("n", &3)
        .finish()
        .unwrap();
    assert!(!format!("{args:?}").contains("hunter2"));
    assert_eq!(args["pin"].revealed(), &ArgValue::Str("hunter2".into()));
    let wrong = Arguments::new()
        .with_secret("pin", "hunter2\u{202e}")
        .finish()
        .unwrap_err();
    assert!(!format!("{wrong:?}").contains("hunter2"), "{wrong:?}");
    assert_eq!(wrong.place(), "arguments.pin");
    let wrong = Arguments::new().with_secret("pin", &12.75).finish().unwrap_err();
    assert!(!format!("{wrong:?}").contains("12.75"), "{wrong:?}");
}
