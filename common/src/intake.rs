//! An intake: bytes as they came, with what ingest knows of their sender and nothing that it guesses.

use crate::id::{ConnectorId, DeliveryId, EventId, SourceId, VisitorId};
use crate::signature::Scheme;
use crate::trace::Code;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One accepted request, as it stands on `carom.events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intake {
    /// The id that the sender was told.
    pub id: EventId,
    /// Who sent it.
    pub source: SourceId,
    /// How we know that it was they.
    #[serde(default, skip_serializing_if = "Verified::is_unrecorded")]
    pub verified: Verified,
    /// When, by our clock.
    pub received_at: Timestamp,
    /// The raw query string, without `?`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// The `Content-Type` as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The raw body.
    #[serde(default, skip_serializing_if = "Body::is_empty")]
    pub body: Body,
    /// The visitor whose cookie came along: a browser sent this itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visitor: Option<VisitorId>,
    /// Since when it waits for a click that is not recorded yet, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<Parked>,
    /// The dedupe key of its event, where its body was masked after that was read: a key can be the hash of
    /// a body, and what is masked hashes to another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What the browser that sent it was told of pixels, of a source of kind `tag`: decided once, by ingest,
    /// while the browser waited. Of what a newer ingest says and this binary cannot read, there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_readable")]
    pub told: Option<Box<Told>>,
}

/// What a browser was told of pixels in the answer to its event. The worker writes it into the trace and the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// Each connector's decision, as the trace has it.
    pub decisions: Vec<(Code, String)>,
    /// The pixels that were rendered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pixels: Vec<Shown>,
}

/// A pixel that was rendered, as the log shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Whose.
    pub connector: ConnectorId,
    /// The id of its delivery: the webhook of the same step or event has the same.
    pub delivery: DeliveryId,
    /// Whether it was given to the browser to fire; in Test mode it is only shown.
    pub given: bool,
    /// Whether it runs in a frame without access to the page.
    pub sandbox: bool,
    /// The page that it is for, without its query.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub page: String,
    /// Its code, filled in, masked and bounded.
    pub code: String,
}

fn if_readable<'de, D: Deserializer<'de>>(given: D) -> Result<Option<Box<Told>>, D::Error> {
    let value = serde_json::Value::deserialize(given)?;
    Ok(serde_json::from_value(value).ok())
}

impl Intake {
    /// That it came, and nothing of what it said.
    #[must_use]
    pub fn without_content(self) -> Self {
        Self { query: String::new(), body: Body::default(), visitor: None, told: None, ..self }
    }
}

/// How a sender proved to be its source. On the wire it is a text, such as `token+signature:hmac`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Verified {
    /// It is not recorded: the intake is of an ingest that did not say, or says what we do not know. Ingest
    /// let it in, so no event is lost for this.
    #[default]
    Unrecorded,
    /// Not at all: the source is open, and anybody may send as it.
    Open,
    /// By a token in the path.
    Token,
    /// By a signature; the source was named by the host.
    Signature(Scheme),
    /// By a token in the path, and a signature.
    TokenAndSignature(Scheme),
    /// By a page's site key and origin. Both are public: it proves no more than that a browser says so.
    Origin,
}

impl Verified {
    /// Whether there is nothing to tell.
    pub fn is_unrecorded(&self) -> bool {
        *self == Self::Unrecorded
    }

    /// In words, for the trace; none where it is not recorded.
    pub fn told(self) -> Option<String> {
        match self {
            Self::Unrecorded => None,
            Self::Open => Some("open source: not verified".to_owned()),
            Self::Token => Some("by token".to_owned()),
            Self::Signature(scheme) => Some(format!("by {} signature", scheme.as_str())),
            Self::TokenAndSignature(scheme) => Some(format!("by token and {} signature", scheme.as_str())),
            Self::Origin => Some("by site key, from an allowed origin".to_owned()),
        }
    }
}

impl From<Verified> for String {
    fn from(verified: Verified) -> Self {
        match verified {
            Verified::Unrecorded => "unrecorded".to_owned(),
            Verified::Open => "open".to_owned(),
            Verified::Token => "token".to_owned(),
            Verified::Signature(scheme) => format!("signature:{}", scheme.as_str()),
            Verified::TokenAndSignature(scheme) => format!("token+signature:{}", scheme.as_str()),
            Verified::Origin => "origin".to_owned(),
        }
    }
}

impl From<String> for Verified {
    fn from(text: String) -> Self {
        let signed = |name: &str| Scheme::ALL.into_iter().find(|scheme| scheme.as_str() == name);
        let read = match text.split_once(':') {
            None if text == "open" => Some(Self::Open),
            None if text == "token" => Some(Self::Token),
            None if text == "origin" => Some(Self::Origin),
            Some(("signature", name)) => signed(name).map(Self::Signature),
            Some(("token+signature", name)) => signed(name).map(Self::TokenAndSignature),
            _ => None,
        };
        read.unwrap_or_default()
    }
}

/// An intake that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// When it was first found to be early.
    pub since: Timestamp,
    /// How often it has been parked, this time included.
    pub times: u32,
    /// Whether this copy was released by what it waited for. Its timer still waits in a tier.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
}

/// A body: text where it is UTF-8 (most are JSON), Base64 where it is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body(pub Vec<u8>);

impl Body {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How a body that is not UTF-8 stands in JSON.
#[derive(Serialize, Deserialize)]
struct Binary {
    base64: String,
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Binary { base64: STANDARD.encode(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Text(String),
            Binary(Binary),
        }
        match Wire::deserialize(deserializer)? {
            Wire::Text(text) => Ok(Self(text.into_bytes())),
            Wire::Binary(Binary { base64 }) => STANDARD.decode(base64).map(Self).map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_sender_was_verified_comes_back_as_it_went() {
        let mut all = vec![Verified::Unrecorded, Verified::Open, Verified::Token, Verified::Origin];
        all.extend(Scheme::ALL.map(Verified::Signature));
        all.extend(Scheme::ALL.map(Verified::TokenAndSignature));
        for verified in all {
            let wire = serde_json::to_string(&verified).unwrap();
            assert!(wire.starts_with('"'), "{wire}");
            assert_eq!(serde_json::from_str::<Verified>(&wire).unwrap(), verified, "{wire}");
        }
        for strange in ["", "signature", "signature:", "signature:runes", "token+token", "Open"] {
            let read: Verified = serde_json::from_value(strange.into()).unwrap();
            assert_eq!(read, Verified::Unrecorded, "{strange}");
        }
    }

    #[test]
    fn a_body_comes_back_to_the_byte() {
        let bodies: [&[u8]; 5] = [b"", b"{\"a\": 1}", b"\0\"\\", &[0xff, 0xfe, 0x00], "π\u{202e}".as_bytes()];
        for body in bodies {
            let wire = serde_json::to_string(&Body(body.to_vec())).unwrap();
            assert_eq!(serde_json::from_str::<Body>(&wire).unwrap().0, body, "{wire}");
        }
    }
}
