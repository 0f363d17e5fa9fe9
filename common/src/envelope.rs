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
struct Incoming<T> {
    items: Vec<T>,
}

/// Writes a batch.
///
/// # Panics
/// Never: our items have string keys and no failing serialisers, which the tests hold.
pub fn encode<T: Item>(items: &[T]) -> Vec<u8> {
    #[allow(clippy::expect_used, reason = "no item of ours can fail to serialise")]
    serde_json::to_vec(&Outgoing { v: VERSION, kind: T::KIND, items }).expect("an item serialises")
}

/// Reads a batch.
///
/// # Errors
/// The message is not our envelope, of another version or kind, or an item is malformed.
pub fn decode<T: Item>(bytes: &[u8]) -> Result<Vec<T>, Error> {
    let head: Head = serde_json::from_slice(bytes).map_err(Error::NotAnEnvelope)?;
    if head.v != u64::from(VERSION) {
        return Err(Error::UnknownVersion(head.v));
    }
    if head.kind != T::KIND {
        return Err(Error::OtherKind { found: head.kind, expected: T::KIND });
    }
    let incoming: Incoming<T> = serde_json::from_slice(bytes).map_err(Error::Malformed)?;
    Ok(incoming.items)
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
            received_at: "2026-01-10T20:15:09.1Z".parse().unwrap(),
            query: "a=1&a=2".into(),
            content_type: Some("application/json".into()),
            body: Body(
                br#"{"data":{"amount":0.1000000000000000055511151231,"id":18446744073709551616}}"#.to_vec(),
            ),
            visitor: None,
            parked: None,
        }
    }

    #[test]
    fn a_batch_comes_back_as_it_went() {
        let items = vec![intake(), Intake { body: Body(vec![0xff]), ..intake() }];
        assert_eq!(decode::<Intake>(&encode(&items)).unwrap(), items);
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
}
