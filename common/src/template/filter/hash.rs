//! Hashes, in lower-case hexadecimal. MD5 and SHA-1 are here because networks ask for them.

use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

pub(super) fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

pub(super) fn sha1(text: &str) -> String {
    hex::encode(Sha1::digest(text.as_bytes()))
}

pub(super) fn md5(text: &str) -> String {
    hex::encode(Md5::digest(text.as_bytes()))
}

pub(super) fn hmac(key: &str, text: &str) -> Option<String> {
    // A key of any length is a key: the error has no cause.
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
    mac.update(text.as_bytes());
    Some(hex::encode(mac.finalize().into_bytes()))
}
