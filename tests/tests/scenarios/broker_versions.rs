//! A broker that is too old is refused by name.

use anyhow::Result;
use carom_tests::eventually::secs;
use carom_tests::resources::Resources;
use carom_tests::stack::{Binary, Setup};
use carom_tests::wire;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_older_than_3_10_is_refused_by_its_version() -> Result<()> {
    let url = wire::greeter("3.9.29").await?;
    let dir = tempfile::tempdir()?;
    let mut stack = Setup::new(&Resources::new()).prepare_in(dir.path(), &url).await?;
    let applied = stack.carom(&["apply", "resources.toml"]).await?;
    assert_eq!(applied.code, Some(0), "applying needs no broker: {}", applied.err);
    for binary in Binary::ALL {
        stack.start_binary(binary)?;
        let process = stack.process(binary)?;
        let status = process.ended(secs(20)).await?;
        assert!(status.code().is_some_and(|code| code != 0), "{binary} ended with {status}");
        let log = process.log()?;
        assert!(log.contains("3.9.29"), "{binary} does not name the version it found: {log}");
        assert!(log.contains("3.10"), "{binary} does not name the version it needs: {log}");
    }
    let replay = stack.carom(&["dlq", "replay", "--all"]).await?;
    assert!(replay.code != Some(0) && replay.err.contains("3.9.29"), "{replay:?}");
    stack.quietly();
    Ok(())
}
