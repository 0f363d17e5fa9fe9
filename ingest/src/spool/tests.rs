use super::*;
use carom_common::amqp::PublishError;
use carom_common::telemetry::Metrics;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

fn try_open(path: &Path, max_bytes: u64) -> Result<Spool, Error> {
    let settings = config::Spool { path: path.to_owned(), max_bytes };
    Spool::open_now(settings, Figures::new(&Metrics::new("test"), max_bytes))
}

/// A spool at `path`.
pub fn opened(path: &Path, max_bytes: u64) -> Spool {
    try_open(path, max_bytes).unwrap()
}

/// A spool whose thread takes no job, as long as what comes with it is kept.
pub fn stalled() -> (Spool, impl Sized) {
    let (jobs, queue) = sync_channel(JOBS);
    let figures = Figures::new(&Metrics::new("test"), 1 << 30);
    let shared = Arc::new(Shared { held: Mutex::default(), wake: Default::default(), figures });
    (Spool { jobs, shared }, queue)
}

fn parcel(text: &str) -> Parcel {
    let intake = carom_common::intake::Intake {
        id: carom_common::id::EventId::new(),
        source: "shop".parse().unwrap(),
        verified: Default::default(),
        received_at: jiff::Timestamp::UNIX_EPOCH,
        query: text.to_owned(),
        content_type: None,
        body: Default::default(),
        visitor: None,
        parked: None,
        key: None,
        told: None,
    };
    Parcel::new(&intake, None).unwrap()
}

async fn put(spool: &Spool, queue: Queue, text: &str) -> Result<(), Refused> {
    spool.put(queue, parcel(text), false).await.map(drop)
}

/// What a queue holds and no publisher has in hand, in order.
async fn texts(spool: &Spool, queue: Queue) -> Vec<String> {
    let (mut after, mut texts) = (0, Vec::new());
    while let Some((looked, items)) = spool.read(queue, after).await {
        after = looked;
        texts.extend(items.iter().map(|(_, item)| query(item)));
    }
    texts
}

fn query(item: &[u8]) -> String {
    let item: serde_json::Value = serde_json::from_slice(item).unwrap();
    item["query"].as_str().unwrap().to_owned()
}

async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !look().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_is_put_is_there_in_its_order_after_a_restart_and_goes_on_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a folder of its own").join("spool.db");
    let spool = opened(&path, 1 << 30);
    for index in 0..150 {
        put(&spool, Queue::Events, &format!("e{index}")).await.unwrap();
    }
    put(&spool, Queue::Clicks, "c").await.unwrap();
    let (_, first) = spool.read(Queue::Events, 0).await.unwrap();
    assert_eq!(first.len(), 64, "as much as goes into one message");
    assert!(spool.remove(Queue::Events, first.iter().map(|(place, _)| *place).collect()).await);
    spool.close().await;
    assert_eq!(put(&spool, Queue::Events, "too late").await, Err(Refused::Failing));

    let spool = opened(&path, 1 << 30);
    assert_eq!(spool.figures().items(Queue::Events), 86);
    put(&spool, Queue::Events, "e150").await.unwrap();
    let expected: Vec<_> = (64..151).map(|index| format!("e{index}")).collect();
    assert_eq!(texts(&spool, Queue::Events).await, expected);
    assert_eq!(texts(&spool, Queue::Clicks).await, ["c"]);
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
}

#[tokio::test]
async fn what_is_not_ours_to_use_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool.db");
    let spool = opened(&path, 1 << 30);
    put(&spool, Queue::Clicks, "c").await.unwrap();
    let second = tokio::task::spawn_blocking({
        let path = path.clone();
        move || try_open(&path, 1 << 30).err()
    });
    let error = second.await.unwrap().expect("two on one file");
    assert!(matches!(error, Error::Taken), "{error:?}");
    assert!(named(&path, &error).contains("spool.db: another process"), "{}", named(&path, &error));
    assert_eq!(texts(&spool, Queue::Clicks).await, ["c"], "the first goes on");

    let (text, other) = (folder.path().join("text"), folder.path().join("other.db"));
    std::fs::write(&text, "x".repeat(10_000)).unwrap();
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
    for path in [text, other] {
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(try_open(&path, 1 << 30), Err(Error::Foreign)), "{path:?}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "it is left as it was");
    }
    let later = folder.path().join("later.db");
    opened(&later, 1 << 30).close().await;
    rusqlite::Connection::open(&later).unwrap().pragma_update(None, "user_version", 7).unwrap();
    assert!(matches!(try_open(&later, 1 << 30), Err(Error::Newer(7))));
}

#[tokio::test]
async fn a_full_spool_refuses_and_has_room_again_when_something_has_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool.db");
    let max = 2 * 1024 * 1024;
    let spool = opened(&path, max);
    let large = "x".repeat(100_000);
    let mut taken = 0;
    while put(&spool, Queue::Events, &large).await.is_ok() {
        taken += 1;
        assert!(taken < 100, "it never is full");
    }
    assert!(taken >= 19, "{taken} of 100 kB fit into 2 MiB");
    assert!(spool.figures().used() <= max, "{}", spool.figures().used());
    assert!(spool.figures().full() && !spool.figures().failing());
    assert_eq!(put(&spool, Queue::Events, &large).await, Err(Refused::Full));
    put(&spool, Queue::Clicks, "small").await.expect("what is small may fit yet");
    assert!(spool.remove(Queue::Events, vec![1, 2, 3, 4, 5]).await);
    assert!(!spool.figures().full());
    put(&spool, Queue::Events, &large).await.unwrap();
}

#[tokio::test]
async fn a_spool_that_cannot_be_opened_takes_nothing_and_works_as_soon_as_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("mounted later");
    std::fs::write(&place, "not a folder").unwrap();
    let spool = opened(&place.join("spool.db"), 1 << 30);
    assert!(spool.figures().failing());
    assert_eq!(put(&spool, Queue::Events, "a").await, Err(Refused::Failing));
    std::fs::remove_file(&place).unwrap();
    until("it works", async || put(&spool, Queue::Events, "b").await.is_ok()).await;
    assert!(!spool.figures().failing());
    assert_eq!(texts(&spool, Queue::Events).await, ["b"]);
}

#[tokio::test]
async fn what_has_left_is_nowhere_in_the_file_and_the_disk_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool.db");
    let spool = opened(&path, 1 << 30);
    for index in 0..40 {
        put(&spool, Queue::Events, &format!("jane-{index}-{}", "secretive".repeat(5_000))).await.unwrap();
    }
    let bytes = || -> Vec<u8> {
        let files = std::fs::read_dir(folder.path()).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    };
    let holds = |bytes: &[u8]| bytes.windows(9).any(|window| window == b"secretive");
    assert!(holds(&bytes()), "or nothing is tested");
    assert!(spool.remove(Queue::Events, (1..=40).collect()).await);
    until("it is small and clean", async || {
        let bytes = bytes();
        bytes.len() < 200_000 && !holds(&bytes)
    })
    .await;
    put(&spool, Queue::Events, "after").await.unwrap();
    assert_eq!(texts(&spool, Queue::Events).await, ["after"]);
}

#[tokio::test]
async fn what_somebody_publishes_already_is_not_drained_until_they_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let spool = opened(&folder.path().join("spool.db"), 1 << 30);
    let first = spool.put(Queue::Clicks, parcel("first"), true).await.unwrap().unwrap();
    let second = spool.put(Queue::Clicks, parcel("second"), true).await.unwrap().unwrap();
    put(&spool, Queue::Clicks, "third").await.unwrap();
    assert_eq!(texts(&spool, Queue::Clicks).await, ["third"]);
    first.confirmed();
    drop(second);
    until("only the second is the drain's", async || {
        texts(&spool, Queue::Clicks).await == ["second", "third"] && spool.figures().items(Queue::Clicks) == 2
    })
    .await;
    // Whoever is gone before the answer holds nothing.
    drop(spool.put(Queue::Clicks, parcel("fourth"), true));
    assert!(spool.shared.held().is_empty());
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test's own queue")]
async fn a_drain_goes_through_the_queue_in_order_and_takes_out_what_is_confirmed_and_only_that() {
    let folder = tempfile::tempdir().unwrap();
    let spool = opened(&folder.path().join("spool.db"), 1 << 30);
    for index in 0..300 {
        put(&spool, Queue::Events, &format!("{index:03}")).await.unwrap();
    }
    let (messages, mut published) = tokio::sync::mpsc::unbounded_channel();
    let (reach, reachable) = watch::channel(false);
    let stop = CancellationToken::new();
    let trouble = crate::publish::Trouble::default();
    let publish = move |message: Vec<u8>| {
        let (confirm, confirmed) = oneshot::channel();
        messages.send((message, confirm)).unwrap();
        async move { confirmed.await.unwrap_or(Err(PublishError::Lost)) }
    };
    let drain = Drain {
        queue: Queue::Events,
        spool: spool.clone(),
        reachable,
        stop: stop.clone(),
        trouble: trouble.clone(),
        publish,
    };
    let draining = tokio::spawn(drain.run());
    let early = tokio::time::timeout(Duration::from_millis(50), published.recv()).await;
    assert!(early.is_err(), "nothing goes out while the broker is away");
    reach.send_replace(true);
    // It says no to the first message, and then to every third.
    let (mut number, mut confirmed) = (0, Vec::new());
    let items = |message: &[u8]| -> Vec<String> {
        let message: serde_json::Value = serde_json::from_slice(message).unwrap();
        assert_eq!(message["kind"], "intakes");
        message["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["query"].as_str().unwrap().to_owned())
            .collect()
    };
    while confirmed.len() < 300 {
        let (message, confirm) = published.recv().await.unwrap();
        let yes = number % 3 != 0;
        number += 1;
        if yes {
            confirmed.extend(items(&message));
        }
        confirm.send(if yes { Ok(()) } else { Err(PublishError::Nacked) }).unwrap();
    }
    let every: Vec<_> = (0..300).map(|index| format!("{index:03}")).collect();
    assert_eq!(confirmed.iter().collect::<HashSet<_>>().len(), 300, "each is confirmed once");
    assert_eq!(confirmed[..64], every[..64], "the head goes first");
    until("it is empty", async || spool.figures().items(Queue::Events) == 0).await;
    assert!(!trouble.is());

    put(&spool, Queue::Events, "later").await.unwrap();
    let (message, confirm) = published.recv().await.unwrap();
    assert_eq!(items(&message), ["later"], "it is woken by what comes");
    stop.cancel();
    confirm.send(Ok(())).unwrap();
    draining.await.unwrap();
    assert_eq!(spool.figures().items(Queue::Events), 0, "what is under way is finished");
}

#[tokio::test]
async fn a_place_that_was_given_is_not_given_again_when_the_file_was_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let settings = config::Spool { path: folder.path().join("spool.db"), max_bytes: 1 << 30 };
    let (spool, _never_taken) = stalled();
    let (_jobs, queue) = sync_channel(JOBS);
    let mut writer = Writer::new(settings, spool.shared.clone(), queue);
    writer.open_first().unwrap();
    let put = |writer: &mut Writer, text: &str, hold: bool| {
        let (answer, mut answered) = oneshot::channel();
        let spool = hold.then(|| spool.clone());
        writer.group(Job::Put { queue: Queue::Events, item: parcel(text), spool, answer });
        answered.try_recv().unwrap().unwrap()
    };
    // Confirmed and gone, and yet in somebody's hands, as it is in a drain that has not heard of it.
    let held = put(&mut writer, "first", true).unwrap();
    writer.group(Job::Remove { queue: Queue::Events, places: vec![held.place], answer: None });
    writer.reopen();
    put(&mut writer, "second", false);
    let (_, found) = writer.read(Queue::Events, 0).unwrap();
    let found: Vec<_> = found.iter().map(|(_, item)| query(item)).collect();
    assert_eq!(found, ["second"], "it is not hidden by what was at its place");
}
