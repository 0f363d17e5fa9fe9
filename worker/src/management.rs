//! The broker's management API, for two questions: how many messages are in each queue, and whether anybody has
//! limited a queue that must take whatever comes. A passive declare does not see what is on its way back from a
//! tier, and nothing of policies; this does.

use anyhow::Context;
use carom_common::amqp::Address;
use carom_common::config::Config;
use carom_common::secret::SecretRef;
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tracing::warn;

const PATIENCE: Duration = Duration::from_secs(5);
/// Of an answer that is larger than this nothing is believed: 1,000 queues take about 600 kB.
const LARGEST: usize = 16 * 1024 * 1024;
/// Only this form of the listing is fresh.
const FIGURES: &str = "disable_stats=true&enable_queue_totals=true";
/// Only this form tells which policies apply, a few seconds late.
const LIMITS: &str = "columns=name,arguments,effective_policy_definition";

/// The API of one broker, for one vhost.
pub struct Management {
    client: reqwest::Client,
    url: String,
    /// Where the URL was read from, and is read again.
    url_file: Option<PathBuf>,
    hosts: Vec<String>,
    broker: Address,
}

#[derive(Deserialize)]
struct Figures {
    name: String,
    #[serde(default)]
    messages: u64,
    #[serde(default)]
    messages_ready: u64,
}

/// What is known of a queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Depth {
    /// Messages, in hand and on their way back too where that can be seen.
    pub messages: u64,
    /// Those of them that nobody has in hand.
    pub ready: u64,
}

#[derive(Deserialize)]
struct Definition {
    name: String,
    #[serde(default)]
    arguments: Limits,
    /// What user and operator policies come to together. RabbitMQ writes `[]` for nothing at all.
    #[serde(default)]
    effective_policy_definition: Policy,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Policy {
    Some(Limits),
    Other(serde::de::IgnoredAny),
}

impl Default for Policy {
    fn default() -> Self {
        Self::Other(serde::de::IgnoredAny)
    }
}

/// What makes a queue refuse messages, or drop them.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Limits {
    #[serde(alias = "x-max-length")]
    max_length: Option<serde_json::Value>,
    #[serde(alias = "x-max-length-bytes")]
    max_length_bytes: Option<serde_json::Value>,
}

impl Limits {
    fn any(&self) -> bool {
        self.max_length.is_some() || self.max_length_bytes.is_some()
    }
}

impl Definition {
    fn limited(&self) -> bool {
        let policy = matches!(&self.effective_policy_definition, Policy::Some(limits) if limits.any());
        policy || self.arguments.any()
    }
}

impl Management {
    /// The API at `broker.management_url`; none where that is empty.
    ///
    /// # Errors
    /// A URL cannot be read, or a certificate.
    pub fn new(config: &Config) -> anyhow::Result<Option<Self>> {
        let broker = &config.broker;
        if broker.management_url.is_empty() {
            return Ok(None);
        }
        let mut client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE);
        if !broker.ca_file.as_os_str().is_empty() {
            let pem = std::fs::read(&broker.ca_file).context("broker.ca_file")?;
            client =
                client.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem).context("broker.ca_file")?);
        }
        let management = Self {
            client: client.build().context("the HTTP client for broker.management_url")?,
            url: broker.management_url.clone(),
            url_file: config.files.get("broker.management_url").cloned(),
            hosts: broker.management_hosts.clone(),
            broker: Address::new(config),
        };
        management.listings("")?;
        Ok(Some(management))
    }

    /// Messages by queue, ready and unacked and on their way back.
    ///
    /// # Errors
    /// The API cannot be reached, or answers something else.
    pub async fn depths(&self) -> anyhow::Result<BTreeMap<String, Depth>> {
        let queues: Vec<Figures> = self.ask(FIGURES).await?;
        let depth = |queue: &Figures| Depth { messages: queue.messages, ready: queue.messages_ready };
        Ok(queues.into_iter().map(|queue| (queue.name.clone(), depth(&queue))).collect())
    }

    /// Whether a queue is limited in length, by its arguments, a policy or an operator's policy.
    ///
    /// # Errors
    /// As [`Management::depths`].
    pub async fn limited(&self) -> anyhow::Result<BTreeMap<String, bool>> {
        let queues: Vec<Definition> = self.ask(LIMITS).await?;
        Ok(queues.into_iter().map(|queue| (queue.name.clone(), queue.limited())).collect())
    }

    /// The first node that answers; the last failure is told.
    async fn ask<T: DeserializeOwned>(&self, query: &str) -> anyhow::Result<T> {
        let mut failed = anyhow::anyhow!("broker.management_url names no server");
        for listing in self.listings(query)? {
            match self.get(listing).await {
                Ok(answer) => return Ok(answer),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn get<T: DeserializeOwned>(&self, listing: Url) -> anyhow::Result<T> {
        let without_url = |error: reqwest::Error| error.without_url();
        let mut response = self.client.get(listing).send().await.map_err(without_url)?;
        anyhow::ensure!(response.status().is_success(), "it answers {}", response.status());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(without_url)? {
            body.extend_from_slice(&chunk);
            anyhow::ensure!(body.len() <= LARGEST, "its answer is larger than {LARGEST} bytes");
        }
        serde_json::from_slice(&body).context("its answer is no list of queues")
    }

    /// The listing of our vhost's queues on every node. With its file away, the URL is the one of the start.
    fn listings(&self, query: &str) -> anyhow::Result<Vec<Url>> {
        let read = |path: &PathBuf| SecretRef::File(path.clone()).read();
        let url = match self.url_file.as_ref().map(read) {
            Some(Ok(url)) => url,
            Some(Err(error)) => {
                warn!(%error, "broker.management_url_file_unreadable");
                self.url.clone()
            }
            None => self.url.clone(),
        };
        let mut first: Url = url.parse().context("broker.management_url is no URL")?;
        first
            .path_segments_mut()
            .map_err(|()| anyhow::anyhow!("broker.management_url is no URL of a server"))?
            .pop_if_empty()
            .extend(["api", "queues", &self.broker.vhost()?]);
        first.set_query(Some(query));
        let mut listings = vec![first.clone()];
        for (host, port) in self.hosts.iter().filter_map(|host| host.rsplit_once(':')) {
            let mut further = first.clone();
            further.set_host(Some(host)).context("broker.management_hosts")?;
            let _ = further.set_port(port.parse().ok());
            listings.push(further);
        }
        Ok(listings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_seen_in_arguments_and_in_whatever_the_policies_come_to() {
        for (queue, limited) in [
            (r#"{"name": "q"}"#, false),
            (
                r#"{"name": "q", "arguments": {"x-queue-type": "quorum"}, "effective_policy_definition": []}"#,
                false,
            ),
            (r#"{"name": "q", "effective_policy_definition": {"delivery-limit": 5}}"#, false),
            (r#"{"name": "q", "effective_policy_definition": {"max-length": 5}}"#, true),
            (r#"{"name": "q", "effective_policy_definition": {"max-length-bytes": 5}}"#, true),
            (r#"{"name": "q", "effective_policy_definition": null}"#, false),
            (r#"{"name": "q", "arguments": {"x-max-length": 5}}"#, true),
            (
                r#"{"name": "q", "arguments": {"x-max-length-bytes": 5}, "effective_policy_definition": []}"#,
                true,
            ),
        ] {
            let definition: Definition = serde_json::from_str(queue).unwrap();
            assert_eq!(definition.limited(), limited, "{queue}");
        }
    }
}
