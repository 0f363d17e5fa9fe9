//! Copies of one message, however they came about, and neighbours of a message that is bad: nothing is sent
//! twice without a crash, and nothing is taken along.

use anyhow::{Result, ensure};
use carom_common::click::Click;
use carom_common::envelope;
use carom_common::id::{EventId, VisitorId};
use carom_common::intake::{Body, Intake};
use carom_tests::eventually::{eventually, secs};
use carom_tests::management::encoded;
use carom_tests::resources::{Connector, PLAIN_TOKEN};
use carom_tests::stack::Binary;
use carom_tests::wire;
use jiff::Timestamp;

fn intake(txid: usize) -> Intake {
    Intake {
        id: EventId::new(),
        source: "plain".parse().unwrap(),
        verified: Default::default(),
        received_at: Timestamp::now(),
        query: format!("event=purchase&txid=copy-{txid}&payout=1"),
        content_type: None,
        body: Body::default(),
        visitor: None,
        parked: None,
        key: None,
        told: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_copies_of_an_intake_in_one_message_or_in_two_are_one_postback() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let url = stack.vhost()?.url.clone();
    let intakes: Vec<_> = (0..20).map(intake).collect();
    for one in &intakes {
        wire::publish(&url, "", "carom.events", &envelope::encode(&[one.clone(), one.clone()])).await?;
        wire::publish(&url, "", "carom.events", &envelope::encode(std::slice::from_ref(one))).await?;
    }
    for one in &intakes {
        stack.traced(&one.id.to_string(), "delivered").await?;
    }
    carom_tests::accounting::drained(stack.vhost()?, secs(30)).await?;
    assert_eq!(receiver.count(), intakes.len(), "each is sent once");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_copies_of_a_click_are_one_click_and_earn_one_conversion() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let url = stack.vhost()?.url.clone();
    let click = Click::new("acme".parse()?, "demo".parse()?, VisitorId::new(), Timestamp::now());
    let id = click.id.to_string();
    wire::publish(&url, "", "carom.clicks", &envelope::encode(&[click.clone(), click.clone()])).await?;
    wire::publish(&url, "", "carom.clicks", &envelope::encode(&[click])).await?;
    let sale = [("event", "purchase"), ("txid", "of-a-copy"), ("payout", "1"), ("click_id", &*id)];
    stack.traced(&stack.plain(&sale).await?, "delivered").await?;
    carom_tests::accounting::drained(stack.vhost()?, secs(30)).await?;
    assert!(stack.letters(&[]).await?.is_empty());
    assert_eq!(receiver.count(), 1);
    assert_eq!(receiver.requests()[0].field("click_id"), Some(id));
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_json_is_nested_to_the_readers_limit_is_delivered_beside_its_neighbours() -> Result<()>
{
    let (broker, receiver, _, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let url = stack.events_url(PLAIN_TOKEN);
    for depth in [1, 60, 100, 120, 126] {
        let nested = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let body = format!(r#"{{"event":"purchase","txid":"deep-{depth}","payout":1,"x":{nested}}}"#);
        let id = stack.client().webhook(&url, body).await?.accepted()?;
        stack.traced(&id, "delivered").await?;
    }
    assert_eq!(receiver.count(), 5);
    assert!(stack.letters(&[]).await?.is_empty());
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connectors_queue_that_the_broker_refuses_is_nobody_elses_trouble() -> Result<()> {
    let (broker, receiver, resources, setup) = crate::network().await?;
    let mut stack = setup.start(&broker).await?;
    let vhost = stack.vhost()?;
    let classic = serde_json::json!({"durable": true, "arguments": {"x-queue-type": "classic"}});
    let path = format!("/api/queues/{}/carom.deliver.badq", encoded(&vhost.name));
    vhost.broker.management.put(&path, classic).await?;
    stack.apply(&resources.with(Connector::get("badq", receiver.url("/bad")))).await?;
    eventually(secs(15), "the worker has seen the refusal", async || {
        ensure!(stack.log(Binary::Worker)?.contains("connector.declare_refused"));
        Ok(())
    })
    .await?;
    let id = stack.plain(&[("event", "purchase"), ("txid", "beside-1")]).await?;
    stack.traced(&id, "delivered").await?;
    // Nor does it keep a worker from starting, with connections that declare everything anew.
    stack.stop(Binary::Worker).await?;
    stack.start_binary(Binary::Worker)?;
    stack.ready().await?;
    let id = stack.plain(&[("event", "purchase"), ("txid", "beside-2")]).await?;
    stack.traced(&id, "delivered").await?;
    assert_eq!(receiver.matching(|request| request.path == "/postback").len(), 2);
    stack.quietly();
    Ok(())
}
