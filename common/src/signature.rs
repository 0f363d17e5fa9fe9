//! A source's signatures: whether a request is what somebody signed who knows the source's secret.
//!
//! Three schemes, and all of them come down to one recipe: which headers there are, what is signed, with
//! which hash, in which spelling. Verification is a function of the headers, the raw bytes of the body and
//! the time. It reads no body as anything but bytes, because one that is written anew (Rails escapes
//! `<`, `>` and `&`) is another body.

use crate::secret::SecretRef;
use crate::template::Fault;
use crate::time::Span;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use std::fmt;
use std::time::Duration;
use subtle::{Choice, ConstantTimeEq};

mod recipe;

use recipe::{Part, Recipe};

/// How far a timestamp may be from our clock, before or after it, where a source says nothing else:
/// what ClickFunnels documents.
const TOLERANCE: Span = Span::from_secs(600);

/// How a source's requests are signed: `[source.signature]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Whose way of signing it is.
    pub scheme: Scheme,
    /// Where the secrets are kept, never what they are; several while one is rotated, or where several
    /// endpoints of a funnel speak for one source. Any of them will do.
    #[serde(default, deserialize_with = "references", skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretRef>,
    /// How far a timestamp may be from our clock, either way: 600 s unless it is said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Span>,
    /// `hmac` only: the header that has the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// `hmac` only: what stands before the signature in its header, such as `sha256=`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// `hmac` only: the hash, SHA-256 unless it is said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
    /// `hmac` only: how the signature is spelled, hexadecimal unless it is said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// `hmac` only: what is signed, of `{timestamp}`, `{id}`, `{body}` and text; `{body}` unless it is said
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<String>,
    /// `hmac` only: the header that has the `{timestamp}`, in whole unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_header: Option<String>,
    /// `hmac` only: the header that has the `{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_header: Option<String>,
}

/// The places of secrets. A text where the list belongs is refused without being repeated.
fn references<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretRef>, D::Error> {
    struct List;

    impl<'de> Visitor<'de> for List {
        type Value = Vec<SecretRef>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of places, as in [{ env = \"FUNNEL_WEBHOOK_SECRET\" }]")
        }

        fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
            Err(E::custom(
                "a secret is never written out: list where it is kept, as [{ env = \"…\" }] or [{ file = \"…\" }]",
            ))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(items))
        }
    }

    deserializer.deserialize_any(List)
}

/// A way of signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// ClickFunnels': hexadecimal HMAC-SHA256 of `{timestamp}.{body}`.
    Clickfunnels,
    /// Standard Webhooks' symmetric one: `v1,` and Base64 HMAC-SHA256 of `{id}.{timestamp}.{body}`.
    StandardWebhooks,
    /// Any HMAC that the other keys describe.
    Hmac,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 3] = [Self::Clickfunnels, Self::StandardWebhooks, Self::Hmac];

    /// Its name in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clickfunnels => "clickfunnels",
            Self::StandardWebhooks => "standard_webhooks",
            Self::Hmac => "hmac",
        }
    }
}

/// The hash under an HMAC. SHA-1 is here for senders that know no other: in an HMAC it still stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-1.
    Sha1,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The length of its HMAC in bytes.
    const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha1 => 20,
            Self::Sha512 => 64,
        }
    }
}

/// How the bytes of a signature are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Two hexadecimal digits a byte, in either case.
    Hex,
    /// Base64 with its padding.
    Base64,
}

impl Signature {
    /// What is wrong with it by itself; where its secrets are kept is not looked at.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.secrets.is_empty() {
            let remedy = "name at least one, as in `secrets = [{ env = \"FUNNEL_WEBHOOK_SECRET\" }]`";
            faults.push(Fault::new("secrets", "there is no secret to verify with", remedy));
        }
        if self.tolerance.is_some_and(|tolerance| tolerance.0.is_zero()) {
            let remedy = "leave it out (600s), or choose what a request may take to arrive";
            faults.push(Fault::new("tolerance", "no request arrives in the second it was signed", remedy));
        }
        faults.extend(Recipe::of(self).err().unwrap_or_default());
        faults
    }

    /// The key that a secret's text stands for.
    ///
    /// # Errors
    /// It is none of this scheme's.
    pub fn key(&self, secret: &str) -> Result<Key, MalformedSecret> {
        recipe::key(self.scheme, secret).map(Key)
    }
}

/// Why a secret's text is no key. It does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no secret of Standard Webhooks: `whsec_` and Base64")]
pub struct MalformedSecret;

/// The bytes of a secret, ready to verify with.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Why a request is not taken for its source's. What it says is for the sender to read: it names headers
/// as the operator configured them, repeats nothing that was sent, and tells nothing of any secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A header that the scheme needs is not there.
    #[error("The header {0} is missing. Send every event with the headers of its signature.")]
    HeaderMissing(String),
    /// A header is there more than once, and nobody knows which of them was meant.
    #[error("The header {0} came more than once. Send it once.")]
    HeaderRepeated(String),
    /// The timestamp is no number.
    #[error("The header {0} is no time in whole unix seconds.")]
    TimestampUnreadable(String),
    /// It was signed too long ago, and may be sent again by somebody who saw it.
    #[error(
        "The time in {header} is over {tolerance} ago. Sign each attempt anew, by a clock that is right."
    )]
    TimestampOld {
        /// Which header.
        header: String,
        /// What is allowed.
        tolerance: Span,
    },
    /// It was signed at a time that is yet to come.
    #[error("The time in {header} is over {tolerance} ahead. Sign with a clock that is right.")]
    TimestampAhead {
        /// Which header.
        header: String,
        /// What is allowed.
        tolerance: Span,
    },
    /// What should be the signature cannot be one.
    #[error("The header {header} holds no signature. It is to hold {form}.")]
    SignatureMalformed {
        /// Which header.
        header: String,
        /// What it is to hold.
        form: String,
    },
    /// It is a signature, of other bytes or by another secret.
    #[error("The signature is not that of these bytes. Sign the raw body, with the secret of this endpoint.")]
    SignatureMismatch,
}

impl Refusal {
    /// Its name in metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::HeaderMissing(_) => "header_missing",
            Self::HeaderRepeated(_) => "header_repeated",
            Self::TimestampUnreadable(_) => "timestamp_unreadable",
            Self::TimestampOld { .. } => "timestamp_old",
            Self::TimestampAhead { .. } => "timestamp_ahead",
            Self::SignatureMalformed { .. } => "signature_malformed",
            Self::SignatureMismatch => "signature_mismatch",
        }
    }
}

/// Verifies the requests of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    recipe: Recipe,
    tolerance: Span,
    keys: Vec<Key>,
}

impl Verifier {
    /// With these keys; with none of them, nothing is ever verified.
    ///
    /// # Errors
    /// The faults of the signature's description, which `check` refuses.
    pub fn new(signature: &Signature, keys: Vec<Key>) -> Result<Self, Vec<Fault>> {
        let tolerance = signature.tolerance.unwrap_or(TOLERANCE);
        Ok(Self { recipe: Recipe::of(signature)?, tolerance, keys })
    }

    /// Verifies one request. `header` gives all the values of a header, whose name is compared without
    /// case; `body` is what came, to the byte.
    ///
    /// Every key is tried, whichever of them is right, and signatures are compared in a time that does not
    /// depend on where they differ.
    ///
    /// # Errors
    /// Why the request is not the source's.
    pub fn verify<'h>(
        &self,
        header: impl Fn(&str) -> Vec<&'h [u8]>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let given = one(&header, &self.recipe.header)?;
        let id = self.recipe.id_header.as_deref().map(|name| one(&header, name)).transpose()?;
        let timestamp = match self.recipe.timestamp_header.as_deref() {
            Some(name) => {
                let value = one(&header, name)?;
                self.timely(name, value, now)?;
                Some(value)
            }
            None => None,
        };
        let signatures = self.recipe.signatures(given);
        if signatures.is_empty() {
            let (header, form) = (self.recipe.header.clone(), self.recipe.form());
            return Err(Refusal::SignatureMalformed { header, form });
        }
        let pieces: Vec<&[u8]> = self
            .recipe
            .signed
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_bytes(),
                Part::Timestamp => timestamp.unwrap_or_default(),
                Part::Id => id.unwrap_or_default(),
                Part::Body => body,
            })
            .collect();
        let mut right = Choice::from(0);
        for key in &self.keys {
            let expected = tag(self.recipe.algorithm, &key.0, &pieces);
            for signature in &signatures {
                right |= expected.ct_eq(signature);
            }
        }
        if right.into() { Ok(()) } else { Err(Refusal::SignatureMismatch) }
    }

    /// Whether a timestamp is near enough to our clock.
    fn timely(&self, header: &str, value: &[u8], now: Timestamp) -> Result<(), Refusal> {
        let said = std::str::from_utf8(value)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse::<u64>().ok())
            .ok_or_else(|| Refusal::TimestampUnreadable(header.to_owned()))?;
        // It was cut to whole seconds, so ours is as well. Before 1970 it is nobody's time.
        let ours = u64::try_from(now.as_second()).unwrap_or_default();
        let far = |secs: u64| Duration::from_secs(secs) > self.tolerance.0;
        let (header, tolerance) = (header.to_owned(), self.tolerance);
        if far(ours.saturating_sub(said)) {
            Err(Refusal::TimestampOld { header, tolerance })
        } else if far(said.saturating_sub(ours)) {
            Err(Refusal::TimestampAhead { header, tolerance })
        } else {
            Ok(())
        }
    }
}

/// The one value of a header.
fn one<'h>(header: impl Fn(&str) -> Vec<&'h [u8]>, name: &str) -> Result<&'h [u8], Refusal> {
    match header(name)[..] {
        [] => Err(Refusal::HeaderMissing(name.to_owned())),
        [value] => Ok(value),
        _ => Err(Refusal::HeaderRepeated(name.to_owned())),
    }
}

/// What Standard Webhooks' symmetric scheme signs a message with: `v1,` and Base64, one entry of the header
/// `webhook-signature`. What [`Verifier`] verifies.
///
/// # Errors
/// The secret is none of Standard Webhooks.
pub fn standard_webhooks(
    secret: &str,
    id: &str,
    at: Timestamp,
    body: &[u8],
) -> Result<String, MalformedSecret> {
    let key = recipe::key(Scheme::StandardWebhooks, secret)?;
    let at = at.as_second().to_string();
    let signed = tag(Algorithm::Sha256, &key, &[id.as_bytes(), b".", at.as_bytes(), b".", body]);
    Ok(format!("v1,{}", STANDARD.encode(signed)))
}

/// The HMAC of the pieces, one after the other.
fn tag(algorithm: Algorithm, key: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
    fn of<M: Mac + hmac::digest::KeyInit>(key: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
        // An HMAC takes a key of any length, so nothing is ever left out here; were it otherwise, an empty
        // tag equals no signature.
        let Ok(mut mac) = <M as Mac>::new_from_slice(key) else { return Vec::new() };
        pieces.iter().for_each(|piece| mac.update(piece));
        mac.finalize().into_bytes().to_vec()
    }
    match algorithm {
        Algorithm::Sha256 => of::<Hmac<Sha256>>(key, pieces),
        Algorithm::Sha1 => of::<Hmac<Sha1>>(key, pieces),
        Algorithm::Sha512 => of::<Hmac<Sha512>>(key, pieces),
    }
}

#[cfg(test)]
mod tests;
