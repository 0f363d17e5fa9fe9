//! Reconciling: the event records that ClickFunnels has, compared with the events that are here; what never
//! arrived is fed to `carom.events` as if it had.
//!
//! The order is guarantee G2's: publish, confirm, and only then the cursor. Cut off anywhere, it goes on from
//! the last page that was done; what is published twice, or delivered after all, is recognised as a copy.

use super::api::{self, Client, Order};
use super::gap::{self, Judged, Rules};
use super::record::{Named, Record};
use crate::handover::batches;
use carom_common::amqp::{Message, PublishError, Publisher};
use carom_common::id::{EventId, SourceId};
use carom_common::intake::{Body, Intake, Verified};
use carom_common::source::Source;
use carom_common::source::api::Api;
use carom_common::store::{self, Store};
use carom_common::topology;
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::time::Duration;

/// How many of the missing are named in a report.
const NAMED: usize = 100;

/// Why reconciling ended early. What the report says until then is done and safe.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// The store.
    #[error("the store: {0}")]
    Store(#[from] store::Error),
    /// The broker. What it had confirmed may be published again by the next run, and is then a copy.
    #[error("what is missing could not be handed to the broker: {0}")]
    Broker(#[from] PublishError),
    /// The pages lead nowhere.
    #[error("ClickFunnels' API leads from event {0} on in a circle")]
    Circle(u64),
}

/// What reconciling works with.
pub struct Parts<'a> {
    /// The API.
    pub client: &'a Client,
    /// The store.
    pub store: &'a Store,
    /// Who publishes; without it nothing is written anywhere.
    pub publisher: Option<&'a Publisher>,
    /// The source.
    pub source: &'a Source,
    /// Its API's settings.
    pub api: &'a Api,
    /// How long it is remembered that an event came.
    pub memory: Duration,
}

/// What was found and done.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The source.
    pub source: SourceId,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Records that were looked at.
    pub read: u64,
    /// Of those, the events that are here.
    pub known: u64,
    /// Those that never arrived.
    pub missing: u64,
    /// Those that were fed to `carom.events`, confirmed.
    pub published: u64,
    /// Those that our endpoint would not have been sent.
    pub passed_over: u64,
    /// Those that are too young to be missing; the next time reads them.
    pub waiting: u64,
    /// Up to which record all is done.
    pub cursor: Option<u64>,
    /// The missing by name: the first hundred.
    pub events: Vec<Named>,
}

impl Report {
    /// Before anything was read.
    pub fn new(source: &Source, dry_run: bool) -> Self {
        Self {
            source: source.id.clone(),
            dry_run,
            read: 0,
            known: 0,
            missing: 0,
            published: 0,
            passed_over: 0,
            waiting: 0,
            cursor: None,
            events: Vec::new(),
        }
    }

    fn count(&mut self, page: &Judged) {
        let missing = page.missing.len() as u64;
        self.read += page.known + page.passed_over + missing;
        self.known += page.known;
        self.missing += missing;
        self.passed_over += page.passed_over;
        self.waiting += page.waiting;
        let room = NAMED - self.events.len();
        self.events.extend(page.missing.iter().take(room).map(Record::named));
    }
}

/// The name of the cursor of a source's events. Another workspace has other ids.
pub fn name_of_cursor(source: &Source, api: &Api) -> String {
    format!("clickfunnels:events:{}:{}", source.id, api.workspace)
}

/// Reads what is after the cursor, or after `since`, and feeds what is missing. The report tells at any time
/// what is done.
///
/// # Errors
/// The API, the store or the broker failed. Running it again goes on.
pub async fn reconcile(parts: &Parts<'_>, since: Option<u64>, report: &mut Report) -> Result<(), Error> {
    let Parts { client, store, api, .. } = parts;
    let now = Timestamp::now();
    let rules = Rules {
        types: api.types(&parts.source.mapping),
        ripe: before(now, api.reconcile_lag.0),
        oldest: before(now, parts.memory),
    };
    let cursor = name_of_cursor(parts.source, api);
    let stored: Option<u64> = store.cursor(&cursor).await?.and_then(|id| id.parse().ok());
    let mut after = match since.or(stored) {
        Some(id) => id,
        None => beginning(client, before(now, api.reconcile_reach.0)).await?,
    };
    // A cursor that skipped records which nobody has read would hide them for ever.
    let contiguous = stored.is_none_or(|stored| after <= stored);
    report.cursor = if contiguous { stored.max(Some(after)) } else { stored };
    let writes = parts.publisher.is_some() && contiguous;
    if writes {
        store.advance_cursor(&cursor, after).await?;
    }
    loop {
        let page = client.events(Some(after), Order::Ascending).await?;
        let keys = page.items.iter().flat_map(|record| record.keys.iter().cloned()).collect();
        let known = store.known_events(&parts.source.advertiser, keys).await?;
        let judged = gap::judge(page.items, &known, &rules);
        report.count(&judged);
        if let Some(publisher) = parts.publisher {
            report.published += publish(publisher, parts.source, api, &judged.missing).await?;
        }
        if let Some(upto) = judged.upto.filter(|_| contiguous) {
            if writes {
                store.advance_cursor(&cursor, upto).await?;
            }
            report.cursor = report.cursor.max(Some(upto));
        }
        after = match page.next {
            Some(_) if judged.waiting > 0 => return Ok(()),
            Some(next) if next > after => next,
            Some(_) => return Err(Error::Circle(after)),
            None => return Ok(()),
        };
    }
}

/// Hands the missing to the broker and waits for its confirms; how many there were. They take the path of
/// any other intake, with the query that our endpoint's URL would have brought.
async fn publish(
    publisher: &Publisher,
    source: &Source,
    api: &Api,
    missing: &[Record],
) -> Result<u64, PublishError> {
    let received_at = Timestamp::now();
    let query = api.endpoint_url.as_deref().and_then(|url| url.split('#').next()?.split_once('?'));
    let intakes: Vec<Intake> = missing
        .iter()
        .map(|record| Intake {
            id: EventId::new(),
            source: source.id.clone(),
            received_at,
            query: query.map(|(_, query)| query.to_owned()).unwrap_or_default(),
            content_type: Some("application/json".to_owned()),
            body: Body(record.body.clone()),
            visitor: None,
            parked: None,
            verified: Verified::Unrecorded,
            key: None,
            told: None,
        })
        .collect();
    if intakes.is_empty() {
        return Ok(0);
    }
    let messages = batches(&intakes).into_iter().map(|body| Message::to_queue(topology::EVENTS, body));
    try_join_all(messages.map(|message| publisher.publish(message))).await?;
    Ok(intakes.len() as u64)
}

/// The id of the newest record from before this time, read from the newest backwards: a workspace may have
/// years of them. 0 where there is none.
async fn beginning(client: &Client, before: Timestamp) -> Result<u64, Error> {
    let mut after = None;
    loop {
        let page = client.events(after, Order::Descending).await?;
        let is_old = |record: &&Record| record.at.is_some_and(|at| at < before);
        if let Some(old) = page.items.iter().find(is_old) {
            return Ok(old.id);
        }
        match page.next {
            None => return Ok(0),
            Some(next) if after.is_some_and(|after| next >= after) => return Err(Error::Circle(next)),
            next => after = next,
        }
    }
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    now.checked_sub(span).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
