//! A JSON body: its strings are templates, all else is as it was written.
//!
//! The text is read as JSON before anything is filled in, so a value can be no more than a part of the string
//! that its macro stands in, or one bare number.

use super::catalogue::Catalogue;
use super::place::Place;
use super::{Fault, Rendered, Template, Values};
use crate::connector::Empty;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt;

/// How deep a body may be nested.
const DEEPEST: usize = 64;

/// A parsed body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(Node);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    /// A number, `true`, `false` or `null`, as written.
    Literal(String),
    Text(Template),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Json {
    /// Parses a body.
    ///
    /// # Errors
    /// It is no JSON, or a string of it is no template: every fault, each with its place.
    pub fn parse(key: &str, text: &str, catalogue: &Catalogue) -> Result<Self, Vec<Fault>> {
        if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
            return Err(vec![no_json(key, &error)]);
        }
        let mut reading = Reading { catalogue, faults: Vec::new() };
        let root = reading.node(key, text.trim(), 0);
        match root {
            Some(root) if reading.faults.is_empty() => Ok(Self(root)),
            _ => Err(reading.faults),
        }
    }

    /// A flat object of these members. Their names are distinct.
    pub fn object(members: Vec<(String, Template)>) -> Self {
        Self(Node::Object(members.into_iter().map(|(name, value)| (name, Node::Text(value))).collect()))
    }

    /// Fills it. Where `hides` says so of a member's name, its value is shown as a secret, and so is each element
    /// of a list.
    pub fn render(&self, values: &dyn Values, empty: Empty, hides: fn(&str) -> bool) -> Rendered {
        let mut out = Rendered::default();
        let filling = Filling { values, empty, hides };
        if let Some(filled) = filling.node(&self.0, false, &mut out) {
            out.append(filled, Place::Text);
        }
        out
    }

    /// Its templates.
    pub fn templates(&self) -> Vec<&Template> {
        fn walk<'n>(node: &'n Node, found: &mut Vec<&'n Template>) {
            match node {
                Node::Literal(_) => {}
                Node::Text(template) => found.push(template),
                Node::Array(elements) => elements.iter().for_each(|element| walk(element, found)),
                Node::Object(members) => members.iter().for_each(|(_, member)| walk(member, found)),
            }
        }
        let mut found = Vec::new();
        walk(&self.0, &mut found);
        found
    }
}

fn no_json(key: &str, error: &serde_json::Error) -> Fault {
    let remedy = "write JSON, with macros inside its strings only, as in {\"value\": \"{{VALUE | number}}\"}";
    Fault::new(key, format!("it is no JSON: {error}"), remedy)
}

/// The fault of a template that asks for a bare number and is not one macro alone.
pub fn number_in_part(key: &str, template: &Template) -> Option<Fault> {
    (template.asks_for_a_number() && !template.is_one_macro()).then(|| {
        let remedy = "let the macro be the whole of the string, or remove the filter";
        Fault::new(key, "the filter number makes no sense in a part of a string", remedy)
    })
}

struct Reading<'c> {
    catalogue: &'c Catalogue,
    faults: Vec<Fault>,
}

impl Reading<'_> {
    /// A part of the text, read as what it begins as; what it holds is looked at here for the first time. A half of
    /// a surrogate pair (`"\ud800"`) is no text, though the syntax allows it.
    fn part<'t, T: Deserialize<'t>>(&mut self, key: &str, raw: &'t str) -> Option<T> {
        serde_json::from_str(raw).map_err(|error| self.faults.push(no_json(key, &error))).ok()
    }

    /// The node that a JSON text is; none where that is a fault.
    fn node(&mut self, key: &str, raw: &str, depth: usize) -> Option<Node> {
        if depth > DEEPEST {
            let problem = format!("it is nested over {DEEPEST} deep");
            self.faults.push(Fault::new(key, problem, "write it flatter"));
            return None;
        }
        match raw.as_bytes().first()? {
            b'{' => {
                let Members(members) = self.part(key, raw)?;
                let mut nodes: Vec<(String, Node)> = Vec::with_capacity(members.len());
                for (name, value) in members {
                    let key = format!("{key}.{name}");
                    if name.contains("{{") {
                        let remedy = "write the name as it is to be sent; macros belong in the value";
                        self.faults.push(Fault::new(&key, "a member's name holds a macro", remedy));
                    }
                    if nodes.iter().any(|(earlier, _)| *earlier == name) {
                        let problem = format!("`{name}` is given twice in a JSON object");
                        self.faults.push(Fault::new(&key, problem, "name each member once"));
                    }
                    let node = self.node(&key, value.get(), depth + 1)?;
                    nodes.push((name, node));
                }
                Some(Node::Object(nodes))
            }
            b'[' => {
                let elements: Vec<&RawValue> = self.part(key, raw)?;
                let nodes = elements
                    .iter()
                    .enumerate()
                    .map(|(index, element)| self.node(&format!("{key}[{index}]"), element.get(), depth + 1));
                nodes.collect::<Option<Vec<_>>>().map(Node::Array)
            }
            b'"' => {
                let text: String = self.part(key, raw)?;
                match Template::parse(&text, self.catalogue) {
                    Ok(template) => {
                        self.faults.extend(number_in_part(key, &template));
                        Some(Node::Text(template))
                    }
                    Err(malformed) => {
                        self.faults.extend(malformed.iter().map(|fault| fault.at(key)));
                        // So that the faults of the rest are told as well.
                        Some(Node::Literal(String::new()))
                    }
                }
            }
            _ => Some(Node::Literal(raw.to_owned())),
        }
    }
}

/// The members of an object, in their order, all of them.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

struct Filling<'v> {
    values: &'v dyn Values,
    empty: Empty,
    hides: fn(&str) -> bool,
}

impl Filling<'_> {
    /// A node filled; none where it is left out, of which `out` is told. An array or object of which all was
    /// left out is left out with it. Whether a value is `hidden`, the name says that it stands under.
    fn node(&self, node: &Node, hidden: bool, out: &mut Rendered) -> Option<Rendered> {
        let shown = |value: Rendered| if hidden { as_secret(value) } else { value };
        match node {
            Node::Literal(text) => {
                let mut literal = Rendered::default();
                literal.push(text);
                Some(shown(literal))
            }
            Node::Text(template) => {
                let filled = template.render(self.values, Place::Text);
                if template.leaves_out(&filled, self.empty) {
                    out.leave_out(filled);
                    return None;
                }
                Some(shown(string(template, filled)))
            }
            Node::Array(elements) => {
                self.all("[]", elements.iter().map(|element| (None, hidden, element)), out)
            }
            Node::Object(members) => {
                let members = members.iter().map(|(name, member)| {
                    let name = name.as_str();
                    (Some(name), (self.hides)(name), member)
                });
                self.all("{}", members, out)
            }
        }
    }

    fn all<'n>(
        &self,
        brackets: &str,
        nodes: impl ExactSizeIterator<Item = (Option<&'n str>, bool, &'n Node)>,
        out: &mut Rendered,
    ) -> Option<Rendered> {
        let was_empty = nodes.len() == 0;
        let mut filled = Rendered::default();
        filled.push(&brackets[..1]);
        let mut first = true;
        for (name, hidden, node) in nodes {
            let Some(value) = self.node(node, hidden, &mut filled) else { continue };
            if !std::mem::take(&mut first) {
                filled.push(",");
            }
            if let Some(name) = name {
                filled.push("\"");
                filled.push_value(name, Place::Json);
                filled.push("\":");
            }
            filled.append(value, Place::Text);
        }
        if first && !was_empty {
            out.leave_out(filled);
            return None;
        }
        filled.push(&brackets[1..]);
        Some(filled)
    }
}

/// A filled template as a string, or as a number where that was asked for and it is one.
fn string(template: &Template, filled: Rendered) -> Rendered {
    let mut out = Rendered::default();
    if template.asks_for_a_number() && is_number(&filled.text) {
        out.append(filled, Place::Text);
    } else {
        out.push("\"");
        out.append(filled, Place::Json);
        out.push("\"");
    }
    out
}

/// A value that is sent as it is and shown as a secret.
fn as_secret(value: Rendered) -> Rendered {
    let mut out = Rendered::default();
    match serde_json::from_str::<String>(&value.text) {
        Ok(text) => {
            out.push("\"");
            out.push_secret(&text, Place::Json);
            out.push("\"");
        }
        Err(_) => out.push_secret(&value.text, Place::Text),
    }
    out.leave_out(value);
    out
}

/// Whether a text is a number as JSON writes it, without an exponent: `0`, `-1.50`.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits)
}

#[cfg(test)]
mod tests;
