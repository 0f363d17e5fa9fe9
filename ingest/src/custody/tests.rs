use super::*;
use crate::spool::tests::{opened, stalled};
use carom_common::click::Click;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Instant;
use tempfile::TempDir;

type Confirm = oneshot::Sender<Answer>;

/// Custody over a broker whose confirms are given by hand.
struct Relay {
    custody: Arc<Custody>,
    confirms: Arc<Mutex<Vec<Confirm>>>,
    /// Of every message, whether it was said to have been published before.
    again: Arc<Mutex<Vec<bool>>>,
    reach: watch::Sender<bool>,
    stop: CancellationToken,
    _folder: TempDir,
}

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(20);

fn relay(disk_is_good: bool) -> Relay {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("spool");
    if !disk_is_good {
        std::fs::write(&place, "no folder").unwrap();
    }
    let spool = opened(&place.join("spool.db"), 1 << 30);
    relay_over(spool, folder)
}

fn relay_over(spool: Spool, folder: TempDir) -> Relay {
    let confirms: Arc<Mutex<Vec<Confirm>>> = Arc::default();
    let given = confirms.clone();
    let again: Arc<Mutex<Vec<bool>>> = Arc::default();
    let told = again.clone();
    let publish = move |_, again| {
        let (confirm, confirmed) = oneshot::channel();
        given.lock().unwrap().push(confirm);
        told.lock().unwrap().push(again);
        async move { confirmed.await.unwrap_or(Err(PublishError::Lost)) }
    };
    let line = Line::start(Queue::Clicks.kind(), 10, publish, |_| {});
    let (reach, reachable) = watch::channel(true);
    let stop = CancellationToken::new();
    let custody = Custody { queue: Queue::Clicks, line, spool, reachable, stop: stop.clone() };
    Relay { custody: Arc::new(custody), confirms, again, reach, stop, _folder: folder }
}

fn click() -> Parcel {
    let click = Click::new(
        "acme".parse().unwrap(),
        "shoes".parse().unwrap(),
        carom_common::id::VisitorId::new(),
        jiff::Timestamp::UNIX_EPOCH,
    );
    Parcel::new(&click, None).unwrap()
}

impl Relay {
    fn spooled(&self) -> u64 {
        self.custody.spool.figures().items(Queue::Clicks)
    }

    fn published(&self) -> usize {
        self.confirms.lock().unwrap().len()
    }

    async fn keep(&self, patience: Duration) -> Result<Safe, Unsafe> {
        self.custody.keep(click(), patience, LONG).await
    }

    /// Begins to keep an item, and waits until the broker has been asked.
    async fn begin(&self, patience: Duration) -> (tokio::task::JoinHandle<Result<Safe, Unsafe>>, Confirm) {
        let custody = self.custody.clone();
        let keeping = tokio::spawn(async move { custody.keep(click(), patience, LONG).await });
        loop {
            if let Some(confirm) = self.confirms.lock().unwrap().pop() {
                return (keeping, confirm);
            }
            tokio::task::yield_now().await;
        }
    }

    async fn becomes(&self, spooled: u64) {
        let deadline = Instant::now() + LONG;
        while self.spooled() != spooled {
            assert!(Instant::now() < deadline, "{} are in the spool", self.spooled());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn what_the_broker_confirms_in_time_never_touches_the_spool() {
    let relay = relay(true);
    let (keeping, confirm) = relay.begin(LONG).await;
    confirm.send(Ok(())).unwrap();
    assert_eq!(keeping.await.unwrap(), Ok(Safe::Confirmed));
    assert_eq!(relay.spooled(), 0);
}

#[tokio::test]
async fn what_is_confirmed_late_is_taken_out_of_the_spool_again() {
    let relay = relay(true);
    let (keeping, confirm) = relay.begin(SHORT).await;
    assert_eq!(keeping.await.unwrap(), Ok(Safe::Spooled));
    assert_eq!(relay.spooled(), 1);
    confirm.send(Ok(())).unwrap();
    relay.becomes(0).await;
}

#[tokio::test]
async fn what_is_refused_is_spooled_and_the_next_does_not_ask_until_the_queue_takes_messages_again() {
    let relay = relay(true);
    let (keeping, confirm) = relay.begin(LONG).await;
    confirm.send(Err(PublishError::Nacked)).unwrap();
    assert_eq!(keeping.await.unwrap(), Ok(Safe::Spooled));
    for _ in 0..3 {
        assert_eq!(relay.keep(LONG).await, Ok(Safe::Spooled));
    }
    assert_eq!((relay.published(), relay.spooled()), (0, 4));
    // As the drain says when it got through.
    relay.custody.line.trouble().hear(Ok(()));
    let (keeping, confirm) = relay.begin(LONG).await;
    confirm.send(Ok(())).unwrap();
    assert_eq!(keeping.await.unwrap(), Ok(Safe::Confirmed));
}

#[tokio::test]
async fn a_broker_that_is_known_to_be_away_is_not_waited_for() {
    let relay = relay(true);
    let (keeping, _confirm) = relay.begin(LONG).await;
    relay.reach.send_replace(false);
    assert_eq!(keeping.await.unwrap(), Ok(Safe::Spooled), "neither by whoever waits already");
    assert_eq!(relay.keep(LONG).await, Ok(Safe::Spooled));
    assert_eq!((relay.published(), relay.spooled()), (0, 2));
}

#[tokio::test]
async fn a_process_that_is_to_end_waits_a_moment_for_the_broker_and_no_longer() {
    let relay = relay(true);
    let (first, confirm) = relay.begin(LONG).await;
    let (second, _never) = relay.begin(LONG).await;
    relay.stop.cancel();
    confirm.send(Ok(())).unwrap();
    assert_eq!(first.await.unwrap(), Ok(Safe::Confirmed));
    assert_eq!(second.await.unwrap(), Ok(Safe::Spooled));
}

#[tokio::test]
async fn without_a_spool_the_broker_is_waited_for_and_asked_even_after_it_refused() {
    let relay = relay(false);
    let (keeping, confirm) = relay.begin(SHORT).await;
    tokio::time::sleep(SHORT * 3).await;
    confirm.send(Ok(())).unwrap();
    assert_eq!(keeping.await.unwrap(), Ok(Safe::Confirmed), "later than it would have waited otherwise");

    let (keeping, confirm) = relay.begin(LONG).await;
    confirm.send(Err(PublishError::Nacked)).unwrap();
    let again = loop {
        if let Some(confirm) = relay.confirms.lock().unwrap().pop() {
            break confirm;
        }
        tokio::task::yield_now().await;
    };
    again.send(Err(PublishError::Nacked)).unwrap();
    assert_eq!(keeping.await.unwrap(), Err(Unsafe(spool::Refused::Failing)));
    assert_eq!(*relay.again.lock().unwrap(), [false, false, true], "and is told that it may be a copy");
    relay.reach.send_replace(false);
    assert_eq!(relay.keep(LONG).await, Err(Unsafe(spool::Refused::Failing)), "at once");
}

#[tokio::test]
async fn a_disk_that_hangs_does_not_hide_that_the_broker_has_confirmed() {
    let (spool, _never_taken) = stalled();
    let relay = relay_over(spool, tempfile::tempdir().unwrap());
    let (keeping, confirm) = relay.begin(SHORT).await;
    tokio::time::sleep(SHORT * 3).await;
    confirm.send(Ok(())).unwrap();
    let kept = tokio::time::timeout(LONG, keeping).await.expect("it waits for the disk");
    assert_eq!(kept.unwrap(), Ok(Safe::Confirmed));
}
