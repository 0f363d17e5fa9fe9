//! A webhook's templates, parsed: what can be rendered. Whatever is wrong with them is found here, so that
//! `check` and an attempt never disagree.

use crate::connector::{Encoding, Header, Method, Webhook};
use crate::secret::SecretRef;
use crate::template::location::Location;
use crate::template::{Fault, Template, catalogue};

/// Headers that are made by whoever writes the request, or that would break it.
const NOT_CONFIGURABLE: [&str; 11] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
];

/// A webhook, parsed.
pub(super) struct Blueprint<'a> {
    pub(super) url: Location,
    pub(super) parameters: Vec<(&'a str, Template)>,
    pub(super) headers: Vec<(&'a str, Content<'a>)>,
}

/// What stands in a header.
pub(super) enum Content<'a> {
    Template(Template),
    Secret(&'a SecretRef),
}

impl<'a> Blueprint<'a> {
    /// Parses a webhook, or tells every fault of its templates.
    pub(super) fn of(webhook: &'a Webhook) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let url =
            Location::parse("url", &webhook.url, &catalogue::CONNECTOR).map_err(|found| faults.extend(found));
        let parameters = parameters(webhook, &mut faults);
        let headers = headers(webhook, &mut faults);
        match url {
            Ok(url) if faults.is_empty() => Ok(Self { url, parameters, headers }),
            _ => Err(faults),
        }
    }
}

fn template(key: &str, text: &str, faults: &mut Vec<Fault>) -> Option<Template> {
    Template::parse(text, &catalogue::CONNECTOR)
        .map_err(|malformed| faults.extend(malformed.iter().map(|fault| fault.at(key))))
        .ok()
}

fn parameters<'a>(webhook: &'a Webhook, faults: &mut Vec<Fault>) -> Vec<(&'a str, Template)> {
    let is_json_body = webhook.method == Method::Post && webhook.encoding == Encoding::Json;
    let mut parsed = Vec::with_capacity(webhook.parameters.len());
    for (index, parameter) in webhook.parameters.iter().enumerate() {
        let name = parameter.name.as_str();
        let key = format!("parameters[{index}].name");
        if name.is_empty() {
            faults.push(Fault::new(&key, "a parameter has no name", "name it, or remove it"));
        }
        if name.contains("{{") {
            let remedy = "write the name as it is to be sent; macros belong in the value";
            faults.push(Fault::new(&key, "a parameter's name holds a macro", remedy));
        }
        if is_json_body && webhook.parameters[..index].iter().any(|earlier| earlier.name == name) {
            let remedy = "name each member once, or use encoding = \"form\"";
            faults.push(Fault::new(&key, format!("`{name}` is given twice in a JSON object"), remedy));
        }
        let value = template(&format!("parameters[{index}].value"), &parameter.value, faults);
        parsed.extend(value.map(|value| (name, value)));
    }
    parsed
}

fn headers<'a>(webhook: &'a Webhook, faults: &mut Vec<Fault>) -> Vec<(&'a str, Content<'a>)> {
    let mut parsed = Vec::with_capacity(webhook.headers.len());
    for (index, header) in webhook.headers.iter().enumerate() {
        let name = header.name.as_str();
        let key = format!("headers[{index}].name");
        if let Some((problem, remedy)) = wrong_name(name, webhook.method) {
            faults.push(Fault::new(&key, problem, remedy));
        }
        if webhook.headers[..index].iter().any(|earlier| earlier.name.eq_ignore_ascii_case(name)) {
            faults.push(Fault::new(&key, format!("header `{name}` is given twice"), "give each header once"));
        }
        parsed.extend(content(index, header, faults).map(|content| (name, content)));
    }
    parsed
}

fn wrong_name(name: &str, method: Method) -> Option<(String, &'static str)> {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    if name.is_empty() {
        Some(("a header has no name".to_owned(), "name it, or remove it"))
    } else if !name.bytes().all(is_token) {
        let shown: String = name.chars().take(40).collect();
        Some((format!("`{shown}` is not a header's name"), "use letters, digits and `-`, as in X-Api-Key"))
    } else if NOT_CONFIGURABLE.into_iter().any(is) {
        Some((
            format!("header `{name}` cannot be configured"),
            "remove it: the HTTP client sets what is needed",
        ))
    } else if method == Method::Post && is("content-type") {
        Some((format!("header `{name}` cannot be configured"), "choose the body's form with `encoding`"))
    } else {
        None
    }
}

/// RFC 9110's token.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn content<'a>(index: usize, header: &'a Header, faults: &mut Vec<Fault>) -> Option<Content<'a>> {
    let key = format!("headers[{index}].value");
    match (&header.value, &header.secret) {
        (Some(value), None) => {
            let template = template(&key, value, faults)?;
            if !template.literals().all(super::is_printable) {
                let remedy = "use printable ASCII, percent-encoded where the receiver decodes it";
                faults.push(Fault::new(&key, "the value holds a control or non-ASCII character", remedy));
            }
            Some(Content::Template(template))
        }
        (None, Some(secret)) => Some(Content::Secret(secret)),
        (None, None) => {
            faults.push(Fault::new(
                format!("headers[{index}]"),
                "the header has no value",
                "give it `value` or `secret`",
            ));
            None
        }
        (Some(_), Some(_)) => {
            let remedy = "keep `value` or `secret`, not both";
            faults.push(Fault::new(
                format!("headers[{index}]"),
                "the header has a value and a secret",
                remedy,
            ));
            None
        }
    }
}
