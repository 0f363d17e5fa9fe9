//! Secrets by reference: the configuration names an environment variable or a file, never the value.

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::PathBuf;
use subtle::ConstantTimeEq;

/// Where a secret is to be read when it is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// An environment variable of the process that uses it.
    Env(String),
    /// A file, read at each use, so that a rotated secret needs no restart. Trailing line ends are cut.
    File(PathBuf),
}

impl<'de> Deserialize<'de> for SecretRef {
    /// By hand, because the usual message for a text in the place of a reference repeats the text, and that
    /// text is somebody's secret.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Place {
            Env(String),
            File(PathBuf),
        }

        struct Reference;

        impl<'de> Visitor<'de> for Reference {
            type Value = SecretRef;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("where the secret is kept: { env = \"…\" } or { file = \"…\" }")
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretRef, E> {
                Err(E::custom(
                    "a secret is never written out: name where it is kept, as { env = \"…\" } or { file = \"…\" }",
                ))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretRef, A::Error> {
                Ok(match Place::deserialize(MapAccessDeserializer::new(map))? {
                    Place::Env(name) => SecretRef::Env(name),
                    Place::File(path) => SecretRef::File(path),
                })
            }
        }

        deserializer.deserialize_any(Reference)
    }
}

/// Why a secret could not be read. It names the place, never the value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The variable is not set, or not text.
    #[error("environment variable {0} is not set")]
    Env(String),
    /// The file cannot be read.
    #[error("secret file {path} cannot be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The secret is there and empty, which no one means.
    #[error("{0} is empty")]
    Empty(String),
}

impl SecretRef {
    /// Reads the secret now.
    ///
    /// # Errors
    /// The place is missing, unreadable or empty.
    pub fn read(&self) -> Result<String, Error> {
        let value = match self {
            Self::Env(name) => std::env::var(name).map_err(|_| Error::Env(name.clone()))?,
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|source| Error::File { path: path.clone(), source })?
                .trim_end_matches(['\r', '\n'])
                .to_owned(),
        };
        if value.is_empty() { Err(Error::Empty(self.to_string())) } else { Ok(value) }
    }
}

impl SecretRef {
    /// Whether it names a place at all. What stands where a variable's name belongs and is none may be the secret
    /// itself, so nobody may repeat it.
    pub fn names_a_place(&self) -> bool {
        match self {
            Self::Env(name) => {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            }
            Self::File(_) => true,
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// A token that others present to us. We keep its SHA-256 only: enough to know it, useless to a thief.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Whether `presented` is the token, in a time that does not depend on where they differ.
    pub fn matches(&self, presented: &TokenHash) -> bool {
        self.0.ct_eq(&presented.0).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

impl TryFrom<String> for TokenHash {
    type Error = &'static str;

    fn try_from(hex: String) -> Result<Self, Self::Error> {
        let refuse = "a token's SHA-256 is 64 hexadecimal digits";
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(refuse);
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).map_err(|_| refuse)?;
        }
        Ok(Self(bytes))
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> String {
        hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_referred_to_and_one_that_is_written_out_is_refused_unrepeated() {
        for kept in [SecretRef::Env("A".to_owned()), SecretRef::File("/a".into())] {
            let document = serde_json::to_string(&kept).unwrap();
            assert_eq!(serde_json::from_str::<SecretRef>(&document).unwrap(), kept, "{document}");
        }
        for written in [r#""hush-hush""#, r#"{"text": "hush-hush"}"#, r#"{"env": ["hush-hush"]}"#, "7", "{}"]
        {
            let error = serde_json::from_str::<SecretRef>(written).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
        let error = serde_json::from_str::<SecretRef>(r#""hush-hush""#).unwrap_err().to_string();
        assert!(error.contains("{ env = "), "{error}");
    }

    #[test]
    fn a_variable_has_a_name_of_letters_digits_and_underscores() {
        for (name, is_one) in [("A_1", true), ("", false), ("A B", false), ("sk-live", false)] {
            assert_eq!(SecretRef::Env(name.to_owned()).names_a_place(), is_one, "{name:?}");
        }
    }

    #[test]
    fn a_token_is_known_by_its_hash_alone() {
        let kept: TokenHash = String::from(TokenHash::of("right")).try_into().unwrap();
        assert!(kept.matches(&TokenHash::of("right")));
        assert!(!kept.matches(&TokenHash::of("wrong")));
        assert!(!format!("{kept:?}").contains(&String::from(kept.clone())));
    }
}
