//! Consuming: messages become items, and a message is acked when every item of it is settled.

use crate::bury;
use crate::elsewhere;
use crate::handover;
use crate::late;
use crate::shared::Shared;
use crate::unpack::{SUSPECT_AFTER, unpack};
use carom_common::amqp::{PublishError, Taken};
use carom_common::click::Click;
use carom_common::dead_letter::Letter;
use carom_common::envelope::Item;
use carom_common::id::{EventId, SourceId};
use carom_common::intake::Intake;
use carom_common::pipeline::{self, Read, Rules};
use carom_common::topology;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;
use tracing::debug;

/// How many messages are worked on as one group at most.
const GROUP: usize = 64;
/// How many bytes they may have together, where there are several: a message holds up to 64 events, and what is decided
/// in one transaction holds back everybody else who writes, and stands in memory all at once.
const GROUP_BYTES: usize = 512 * 1024;
/// How many groups are under way at once: one waits for confirms while the next is decided.
const GROUPS: usize = 3;

/// Consumes `carom.events` until its stream ends.
pub async fn events(shared: Arc<Shared>, taken: mpsc::Receiver<Taken>) {
    groups(shared, taken, |shared, group| Box::pin(resolve(shared, group))).await;
}

/// Consumes `carom.clicks` until its stream ends.
pub async fn clicks(shared: Arc<Shared>, taken: mpsc::Receiver<Taken>) {
    groups(shared, taken, |shared, group| Box::pin(record(shared, group))).await;
}

type Work = std::pin::Pin<Box<dyn Future<Output = Result<(), PublishError>> + Send>>;

/// Takes what waits as one group, and works on a few groups at once. A message that somebody died of before
/// is worked on alone, so that it takes nobody along.
async fn groups(
    shared: Arc<Shared>,
    mut taken: mpsc::Receiver<Taken>,
    work: fn(Arc<Shared>, Vec<Taken>) -> Work,
) {
    let slots = Arc::new(Semaphore::new(GROUPS));
    let tasks = TaskTracker::new();
    while let Some(first) = taken.recv().await {
        let mut bytes = first.body.len();
        let mut waiting = vec![first];
        while waiting.len() < GROUP
            && bytes < GROUP_BYTES
            && let Ok(next) = taken.try_recv()
        {
            bytes += next.body.len();
            waiting.push(next);
        }
        let (suspects, group): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .filter(Taken::is_current)
            .partition(|taken| taken.seen_before >= SUSPECT_AFTER);
        let (copies, group): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|taken| elsewhere::may_be_in_hand(&shared, taken));
        if !copies.is_empty() {
            tasks.spawn(when_done_elsewhere(shared.clone(), slots.clone(), copies, work));
        }
        for group in suspects.into_iter().map(|suspect| vec![suspect]).chain([group]) {
            if group.is_empty() {
                continue;
            }
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let shared = shared.clone();
            tasks.spawn(async move {
                if let Err(error) = work(shared, group).await {
                    debug!(%error, "consume.left_unacked");
                }
                drop(slot);
            });
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// Works on what another worker may have in hand when that one must have handed it over: then it is found to be
/// done. Handed over by both at once, its deliveries could be tried by both at once.
async fn when_done_elsewhere(
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    copies: Vec<Taken>,
    work: fn(Arc<Shared>, Vec<Taken>) -> Work,
) {
    let longest = elsewhere::longest_hand_over(&shared.config);
    let mut current = Vec::new();
    for taken in copies {
        if elsewhere::outwait(&shared, &taken, longest, || std::future::ready(false)).await.is_ok() {
            current.push(taken);
        }
    }
    let Ok(_slot) = slots.acquire().await else { return };
    if let Err(error) = work(shared, current).await {
        debug!(%error, "consume.left_unacked");
    }
}

/// Records a group of clicks in one commit.
async fn record(shared: Arc<Shared>, group: Vec<Taken>) -> Result<(), PublishError> {
    let (clicks, letters) = unpack_all::<Click>(&shared, topology::CLICKS, &group).await?;
    for click in &clicks {
        shared.metrics.taken(topology::CLICKS, click.at);
    }
    shared.metrics.clicks.inc_by(clicks.len() as u64);
    let recorded =
        crate::settle::surely("record_clicks", || shared.store.record_clicks(clicks.clone())).await;
    handover::released(&shared.publisher, recorded.released).await?;
    late::tell(&shared, recorded.late).await?;
    bury::bury(&shared.publisher, &shared.store, &shared.metrics, letters).await?;
    ack_all(group).await;
    Ok(())
}

/// Resolves a group of events: read, decide, hand over, and only then ack.
async fn resolve(shared: Arc<Shared>, group: Vec<Taken>) -> Result<(), PublishError> {
    let (mut intakes, mut letters) = unpack_all::<Intake>(&shared, topology::EVENTS, &group).await?;
    // Of two copies in one group the first is decided. A timer comes before what was released, because an
    // event that must wait on needs a timer that still runs.
    intakes.sort_by_key(|intake| intake.parked.is_some_and(|parked| parked.released));
    // Copies of an intake wait here for the first, and then find that it is handed over.
    let ids: BTreeSet<EventId> = intakes.iter().map(|intake| intake.id).collect();
    let mut held = Vec::new();
    for id in ids {
        held.push(shared.events.hold(id).await);
    }
    let now = Timestamp::now();
    let rules = Rules {
        roster: shared.roster.borrow().clone(),
        schedule: shared.config.retry.schedule.clone(),
        parking: shared.config.worker.parking.0,
        hasher: shared.hasher.clone(),
    };
    let mut candidates = Vec::new();
    let (mut visits, mut reports) = (Vec::new(), Vec::new());
    let mut source_of: HashMap<EventId, SourceId> = HashMap::new();
    for intake in intakes {
        shared.metrics.taken(topology::EVENTS, intake.received_at);
        let source = intake.source.clone();
        if source_of.contains_key(&intake.id) {
            continue;
        }
        match pipeline::read(intake, &rules, now) {
            Read::Candidate(candidate) => {
                source_of.insert(candidate.event.id, source);
                candidates.push(*candidate);
            }
            Read::Visit(visit) => {
                visits.push(*visit);
            }
            Read::Reports(told) => {
                shared.metrics.pixel_reports(rules.roster.resources(), &told);
                reports.extend(told);
            }
            Read::Letter(letter) => {
                shared.metrics.events.with_label_values(&[source.as_str(), "dead"]).inc();
                letters.push(*letter);
            }
        }
    }
    // Touches come before the events that they may have led to.
    if !visits.is_empty() {
        crate::settle::surely("record_visits", || shared.store.record_visits(visits.clone())).await;
        for visit in &visits {
            shared.metrics.events.with_label_values(&[visit.event.source.as_str(), "visit"]).inc();
        }
    }
    if !reports.is_empty() {
        crate::settle::surely("pixel_reports", || shared.store.keep_pixel_reports(reports.clone())).await;
    }
    let candidates: Arc<[_]> = candidates.into();
    let resolved = crate::settle::surely("resolve", || {
        let rules = rules.clone();
        shared.store.resolve(candidates.clone(), move |candidate, known| {
            pipeline::decide(candidate, known, &rules, now)
        })
    })
    .await;

    let (mut deliveries, mut again) = (Vec::new(), Vec::new());
    let (mut timers, mut released) = (Vec::new(), Vec::new());
    let mut decided = Vec::new();
    for one in resolved {
        let outcome = match (one.duplicate, one.parked) {
            (true, _) => "duplicate",
            (_, true) => "parked",
            _ => {
                decided.push(one.event);
                "resolved"
            }
        };
        if let Some(source) = source_of.get(&one.event) {
            shared.metrics.events.with_label_values(&[source.as_str(), outcome]).inc();
        }
        // The store says who chose them. Clocks do not: of two workers, the second may be behind the first.
        if one.again { &mut again } else { &mut deliveries }.extend(one.deliveries);
        timers.extend(one.timer);
        released.extend(one.released);
    }
    for delivery in deliveries.iter().chain(&again) {
        shared.metrics.selected.with_label_values(&[delivery.connector.as_str()]).inc();
    }
    let publisher = &shared.publisher;
    tokio::try_join!(
        handover::deliveries(publisher, rules.roster.resources(), deliveries, false),
        handover::deliveries(publisher, rules.roster.resources(), again, true),
        handover::timers(publisher, timers),
        handover::released(publisher, released),
        bury::bury(publisher, &shared.store, &shared.metrics, letters),
    )?;
    if !decided.is_empty() {
        crate::settle::surely("handed_over", || shared.store.handed_over(decided.clone(), Timestamp::now()))
            .await;
    }
    ack_all(group).await;
    Ok(())
}

async fn unpack_all<T: Item>(
    shared: &Shared,
    queue: &str,
    group: &[Taken],
) -> Result<(Vec<T>, Vec<Letter>), PublishError> {
    let (mut all, mut letters) = (Vec::new(), Vec::new());
    for taken in group {
        let unpacked = unpack(shared, queue, taken).await?;
        all.extend(unpacked.items);
        letters.extend(unpacked.letters);
    }
    Ok((all, letters))
}

async fn ack_all(group: Vec<Taken>) {
    for taken in group {
        taken.ack().await;
    }
}
