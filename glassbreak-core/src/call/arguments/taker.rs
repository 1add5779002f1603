//! What serde says of a value, taken as an argument.

use serde::Serialize;
use serde::ser;

use super::Wrong;
use crate::call::args::{self, ArgValue, Args};
use crate::call::exec;
use crate::json::Place;
use crate::text;

/// Turns what serde says of a value into an argument; `None` is a null.
#[derive(Debug)]
pub(super) struct Taker<'a> {
    /// The bytes of names and texts that may still come.
    left: &'a mut usize,
    depth: usize,
}

impl<'a> Taker<'a> {
    pub(super) const fn new(left: &'a mut usize) -> Self {
        Self { left, depth: 1 }
    }

    const fn again(&mut self) -> Taker<'_> {
        Taker {
            left: self.left,
            depth: self.depth,
        }
    }

    fn within(self) -> Result<Taker<'a>, Wrong> {
        if self.depth >= ArgValue::MAX_DEPTH {
            return Err(Wrong::new(
                "args.too-deep",
                "nested more than 8 deep",
                "flatten the arguments",
            ));
        }
        Ok(Taker {
            left: self.left,
            depth: self.depth + 1,
        })
    }

    fn text(self, text: &str) -> Result<Option<ArgValue>, Wrong> {
        spend(self.left, text)?;
        Ok(Some(ArgValue::Str(text.into())))
    }

    fn list(self) -> Result<List<'a>, Wrong> {
        Ok(List {
            items: Vec::new(),
            variant: None,
            taker: self.within()?,
        })
    }

    fn record(self) -> Result<Record<'a>, Wrong> {
        Ok(Record {
            fields: Args::new(),
            key: None,
            variant: None,
            taker: self.within()?,
        })
    }
}

fn spend(left: &mut usize, word: &str) -> Result<(), Wrong> {
    let place = Place::default();
    args::spend(left, word.len(), &place).map_err(|wrong| Wrong(Box::new(wrong)))?;
    if word.len() > ArgValue::MAX_TEXT {
        let what = format!("a text of {} bytes", word.len());
        let help = "write at most 65,536 bytes; put large input in a file";
        return Err(Wrong::new("args.too-long", &what, help));
    }
    text::check(word).map_err(|unfit| Wrong(Box::new(exec::unfit_word(unfit, "", word, "text"))))
}

fn room(elements: usize) -> Result<(), Wrong> {
    args::count(elements, &Place::default()).map_err(|wrong| Wrong(Box::new(wrong)))
}

/// A value by the name of its variant, as JSON has it.
fn tagged(variant: Option<&'static str>, value: ArgValue) -> Option<ArgValue> {
    Some(match variant {
        Some(name) => ArgValue::Record(Args::from([(name.into(), value)])),
        None => value,
    })
}

/// Whole numbers of every width are taken as the one that arguments have; what does not fit is refused.
macro_rules! whole {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, v: $type) -> Result<Self::Ok, Wrong> {
            i64::try_from(v).map_or_else(|_| Err(Wrong::number(v)), |v| self.serialize_i64(v))
        }
    )*};
}

impl<'a> ser::Serializer for Taker<'a> {
    type Ok = Option<ArgValue>;
    type Error = Wrong;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Record<'a>;
    type SerializeStruct = Record<'a>;
    type SerializeStructVariant = Record<'a>;

    fn serialize_bool(self, v: bool) -> Result<Self::Ok, Wrong> {
        Ok(Some(ArgValue::Bool(v)))
    }

    whole!(
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128
    );

    fn serialize_i64(self, v: i64) -> Result<Self::Ok, Wrong> {
        Ok(Some(ArgValue::Int(v)))
    }

    fn serialize_f32(self, v: f32) -> Result<Self::Ok, Wrong> {
        Err(Wrong::number(v))
    }

    fn serialize_f64(self, v: f64) -> Result<Self::Ok, Wrong> {
        Err(Wrong::number(v))
    }

    fn serialize_char(self, v: char) -> Result<Self::Ok, Wrong> {
        self.text(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result<Self::Ok, Wrong> {
        self.text(v)
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<Self::Ok, Wrong> {
        room(v.len())?;
        let items = v.iter().map(|byte| ArgValue::Int(i64::from(*byte))).collect();
        Ok(Some(ArgValue::List(items)))
    }

    fn serialize_none(self) -> Result<Self::Ok, Wrong> {
        Ok(None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Self::Ok, Wrong> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Self::Ok, Wrong> {
        Ok(None)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Self::Ok, Wrong> {
        Ok(None)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Self::Ok, Wrong> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<Self::Ok, Wrong> {
        plain(name)?;
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Self::Ok, Wrong> {
        let value = value
            .serialize(self.within()?)
            .map_err(|wrong| wrong.in_field(variant))?;
        let value = value.ok_or_else(|| Wrong::null().in_field(variant))?;
        Ok(tagged(Some(variant), value))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a>, Wrong> {
        self.list()
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'a>, Wrong> {
        self.list()
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<List<'a>, Wrong> {
        plain(name)?;
        self.list()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a>, Wrong> {
        let mut list = self.within()?.list()?;
        list.variant = Some(variant);
        Ok(list)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Record<'a>, Wrong> {
        self.record()
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Record<'a>, Wrong> {
        plain(name)?;
        self.record()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Record<'a>, Wrong> {
        let mut record = self.within()?.record()?;
        record.variant = Some(variant);
        Ok(record)
    }
}

/// Some crates speak to their own serializer through structs of such a name; here it would be taken for a record.
fn plain(name: &str) -> Result<(), Wrong> {
    if name.starts_with('$') {
        let what = "a value that only its own crate can write";
        return Err(Wrong::new("args.shape", what, "give it as a string"));
    }
    Ok(())
}

/// A list that is being taken.
#[derive(Debug)]
pub(super) struct List<'a> {
    items: Vec<ArgValue>,
    variant: Option<&'static str>,
    taker: Taker<'a>,
}

impl List<'_> {
    fn push(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Wrong> {
        let index = self.items.len();
        room(index + 1)?;
        let value = value
            .serialize(self.taker.again())
            .map_err(|wrong| wrong.in_item(index))?;
        self.items.push(value.ok_or_else(|| Wrong::null().in_item(index))?);
        Ok(())
    }
}

/// serde tells lists apart that are one thing here.
macro_rules! lists {
    ($($trait:ident: $method:ident),*) => {$(
        impl ser::$trait for List<'_> {
            type Ok = Option<ArgValue>;
            type Error = Wrong;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Wrong> {
                self.push(value)
            }

            fn end(self) -> Result<Self::Ok, Wrong> {
                Ok(tagged(self.variant, ArgValue::List(self.items)))
            }
        }
    )*};
}

lists!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);

/// A record that is being taken.
#[derive(Debug)]
pub(super) struct Record<'a> {
    fields: Args,
    /// The key whose value comes next.
    key: Option<Box<str>>,
    variant: Option<&'static str>,
    taker: Taker<'a>,
}

impl Record<'_> {
    fn field(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) -> Result<(), Wrong> {
        spend(self.taker.left, name).map_err(|wrong| wrong.in_field(name))?;
        self.insert(name.into(), value)
    }

    fn insert(&mut self, name: Box<str>, value: &(impl Serialize + ?Sized)) -> Result<(), Wrong> {
        room(self.fields.len() + 1)?;
        let value = value
            .serialize(self.taker.again())
            .map_err(|wrong| wrong.in_field(&name))?;
        let value = value.ok_or_else(|| Wrong::null().in_field(&name))?;
        if self.fields.contains_key(&name) {
            return Err(Wrong::twice().in_field(&name));
        }
        self.fields.insert(name, value);
        Ok(())
    }
}

impl ser::SerializeMap for Record<'_> {
    type Ok = Option<ArgValue>;
    type Error = Wrong;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Wrong> {
        match key.serialize(self.taker.again())? {
            Some(ArgValue::Str(name)) => self.key = Some(name),
            _ => return Err(Wrong::key()),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Wrong> {
        let name = self.key.take().ok_or_else(Wrong::key)?;
        self.insert(name, value)
    }

    fn end(self) -> Result<Self::Ok, Wrong> {
        Ok(tagged(self.variant, ArgValue::Record(self.fields)))
    }
}

/// As [`lists`], of what has names for its fields.
macro_rules! structs {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Record<'_> {
            type Ok = Option<ArgValue>;
            type Error = Wrong;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Wrong> {
                self.field(name, value)
            }

            fn end(self) -> Result<Self::Ok, Wrong> {
                ser::SerializeMap::end(self)
            }
        }
    )*};
}

structs!(SerializeStruct, SerializeStructVariant);
