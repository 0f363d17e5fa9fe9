//! The broker of a scenario, and a vhost for each.

use crate::eventually::{eventually, secs};
use crate::management::{Management, encoded};
use crate::node::Node;
use anyhow::{Context, Result, ensure};
use reqwest::Url;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// A broker: the one that all tests share, or one of this test's own.
#[derive(Clone)]
pub struct Broker {
    url: String,
    pub management_url: String,
    pub management: Management,
    node: Option<Arc<Node>>,
}

impl Broker {
    /// The broker that `deploy/test` has started for all tests; outside of it, one of our own.
    pub async fn shared() -> Result<Self> {
        match (std::env::var("CAROM_TEST_BROKER_URL"), std::env::var("CAROM_TEST_MANAGEMENT_URL")) {
            (Ok(url), Ok(management)) => Self::at(&url, &management),
            _ => Self::own().await,
        }
    }

    /// A broker of this test's own, for whoever kills it.
    pub async fn own() -> Result<Self> {
        let node = Node::start().await?;
        let broker = Self::at(&node.broker_url, &node.management_url)?;
        Ok(Self { node: Some(Arc::new(node)), ..broker })
    }

    /// A broker that is there already.
    pub fn at(url: &str, management_url: &str) -> Result<Self> {
        let management = Management::new(management_url)?;
        Ok(Self { url: url.to_owned(), management_url: management_url.to_owned(), management, node: None })
    }

    /// Its AMQP URL, without a vhost of a test's.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The node, to be killed or paused.
    pub fn node(&self) -> Result<&Node> {
        self.node.as_deref().context("the broker is not this test's own: start it with Broker::own")
    }

    /// A new vhost, gone when it is dropped.
    pub async fn vhost(&self, label: &str) -> Result<Vhost> {
        let random = Uuid::new_v4().simple().to_string();
        let name = format!("carom-{label}-{}", &random[..8]);
        let url: Url = self.url.parse()?;
        let user = match url.username() {
            "" => self.management.user().to_owned(),
            user => crate::management::decoded(user),
        };
        let vhost = Vhost { broker: self.clone(), url: url_of(&self.url, &name)?, name };
        self.management.create_vhost(&vhost.name, &user).await?;
        Ok(vhost)
    }
}

/// The broker's URL with another vhost.
fn url_of(url: &str, vhost: &str) -> Result<String> {
    let mut url: Url = url.parse().context("the broker's URL is none")?;
    url.set_path(&format!("/{}", encoded(vhost)));
    Ok(url.into())
}

/// A vhost of a scenario's own.
pub struct Vhost {
    pub broker: Broker,
    pub name: String,
    /// The AMQP URL that leads to it.
    pub url: String,
}

/// A queue as the broker counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub messages: u64,
    pub ready: u64,
    pub unacknowledged: u64,
}

impl Vhost {
    /// What the broker knows of one kind of thing in this vhost: `queues`, `exchanges`, `bindings`.
    pub async fn list(&self, kind: &str) -> Result<Vec<Value>> {
        let listed = self.broker.management.get(&format!("/api/{kind}/{}", encoded(&self.name))).await?;
        listed.as_array().cloned().context("no list")
    }

    /// How deep each queue is now. Only this form of the listing is fresh.
    pub async fn depths(&self) -> Result<BTreeMap<String, Depth>> {
        let name = encoded(&self.name);
        let path = format!("/api/queues/{name}?disable_stats=true&enable_queue_totals=true");
        let listed = self.broker.management.get(&path).await?;
        let depths = listed.as_array().context("no list")?.iter().map(|queue| {
            let count = |key: &str| queue[key].as_u64().unwrap_or(0);
            let depth = Depth {
                messages: count("messages"),
                ready: count("messages_ready"),
                unacknowledged: count("messages_unacknowledged"),
            };
            (queue["name"].as_str().unwrap_or_default().to_owned(), depth)
        });
        Ok(depths.collect())
    }

    /// Waits until the broker, which must be this test's own, may be killed.
    ///
    /// RabbitMQ (3.10.8, Ra 2.2) confirms the declaration of a quorum queue up to three seconds before its
    /// name is on disk. Killed in between, it starts the queue from nothing, with what it had confirmed gone,
    /// and without ever electing a leader. No client can help that, so no kill of ours falls in between.
    pub async fn may_be_killed(&self) -> Result<()> {
        let queues: Vec<_> = self.depths().await?.into_keys().collect();
        let node = self.broker.node()?;
        eventually(secs(20), "the broker has every queue on its disk", async || {
            node.remembers(&self.name, &queues)
        })
        .await
    }

    /// How deep one queue is; none for a queue that is not there.
    pub async fn depth(&self, queue: &str) -> Result<Option<Depth>> {
        Ok(self.depths().await?.get(queue).copied())
    }

    /// Sets a length limit on the queues of this name by a policy. They refuse what is over it, because they are
    /// declared so.
    pub async fn limit(&self, queue: &str, length: u32) -> Result<()> {
        let path = format!("/api/policies/{}/limit", encoded(&self.name));
        let pattern = format!("^{}$", queue.replace('.', "\\."));
        let definition = serde_json::json!({"max-length": length});
        let policy = serde_json::json!({"pattern": pattern, "definition": definition, "apply-to": "queues"});
        self.broker.management.put(&path, policy).await
    }

    /// Takes it away again.
    pub async fn unlimit(&self) -> Result<()> {
        self.broker.management.delete(&format!("/api/policies/{}/limit", encoded(&self.name))).await
    }

    /// Empties a queue, as an operator could by a slip of the hand.
    pub async fn purge(&self, queue: &str) -> Result<()> {
        let path = format!("/api/queues/{}/{}/contents", encoded(&self.name), encoded(queue));
        self.broker.management.delete(&path).await
    }

    /// Cuts the oldest connection of this vhost that its client gave this name. One that was just opened is not
    /// listed yet, and one that has just gone may be listed still.
    pub async fn cut(&self, client: &str) -> Result<()> {
        eventually(secs(15), format!("{client} is listed and cut"), async || {
            let listed = self.connections(client).await?;
            let oldest = listed.first().context("it is not")?;
            self.broker.management.delete(&format!("/api/connections/{}", encoded(oldest))).await
        })
        .await
    }

    /// Waits until so many connections of this name are listed, so that one can be cut at once.
    pub async fn lists(&self, client: &str, count: usize) -> Result<()> {
        eventually(secs(20), format!("{count} of {client} are listed"), async || {
            let listed = self.connections(client).await?.len();
            ensure!(listed >= count, "{listed} are");
            Ok(())
        })
        .await
    }

    /// The connections of this vhost that their clients gave this name, the oldest first.
    async fn connections(&self, client: &str) -> Result<Vec<String>> {
        let listed = self.broker.management.get("/api/connections").await?;
        let named = |one: &&Value| {
            one["client_properties"]["connection_name"] == client && one["vhost"] == self.name.as_str()
        };
        let mut all: Vec<_> = listed.as_array().context("no list")?.iter().filter(named).collect();
        all.sort_by_key(|one| one["connected_at"].as_u64());
        Ok(all.iter().filter_map(|one| Some(one["name"].as_str()?.to_owned())).collect())
    }

    /// Up to `count` bodies from the head of a queue, which are put back.
    pub async fn peek(&self, queue: &str, count: u32) -> Result<Vec<String>> {
        let path = format!("/api/queues/{}/{}/get", encoded(&self.name), encoded(queue));
        let how = serde_json::json!({"count": count, "ackmode": "ack_requeue_true", "encoding": "auto"});
        let got = self.broker.management.post(&path, how).await?;
        let bodies = got.as_array().context("no list")?.iter();
        Ok(bodies.filter_map(|message| Some(message["payload"].as_str()?.to_owned())).collect())
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        if let Err(error) = self.broker.management.delete_vhost_now(&self.name)
            && self.broker.node.is_none()
        {
            eprintln!("the vhost {} is left behind: {error:#}", self.name);
        }
    }
}
