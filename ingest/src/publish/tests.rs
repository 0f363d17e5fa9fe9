use super::*;
use carom_common::id::EventId;
use carom_common::intake::{Body, Intake};
use std::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;

type Confirm = oneshot::Sender<Result<(), PublishError>>;

fn intake(bytes: usize) -> Intake {
    Intake {
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
    }
}

/// A line whose messages come out here, each with its confirm to be given.
#[allow(clippy::disallowed_methods, reason = "a test's own queue")]
fn line(capacity: usize, forsaken: Forsaken) -> (Line<Intake>, UnboundedReceiver<(Vec<Intake>, Confirm)>) {
    let (sender, messages) = mpsc::unbounded_channel();
    let publish = move |message: Vec<u8>| {
        let (confirm, confirmed) = oneshot::channel();
        sender.send((envelope::decode(&message).unwrap(), confirm)).unwrap();
        async move { confirmed.await.unwrap_or(Err(PublishError::Lost)) }
    };
    (Line::start(capacity, forsaken, publish, |_| {}), messages)
}

#[tokio::test]
async fn an_item_that_comes_alone_goes_out_at_once_and_alone() {
    let (line, mut messages) = line(10, Forsaken::Drop);
    for _ in 0..3 {
        let answer = line.push(intake(1), 1).unwrap();
        let (items, confirm) = messages.recv().await.unwrap();
        assert_eq!(items.len(), 1);
        confirm.send(Ok(())).unwrap();
        assert_eq!(answer.await.unwrap(), Ok(()));
    }
}

#[tokio::test]
async fn what_comes_while_confirms_are_outstanding_goes_out_as_one_message() {
    let (line, mut messages) = line(1000, Forsaken::Drop);
    let mut answers = Vec::new();
    let mut outstanding = Vec::new();
    for _ in 0..OUTSTANDING {
        answers.push(line.push(intake(1), 1).unwrap());
        outstanding.push(messages.recv().await.unwrap().1);
    }
    answers.extend((0..BATCH_ITEMS + 6).map(|_| line.push(intake(1), 1).unwrap()));
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
    line.emptied().await;
    assert_eq!(line.len(), 0);
}

#[tokio::test]
async fn a_batch_stays_below_its_bytes_and_a_large_item_goes_alone() {
    let (line, mut messages) = line(100, Forsaken::Drop);
    let mut answers = Vec::new();
    let mut outstanding = Vec::new();
    for _ in 0..OUTSTANDING {
        answers.push(line.push(intake(1), 1).unwrap());
        outstanding.push(messages.recv().await.unwrap().1);
    }
    for kilobytes in [100, 100, 100, 1000, 1] {
        answers.push(line.push(intake(kilobytes * 1024), kilobytes * 1024).unwrap());
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
    let (line, mut messages) = line(10, Forsaken::Drop);
    let answer = line.push(intake(1), 1).unwrap();
    messages.recv().await.unwrap().1.send(Err(PublishError::Nacked)).unwrap();
    assert_eq!(answer.await.unwrap(), Err(Unpublished::Broker(PublishError::Nacked)));
}

#[tokio::test]
async fn a_full_line_refuses_and_has_room_again_after_the_confirm() {
    let (line, mut messages) = line(2, Forsaken::Drop);
    let first = line.push(intake(1), 1).unwrap();
    let _second = line.push(intake(1), 1).unwrap();
    assert!(line.push(intake(1), 1).is_none());
    assert_eq!(line.len(), 2);
    messages.recv().await.unwrap().1.send(Ok(())).unwrap();
    first.await.unwrap().unwrap();
    assert!(line.push(intake(1), 1).is_some());
}

#[tokio::test]
async fn what_nobody_waits_for_is_dropped_where_its_sender_sends_it_again_and_sent_where_nobody_would() {
    for (forsaken, sent) in [(Forsaken::Drop, 1), (Forsaken::Send, 2)] {
        let (line, mut messages) = line(10, forsaken);
        let mut outstanding = Vec::new();
        for _ in 0..OUTSTANDING {
            std::mem::forget(line.push(intake(1), 1).unwrap());
            outstanding.push(messages.recv().await.unwrap().1);
        }
        drop(line.push(intake(1), 1).unwrap());
        let _waits = line.push(intake(1), 1).unwrap();
        outstanding.remove(0).send(Ok(())).unwrap();
        assert_eq!(messages.recv().await.unwrap().0.len(), sent, "{forsaken:?}");
    }
}

#[tokio::test]
async fn an_item_that_no_message_can_hold_is_refused_and_the_line_goes_on() {
    let published = Arc::new(Mutex::new(0));
    let count = published.clone();
    let publish = move |_| {
        *count.lock().unwrap() += 1;
        std::future::ready(Ok(()))
    };
    let line = Line::start(10, Forsaken::Drop, publish, |_| {});
    let large = Intake { body: Body(vec![0; MESSAGE_BYTES / 5]), ..intake(0) };
    let answer = line.push(large, MESSAGE_BYTES / 5).unwrap();
    assert_eq!(answer.await.unwrap(), Err(Unpublished::TooLarge));
    assert_eq!(line.push(intake(1), 1).unwrap().await.unwrap(), Ok(()));
    assert_eq!(*published.lock().unwrap(), 1);
}
