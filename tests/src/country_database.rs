//! A database of countries in MaxMind's format, version 2, made from a few networks: what clicks are looked up
//! in. The unit tests of ingest write theirs with this file too.
//!
//! The format: a binary tree over the bits of an IPv6 address, IPv4 below ::/96; 16 zero bytes; the data
//! that its leaves point to; a marker; and a map about the whole.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a leaf holds.
#[derive(Clone, Debug)]
pub enum Value {
    Text(String),
    Map(BTreeMap<&'static str, Value>),
    U16(u16),
    U32(u32),
    U64(u64),
    List(Vec<Value>),
}

impl Value {
    /// The leaf of a country as MaxMind's databases have it.
    pub fn country(code: &str) -> Self {
        Self::Map([("country", Self::Map([("iso_code", Self::Text(code.to_owned()))].into()))].into())
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                control(bytes, 2, text.len());
                bytes.extend_from_slice(text.as_bytes());
            }
            Self::Map(fields) => {
                control(bytes, 7, fields.len());
                for (name, value) in fields {
                    Self::Text((*name).to_owned()).write(bytes);
                    value.write(bytes);
                }
            }
            Self::U16(number) => {
                control(bytes, 5, 2);
                bytes.extend_from_slice(&number.to_be_bytes());
            }
            Self::U32(number) => {
                control(bytes, 6, 4);
                bytes.extend_from_slice(&number.to_be_bytes());
            }
            Self::U64(number) => {
                control(bytes, 9, 8);
                bytes.extend_from_slice(&number.to_be_bytes());
            }
            Self::List(items) => {
                control(bytes, 11, items.len());
                items.iter().for_each(|item| item.write(bytes));
            }
        }
    }
}

/// A value's kind and size. Kinds beyond 7 have a byte of their own; nothing here is larger than 284.
fn control(bytes: &mut Vec<u8>, kind: u8, size: usize) {
    let (short, more) = if size < 29 {
        (u8::try_from(size).unwrap(), None)
    } else {
        (29, Some(u8::try_from(size - 29).unwrap()))
    };
    if kind <= 7 {
        bytes.push((kind << 5) | short);
    } else {
        bytes.extend_from_slice(&[short, kind - 7]);
    }
    bytes.extend(more);
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Leaf(usize),
}

/// The file with these networks, as in `("203.0.113.0", 24, Value::country("DE"))`. Networks must not lie in
/// one another.
pub fn database(networks: &[(&str, usize, Value)]) -> Vec<u8> {
    let (mut tree, mut data) = (vec![[Record::Nothing; 2]], Vec::new());
    for (address, length, value) in networks {
        let (bits, length) = match address.parse().unwrap() {
            IpAddr::V4(address) => (u128::from(u32::from(address)), length + 96),
            IpAddr::V6(address) => (address.to_bits(), *length),
        };
        let bit = |depth: usize| usize::from(bits >> (127 - depth) & 1 == 1);
        let mut node = 0;
        for depth in 0..length - 1 {
            node = match tree[node][bit(depth)] {
                Record::Node(next) => next,
                Record::Nothing => {
                    tree.push([Record::Nothing; 2]);
                    let next = tree.len() - 1;
                    tree[node][bit(depth)] = Record::Node(next);
                    next
                }
                Record::Leaf(_) => panic!("{address} lies in another network"),
            };
        }
        tree[node][bit(length - 1)] = Record::Leaf(data.len());
        value.write(&mut data);
    }
    let nodes = tree.len();
    let mut bytes = Vec::new();
    for record in tree.iter().flatten() {
        let number = match record {
            Record::Nothing => nodes,
            Record::Node(node) => *node,
            Record::Leaf(offset) => nodes + 16 + offset,
        };
        bytes.extend_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
    }
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(&data);
    bytes.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    let about = [
        ("binary_format_major_version", Value::U16(2)),
        ("binary_format_minor_version", Value::U16(0)),
        ("build_epoch", Value::U64(1_767_225_600)),
        ("database_type", Value::Text("Scenario-Country".to_owned())),
        ("description", Value::Map(BTreeMap::new())),
        ("ip_version", Value::U16(6)),
        ("languages", Value::List(Vec::new())),
        ("node_count", Value::U32(u32::try_from(nodes).unwrap())),
        ("record_size", Value::U16(32)),
    ];
    Value::Map(about.into()).write(&mut bytes);
    bytes
}
