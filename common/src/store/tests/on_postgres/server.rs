//! What only a server does: several writers, restarts, text without NUL, answers that do not come.

use super::*;
use crate::store::postgres::{Link, apart};
use crate::store::reach::{Hold, Reach};
use crate::store::session::Session;
use crate::store::{Error, Horizon};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sender_puts_into_a_name_never_fails_for_ever() {
    let (_place, store) = store();
    let mut strange = event("key with \0 in it");
    strange.raw_type = "a\0type".to_owned();
    strange.name = Some("a\0name".to_owned());
    strange.source_event_id = Some(format!("\0{}", "x".repeat(9_000)));
    strange.order = Some("y".repeat(9_000));
    strange.data = serde_json::json!({"a\0b": "c\0d"});
    let resolved = store.resolve(vec![candidate(&strange)], as_the_worker(&["meta"])).await.unwrap();
    assert_eq!(resolved[0].deliveries.len(), 1);
    let trace = store.trace_of_event(strange.id).await.unwrap().unwrap();
    assert_eq!(trace.event, strange);
    assert_eq!(store.events_by_key(None, &strange.key).await.unwrap(), [strange.id]);
    assert_eq!(store.events_about(&"y".repeat(9_000)).await.unwrap(), [strange.id]);
    let copy = Event { id: EventId::new(), ..strange.clone() };
    assert!(store.resolve(vec![candidate(&copy)], as_the_worker(&["meta"])).await.unwrap()[0].duplicate);
    assert_eq!(store.seen(None).await.unwrap()[0].raw_type, "a\0type");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_for_a_nul_within_may_come_from_a_sender_as_well() {
    const LAST: &str = "\u{10ffff}";
    let (place, store) = store();
    let clicked = Click {
        parameters: vec![("x".to_owned(), format!("{LAST}0\0{LAST}"))],
        user_agent: Some(LAST.to_owned()),
        ..click(VisitorId::new(), at(0))
    };
    store.record_clicks(vec![clicked.clone()]).await.unwrap();
    assert_eq!(store.click(clicked.id).await.unwrap(), Some(clicked));

    // Two keys that only these tell apart, and data that holds both.
    let (mut one, other) = (event(&format!("key{LAST}")), event("key\0"));
    one.raw_type = format!("type{LAST}1");
    one.data = serde_json::json!({format!("a{LAST}"): format!("b\0{LAST}0")});
    for event in [&one, &other] {
        let resolved = store.resolve(vec![candidate(event)], as_the_worker(&["meta"])).await.unwrap();
        assert!(!resolved[0].duplicate);
        assert_eq!(store.trace_of_event(event.id).await.unwrap().unwrap().event, *event);
        assert_eq!(store.events_by_key(None, &event.key).await.unwrap(), [event.id]);
    }
    assert_eq!(place.count("conversions"), 2);

    let waiting = event("waits");
    let mut parked = candidate(&waiting);
    let intake = Intake { query: format!("x={LAST}\0"), ..(*parked.intake).clone() };
    parked.intake = Arc::new(intake.clone());
    let key = format!("contact:{LAST}");
    let wait = move |_: &Candidate, _: &Known| Resolution {
        verdict: Verdict::Park(park(&[&key])),
        decisions: vec![],
    };
    store.resolve(vec![parked], wait).await.unwrap();
    assert_eq!(store.overdue(Timestamp::now()).await.unwrap()[0].query, intake.query);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_event_that_two_processes_resolve_at_once_one_is_the_copy() {
    let (place, first) = store();
    let second = open(&place);
    for round in 0..20 {
        let one = event(&format!("order:{round}"));
        let copy = Event { id: EventId::new(), ..one.clone() };
        let resolve = async |store: &Store, event: &Event| {
            store.resolve(vec![candidate(event)], as_the_worker(&["meta"])).await.unwrap().remove(0)
        };
        let (a, b) = tokio::join!(resolve(&first, &one), resolve(&second, &copy));
        assert_ne!(a.duplicate, b.duplicate, "round {round}");
        assert_eq!(a.deliveries.len() + b.deliveries.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_is_opened_again_and_the_job_fails_once_at_most() {
    let (place, store) = store();
    selected(&store, &event("order:1"), &["meta"]).await;
    let pid = "SELECT pg_backend_pid()";
    let writer: i64 = store.write(Reach::nothing(), move |s| s.one(pid, (), |row| row.get(0))).await.unwrap();
    let reader: i64 = store.read(move |s| s.one(pid, (), |row| row.get(0))).await.unwrap();
    apart(|| {
        let link = Link::open(place.url()).unwrap();
        for pid in [writer, reader] {
            link.batch(&format!("SELECT pg_terminate_backend({pid})")).unwrap();
        }
    });
    let mut failures = 0;
    while store.check().await.is_err() {
        failures += 1;
        assert!(failures < 3, "it never comes back");
    }
    selected(&store, &event("order:2"), &["meta"]).await;
    assert_eq!(place.count("events"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_whose_commit_may_have_been_is_done_again_without_harm() {
    let (_place, store) = store();
    let sale = event("order:1");
    // The answer to each first time is lost, as with a connection that ends during the commit.
    let deliveries = selected(&store, &sale, &["meta"]).await;
    let again = store.resolve(vec![candidate(&sale)], as_the_worker(&["meta"])).await.unwrap();
    assert!(again[0].deliveries.is_empty(), "it was handed over");
    let clicked = click(VisitorId::new(), at(0));
    assert_eq!(store.record_clicks(vec![clicked.clone()]).await.unwrap().new, 1);
    assert_eq!(store.record_clicks(vec![clicked]).await.unwrap().new, 0);
    let dead = letter(&deliveries[0], Reason::Exhausted);
    let end = || settlement(&deliveries[0], End::Dead(Box::new(dead.clone())));
    assert_eq!(store.settle(vec![end()]).await.unwrap(), [true]);
    assert_eq!(store.settle(vec![end()]).await.unwrap(), [false]);
    assert_eq!(store.replayed(vec![dead.clone()], at(20)).await.unwrap(), 1);
    assert_eq!(store.replayed(vec![dead], at(20)).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_decides_alone_waits_for_the_other_and_whoever_shares_does_not() {
    let (place, first) = store();
    let second = open(&place);
    let acme = || ["acme".parse().unwrap()];
    let (entered, waits) = std::sync::mpsc::channel::<()>();
    let (go, held) = std::sync::mpsc::channel::<()>();
    let holding = tokio::spawn(async move {
        let reach = Reach::of(&acme(), Hold::Alone);
        first.write(reach, move |_| Ok((entered.send(()).is_ok(), held.recv().is_ok()))).await
    });
    tokio::task::spawn_blocking(move || waits.recv().unwrap()).await.unwrap();
    let other = ["other".parse().unwrap()];
    second.write(Reach::of(&other, Hold::Alone), |_| Ok(())).await.unwrap();
    second.write(Reach::nothing(), |_| Ok(())).await.unwrap();
    let mut blocked = Box::pin(second.write(Reach::of(&acme(), Hold::Shared), |_| Ok(())));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut blocked).await;
    assert!(early.is_err(), "it did not wait");
    go.send(()).unwrap();
    blocked.await.unwrap();
    assert!(matches!(holding.await.unwrap(), Ok((true, true))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intakes_letter_waits_while_a_person_of_its_events_advertiser_is_erased() {
    let (place, first) = store();
    let second = open(&place);
    let sale = event("order:1");
    selected(&first, &sale, &["meta"]).await;
    let (entered, waits) = std::sync::mpsc::channel::<()>();
    let (go, held) = std::sync::mpsc::channel::<()>();
    let erasing = tokio::spawn(async move {
        let acme = ["acme".parse().unwrap()];
        let work = move |_: &Session<'_>| Ok((entered.send(()).is_ok(), held.recv().is_ok()));
        first.write(Reach::of(&acme, Hold::Alone), work).await
    });
    tokio::task::spawn_blocking(move || waits.recv().unwrap()).await.unwrap();
    let letter = |event: &Event| {
        let intake = (*candidate(event).intake).clone();
        crate::dead_letter::Letter::of_intake(intake, Reason::UndecodableBody, at(9))
    };
    assert_eq!(second.bury(vec![letter(&event("unknown"))]).await.unwrap(), 1, "of nobody who is known");
    let mut burying = Box::pin(second.bury(vec![letter(&sale)]));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut burying).await;
    assert!(early.is_err(), "it did not wait");
    go.send(()).unwrap();
    assert_eq!(burying.await.unwrap(), 1);
    assert!(matches!(erasing.await.unwrap(), Ok((true, true))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_an_error_within_seconds_and_names_no_password() {
    let url = "postgres://carom:hunter2@127.0.0.1:1/carom".parse().unwrap();
    let settings = Settings::Postgres(Box::new(url));
    let error = Store::open_read_only(&settings).err().unwrap();
    assert!(matches!(error, Error::Database(_)));
    let told = format!("{error} {error:?} {settings} {settings:?}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_the_log_misses_nothing_that_commits_late_under_a_lower_number() {
    let (place, first) = store();
    let second = open(&place);
    let sale = event("order:1");
    let attempt = |n: usize| {
        let id = DeliveryId::of_event(&connector("meta"), &n.to_string());
        settlement(&Delivery { id, ..delivery(&sale, "meta") }, End::Delivered)
    };
    let mut horizon = Horizon::default();
    let (entered, waits) = std::sync::mpsc::channel::<()>();
    let (go, held) = std::sync::mpsc::channel::<()>();
    let late = attempt(1);
    let slow = tokio::spawn(async move {
        let work = move |session: &Session<'_>| {
            crate::store::settle::settle(session, &late)?;
            entered.send(()).ok();
            Ok(held.recv().is_ok())
        };
        first.write(Reach::nothing(), work).await
    });
    tokio::task::spawn_blocking(move || waits.recv().unwrap()).await.unwrap();
    assert_eq!(second.settle(vec![attempt(2)]).await.unwrap(), [true]);
    assert_eq!(second.last_attempts(&Default::default(), 9).await.unwrap().len(), 1, "it is there");
    for _ in 0..3 {
        assert_eq!(second.horizon(&mut horizon).await.unwrap(), 0, "and something lower is to come");
    }
    go.send(()).unwrap();
    slow.await.unwrap().unwrap();
    reaches(&second, &mut horizon, 2).await;
    assert_eq!(second.attempts(&Default::default(), 0, 9).await.unwrap().len(), 2);
}

/// Looks until all up to this is settled: other tests have transactions on the same server.
async fn reaches(store: &Store, horizon: &mut Horizon, number: i64) {
    for _ in 0..1_800 {
        if store.horizon(horizon).await.unwrap() == number {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never reaches {number}: {horizon:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_the_log_waits_for_a_single_slow_writer() {
    let (place, first) = store();
    let second = open(&place);
    let sale = event("order:1");
    let mut horizon = Horizon::default();
    assert!(!horizon.has_begun());
    let (entered, waits) = std::sync::mpsc::channel::<()>();
    let (go, held) = std::sync::mpsc::channel::<()>();
    let late = settlement(&delivery(&sale, "meta"), End::Delivered);
    let slow = tokio::spawn(async move {
        let work = move |session: &Session<'_>| {
            crate::store::settle::settle(session, &late)?;
            entered.send(()).ok();
            Ok(held.recv().is_ok())
        };
        first.write(Reach::nothing(), work).await
    });
    tokio::task::spawn_blocking(move || waits.recv().unwrap()).await.unwrap();
    // Nobody else has ended since it began.
    for _ in 0..3 {
        assert_eq!(second.horizon(&mut horizon).await.unwrap(), 0, "its row is not there yet");
    }
    assert_eq!((horizon.began_at(), horizon.has_begun()), (1, false));
    go.send(()).unwrap();
    slow.await.unwrap().unwrap();
    reaches(&second, &mut horizon, 1).await;
    assert!(horizon.has_begun());
    assert_eq!(second.attempts(&Default::default(), 0, 9).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_cut_while_nobody_used_it_costs_no_job() {
    let (place, store) = store();
    let pid = "SELECT pg_backend_pid()";
    let writer: i64 = store.write(Reach::nothing(), move |s| s.one(pid, (), |row| row.get(0))).await.unwrap();
    apart(|| {
        let link = Link::open(place.url()).unwrap();
        link.batch(&format!("SELECT pg_terminate_backend({writer}, 5000)")).unwrap();
    });
    store.write(Reach::nothing(), |_| Ok(())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_an_answer_may_take_is_the_connections_own_affair() {
    let (place, _store) = store();
    apart(|| {
        let link = Link::open(place.url()).unwrap().answering_within(Duration::from_millis(100));
        let failure = link.batch("SELECT pg_sleep(1)").unwrap_err();
        assert!(matches!(failure, crate::store::Failure::Away(_)), "{failure}");
        let link = Link::open(place.url()).unwrap().answering_within(Duration::from_secs(60));
        link.batch("SELECT pg_sleep(0.2)").unwrap();
    });
}

#[tokio::test]
async fn a_commit_is_durable_whatever_the_servers_default() {
    let (place, store) = store();
    store.close().await;
    let url = match &place.settings {
        Settings::Postgres(url) => url.to_owned(),
        Settings::Sqlite(_) => unreachable!(),
    };
    apart(|| {
        let link = Link::open(&url).unwrap();
        let role: String =
            Session::Postgres(&link).one("SELECT current_user::text", (), |row| row.get(0)).unwrap();
        link.batch(&format!("ALTER ROLE \"{role}\" SET synchronous_commit = off")).unwrap();
        let again = Link::open(&url).unwrap();
        let shown = "SELECT current_setting('synchronous_commit')";
        let set: String = Session::Postgres(&again).one(shown, (), |row| row.get(0)).unwrap();
        link.batch(&format!("ALTER ROLE \"{role}\" RESET synchronous_commit")).unwrap();
        assert_eq!(set, "on");
    });
}
