//! The broker's management API, for one question: how many messages are in each queue. A passive declare
//! does not see what is on its way back from a tier; this does.

use anyhow::Context;
use carom_common::config::Broker;
use lapin::uri::AMQPUri;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);
/// Of an answer that is larger than this nothing is believed: 1,000 queues take about 300 kB.
const LARGEST: usize = 16 * 1024 * 1024;

/// The API of one broker, for one vhost.
pub struct Management {
    client: reqwest::Client,
    queues: reqwest::Url,
}

#[derive(Deserialize)]
struct QueueFigures {
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

impl Management {
    /// The API at `broker.management_url`; none where that is empty.
    ///
    /// # Errors
    /// A URL cannot be read.
    pub fn new(broker: &Broker) -> anyhow::Result<Option<Self>> {
        if broker.management_url.is_empty() {
            return Ok(None);
        }
        let uri: AMQPUri =
            broker.url.parse().map_err(|error: String| anyhow::anyhow!(error)).context("broker.url")?;
        let mut queues: reqwest::Url =
            broker.management_url.parse().context("broker.management_url is no URL")?;
        queues
            .path_segments_mut()
            .map_err(|()| anyhow::anyhow!("broker.management_url is no URL of a server"))?
            .pop_if_empty()
            .extend(["api", "queues", uri.vhost.as_str()]);
        queues.set_query(Some("disable_stats=true&enable_queue_totals=true"));
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .context("the HTTP client for broker.management_url")?;
        Ok(Some(Self { client, queues }))
    }

    /// Messages by queue, ready and unacked and on their way back.
    ///
    /// # Errors
    /// The API cannot be reached, or answers something else.
    pub async fn depths(&self) -> anyhow::Result<BTreeMap<String, Depth>> {
        let without_url = |error: reqwest::Error| error.without_url();
        let mut response = self.client.get(self.queues.clone()).send().await.map_err(without_url)?;
        anyhow::ensure!(response.status().is_success(), "it answers {}", response.status());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(without_url)? {
            body.extend_from_slice(&chunk);
            anyhow::ensure!(body.len() <= LARGEST, "its answer is larger than {LARGEST} bytes");
        }
        let queues: Vec<QueueFigures> =
            serde_json::from_slice(&body).context("its answer is no list of queues")?;
        let depth = |queue: &QueueFigures| Depth { messages: queue.messages, ready: queue.messages_ready };
        Ok(queues.into_iter().map(|queue| (queue.name.clone(), depth(&queue))).collect())
    }
}
