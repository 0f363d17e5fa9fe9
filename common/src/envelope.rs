//! The wire between ingest, worker and the broker: versioned batches of one kind of item.
//!
//! `{"v": 1, "kind": "intakes", "items": […]}`. A version or kind that this binary does not know is
//! refused, never guessed: its message goes to the dead letters as it is.

use crate::click::Click;
use crate::dead_letter::Letter;
use crate::delivery::Delivery;
use crate::intake::Intake;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version that this binary writes, and the only one that it reads.
pub const VERSION: u16 = 1;

/// The `content-type` of our messages.
pub const CONTENT_TYPE: &str = "application/vnd.carom.batch+json";

/// A batch stays below this many bytes where its items allow it; RabbitMQ 4 refuses 16 MiB.
pub const BATCH_BYTES: usize = 256 * 1024;

/// Something that travels in batches.
pub trait Item: Serialize + DeserializeOwned {
    /// The name of its kind on the wire.
    const KIND: &'static str;
}

impl Item for Click {
    const KIND: &'static str = "clicks";
}

impl Item for Intake {
    const KIND: &'static str = "intakes";
}

impl Item for Delivery {
    const KIND: &'static str = "deliveries";
}

impl Item for Letter {
    const KIND: &'static str = "letters";
}

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not a JSON object with a version and a kind.
    #[error("the message is not one of our envelopes: {0}")]
    NotAnEnvelope(#[source] serde_json::Error),
    /// It is of another version.
    #[error("the envelope is of version {0}, and this binary reads version {VERSION}")]
    UnknownVersion(u64),
    /// It holds something else.
    #[error("the envelope holds `{found}` where `{expected}` belong")]
    OtherKind {
        /// What it holds.
        found: String,
        /// What the queue is for.
        expected: &'static str,
    },
    /// An item is not what its kind says.
    #[error("the envelope's items cannot be read: {0}")]
    Malformed(#[source] serde_json::Error),
}

#[derive(Deserialize)]
struct Head {
    v: u64,
    kind: String,
    #[allow(dead_code, reason = "items are read in a second step, when their version is known")]
    items: IgnoredAny,
}

#[derive(Serialize)]
struct Outgoing<'a, T> {
    v: u16,
    kind: &'static str,
    items: &'a [T],
}

#[derive(Deserialize)]
struct Incoming {
    items: Vec<Box<RawValue>>,
}

/// An item that cannot be read, as a batch of its own.
#[derive(Debug)]
pub struct Unreadable {
    /// The batch that holds nothing else.
    pub message: Vec<u8>,
    /// What is wrong with it.
    pub error: Error,
}

/// Writes a batch.
///
/// # Panics
/// Never: our items have string keys and no failing serialisers, which the tests hold.
pub fn encode<T: Item>(items: &[T]) -> Vec<u8> {
    #[allow(clippy::expect_used, reason = "no item of ours can fail to serialise")]
    serde_json::to_vec(&Outgoing { v: VERSION, kind: T::KIND, items }).expect("an item serialises")
}

/// Writes an item as it stands in a batch, for whoever carries items as bytes.
///
/// # Panics
/// Never, as [`encode`].
pub fn item<T: Item>(item: &T) -> Vec<u8> {
    #[allow(clippy::expect_used, reason = "no item of ours can fail to serialise")]
    serde_json::to_vec(item).expect("an item serialises")
}

/// Writes a batch of items that [`item`] has written, of the kind that `kind` names.
pub fn batch<B: AsRef<[u8]>>(kind: &str, items: &[B]) -> Vec<u8> {
    let bytes: usize = items.iter().map(|item| item.as_ref().len() + 1).sum();
    let mut message = Vec::with_capacity(bytes + 64);
    message.extend_from_slice(format!(r#"{{"v":{VERSION},"kind":"{kind}","items":["#).as_bytes());
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            message.push(b',');
        }
        message.extend_from_slice(item.as_ref());
    }
    message.extend_from_slice(b"]}");
    message
}

/// Reads a batch whose every item can be read.
///
/// # Errors
/// The message is not our envelope, of another version or kind, or an item is malformed.
pub fn decode<T: Item>(bytes: &[u8]) -> Result<Vec<T>, Error> {
    decode_singly(bytes)?.into_iter().map(|item| item.map_err(|unreadable| unreadable.error)).collect()
}

/// Reads a batch item by item, so that one that cannot be read costs its neighbours nothing.
///
/// # Errors
/// The message is not our envelope, or of another version or kind.
pub fn decode_singly<T: Item>(bytes: &[u8]) -> Result<Vec<Result<T, Unreadable>>, Error> {
    let head: Head = serde_json::from_slice(bytes).map_err(Error::NotAnEnvelope)?;
    if head.v != u64::from(VERSION) {
        return Err(Error::UnknownVersion(head.v));
    }
    if head.kind != T::KIND {
        return Err(Error::OtherKind { found: head.kind, expected: T::KIND });
    }
    let incoming: Incoming = serde_json::from_slice(bytes).map_err(Error::Malformed)?;
    Ok(incoming.items.into_iter().map(|item| read(&item)).collect())
}

fn read<T: Item>(item: &RawValue) -> Result<T, Unreadable> {
    serde_json::from_str(item.get()).map_err(|error| Unreadable {
        message: format!(r#"{{"v":{VERSION},"kind":"{}","items":[{}]}}"#, T::KIND, item.get()).into_bytes(),
        error: Error::Malformed(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::EventId;
    use crate::intake::Body;

    fn intake() -> Intake {
        Intake {
            id: EventId::new(),
            source: "shop".parse().unwrap(),
            verified: Default::default(),
            received_at: "2026-01-10T20:15:09.1Z".parse().unwrap(),
            query: "a=1&a=2".into(),
            content_type: Some("application/json".into()),
            body: Body(
                br#"{"data":{"amount":0.1000000000000000055511151231,"id":18446744073709551616}}"#.to_vec(),
            ),
            visitor: None,
            parked: None,
            key: None,
            told: None,
        }
    }

    #[test]
    fn a_batch_comes_back_as_it_went() {
        let items = vec![intake(), Intake { body: Body(vec![0xff]), ..intake() }];
        assert_eq!(decode::<Intake>(&encode(&items)).unwrap(), items);
        for some in [&items[..], &items[..1], &[]] {
            let written: Vec<_> = some.iter().map(item).collect();
            assert_eq!(batch(Intake::KIND, &written), encode(some), "from items that were written before");
        }
    }

    #[test]
    fn what_is_not_ours_is_refused_by_what_is_wrong_with_it() {
        let refused = |bytes: &[u8]| decode::<Intake>(bytes).unwrap_err();
        assert!(matches!(refused(b"hello"), Error::NotAnEnvelope(_)));
        assert!(matches!(refused(br#"{"v":1}"#), Error::NotAnEnvelope(_)));
        assert!(matches!(refused(br#"{"v":2,"kind":"intakes","items":{}}"#), Error::UnknownVersion(2)));
        assert!(matches!(refused(br#"{"v":1,"kind":"clicks","items":[]}"#), Error::OtherKind { .. }));
        assert!(matches!(refused(br#"{"v":1,"kind":"intakes","items":[{}]}"#), Error::Malformed(_)));
    }

    #[test]
    fn an_item_that_cannot_be_read_costs_its_neighbours_nothing() {
        let good = serde_json::to_string(&intake()).unwrap();
        let batch = format!(r#"{{"v":1,"kind":"intakes","items":[{good},{{"id":7}},{good}]}}"#);
        let items = decode_singly::<Intake>(batch.as_bytes()).unwrap();
        assert_eq!(items.iter().filter(|item| item.is_ok()).count(), 2);
        let bad = items.into_iter().find_map(Result::err).unwrap();
        assert_eq!(bad.message, br#"{"v":1,"kind":"intakes","items":[{"id":7}]}"#);
    }
}
