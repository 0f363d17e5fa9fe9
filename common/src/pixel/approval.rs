//! Approvals: who said that this very code may run in visitors' browsers, and when.
//!
//! An approval is of a hash, so that nobody has to notice a change: code that was changed is code that nobody has
//! approved.

use crate::connector::{Connector, Pixel};
use crate::id::ConnectorId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// The hash of a pixel's code and of where it runs: SHA-256, in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeHash(String);

/// Why a text is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code's hash is 64 lower-case hexadecimal digits")]
pub struct NoHash;

/// The hash that an approval of a pixel is of: of its exact code, and of whether it runs in a sandbox. Whoever
/// approved code for the sandbox has not approved it for the page.
pub fn code_hash(pixel: &Pixel) -> CodeHash {
    let place = if pixel.sandbox { "sandbox" } else { "page" };
    let mut hash = Sha256::new();
    hash.update(place.as_bytes());
    hash.update([0]);
    hash.update(pixel.code.as_bytes());
    CodeHash(format!("{:x}", hash.finalize()))
}

impl CodeHash {
    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first digits, to be told apart by people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl FromStr for CodeHash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() == 64 && digits { Ok(Self(text.to_owned())) } else { Err(NoHash) }
    }
}

impl TryFrom<String> for CodeHash {
    type Error = NoHash;

    fn try_from(text: String) -> Result<Self, NoHash> {
        text.parse()
    }
}

impl From<CodeHash> for String {
    fn from(hash: CodeHash) -> Self {
        hash.0
    }
}

impl fmt::Display for CodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An approval that has not been taken back, the newest of its connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Whose pixel.
    pub connector: ConnectorId,
    /// What was approved.
    pub hash: CodeHash,
    /// Who approved it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// The approvals that count, and how many decisions there had been when they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approvals {
    /// Counts up with every approval and every one that is taken back; 0 before the first.
    pub version: u64,
    /// At most one of each connector.
    pub given: Vec<Approval>,
}

impl Approvals {
    /// How a connector's pixel stands; none where it has no pixel.
    pub fn standing(&self, connector: &Connector) -> Option<Standing> {
        Some(self.of(&connector.id, connector.pixel.as_ref()?))
    }

    /// Whether a connector's pixel, as it is, may fire on live traffic.
    pub fn allow(&self, connector: &Connector) -> bool {
        matches!(self.standing(connector), Some(Standing::Approved { .. }))
    }

    fn of(&self, id: &ConnectorId, pixel: &Pixel) -> Standing {
        match self.given.iter().find(|approval| approval.connector == *id) {
            None => Standing::NotApproved,
            Some(Approval { hash, by, at, .. }) if *hash == code_hash(pixel) => {
                Standing::Approved { by: by.clone(), at: *at }
            }
            Some(Approval { by, at, .. }) => Standing::Changed { by: by.clone(), at: *at },
        }
    }
}

/// How a pixel stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// Nobody has approved it, or it was taken back.
    NotApproved,
    /// This very code was approved.
    Approved {
        /// By whom.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// Other code was approved.
    Changed {
        /// By whom.
        by: String,
        /// When.
        at: Timestamp,
    },
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = |at: &Timestamp| at.strftime("%Y-%m-%d").to_string();
        match self {
            Self::NotApproved => f.write_str("not approved"),
            Self::Approved { by, at } => write!(f, "Approved on {} by {by}", day(at)),
            Self::Changed { by, at } => write!(f, "changed since it was approved on {} by {by}", day(at)),
        }
    }
}

/// A decision about a pixel's code, as history keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Whose pixel.
    pub connector: ConnectorId,
    /// Which code.
    pub hash: CodeHash,
    /// Whether it was approved, or an approval of it taken back.
    pub approved: bool,
    /// Who decided.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Webhook;
    use std::collections::BTreeMap;

    fn pixel(code: &str, sandbox: bool) -> Pixel {
        Pixel { enabled: true, code: code.to_owned(), sandbox, rename: BTreeMap::new() }
    }

    #[test]
    fn an_approval_is_of_the_exact_code_and_of_where_it_runs() {
        let hash = code_hash(&pixel("track()", true));
        assert_eq!(hash.as_str().parse(), Ok(hash.clone()));
        assert_eq!(hash, code_hash(&Pixel { enabled: false, ..pixel("track()", true) }));
        for other in [pixel("track() ", true), pixel("track()", false), pixel("", true)] {
            assert_ne!(hash, code_hash(&other), "{other:?}");
        }
        for bad in ["", "ab", &"g".repeat(64), &hash.as_str().to_uppercase()] {
            assert_eq!(bad.parse::<CodeHash>(), Err(NoHash), "{bad}");
        }
    }

    #[test]
    fn what_was_approved_is_allowed_and_whatever_was_changed_is_not() {
        let webhook = Webhook::get("https://n.example/");
        let mut connector = Connector::new("n".parse().unwrap(), "a".parse().unwrap(), webhook);
        let at = "2026-11-21T10:00:00Z".parse().unwrap();
        let hash = code_hash(&pixel("one()", true));
        let given = vec![Approval { connector: connector.id.clone(), hash, by: "ann".into(), at }];
        let approvals = Approvals { version: 1, given };
        let told = |connector: &Connector| approvals.standing(connector).map(|standing| standing.to_string());
        assert_eq!((told(&connector), approvals.allow(&connector)), (None, false));
        connector.pixel = Some(pixel("one()", true));
        assert_eq!(told(&connector).unwrap(), "Approved on 2026-11-21 by ann");
        assert!(approvals.allow(&connector));
        for changed in [pixel("two()", true), pixel("one()", false)] {
            connector.pixel = Some(changed);
            assert_eq!(told(&connector).unwrap(), "changed since it was approved on 2026-11-21 by ann");
            assert!(!approvals.allow(&connector));
        }
        connector.id = "other".parse().unwrap();
        assert_eq!(
            (told(&connector).unwrap().as_str(), approvals.allow(&connector)),
            ("not approved", false)
        );
    }
}
