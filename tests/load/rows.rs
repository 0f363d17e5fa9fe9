//! The clicks that a store has: what the account of redirects ends with.

use anyhow::{Context, Result, ensure};
use carom_tests::eventually::eventually;
use carom_tests::stack::Stack;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;
use tokio_postgres::SimpleQueryMessage;

const COUNT: &str = "SELECT count(*) FROM clicks";
/// How long the store may take to say.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks, so that looking is no load of its own.
const PAUSE: Duration = Duration::from_millis(250);

/// Waits until the store has at least so many clicks, and gives how many it has; when the limit is over, how many it
/// has then.
pub async fn clicks_become(stack: &Stack, count: usize, limit: Duration) -> Result<usize> {
    let mut found = 0;
    let there = eventually(limit, "every redirected click is recorded", async || {
        found = clicks(stack).await?;
        if found < count {
            tokio::time::sleep(PAUSE).await;
        }
        ensure!(found >= count, "{found} of {count} are");
        Ok(())
    })
    .await;
    match there {
        Ok(()) => Ok(found),
        // Whether something is missing is for the account to say; that nobody could look is not.
        Err(_) => clicks(stack).await,
    }
}

/// How many clicks the store has.
async fn clicks(stack: &Stack) -> Result<usize> {
    let counting = async {
        match stack.store_url() {
            Some(url) => of_server(url).await,
            None => {
                let path = stack.store_path();
                tokio::task::spawn_blocking(move || of_file(&path)).await?
            }
        }
    };
    tokio::time::timeout(PATIENCE, counting).await.context("the store does not answer")?
}

fn of_file(path: &Path) -> Result<usize> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let count: i64 = connection.query_row(COUNT, [], |row| row.get(0))?;
    Ok(usize::try_from(count)?)
}

async fn of_server(url: &str) -> Result<usize> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let messages = client.simple_query(COUNT).await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(row.context("the server counts nothing")?.parse()?)
}
