//! What is worth a second look in a configuration that is good: listeners that more can reach than need to.

use super::{Config, Fault};

impl Config {
    /// What is allowed and often not meant.
    pub fn warnings(&self, file: &str) -> Vec<Fault> {
        let ops =
            [("ingest.ops_listen", self.ingest.ops_listen), ("worker.ops_listen", self.worker.ops_listen)];
        let open = ops.into_iter().filter(|(_, address)| !address.ip().is_loopback());
        let warning = |(key, address)| {
            let problem = format!("{address} is not loopback: whoever reaches it reads every metric");
            let remedy = "listen on 127.0.0.1, or see that only your Prometheus and your probes reach it";
            Fault::new(file, key, problem, remedy)
        };
        open.map(warning).collect()
    }
}
