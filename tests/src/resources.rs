//! The resources of a scenario, as the files that `carom-worker apply` reads.

use std::fmt::Write as _;

/// The token of the plain source in every scenario.
pub const PLAIN_TOKEN: &str = "scenario-plain-token-0123456789";
/// The token of the ClickFunnels source in every scenario.
pub const FUNNEL_TOKEN: &str = "scenario-funnel-token-0123456789";
/// The host of the open source.
pub const OPEN_HOST: &str = "events.scenario.example";

/// Everything that `apply` gets.
#[derive(Clone, Debug)]
pub struct Resources {
    fixed: String,
    connectors: Vec<Connector>,
}

/// One connector.
#[derive(Clone, Debug)]
pub struct Connector {
    id: String,
    mode: String,
    method: String,
    encoding: Option<String>,
    url: String,
    triggers: Vec<String>,
    parameters: Vec<(String, String)>,
    headers: Vec<String>,
    fields: String,
    rest: String,
}

impl Resources {
    /// The advertiser `acme` with a source of each kind, an open one, and the offer `demo`.
    pub fn new() -> Self {
        let fixed = format!(
            r#"
[[advertiser]]
id = "acme"

[[source]]
id = "plain"
advertiser = "acme"
kind = "plain"
tokens = ["{PLAIN_TOKEN}"]

[[source]]
id = "funnel"
advertiser = "acme"
kind = "clickfunnels"
tokens = ["{FUNNEL_TOKEN}"]

[[source]]
id = "open"
advertiser = "acme"
kind = "plain"
open = true
event_domains = ["{OPEN_HOST}"]

[[offer]]
id = "demo"
advertiser = "acme"
tracking_url = "https://funnel.example/page?clickid={{click_id}}"
"#
        );
        Self { fixed, connectors: Vec::new() }
    }

    /// With one more connector, or another in the place of the one with its id.
    #[must_use]
    pub fn with(mut self, connector: Connector) -> Self {
        match self.connectors.iter_mut().find(|known| known.id == connector.id) {
            Some(known) => *known = connector,
            None => self.connectors.push(connector),
        }
        self
    }

    /// Without a connector.
    #[must_use]
    pub fn without(mut self, id: &str) -> Self {
        self.connectors.retain(|connector| connector.id != id);
        self
    }

    /// With more text at the end.
    #[must_use]
    pub fn and_text(mut self, text: &str) -> Self {
        self.fixed.push_str(text);
        self
    }

    /// As a file.
    pub fn to_toml(&self) -> String {
        self.connectors.iter().fold(self.fixed.clone(), |mut text, connector| {
            connector.write(&mut text);
            text
        })
    }
}

impl Default for Resources {
    fn default() -> Self {
        Self::new()
    }
}

impl Connector {
    /// A connector that GETs `url` on conversions, and tells the receiver what scenarios count by: the
    /// delivery (`event_id`), the purchase (`tx`), the click, the value.
    pub fn get(id: &str, url: impl Into<String>) -> Self {
        let parameters = [
            ("event_id", "{{EVENT_ID}}"),
            ("tx", "{{TRANSACTION_ID}}"),
            ("click_id", "{click_id}"),
            ("value", "[revenue]"),
            ("currency", "{{CURRENCY}}"),
            ("event", "{{EVENT_NAME}}"),
        ];
        Self {
            id: id.to_owned(),
            mode: "enabled".to_owned(),
            method: "GET".to_owned(),
            encoding: None,
            url: url.into(),
            triggers: vec!["conversion".to_owned()],
            parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            headers: Vec::new(),
            fields: String::new(),
            rest: String::new(),
        }
    }

    /// One that has no webhook: its pixel is one of its lines.
    pub fn pixel_only(id: &str) -> Self {
        Self::get(id, "")
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// The same by POST, as `form` or `json`.
    pub fn post(id: &str, url: impl Into<String>, encoding: &str) -> Self {
        Self { method: "POST".to_owned(), encoding: Some(encoding.to_owned()), ..Self::get(id, url) }
    }

    #[must_use]
    pub fn mode(mut self, mode: &str) -> Self {
        mode.clone_into(&mut self.mode);
        self
    }

    #[must_use]
    pub fn triggers(mut self, triggers: &[&str]) -> Self {
        self.triggers = triggers.iter().map(|trigger| (*trigger).to_owned()).collect();
        self
    }

    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(format!("{{ name = {}, value = {} }}", quoted(name), quoted(value)));
        self
    }

    /// A header whose value the worker reads from its environment.
    #[must_use]
    pub fn secret_header(mut self, name: &str, variable: &str) -> Self {
        self.headers.push(format!(
            "{{ name = {}, secret = {{ env = {} }} }}",
            quoted(name),
            quoted(variable)
        ));
        self
    }

    /// Another line of the connector itself, such as `max_event_age = "7d"`.
    #[must_use]
    pub fn field(mut self, line: &str) -> Self {
        let _ = writeln!(self.fields, "{line}");
        self
    }

    /// Another line of the webhook, such as `concurrency = 1`.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        let _ = writeln!(self.rest, "{line}");
        self
    }

    fn write_without_webhook(&self, text: &mut String) {
        let triggers: Vec<_> = self.triggers.iter().map(|trigger| quoted(trigger)).collect();
        let _ = write!(
            text,
            "\n[[connector]]\nid = {}\nadvertiser = \"acme\"\nmode = {}\ntriggers = [{}]\n{}{}",
            quoted(&self.id),
            quoted(&self.mode),
            triggers.join(", "),
            self.fields,
            self.rest,
        );
    }

    fn write(&self, text: &mut String) {
        if self.url.is_empty() {
            return self.write_without_webhook(text);
        }
        let list = |items: Vec<String>| format!("[{}]", items.join(", "));
        let triggers = list(self.triggers.iter().map(|trigger| quoted(trigger)).collect());
        let parameters = self.parameters.iter();
        let parameters = parameters
            .map(|(name, value)| format!("{{ name = {}, value = {} }}", quoted(name), quoted(value)));
        let _ = write!(
            text,
            "\n[[connector]]\nid = {}\nadvertiser = \"acme\"\nmode = {}\ntriggers = {triggers}\n{}\
             [connector.webhook]\nmethod = {}\nurl = {}\nparameters = {}\nheaders = {}\n{}",
            quoted(&self.id),
            quoted(&self.mode),
            self.fields,
            quoted(&self.method),
            quoted(&self.url),
            list(parameters.collect()),
            list(self.headers.clone()),
            self.rest,
        );
        if let Some(encoding) = &self.encoding {
            let _ = writeln!(text, "encoding = {}", quoted(encoding));
        }
    }
}

/// A TOML string. JSON's strings are basic strings of TOML.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
