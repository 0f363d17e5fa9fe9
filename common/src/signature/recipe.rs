//! The recipe that every scheme comes down to, and the faults of one that an operator wrote.

use super::{Algorithm, Encoding, MalformedSecret, Scheme, Signature};
use crate::template::Fault;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Where a signature stands and what it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recipe {
    /// The header that has the signature.
    pub header: String,
    /// What stands before it.
    prefix: String,
    /// Whether the header may hold several, parted by spaces, among them such as are none of ours.
    several: bool,
    encoding: Encoding,
    pub algorithm: Algorithm,
    /// What is signed.
    pub signed: Vec<Part>,
    pub timestamp_header: Option<String>,
    pub id_header: Option<String>,
}

/// A part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Timestamp,
    Id,
    Body,
}

impl Recipe {
    /// The recipe of a signature, or all the faults of its description.
    pub fn of(signature: &Signature) -> Result<Self, Vec<Fault>> {
        let dot = || Part::Text(".".to_owned());
        match signature.scheme {
            Scheme::Clickfunnels => fixed(signature).map(|()| Self {
                header: "X-Webhook-ClickFunnels-Signature".to_owned(),
                prefix: String::new(),
                several: false,
                encoding: Encoding::Hex,
                algorithm: Algorithm::Sha256,
                signed: vec![Part::Timestamp, dot(), Part::Body],
                timestamp_header: Some("X-Webhook-ClickFunnels-Timestamp".to_owned()),
                // X-Webhook-ClickFunnels-Id comes with newer engines only, and is not signed.
                id_header: None,
            }),
            Scheme::StandardWebhooks => fixed(signature).map(|()| Self {
                header: "webhook-signature".to_owned(),
                prefix: "v1,".to_owned(),
                several: true,
                encoding: Encoding::Base64,
                algorithm: Algorithm::Sha256,
                signed: vec![Part::Id, dot(), Part::Timestamp, dot(), Part::Body],
                timestamp_header: Some("webhook-timestamp".to_owned()),
                id_header: Some("webhook-id".to_owned()),
            }),
            Scheme::Hmac => described(signature),
        }
    }

    /// The signatures in a header's value; none where it holds nothing that could be one.
    pub fn signatures(&self, value: &[u8]) -> Vec<Vec<u8>> {
        let one = |text: &[u8]| {
            let spelled = text.strip_prefix(self.prefix.as_bytes())?;
            let bytes = match self.encoding {
                Encoding::Hex => hex::decode(spelled).ok()?,
                Encoding::Base64 => STANDARD.decode(spelled).ok()?,
            };
            (bytes.len() == self.algorithm.len()).then_some(bytes)
        };
        if self.several {
            value.split(|byte| *byte == b' ').filter_map(one).collect()
        } else {
            one(value).into_iter().collect()
        }
    }

    /// What the header is to hold, in words.
    pub fn form(&self) -> String {
        let (encoding, length) = match self.encoding {
            Encoding::Hex => ("hexadecimal", self.algorithm.len() * 2),
            Encoding::Base64 => ("Base64", self.algorithm.len().div_ceil(3) * 4),
        };
        let hash = match self.algorithm {
            Algorithm::Sha256 => "HMAC-SHA256",
            Algorithm::Sha1 => "HMAC-SHA1",
            Algorithm::Sha512 => "HMAC-SHA512",
        };
        let prefix = if self.prefix.is_empty() { String::new() } else { format!("`{}` and ", self.prefix) };
        format!("{prefix}a {encoding} {hash} of {length} characters")
    }
}

/// The bytes that a secret's text stands for.
pub(super) fn key(scheme: Scheme, secret: &str) -> Result<Vec<u8>, MalformedSecret> {
    match scheme {
        Scheme::Clickfunnels | Scheme::Hmac => Ok(secret.as_bytes().to_vec()),
        Scheme::StandardWebhooks => {
            let text = secret.strip_prefix("whsec_").unwrap_or(secret);
            let key = STANDARD.decode(text).map_err(|_| MalformedSecret)?;
            if key.is_empty() { Err(MalformedSecret) } else { Ok(key) }
        }
    }
}

/// A scheme that says everything itself has no use for the keys that describe one.
fn fixed(signature: &Signature) -> Result<(), Vec<Fault>> {
    let given = [
        ("header", signature.header.is_some()),
        ("prefix", signature.prefix.is_some()),
        ("algorithm", signature.algorithm.is_some()),
        ("encoding", signature.encoding.is_some()),
        ("signed", signature.signed.is_some()),
        ("timestamp_header", signature.timestamp_header.is_some()),
        ("id_header", signature.id_header.is_some()),
    ];
    let problem = format!("the scheme {} says this itself", signature.scheme.as_str());
    let remedy = "remove it, or say `scheme = \"hmac\"` and describe all of it";
    let faults: Vec<_> = given
        .iter()
        .filter(|(_, given)| *given)
        .map(|(key, _)| Fault::new(*key, problem.clone(), remedy))
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// The recipe that an operator describes.
fn described(signature: &Signature) -> Result<Recipe, Vec<Fault>> {
    let mut faults = Vec::new();
    if signature.header.is_none() {
        let remedy = "name it, as in `header = \"X-Signature\"`";
        faults.push(Fault::new("header", "no header is named that has the signature", remedy));
    }
    for (key, name) in [
        ("header", &signature.header),
        ("timestamp_header", &signature.timestamp_header),
        ("id_header", &signature.id_header),
    ] {
        if name.as_ref().is_some_and(|name| !is_header(name)) {
            let remedy = "write letters, digits and hyphens, as in X-Signature";
            faults.push(Fault::new(key, "this is no header's name", remedy));
        }
    }
    if signature.prefix.as_ref().is_some_and(|prefix| !prefix.bytes().all(|byte| byte.is_ascii_graphic())) {
        let remedy = "write what stands right before the signature, as in `sha256=`";
        faults.push(Fault::new("prefix", "a header cannot hold this", remedy));
    }
    let signed = match parts(signature.signed.as_deref().unwrap_or("{body}")) {
        Ok(signed) => signed,
        Err(fault) => {
            faults.push(fault);
            return Err(faults);
        }
    };
    if signed.iter().filter(|part| **part == Part::Body).count() != 1 {
        let remedy = "name `{body}` once: what is not signed can be anybody's";
        faults.push(Fault::new("signed", "the body is not signed, or signed twice", remedy));
    }
    for (key, name, part, placeholder) in [
        ("timestamp_header", &signature.timestamp_header, Part::Timestamp, "{timestamp}"),
        ("id_header", &signature.id_header, Part::Id, "{id}"),
    ] {
        match (name.is_some(), signed.contains(&part)) {
            (true, false) => {
                let problem =
                    format!("what is signed does not hold `{placeholder}`, so anybody could change it");
                let remedy = format!("add `{placeholder}` to `signed`, or remove this");
                faults.push(Fault::new(key, problem, remedy));
            }
            (false, true) => {
                let problem = format!("nothing says where `{placeholder}` comes from");
                faults.push(Fault::new("signed", problem, format!("name its header as `{key}`")));
            }
            _ => {}
        }
    }
    if signature.tolerance.is_some() && signature.timestamp_header.is_none() {
        let remedy = "name the `timestamp_header`, or remove this";
        faults.push(Fault::new("tolerance", "there is no timestamp that it could be for", remedy));
    }
    let Some(header) = signature.header.clone().filter(|_| faults.is_empty()) else {
        return Err(faults);
    };
    Ok(Recipe {
        header,
        prefix: signature.prefix.clone().unwrap_or_default(),
        several: false,
        encoding: signature.encoding.unwrap_or(Encoding::Hex),
        algorithm: signature.algorithm.unwrap_or(Algorithm::Sha256),
        signed,
        timestamp_header: signature.timestamp_header.clone(),
        id_header: signature.id_header.clone(),
    })
}

fn is_header(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

/// Reads what is signed: placeholders in braces, and text between them.
fn parts(template: &str) -> Result<Vec<Part>, Fault> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        if at > 0 {
            parts.push(Part::Text(rest[..at].to_owned()));
        }
        let placeholders = [("{timestamp}", Part::Timestamp), ("{id}", Part::Id), ("{body}", Part::Body)];
        let found =
            placeholders.into_iter().find_map(|(text, part)| Some((part, rest[at..].strip_prefix(text)?)));
        let Some((part, after)) = found else {
            let remedy = "use `{timestamp}`, `{id}`, `{body}` and text without braces";
            return Err(Fault::new("signed", "there is a brace that belongs to no placeholder", remedy));
        };
        parts.push(part);
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}
