//! Whether a body is what its source's kind says, by the same rules as the worker's decoder: whoever can
//! still mend it should hear of it now.

use crate::problem::{Kind, Problem};
use carom_common::decode::Undecodable;
use carom_common::source;
use carom_common::track;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Looks at a body, and at nothing that it means.
///
/// # Errors
/// The worker could not decode it.
pub fn judge(
    kind: source::Kind,
    query: &str,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<(), Problem> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let says_json = content_type.is_some_and(|given| given.to_ascii_lowercase().contains("json"));
    match (kind, first) {
        (source::Kind::Tag, _) => of_tag(body),
        (source::Kind::Clickfunnels, None) => {
            Err(Problem::new(Kind::EmptyEvent, "Send the event as a JSON object in the body of a POST."))
        }
        (source::Kind::Plain, None) if query.is_empty() => Err(Problem::new(
            Kind::EmptyEvent,
            "Send the event's parameters in the query, as a form, or as a JSON object.",
        )),
        (source::Kind::Plain, None) => Ok(()),
        (source::Kind::Clickfunnels, Some(_)) | (_, Some(b'{' | b'[')) => object(body),
        (source::Kind::Plain, Some(_)) if says_json => object(body),
        (source::Kind::Plain, Some(_)) => match std::str::from_utf8(body) {
            Ok(_) => Ok(()),
            Err(_) => Err(Problem::new(Kind::NotText, "Send a JSON object, or a form in UTF-8.")),
        },
    }
}

fn of_tag(body: &[u8]) -> Result<(), Problem> {
    match track::Request::read(body) {
        Ok(_) => Ok(()),
        Err(Undecodable::NotOfTag(why)) => {
            Err(Problem::new(Kind::NotOfTag, format!("Send what the tag of this version sends: {why}.")))
        }
        Err(_) => object(body).and(Err(Problem::new(Kind::NotText, "Send a JSON object."))),
    }
}

fn object(body: &[u8]) -> Result<(), Problem> {
    match serde_json::from_slice(body) {
        Ok(ReadThrough) if body.trim_ascii_start().starts_with(b"{") => Ok(()),
        Ok(ReadThrough) => Err(Problem::new(Kind::NotAnObject, "Send one event as one JSON object: {…}.")),
        Err(error) => {
            let place = format!("line {}, column {}", error.line(), error.column());
            let detail = if error.is_eof() {
                format!("The JSON breaks off at {place}. Send all of it.")
            } else {
                format!("The JSON is wrong at {place}. Mend it and send the event again.")
            };
            Err(Problem::new(Kind::NotJson, detail))
        }
    }
}

/// A JSON text that was read to its end as the decoder will read it (its depth, its texts, its numbers), with nothing
/// of it kept: a tree of its values would cost more than the rest of a request.
struct ReadThrough;

impl<'de> Deserialize<'de> for ReadThrough {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for ReadThrough {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    // Numbers that are none of the kinds below come this way too, with all their digits.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self, A::Error> {
        while elements.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use source::Kind::{Clickfunnels, Plain, Tag};

    #[test]
    fn a_body_is_judged_by_what_its_source_sends() {
        const JSON: Option<&str> = Some("application/json; charset=utf-8");
        const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
        const VISIT: &[u8] = b"{\"v\":1,\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"visit\":true}";
        let deep = "[".repeat(200);
        type Row<'a> = (source::Kind, &'a str, Option<&'a str>, &'a [u8], Option<Kind>);
        let table: &[Row<'_>] = &[
            (Clickfunnels, "", JSON, b"{}", None),
            (Clickfunnels, "", None, b" \n{\"a\":1}", None),
            (Clickfunnels, "a=1", JSON, b"", Some(Kind::EmptyEvent)),
            (Clickfunnels, "", FORM, b"a=1", Some(Kind::NotJson)),
            (Clickfunnels, "", JSON, b"[{}]", Some(Kind::NotAnObject)),
            (Clickfunnels, "", JSON, b"{\"a\":", Some(Kind::NotJson)),
            (Clickfunnels, "", JSON, b"\0\0", Some(Kind::NotJson)),
            (Clickfunnels, "", JSON, b"{\"a\":\"\xff\"}", Some(Kind::NotJson)),
            (Clickfunnels, "", JSON, deep.as_bytes(), Some(Kind::NotJson)),
            (Plain, "a=1", None, b"", None),
            (Plain, "a=1", JSON, b" ", None),
            (Plain, "", None, b"", Some(Kind::EmptyEvent)),
            (Plain, "", FORM, b"a=1&a=2", None),
            (Plain, "", FORM, b"{\"a\":1}", None),
            (Plain, "", FORM, b"{\"a\":1", Some(Kind::NotJson)),
            (Plain, "", JSON, b"a=1", Some(Kind::NotJson)),
            (Plain, "", JSON, b"3", Some(Kind::NotAnObject)),
            (Plain, "", FORM, b"\xff\xfe", Some(Kind::NotText)),
            (Plain, "", FORM, b"\0", None),
            (Tag, "", None, VISIT, None),
            (Tag, "a=1", JSON, VISIT, None),
            (Tag, "a=1", None, b"", Some(Kind::NotJson)),
            (Tag, "", None, b"{\"v\":1", Some(Kind::NotJson)),
            (Tag, "", None, b"{\"v\":1}", Some(Kind::NotOfTag)),
            (Tag, "", None, b"[]", Some(Kind::NotAnObject)),
        ];
        for (kind, query, content_type, body, wrong) in table {
            let judged = judge(*kind, query, *content_type, body);
            assert_eq!(
                judged.err().map(|problem| problem.kind),
                *wrong,
                "{kind:?} {content_type:?} {body:?}"
            );
        }
    }

    #[test]
    fn what_is_read_through_is_what_the_decoder_can_read() {
        let numbers =
            ["1", "-1", "0", "-0", "1.5", "1e999", "18446744073709551616", "123456789012345678901234567890"];
        let odd = [
            "{\"a\":1}x",
            "{\"a\":01}",
            "{\"a\":1,\"a\":2}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\u{1}\"}",
            "{1:2}",
            "{\"a\":}",
            "\u{feff}{}",
            "{\"\\ud800\":1}",
            "{\"a\":[1,[2,{\"b\":null}],true]}",
            "{\"a\":1e}",
            "{,}",
            "[1,]",
            "nul",
        ];
        let deep = |levels| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        let bodies =
            numbers.iter().flat_map(|number| [(*number).to_owned(), format!("{{\"a\":[{number}]}}")]);
        let bodies = bodies.chain(odd.map(str::to_owned)).chain([126, 127, 128, 129].map(deep));
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");
        let files = std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap());
        for body in bodies.map(String::into_bytes).chain(files) {
            let decoded = serde_json::from_slice::<serde_json::Value>(&body);
            let judged = judge(Clickfunnels, "", None, &body).map_err(|problem| problem.kind);
            let expected = match decoded {
                Ok(value) if value.is_object() => Ok(()),
                Ok(_) => Err(Kind::NotAnObject),
                Err(_) => Err(Kind::NotJson),
            };
            assert_eq!(judged, expected, "{}", String::from_utf8_lossy(&body));
        }
    }
}
