//! A JSON object of a configuration file: the fields that are asked for, each with its type and range
//! checked. Errors name the file and the field.
//!
//! Values that nobody asks for are skipped without being stored, so a large file takes no memory.

use crate::error::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Most classes that labels may name.
pub(super) const MAX_LABELS: usize = 1 << 16;

/// Characters of a wrong value that a message shows.
const SHOWN: usize = 40;

/// The known fields of one object.
pub(in crate::model) struct Fields<'t> {
    /// File and path of the object, as messages show them.
    place: String,
    entries: Vec<(String, &'t RawValue)>,
}

impl<'t> Fields<'t> {
    /// The fields of `text`, of which only those in `known` are kept.
    pub(in crate::model) fn parse(file: &str, text: &'t str, known: &[&str]) -> Result<Self> {
        let entries = parse_json(text, KnownFields(known))
            .map_err(|error| Error::new(ErrorKind::ConfigInvalid, format!("{file}: {error}")))?;
        Ok(Self { place: format!("{file}: field "), entries })
    }

    /// The object in field `name`.
    pub(in crate::model) fn object(&self, name: &str, known: &[&str]) -> Result<Option<Fields<'t>>> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let entries = parse_json(raw.get(), KnownFields(known)).map_err(|_| self.error(name, "an object"))?;
        Ok(Some(Fields { place: format!("{}{name}.", self.place), entries }))
    }

    /// Whether the field is there and not null.
    pub(in crate::model) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// A number in `range`.
    pub(in crate::model) fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<f64>,
    ) -> Result<Option<f64>> {
        let (low, high) = (range.start(), range.end());
        match self.value::<f64>(name, "a number")? {
            Some(number) if !range.contains(&number) => {
                Err(self.error(name, &format!("a number from {low} to {high}")))
            }
            number => Ok(number),
        }
    }

    /// A whole number of at least 1 and at most `most`.
    pub(in crate::model) fn count(&self, name: &str, most: usize) -> Result<Option<usize>> {
        let expected = format!("a whole number from 1 to {most}");
        match self.value::<usize>(name, &expected)? {
            Some(count) if !(1..=most).contains(&count) => Err(self.error(name, &expected)),
            count => Ok(count),
        }
    }

    /// Whole numbers of at least 1 and at most `most`, as many as `N`.
    pub(in crate::model) fn counts<const N: usize>(
        &self,
        name: &str,
        most: usize,
    ) -> Result<Option<[usize; N]>> {
        let expected = format!("{N} whole numbers from 1 to {most}");
        let Some(numbers) = self.numbers::<N>(name, &expected)? else { return Ok(None) };
        let is_count = |number: &f64| number.fract() == 0.0 && (1.0..=most as f64).contains(number);
        match numbers.iter().all(is_count) {
            true => Ok(Some(numbers.map(|number| number as usize))),
            false => Err(self.error(name, &expected)),
        }
    }

    /// Three numbers, one per colour, that `f32` can hold.
    pub(in crate::model) fn colour(&self, name: &str) -> Result<Option<[f32; 3]>> {
        let expected = "three numbers, one per colour";
        let Some(numbers) = self.numbers::<3>(name, expected)? else { return Ok(None) };
        let colour = numbers.map(|number| number as f32);
        match colour.iter().all(|number| number.is_finite()) {
            true => Ok(Some(colour)),
            false => Err(self.error(name, expected)),
        }
    }

    /// True or false.
    pub(in crate::model) fn flag(&self, name: &str) -> Result<Option<bool>> {
        self.value(name, "true or false")
    }

    /// Text.
    pub(in crate::model) fn text(&self, name: &str) -> Result<Option<String>> {
        self.value(name, "text")
    }

    /// A list of at most [`MAX_LABELS`] texts.
    pub(in crate::model) fn texts(&self, name: &str) -> Result<Option<Vec<String>>> {
        self.seeded(name, "a list of texts", Texts)
    }

    /// An object with texts as values, in order of the file, of at most [`MAX_LABELS`] entries.
    pub(in crate::model) fn text_map(&self, name: &str) -> Result<Option<Vec<(String, String)>>> {
        self.seeded(name, "an object of texts", TextMap)
    }

    /// The error for field `name` that is there and not what was expected.
    pub(in crate::model) fn error(&self, name: &str, expected: &str) -> Error {
        let found = self.raw(name).map_or("nothing", RawValue::get);
        let shown: String = found.chars().take(SHOWN).collect();
        let more = if shown.len() < found.len() { " ..." } else { "" };
        Error::new(
            ErrorKind::ConfigInvalid,
            format!("{}{name:?}: expected {expected}, found {shown}{more}", self.place),
        )
    }

    fn numbers<const N: usize>(&self, name: &str, expected: &str) -> Result<Option<[f64; N]>> {
        let Some(numbers) = self.seeded(name, expected, Numbers(N))? else { return Ok(None) };
        numbers.try_into().map(Some).map_err(|_| self.error(name, expected))
    }

    fn value<T: Deserialize<'t>>(&self, name: &str, expected: &str) -> Result<Option<T>> {
        self.seeded(name, expected, std::marker::PhantomData)
    }

    fn seeded<S: DeserializeSeed<'t>>(
        &self,
        name: &str,
        expected: &str,
        seed: S,
    ) -> Result<Option<S::Value>> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        parse_json(raw.get(), seed).map(Some).map_err(|_| self.error(name, expected))
    }

    fn raw(&self, name: &str) -> Option<&'t RawValue> {
        // A name that is there twice: the last one counts, as in Python.
        let entry = self.entries.iter().rev().find(|(other, _)| other == name);
        entry.map(|(_, raw)| *raw).filter(|raw| raw.get() != "null")
    }
}

fn parse_json<'t, S: DeserializeSeed<'t>>(text: &'t str, seed: S) -> serde_json::Result<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Keeps the fields of these names.
struct KnownFields<'k>(&'k [&'k str]);

impl<'de> DeserializeSeed<'de> for KnownFields<'_> {
    type Value = Vec<(String, &'de RawValue)>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for KnownFields<'_> {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut entries: Self::Value = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if !self.0.contains(&name.as_str()) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw = map.next_value()?;
            match entries.iter_mut().find(|(other, _)| *other == name) {
                Some((_, old)) => *old = raw,
                None => entries.push((name, raw)),
            }
        }
        Ok(entries)
    }
}

/// A list of exactly so many numbers.
struct Numbers(usize);

impl<'de> DeserializeSeed<'de> for Numbers {
    type Value = Vec<f64>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Numbers {
    type Value = Vec<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} numbers", self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Self::Value, A::Error> {
        let mut numbers = Vec::with_capacity(self.0);
        while let Some(number) = items.next_element()? {
            if numbers.len() == self.0 {
                return Err(A::Error::custom("too many numbers"));
            }
            numbers.push(number);
        }
        Ok(numbers)
    }
}

struct Texts;

impl<'de> DeserializeSeed<'de> for Texts {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = items.next_element()? {
            if texts.len() == MAX_LABELS {
                return Err(A::Error::custom("too many texts"));
            }
            texts.push(text);
        }
        Ok(texts)
    }
}

struct TextMap;

impl<'de> DeserializeSeed<'de> for TextMap {
    type Value = Vec<(String, String)>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TextMap {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            if entries.len() == MAX_LABELS {
                return Err(A::Error::custom("too many entries"));
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}
