//! The names of things: validated once, where they enter, and trusted from then on.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not a valid id: use 1 to 63 characters of a-z, 0-9, `-` and `_`, beginning with a letter or digit"
)]
pub struct InvalidId {
    given: String,
}

fn is_slug(text: &str) -> bool {
    let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    starts_well
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

macro_rules! slug {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as it stands in configuration, queue names and metric labels.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(given: String) -> Result<Self, InvalidId> {
                if is_slug(&given) {
                    Ok(Self(given))
                } else {
                    Err(InvalidId { given: given.chars().take(80).collect() })
                }
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(given: &str) -> Result<Self, InvalidId> {
                Self::try_from(given.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

slug! {
    /// An advertiser: the scope of sources, offers, connectors, visitors and click ids.
    AdvertiserId
}
slug! {
    /// A source: who may send events to us.
    SourceId
}
slug! {
    /// An offer: where a click is sent.
    OfferId
}
slug! {
    /// A connector. Fixed for its lifetime: its queue is `carom.deliver.<connector>`.
    ConnectorId
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, greater than those made earlier (UUID v7).
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(given: &str) -> Result<Self, uuid::Error> {
                Uuid::try_parse(given).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    };
}

uuid_id! {
    /// A click that crossed our redirect. Its form is ours: a UUID, with or without dashes, in any case.
    ClickId
}
uuid_id! {
    /// A visitor, as the cookie on our domain knows them.
    VisitorId
}
impl VisitorId {
    /// A visitor's id as we and our tag make it: a random UUID, in full. Anything else is nobody's.
    pub fn made_by_us(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok().filter(|_| text.len() == 36)?;
        let random = matches!(id.get_version_num(), 4 | 7) && id.get_variant() == uuid::Variant::RFC4122;
        random.then_some(Self(id))
    }
}

uuid_id! {
    /// An event, and the intake it came in by: the `id` of the 202.
    EventId
}

/// The stable id of a delivery: the same for every attempt, replay and copy (guarantee G4). It is a
/// UUID v8 over SHA-256, so that whoever sees the same step of the same conversion makes the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub Uuid);

impl DeliveryId {
    /// The id of one step of one conversion to one connector.
    pub fn of_step(connector: &ConnectorId, conversion_key: &str, step: &str) -> Self {
        Self::digest(&["step", connector.as_str(), conversion_key, step])
    }

    /// The id of one event to one connector, where there is no conversion or the trigger is a raw
    /// source type. `event_key` is the event's dedupe key, which copies of the event share.
    pub fn of_event(connector: &ConnectorId, event_key: &str) -> Self {
        Self::digest(&["event", connector.as_str(), event_key])
    }

    fn digest(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        Self(Uuid::new_v8(bytes))
    }
}

impl FromStr for DeliveryId {
    type Err = uuid::Error;

    fn from_str(given: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(given).map(Self)
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_fit_for_a_queue_name_or_refused() {
        for good in ["a", "meta-capi", "0day", "a_b", &"x".repeat(63)] {
            assert!(good.parse::<ConnectorId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "A", "a b", "a.b", "ä", "a\n", &"x".repeat(64)] {
            assert!(bad.parse::<ConnectorId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_click_id_is_known_with_and_without_dashes_and_in_any_case() {
        let id = ClickId::new();
        let plain = id.0.as_simple().to_string().to_uppercase();
        assert_eq!(plain.parse::<ClickId>().unwrap(), id);
    }

    #[test]
    fn a_delivery_id_does_not_confuse_where_one_part_ends_and_the_next_begins() {
        let connector: ConnectorId = "a".parse().unwrap();
        assert_ne!(
            DeliveryId::of_step(&connector, "order:1", "refund"),
            DeliveryId::of_step(&connector, "order:1r", "efund"),
        );
        assert_eq!(DeliveryId::of_event(&connector, "k"), DeliveryId::of_event(&connector, "k"));
    }
}
