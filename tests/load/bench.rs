//! A Carom set up to be measured, on a broker of its own, with everything that it uses watched.

use crate::clock::{self, Clock};
use crate::cost::{Meter, Watched};
use crate::journey;
use crate::receiver::{Profile, Receiver};
use anyhow::{Context, Result, ensure};
use carom_tests::broker::Broker;
use carom_tests::eventually::eventually;
use carom_tests::resources::{Connector, FUNNEL_TOKEN, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StoreKind {
    Sqlite,
    Postgres,
}

/// What is set up, beyond one connector that every event is told to.
#[derive(Clone, Debug)]
pub struct Plan {
    pub store: StoreKind,
    /// How many connectors there are; one of them matches.
    pub connectors: usize,
    /// Whether the one that matches has a pixel as well, and pages may tell events.
    pub pixel: bool,
    pub profile: Profile,
    /// A file that the store is in, made beforehand; none for an empty one.
    pub file: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            store: StoreKind::Sqlite,
            connectors: 1,
            pixel: false,
            profile: Profile::default(),
            file: None,
        }
    }
}

/// It, and who takes its postbacks.
pub struct Bench {
    pub stack: Stack,
    pub clock: Arc<Clock>,
    /// It takes postbacks for as long as it is held.
    _receiver: Receiver,
    /// A server of its own, where the store is one.
    postgres: Option<carom_tests::postgres::Server>,
}

impl Bench {
    /// Sets it up with room for `most` events, and starts what is wanted of it.
    pub async fn start(broker: &Broker, plan: Plan, most: usize, with_worker: bool) -> Result<Self> {
        let clock = Arc::new(Clock::new(most));
        let receiver = Receiver::start(clock.clone(), plan.profile)?;
        let target = format!("http://{}/postback", receiver.address());
        let mut setup =
            Setup::new(&resources(&target, plan.connectors, plan.pixel)).env("CAROM_LOG_LEVEL", "warn");
        let postgres = match plan.store {
            StoreKind::Sqlite => None,
            StoreKind::Postgres => {
                let server = carom_tests::postgres::Server::start().await?;
                setup = setup.env("CAROM_STORE_URL", &server.url);
                Some(server)
            }
        };
        if let Some(file) = &plan.file {
            setup = setup.env("CAROM_STORE_PATH", file.to_string_lossy());
        }
        let stack = setup.start(broker).await?;
        if plan.pixel {
            stack.carom_ok(&["pixel", "approve", MATCHING, "--by", "load"]).await?;
            // Ingest looks every two seconds.
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
        let mut bench = Self { stack, clock, _receiver: receiver, postgres };
        if !with_worker {
            bench.stack.stop(Binary::Worker).await?;
        }
        Ok(bench)
    }

    /// Where events of the funnel go.
    pub fn events(&self) -> Result<(SocketAddr, String)> {
        journey::address(&self.stack.events_url(FUNNEL_TOKEN))
    }

    /// Where clicks go.
    pub fn clicks(&self) -> Result<(SocketAddr, String)> {
        journey::address(&self.stack.click_url("demo"))
    }

    /// Counts what everybody uses from now on.
    pub async fn meter(&mut self) -> Result<Meter> {
        let mut watched = Vec::new();
        for binary in Binary::ALL {
            if let Ok(process) = self.stack.process(binary) {
                watched.push(Watched { name: binary.name().to_owned(), root: process.id() });
            }
        }
        watched
            .push(Watched { name: "rabbitmq".to_owned(), root: broker_process(self.stack.vhost()?).await? });
        if let Some(server) = &self.postgres {
            watched.push(Watched { name: "postgresql".to_owned(), root: server.process()? });
        }
        Meter::start(watched)
    }

    /// Waits until every event that was accepted is delivered.
    pub async fn all_delivered(&self, limit: Duration) -> Result<()> {
        self.these_delivered(limit, clock::ALL).await
    }

    /// The same of some of them.
    pub async fn these_delivered(&self, limit: Duration, of: impl Fn(usize) -> bool) -> Result<()> {
        let accepted = self.clock.counts_of(&of).accepted as u64;
        eventually(limit, "every accepted event is delivered", async || {
            // All are looked at only when they may be there: of a million that takes a while.
            let delivered = self.clock.delivered_count();
            ensure!(delivered >= accepted, "{delivered} postbacks came, and {accepted} were accepted");
            let counts = self.clock.counts_of(&of);
            ensure!(counts.lost() == 0, "{} of {} are not", counts.lost(), counts.accepted);
            Ok(())
        })
        .await
    }

    /// Ends it in order.
    pub async fn finish(self) -> Result<()> {
        self.stack.finish().await
    }
}

/// The broker's process.
pub async fn broker_process(vhost: &carom_tests::broker::Vhost) -> Result<u32> {
    eventually(Duration::from_secs(20), "the broker tells its process", async || {
        let nodes = vhost.broker.management.get("/api/nodes").await?;
        Ok(nodes[0]["os_pid"].as_str().context("it tells none")?.parse()?)
    })
    .await
}

/// The connector that every event is told to.
pub const MATCHING: &str = "network";

/// The origin of the pages that may tell events, and the key that they name their source by.
pub const ORIGIN: &str = "http://shop.example";
pub const SITE_KEY: &str = "pk_load_pages";

/// A pixel as a network gives it to be put into a page.
const PIXEL: &str = r#"
[connector.pixel]
enabled = true
code = "<script>track('{{EVENT_NAME}}', { value: '{{VALUE}}', order: '{{TRANSACTION_ID}}', id: '{{EVENT_ID}}' })</script>"
"#;

/// What holds for no event of ours: each is of a campaign of its own, as a marketer's are.
fn elsewhere(number: usize) -> String {
    format!(
        "\n[[connector.condition]]\nfield = \"utm_campaign\"\noperator = \"equals\"\nvalue = \"campaign {number}\"\n"
    )
}

/// One connector for every event, and others that no event matches.
fn resources(target: &str, connectors: usize, pixel: bool) -> Resources {
    let of = |id: &str| {
        Connector::get(id, target)
            .triggers(&["conversion"])
            .parameter("n", "{{SOURCE_EVENT_ID}}")
            .line("concurrency = 64")
    };
    let source = format!(
        "\n[[source]]\nid = \"pages\"\nadvertiser = \"acme\"\nkind = \"tag\"\nsite_key = \"{SITE_KEY}\"\n\
         allowed_origins = [\"{ORIGIN}\"]\n"
    );
    let mut resources = match pixel {
        true => Resources::new().and_text(&source).with(of(MATCHING).line(PIXEL)),
        false => Resources::new().with(of(MATCHING)),
    };
    for number in 1..connectors {
        let other = of(&format!("other-{number}"));
        resources = resources.with(other.field(&elsewhere(number)));
    }
    resources
}
