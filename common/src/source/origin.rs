//! An origin: the scheme, host and port of the pages that may report as a source of kind `tag`.
//!
//! It is written as browsers write it in `Origin`, and compared with that to the letter: no wildcard, no
//! default port spelt out, no path.

use serde::{Deserialize, Serialize};
use std::fmt;
use url::{Host, Url};

/// The scheme, host and port of a page.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(String);

/// Why a text is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoOrigin {
    /// It cannot be read as one at all, or has a wildcard in it.
    #[error("`{0}` is no origin: write scheme, host and port alone, as in \"https://shop.example\"")]
    Unreadable(String),
    /// It is one, but browsers write it otherwise, and it would never match.
    #[error("`{given}` is not as browsers write it: write \"{written}\"")]
    Otherwise {
        /// As it was given.
        given: String,
        /// As browsers write it.
        written: String,
    },
}

impl Origin {
    /// The origin as browsers write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Origin {
    type Error = NoOrigin;

    fn try_from(given: String) -> Result<Self, NoOrigin> {
        let written =
            written(&given).ok_or_else(|| NoOrigin::Unreadable(given.chars().take(200).collect()))?;
        if written == given { Ok(Self(given)) } else { Err(NoOrigin::Otherwise { given, written }) }
    }
}

/// As browsers write it. A path or an empty query after it is forgiven here, to be named in the refusal.
fn written(given: &str) -> Option<String> {
    let url = Url::parse(given).ok()?;
    let named = match url.host()? {
        Host::Domain(name) => {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        }
        Host::Ipv4(_) | Host::Ipv6(_) => true,
    };
    let fits = named && matches!(url.scheme(), "http" | "https") && url.username().is_empty();
    fits.then(|| url.origin().ascii_serialization())
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for good in [
            "https://shop.example",
            "http://shop.example",
            "https://shop.example:8443",
            "http://127.0.0.1:8088",
            "http://[::1]:8088",
            "https://xn--bcher-kva.example",
        ] {
            assert_eq!(Origin::try_from(good.to_owned()).unwrap().as_str(), good);
        }
        for (given, written) in [
            ("https://shop.example/", "https://shop.example"),
            ("https://shop.example/buy?x=1", "https://shop.example"),
            ("https://Shop.Example", "https://shop.example"),
            ("https://shop.example:443", "https://shop.example"),
            ("http://shop.example:80", "http://shop.example"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ] {
            let refused = NoOrigin::Otherwise { given: given.into(), written: written.into() };
            assert_eq!(Origin::try_from(given.to_owned()), Err(refused), "{given}");
        }
        for bad in [
            "*",
            "",
            "null",
            "shop.example",
            "https://*.shop.example",
            "https://shop.example:*",
            "https://",
            "ftp://shop.example",
            "file:///x",
            "javascript:alert(1)",
            "https://user@shop.example",
        ] {
            assert_eq!(Origin::try_from(bad.to_owned()), Err(NoOrigin::Unreadable(bad.into())), "{bad}");
        }
    }
}
