//! Signing what is sent, by Standard Webhooks: receivers can tell that it is ours, and how old it is.

use crate::secret::SecretRef;
use serde::{Deserialize, Serialize};

/// The secrets to sign with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signing {
    /// `whsec_…` each. While a secret is rotated there are two, and each signs, so that receivers may know
    /// either.
    pub secrets: Vec<SecretRef>,
}
