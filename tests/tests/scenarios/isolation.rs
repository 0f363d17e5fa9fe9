//! A slow or dead destination does not change what other destinations see.

use anyhow::Result;
use carom_tests::broker::Broker;
use carom_tests::eventually::secs;
use carom_tests::receiver::{Answer, Receiver};
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::Setup;
use std::sync::Arc;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_that_hangs_holds_nobody_else_back() -> Result<()> {
    let broker = Broker::shared().await?;
    let (hung, quick) = (Receiver::start()?, Receiver::start()?);
    hung.answer(Arc::new(|_| Answer::status(200).after(secs(60))));
    let resources = Resources::new()
        .with(Connector::get("hung", hung.url("/postback")).line("timeout = \"3s\"").line("concurrency = 2"))
        .with(Connector::get("quick", quick.url("/postback")));
    let stack = Setup::new(&resources).start(&broker).await?;
    let began = Instant::now();
    for index in 0..200 {
        stack.plain(&[("event", "purchase"), ("txid", &format!("p{index}"))]).await?;
    }
    quick.wait_for(secs(20), 200, |_| true).await?;
    println!("200 events reached the quick receiver in {:.2} s", began.elapsed().as_secs_f64());
    // The hung one is in the middle of its own trouble all the while.
    hung.wait_for(secs(10), 2, |_| true).await?;
    assert!(hung.count() < 200, "the hung receiver was called {} times", hung.count());
    stack.finish().await
}
