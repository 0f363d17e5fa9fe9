//! How a webhook proves who sends it. Every secret is a reference; none is ever shown.

use crate::secret::SecretRef;
use serde::{Deserialize, Serialize};

/// The kinds of authorization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Authorization {
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        /// The user's name, in the open.
        username: String,
        /// The password.
        password: SecretRef,
    },
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer {
        /// The token.
        token: SecretRef,
    },
    /// A header of another name, such as `X-Api-Key`.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: SecretRef,
    },
    /// A parameter of the query.
    Query {
        /// Its name.
        name: String,
        /// Its value.
        value: SecretRef,
    },
    /// A bearer token that is fetched and refreshed (RFC 6749): by the refresh token where there is one, else
    /// by the client's own credentials.
    OAuth2 {
        /// Where tokens are given out.
        token_url: String,
        /// Who we are there, in the open.
        client_id: String,
        /// The client's secret.
        client_secret: SecretRef,
        /// The refresh token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refresh_token: Option<SecretRef>,
        /// The scope to ask for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
}
