//! nginx that answers 302 and does nothing else: what a redirect costs where nothing is kept of it.

use anyhow::{Context, Result};
use carom_tests::eventually::eventually;
use carom_tests::ports;
use carom_tests::process::Process;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// One on a free port of this machine; it ends with this value.
pub struct Nginx {
    // In the order of being dropped.
    process: Process,
    _dir: TempDir,
    address: SocketAddr,
}

impl Nginx {
    /// Starts it, in the foreground, with nothing of the system's configuration.
    pub async fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("carom-nginx.").tempdir()?;
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free()?));
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, config(dir.path(), address))?;
        let mut command = Command::new(program());
        command.arg("-p").arg(dir.path()).arg("-c").arg(&file).arg("-e").arg(dir.path().join("error.log"));
        let log = dir.path().join("nginx.log");
        let process = Process::start("nginx", command, &log)
            .context("nginx is not here: deploy/measure installs the system's")?;
        let mut nginx = Self { process, _dir: dir, address };
        eventually(Duration::from_secs(10), "nginx listens", async || {
            nginx.process.must_run().with_context(|| nginx.process.tail(5))?;
            Ok(tokio::net::TcpStream::connect(address).await.map(drop)?)
        })
        .await?;
        Ok(nginx)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Where system packages put it is not on the PATH of everybody.
fn program() -> &'static str {
    let system = "/usr/sbin/nginx";
    if Path::new(system).is_file() { system } else { "nginx" }
}

/// One worker, which is the process itself: a master that is killed would leave its worker behind.
fn config(dir: &Path, address: SocketAddr) -> String {
    let dir = dir.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("    {name}_temp_path \"{dir}/{name}\";\n"))
        .collect();
    format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid \"{dir}/nginx.pid\";\n\
         error_log \"{dir}/error.log\";\n\nevents {{\n    worker_connections 1024;\n}}\n\nhttp {{\n    access_log off;\n\
         \u{20}   keepalive_timeout 3600s;\n    keepalive_requests 1000000000;\n{temporary}\n    server {{\n        \
         listen {address};\n        location / {{\n            \
         return 302 https://funnel.example/page?clickid=00000000-0000-4000-8000-000000000000;\n        }}\n    }}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_configuration_stays_in_its_folder_and_on_its_port() {
        let text = config(Path::new("/tmp/x"), "127.0.0.1:12345".parse().unwrap());
        assert!(text.contains("listen 127.0.0.1:12345;\n"), "{text}");
        assert_eq!(text.matches("\"/tmp/x/").count(), 7, "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
        assert!(!text.contains("/var/"), "{text}");
    }
}
