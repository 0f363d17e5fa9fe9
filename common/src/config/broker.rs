//! `[broker]`: where RabbitMQ is, who we are to it, and whom we believe that it is.

use super::{Config, Fault};
use crate::amqp;
use crate::time::Span;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `[broker]`
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// The AMQP URL, password included.
    pub url: String,
    /// Further nodes of the same cluster, as `host:port`.
    pub hosts: Vec<String>,
    /// The certificates of the authorities that are believed, in PEM; empty for the system's.
    pub ca_file: PathBuf,
    /// Our own certificate, in PEM; empty for none.
    pub client_cert_file: PathBuf,
    /// Its key, in PEM.
    pub client_key_file: PathBuf,
    /// How often either side says that it is there. A connection is given up after twice as long in silence.
    pub heartbeat: Span,
    /// The management API's URL; empty for none.
    pub management_url: String,
    /// The same API on further nodes, as `host:port`.
    pub management_hosts: Vec<String>,
    /// The time limit of a confirm.
    pub confirm_timeout: Span,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("confirm_timeout", &self.confirm_timeout).finish_non_exhaustive()
    }
}

/// What is wrong with keys that are well-formed each for itself, and files that cannot be used. No fault
/// repeats a URL, because its password is in it.
pub(super) fn faults(file: &str, config: &Config) -> Vec<Fault> {
    let broker = &config.broker;
    let mut faults = Vec::new();
    let mut fault = |key: &str, problem: String, remedy: &str| {
        faults.push(Fault::new(file, format!("broker.{key}"), problem, remedy));
    };
    if let Err(error) = amqp::nodes(broker, &broker.url) {
        fault("url", "is no AMQP URL".to_owned(), &error.to_string());
    } else if broker.url.starts_with("amqp:") && *broker != without_files(broker) {
        let problem = "is not encrypted, and certificates are named".to_owned();
        fault("url", problem, "write amqps://, or leave the certificates out");
    }
    for (key, hosts) in [("hosts", &broker.hosts), ("management_hosts", &broker.management_hosts)] {
        // By its place: whoever takes it for a list of URLs has written a password into it.
        for (place, host) in hosts.iter().enumerate() {
            if amqp::host_and_port(host).is_none() {
                let key = format!("{key}[{place}]");
                fault(&key, "is no host with a port".to_owned(), "write it as rabbit-2.example:5672");
            }
        }
    }
    if !(1..=600).contains(&broker.heartbeat.0.as_secs()) || broker.heartbeat.0.subsec_nanos() != 0 {
        fault("heartbeat", "is told to the broker in whole seconds".to_owned(), "write 1s to 10m");
    }
    let (cert, key) = (&broker.client_cert_file, &broker.client_key_file);
    if cert.as_os_str().is_empty() != key.as_os_str().is_empty() {
        let problem = "one is of no use without the other".to_owned();
        fault("client_cert_file", problem, "name broker.client_cert_file and broker.client_key_file both");
    } else if let Err(amqp::Error::Certificates { key, problem, .. }) = amqp::certificates(broker) {
        fault(key, problem, "name a readable file of PEM");
    }
    faults
}

fn without_files(broker: &Broker) -> Broker {
    let none = || Path::new("").to_owned();
    Broker { ca_file: none(), client_cert_file: none(), client_key_file: none(), ..broker.clone() }
}
