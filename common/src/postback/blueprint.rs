//! A webhook's templates, parsed: what can be rendered. Whatever is wrong with them is found here, so that
//! `check` and an attempt never disagree.

use super::header_name;
use crate::connector::{Encoding, Header, Method, Webhook};
use crate::secret::SecretRef;
use crate::template::form::{Form, number_in_text};
use crate::template::json::{Json, number_in_part};
use crate::template::location::Location;
use crate::template::{Fault, Template, catalogue};

/// A webhook, parsed.
pub(super) struct Blueprint<'a> {
    pub(super) url: Location,
    /// What is appended to the query, or sent as a form.
    pub(super) parameters: Vec<(&'a str, Template)>,
    pub(super) body: Body,
    pub(super) headers: Vec<(&'a str, Content<'a>)>,
}

/// What is sent in the body.
pub(super) enum Body {
    /// A GET has none.
    None,
    /// The parameters, as a form.
    Parameters,
    Form(Form),
    Json(Json),
}

impl Body {
    /// The templates of a body that is not of parameters.
    pub(super) fn templates(&self) -> Vec<&Template> {
        match self {
            Self::None | Self::Parameters => Vec::new(),
            Self::Form(form) => form.templates().collect(),
            Self::Json(json) => json.templates(),
        }
    }
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
        let (parameters, body) = body(webhook, parameters, &mut faults);
        let headers = headers(webhook, &mut faults);
        match url {
            Ok(url) if faults.is_empty() => Ok(Self { url, parameters, body, headers }),
            _ => Err(faults),
        }
    }

    /// All its templates.
    pub(super) fn templates(&self) -> Vec<&Template> {
        let mut all: Vec<_> = self.url.templates().collect();
        all.extend(self.parameters.iter().map(|(_, value)| value));
        all.extend(self.body.templates());
        all.extend(self.headers.iter().filter_map(|(_, content)| match content {
            Content::Template(value) => Some(value),
            Content::Secret(_) => None,
        }));
        all
    }

    /// The secrets that its templates name, each once.
    pub(super) fn secrets(&self) -> Vec<&str> {
        let mut names: Vec<_> = self
            .templates()
            .into_iter()
            .flat_map(Template::macros)
            .filter_map(|name| name.strip_prefix(catalogue::SECRET))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn template(key: &str, text: &str, faults: &mut Vec<Fault>) -> Option<Template> {
    Template::parse(text, &catalogue::CONNECTOR)
        .map_err(|malformed| faults.extend(malformed.iter().map(|fault| fault.at(key))))
        .ok()
}

/// Whether parameters become the members of a JSON object.
fn is_json(webhook: &Webhook) -> bool {
    webhook.method == Method::Post && webhook.encoding == Encoding::Json
}

fn parameters<'a>(webhook: &'a Webhook, faults: &mut Vec<Fault>) -> Vec<(&'a str, Template)> {
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
        if is_json(webhook) && webhook.parameters[..index].iter().any(|earlier| earlier.name == name) {
            let remedy = "name each member once, or use encoding = \"form\"";
            faults.push(Fault::new(&key, format!("`{name}` is given twice in a JSON object"), remedy));
        }
        let key = format!("parameters[{index}].value");
        if let Some(value) = template(&key, &parameter.value, faults) {
            let number = if is_json(webhook) { number_in_part } else { number_in_text };
            faults.extend(number(&key, &value));
            parsed.push((name, value));
        }
    }
    parsed
}

/// The body, and the parameters that are not in it as something else.
fn body<'a>(
    webhook: &Webhook,
    parameters: Vec<(&'a str, Template)>,
    faults: &mut Vec<Fault>,
) -> (Vec<(&'a str, Template)>, Body) {
    let Some(text) = &webhook.body else {
        return match webhook.method {
            Method::Get => (parameters, Body::None),
            Method::Post if webhook.encoding == Encoding::Form => (parameters, Body::Parameters),
            Method::Post => {
                let members = parameters.into_iter().map(|(name, value)| (name.to_owned(), value));
                (Vec::new(), Body::Json(Json::object(members.collect())))
            }
        };
    };
    if webhook.method == Method::Get {
        let remedy = "use method = \"POST\", or parameters";
        faults.push(Fault::new("body", "a GET has no body", remedy));
    }
    if !webhook.parameters.is_empty() {
        let remedy = "write them into the body, or into the URL's query";
        faults.push(Fault::new("parameters", "a body is written out, and parameters are given too", remedy));
    }
    let parsed = match webhook.encoding {
        Encoding::Form => Form::parse("body", text, &catalogue::CONNECTOR).map(Body::Form),
        Encoding::Json => Json::parse("body", text, &catalogue::CONNECTOR).map(Body::Json),
    };
    (parameters, parsed.map_err(|found| faults.extend(found)).unwrap_or(Body::None))
}

fn headers<'a>(webhook: &'a Webhook, faults: &mut Vec<Fault>) -> Vec<(&'a str, Content<'a>)> {
    let mut parsed = Vec::with_capacity(webhook.headers.len());
    for (index, header) in webhook.headers.iter().enumerate() {
        let name = header.name.as_str();
        let key = format!("headers[{index}].name");
        if let Some((problem, remedy)) = header_name::wrong(name, webhook.method) {
            faults.push(Fault::new(&key, problem, remedy));
        }
        if webhook.headers[..index].iter().any(|earlier| earlier.name.eq_ignore_ascii_case(name)) {
            faults.push(Fault::new(&key, format!("header `{name}` is given twice"), "give each header once"));
        }
        parsed.extend(content(index, header, faults).map(|content| (name, content)));
    }
    parsed
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
            faults.extend(number_in_text(&key, &template));
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
