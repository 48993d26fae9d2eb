//! JSON read strictly: no member twice, no more values than there is room for, and every place known.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;

use bytes::Bytes;
use mailqueue_core::domain::validation::FieldError;
use memchr::memchr;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use crate::wire::offload::offload;
use crate::wire::problem::{MAX_FAULTS, Problem};

/// The largest number of values in a document, a list of octets counted as one. It bounds memory: a value takes far more
/// than the octet or two it can be written with.
const MAX_VALUES: usize = 100_000;

/// A JSON value. Strings stay where they stand in the document, but for those that hold an escape. Numbers are not kept but in lists of octets: nothing here takes any.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'b> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number; the octet that it is, if it is one.
    Number(Option<u8>),
    /// A string.
    Text(Cow<'b, str>),
    /// A list.
    List(Vec<Json<'b>>),
    /// A list of octets, at least one: the way some clients send a file.
    Octets(Vec<u8>),
    /// An object, its members in their order, no name twice.
    Object(Vec<(String, Json<'b>)>),
}

/// Reads a document and hands it to `then`. A large one is read off the threads that serve the other requests.
pub(crate) async fn read<T, F>(document: Bytes, then: F) -> Result<T, Problem>
where
    T: Send + 'static,
    F: FnOnce(Json<'_>) -> T + Send + 'static,
{
    offload(document.len(), move || Json::parse(&document).map(then)).await?
}

impl<'b> Json<'b> {
    fn parse(bytes: &'b [u8]) -> Result<Self, Problem> {
        let refusal = RefCell::new(None);
        let left = Cell::new(MAX_VALUES);
        // serde_json itself refuses to nest deeper than 127.
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let json = Place { refusal: &refusal, left: &left }.deserialize(&mut deserializer);
        match json.and_then(|json| deserializer.end().map(|()| json)) {
            Ok(json) => Ok(json),
            Err(error) => Err(refusal.take().unwrap_or_else(|| {
                // serde_json says what it expected and where, and quotes nothing of the document.
                Problem::malformed(format!("The body is not JSON: {error}."))
            })),
        }
    }
}

/// The reader of one value.
#[derive(Clone, Copy)]
struct Place<'p> {
    /// The reason for giving up, unless the document is not JSON.
    refusal: &'p RefCell<Option<Problem>>,
    /// The number of values that may still come.
    left: &'p Cell<usize>,
}

impl Place<'_> {
    /// Makes sure that there is room for `more` values in a list or an object.
    fn count<E: Error>(&self, more: usize) -> Result<(), E> {
        match self.left.get().checked_sub(more) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => self.refuse(Problem::field("", format!("must hold at most {MAX_VALUES} values"))),
        }
    }

    fn refuse<T, E: Error>(&self, problem: Problem) -> Result<T, E> {
        // serde's errors carry text alone, so the problem takes another way out.
        *self.refusal.borrow_mut() = Some(problem);
        Err(E::custom("refused"))
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Json<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(u8::try_from(value).ok()))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(None))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(None))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(value.to_owned().into()))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let (mut octets, mut list) = (Vec::new(), Vec::new());
        while let Some(item) = items.next_element_seed(self)? {
            match item {
                // Not counted one by one: a file may have millions of octets, each kept in one.
                Json::Number(Some(octet)) if list.is_empty() => octets.push(octet),
                item => {
                    self.count(octets.len() + 1)?;
                    list.extend(octets.drain(..).map(|octet| Json::Number(Some(octet))));
                    list.push(item);
                }
            }
        }
        Ok(if octets.is_empty() { Json::List(list) } else { Json::Octets(octets) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let mut object = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            self.count(1)?;
            object.push((name, members.next_value_seed(self)?));
        }
        let mut names: Vec<&str> = object.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return self.refuse(Problem::malformed("The body has an object with two members of one name."));
        }
        Ok(Json::Object(object))
    }
}

/// The members of an object as they are taken out one by one, each fault noted with the place it stands at.
pub(crate) struct Members<'f, 'b> {
    at: String,
    members: Vec<(String, Json<'b>)>,
    faults: &'f mut Vec<FieldError>,
}

impl<'f, 'b> Members<'f, 'b> {
    /// The members of what should be an object at the place `at`.
    pub(crate) fn of(json: Json<'b>, at: &str, faults: &'f mut Vec<FieldError>) -> Option<Self> {
        match json {
            Json::Object(members) => Some(Self { at: at.to_owned(), members, faults }),
            _ => {
                note(faults, at, "must be an object");
                None
            }
        }
    }

    /// Takes out a member; `null` is none.
    pub(crate) fn take(&mut self, name: &str) -> Option<Json<'b>> {
        self.remove(name).filter(|json| *json != Json::Null)
    }

    /// True for a member that is there and not `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(member, json)| member == name && *json != Json::Null)
    }

    fn remove(&mut self, name: &str) -> Option<Json<'b>> {
        let n = self.members.iter().position(|(member, _)| member == name)?;
        Some(self.members.swap_remove(n).1)
    }

    /// Takes out a string.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let json = self.take(name)?;
        text(json, || member(&self.at, name), self.faults)
    }

    /// Takes out a string that has to be there; empty when it is not.
    pub(crate) fn required_text(&mut self, name: &str) -> String {
        let Some(json) = self.remove(name) else {
            self.fault(name, "must be there");
            return String::new();
        };
        text(json, || member(&self.at, name), self.faults).unwrap_or_default()
    }

    /// Takes out `true` or `false`; `false` when there is neither.
    pub(crate) fn truth(&mut self, name: &str) -> bool {
        match self.take(name) {
            Some(Json::Bool(truth)) => truth,
            Some(_) => {
                self.fault(name, "must be true or false");
                false
            }
            None => false,
        }
    }

    /// Notes a fault of a member.
    pub(crate) fn fault(&mut self, name: &str, detail: impl Into<String>) {
        let place = self.place(name);
        note(self.faults, &place, detail);
    }

    /// The place of a member.
    pub(crate) fn place(&self, name: &str) -> String {
        member(&self.at, name)
    }

    /// The faults noted so far.
    pub(crate) fn faults(&mut self) -> &mut Vec<FieldError> {
        self.faults
    }

    /// Notes every member that nobody took.
    pub(crate) fn finish(self) {
        for (name, _) in &self.members {
            note(self.faults, &member(&self.at, name), "is not a field that is known here");
        }
    }
}

/// A string without NUL, which no database keeps. `at` gives the place of it for a fault.
pub(crate) fn text(
    json: Json<'_>,
    at: impl FnOnce() -> String,
    faults: &mut Vec<FieldError>,
) -> Option<String> {
    match json {
        Json::Text(text) if memchr(0, text.as_bytes()).is_some() => {
            note(faults, &at(), "must not contain NUL")
        }
        Json::Text(text) => return Some(text.into_owned()),
        _ => note(faults, &at(), "must be a string"),
    }
    None
}

/// The pointer (RFC 6901) to a member of what stands at a place, cut so that it stays short.
pub(crate) fn member(at: &str, name: &str) -> String {
    let cut = &name[..name.floor_char_boundary(80)];
    format!("{at}/{}", cut.replace('~', "~0").replace('/', "~1"))
}

/// Notes a fault, unless more than enough are known.
pub(crate) fn note(faults: &mut Vec<FieldError>, pointer: &str, detail: impl Into<String>) {
    if faults.len() < MAX_FAULTS {
        faults.push(FieldError::new(pointer, detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(document: &[u8]) -> u16 {
        Json::parse(document).err().map_or(200, |problem| problem.status.as_u16())
    }

    #[test]
    fn a_body_that_is_not_json_is_malformed() {
        let documents: [&[u8]; 12] = [
            b"",
            b"\xEF\xBB\xBF{}",
            b"{} x",
            b"NaN",
            b"[1e999]",
            b"{\"a\":1,\"a\":2}",
            b"{\"a\":1,\"\\u0061\":2}",
            b"\"\\ud800\"",
            b"\"\xff\"",
            b"\"\n\"",
            b"{'a':1}",
            b"[1,]",
        ];
        for document in documents {
            assert_eq!(status(document), 400, "{}", String::from_utf8_lossy(document));
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(status(nested(127).as_bytes()), 200);
        assert_eq!(status(nested(129).as_bytes()), 400);
        assert_eq!(status(nested(1_000_000).as_bytes()), 400);
    }

    #[test]
    fn the_number_of_values_is_bounded_but_not_of_octets() {
        assert_eq!(status(format!("[{}\"\"]", "\"\",".repeat(MAX_VALUES - 1)).as_bytes()), 200);
        assert_eq!(status(format!("[{}\"\"]", "\"\",".repeat(MAX_VALUES)).as_bytes()), 422);
        assert_eq!(status(format!("[{}0]", "0,".repeat(MAX_VALUES)).as_bytes()), 200);
        assert_eq!(status(format!("[{}\"\"]", "0,".repeat(MAX_VALUES)).as_bytes()), 422);
    }

    #[test]
    fn lists_of_octets_are_kept_small() {
        assert_eq!(Json::parse(b"[0,255]").unwrap(), Json::Octets(vec![0, 255]));
        let mixed = Json::List(vec![Json::Number(Some(0)), Json::Number(None)]);
        assert_eq!(Json::parse(b"[0,256]").unwrap(), mixed);
        assert_eq!(Json::parse(b"[]").unwrap(), Json::List(Vec::new()));
    }
}
