use super::*;
use carom_common::envelope::Item;
use carom_common::id::EventId;
use carom_common::intake::{Body, Intake};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

type Confirm = oneshot::Sender<Result<(), PublishError>>;

fn parcel(bytes: usize) -> Parcel {
    let intake = Intake {
        id: EventId::new(),
        source: "shop".parse().unwrap(),
        verified: Default::default(),
        received_at: jiff::Timestamp::UNIX_EPOCH,
        query: String::new(),
        content_type: None,
        body: Body(vec![b'x'; bytes]),
        visitor: None,
        parked: None,
        key: None,
        told: None,
    };
    Parcel::new(&intake, None).unwrap()
}

/// A line whose messages come out here, each with its confirm to be given.
#[allow(clippy::disallowed_methods, reason = "a test's own queue")]
fn line(capacity: usize) -> (Line, UnboundedReceiver<(Vec<Intake>, Confirm)>) {
    let (sender, messages) = mpsc::unbounded_channel();
    let publish = move |message: Vec<u8>, _| {
        let (confirm, confirmed) = oneshot::channel();
        sender.send((envelope::decode(&message).unwrap(), confirm)).unwrap();
        async move { confirmed.await.unwrap_or(Err(PublishError::Lost)) }
    };
    (Line::start(Intake::KIND, capacity, publish, |_| {}), messages)
}

#[tokio::test]
async fn an_item_that_comes_alone_goes_out_at_once_and_alone() {
    let (line, mut messages) = line(10);
    for _ in 0..3 {
        let answer = line.push(parcel(1), false).unwrap();
        let (items, confirm) = messages.recv().await.unwrap();
        assert_eq!(items.len(), 1);
        confirm.send(Ok(())).unwrap();
        assert_eq!(answer.await.unwrap(), Ok(()));
    }
}

#[tokio::test]
async fn what_comes_while_confirms_are_outstanding_goes_out_as_one_message() {
    let (line, mut messages) = line(1000);
    let mut answers = Vec::new();
    let mut outstanding = Vec::new();
    for _ in 0..OUTSTANDING {
        answers.push(line.push(parcel(1), false).unwrap());
        outstanding.push(messages.recv().await.unwrap().1);
    }
    answers.extend((0..BATCH_ITEMS + 6).map(|_| line.push(parcel(1), false).unwrap()));
    let early = tokio::time::timeout(Duration::from_millis(50), messages.recv()).await;
    assert!(early.is_err(), "no third message goes out before a confirm");

    outstanding.remove(0).send(Ok(())).unwrap();
    let (items, full) = messages.recv().await.unwrap();
    assert_eq!(items.len(), BATCH_ITEMS);
    full.send(Ok(())).unwrap();
    let (items, rest) = messages.recv().await.unwrap();
    assert_eq!(items.len(), 6);
    rest.send(Ok(())).unwrap();
    outstanding.remove(0).send(Ok(())).unwrap();
    for answer in answers {
        assert_eq!(answer.await.unwrap(), Ok(()));
    }
    assert_eq!(line.places.available_permits(), 1000);
}

#[tokio::test]
async fn a_batch_stays_below_its_bytes_and_a_large_item_goes_alone() {
    let (line, mut messages) = line(100);
    let mut answers = Vec::new();
    let mut outstanding = Vec::new();
    for _ in 0..OUTSTANDING {
        answers.push(line.push(parcel(1), false).unwrap());
        outstanding.push(messages.recv().await.unwrap().1);
    }
    for kilobytes in [100, 100, 100, 1000, 1] {
        answers.push(line.push(parcel(kilobytes * 1024), false).unwrap());
    }
    for expected in [vec![100, 100], vec![100], vec![1000], vec![1]] {
        outstanding.remove(0).send(Ok(())).unwrap();
        let (items, confirm) = messages.recv().await.unwrap();
        outstanding.push(confirm);
        let sizes: Vec<_> = items.iter().map(|item| item.body.0.len() / 1024).collect();
        assert_eq!(sizes, expected);
    }
}

#[tokio::test]
async fn every_item_of_a_batch_hears_of_its_failure() {
    let (line, mut messages) = line(10);
    let answer = line.push(parcel(1), false).unwrap();
    messages.recv().await.unwrap().1.send(Err(PublishError::Nacked)).unwrap();
    assert_eq!(answer.await.unwrap(), Err(PublishError::Nacked));
}

#[tokio::test]
async fn a_full_line_refuses_and_has_room_again_after_the_confirm() {
    let (line, mut messages) = line(2);
    let first = line.push(parcel(1), false).unwrap();
    let _second = line.push(parcel(1), false).unwrap();
    assert!(line.push(parcel(1), false).is_none());
    messages.recv().await.unwrap().1.send(Ok(())).unwrap();
    first.await.unwrap().unwrap();
    assert!(line.push(parcel(1), false).is_some());
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_sent() {
    let (line, mut messages) = line(10);
    let mut outstanding = Vec::new();
    for _ in 0..OUTSTANDING {
        std::mem::forget(line.push(parcel(1), false).unwrap());
        outstanding.push(messages.recv().await.unwrap().1);
    }
    drop(line.push(parcel(1), false).unwrap());
    let _waits = line.push(parcel(2), false).unwrap();
    outstanding.remove(0).send(Ok(())).unwrap();
    let sent = messages.recv().await.unwrap().0;
    assert_eq!(sent.iter().map(|item| item.body.0.len()).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn trouble_is_what_the_broker_last_said_of_the_queue_and_not_of_the_connection() {
    let (line, mut messages) = line(10);
    for (said, trouble) in [
        (Err(PublishError::Unavailable), false),
        (Err(PublishError::Nacked), true),
        (Err(PublishError::Blocked), true),
        (Ok(()), false),
        (Err(PublishError::TimedOut), true),
        (Ok(()), false),
        (Err(PublishError::Unroutable), true),
        (Err(PublishError::Closed), true),
    ] {
        let answer = line.push(parcel(1), false).unwrap();
        messages.recv().await.unwrap().1.send(said).unwrap();
        assert_eq!(answer.await.unwrap(), said);
        assert_eq!(line.trouble().is(), trouble, "{said:?}");
    }
}
