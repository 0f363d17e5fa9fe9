//! What the store takes and gives.

use crate::attribution::{FoundBy, Named};
use crate::click::Click;
use crate::conversion::{Claim, Conversion, Status};
use crate::dead_letter::Letter;
use crate::delivery::{Delivery, Reason};
use crate::event::{ConversionFacts, Event, Kind, OrderSeen, Visit};
use crate::id::{AdvertiserId, ClickId, ConnectorId, DeliveryId, EventId, OfferId, SourceId};
use crate::identity::Who;
use crate::intake::{Intake, Parked};
use crate::news::News;
use crate::order::{Earlier, Order};
use crate::retry::Tier;
use crate::touch::{self, History, Touch};
use crate::trace::Decision;
use crate::track::{Outcome, Report};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database said no. Often passing: locked, full, gone.
    #[error("the store failed: {0}")]
    Database(#[from] super::Failure),
    /// A stored value cannot be read.
    #[error("the store holds a {what} that cannot be read: {source}")]
    Unreadable {
        /// Which kind of value.
        what: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The database is of a newer schema, which no longer serves this binary.
    #[error(
        "the store's schema is version {found}, which serves binaries from version {serves} on, and this one \
         knows up to {known}: run Carom {release} or newer"
    )]
    TooNew {
        /// The database's version.
        found: u32,
        /// Ours.
        known: u32,
        /// The oldest version whose binaries it serves.
        serves: u32,
        /// The first release that knew that one.
        release: String,
    },
    /// The database has not been migrated.
    #[error(
        "the store's schema is version {found}, and this binary needs {known}: run `carom-worker migrate`"
    )]
    TooOld {
        /// The database's version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The database's file, or its folder, cannot be made.
    #[error("the store's file {path} cannot be made: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The writer's thread cannot be started.
    #[error("the store's writer cannot be started: {0}")]
    Thread(#[source] std::io::Error),
    /// The store was opened to be read only.
    #[error("the store is open for reading only")]
    ReadOnly,
    /// The store is being shut down.
    #[error("the store is closed")]
    Closed,
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

/// An event on its way to be resolved, with what has to be looked up for it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The event.
    pub event: Event,
    /// What it gives as a click id.
    pub named: Named,
    /// What it claims of a conversion.
    pub claim: Option<Claim>,
    /// How that was found.
    pub found_by: FoundBy,
    /// Who it is about, as keys.
    pub who: Who,
    /// What it tells of an order.
    pub order: Option<OrderSeen>,
    /// The visits that it lists.
    pub visits: Vec<Visit>,
    /// Whether the person that it names is to be erased.
    pub erases: bool,
    /// Whether its page was opened to try connectors that are in Test mode.
    pub trl_test: bool,
    /// How long after a paid order another one is an upsell.
    pub upsell_window: Duration,
    /// The names of its source's click id: what stands under them is not masked where the intake is kept.
    pub spared: Vec<String>,
    /// The intake that it was read from: what is kept, masked, where it has to wait.
    pub intake: Arc<Intake>,
    /// Decisions taken before the store was asked.
    pub decisions: Vec<Decision>,
}

impl Candidate {
    /// The same of nobody: what is left where its person was erased. It waits for nothing.
    #[must_use]
    pub fn without_person(self) -> Self {
        let named = match self.named {
            Named::Click(id) => Named::Click(id),
            _ => Named::Nothing,
        };
        Self {
            event: self.event.without_person(),
            named,
            who: Who { order: self.who.order, ..Who::default() },
            order: self.order.map(|order| OrderSeen { contact: None, ..order }),
            visits: Vec::new(),
            erases: true,
            intake: Arc::new(Intake::clone(&self.intake).without_content()),
            ..self
        }
    }

    /// The same as far as its browser alone says whose it is. Anybody can write somebody's e-mail address, telephone
    /// number or order into a page, and must not be shown what is known by them.
    #[must_use]
    pub fn by_its_browser_alone(self) -> Self {
        Self { who: Who { visitor: self.who.visitor, ..Who::default() }, ..self }
    }

    /// The click to look up for it: one of our form.
    pub fn names_click(&self) -> Option<ClickId> {
        match self.named {
            Named::Click(id) => Some(id),
            _ => None,
        }
    }
}

/// What a source has received at least once, for `events seen`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The source.
    pub source: SourceId,
    /// The source's type of it.
    #[serde(rename = "type")]
    pub raw_type: String,
    /// The mapped event parameter, where it has one.
    pub name: Option<String>,
    /// Its number among the custom events, where it has one.
    pub number: Option<u8>,
    /// When the first came in.
    pub first_at: Timestamp,
    /// When the newest came in.
    pub last_at: Timestamp,
    /// How many events that were; copies are not counted.
    pub count: u64,
}

/// What came of recording clicks.
#[derive(Clone, Debug, Default)]
pub struct RecordedClicks {
    /// How many were new.
    pub new: usize,
    /// Events that waited for one of them: to be put onto their queue again.
    pub released: Vec<Intake>,
    /// Events that were decided without one of them, and connectors that were skipped for the want of it.
    pub late: Vec<Late>,
}

/// A click that came after its event was decided.
#[derive(Clone, Debug)]
pub struct Late {
    /// What there was to tell of the event, with this click and its touches.
    pub news: News,
    /// The connectors that were skipped only for want of it.
    pub connectors: Vec<ConnectorId>,
}

/// How far an event has come. The marker of its dedupe key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It waits for its click.
    Parked,
    /// It is decided; its deliveries may not be on their queues yet.
    Decided,
    /// All its deliveries are on their queues.
    HandedOver,
}

/// Who holds an event's dedupe key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The intake that came first.
    pub event: EventId,
    /// How far it has come.
    pub progress: Progress,
}

/// What may be looked at for a browser that waits for the answer to its event, all of it read in one transaction.
#[derive(Clone, Debug, Default)]
pub struct ForBrowser {
    /// What is known by its browser alone, as if nothing had come of the event yet.
    pub known: Known,
    /// The event, where this is a copy of it: its browser had no answer, or none that it saw.
    pub copy_of: Option<EventId>,
    /// The deliveries of that event of which a browser has reported what became of their pixels.
    pub reported: BTreeSet<DeliveryId>,
}

/// What the store knows about a candidate, all of it read in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Who holds its dedupe key, if anybody does.
    pub marker: Option<Marker>,
    /// The click that it names, whoever's it is.
    pub named_click: Option<Click>,
    /// The newest touches, at or before the event, of the visitor that it names, within its advertiser,
    /// the newest first. Looked up only where the event names no click of its advertiser.
    pub touches: Vec<(Click, FoundBy)>,
    /// The order that it is about.
    pub order: Option<Order>,
    /// The click of that order.
    pub order_click: Option<Click>,
    /// Another tracker's click id that its order, contact, e-mail or phone number was named with.
    pub foreign_click: Option<(String, FoundBy)>,
    /// Whether the contact that it names is known by more than its number.
    pub contact_known: bool,
    /// A paid order of the same contact in the same funnel, shortly before this one.
    pub earlier: Option<Earlier>,
    /// The click of that.
    pub earlier_click: Option<Click>,
    /// What rules that pay once per click have paid, of the clicks that the event may be attributed to.
    pub payouts: Vec<PayoutClaim>,
    /// The conversion that it makes a claim about.
    pub conversion: Option<Conversion>,
    /// The click of that conversion.
    pub conversion_click: Option<Click>,
    /// What its visitor had done by then.
    pub past: Past,
    /// Where it may follow a sale: what that was decided from, by the event of each that it may be.
    pub sales: Vec<Sale>,
    /// Where the marker is this very intake's and it is decided: its deliveries that no attempt has been
    /// settled of, to be handed over again.
    pub unsettled: Vec<Delivery>,
}

/// What the visitor of an event had done at or before it.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The oldest touch, and the newest ones.
    pub touches: Touches,
    /// The keys of approved conversions, at most [`MOST_COUNTED`].
    pub conversions: BTreeSet<String>,
    /// The keys of named events (`Event::counted_as`), at most [`MOST_COUNTED`].
    pub events: BTreeSet<String>,
}

/// No more than so many conversions, and as many events, of a visitor are counted.
pub const MOST_COUNTED: usize = 1_000;

/// Touches of a visitor, each with where the store has it.
#[derive(Clone, Debug, Default)]
pub struct Touches {
    /// The oldest.
    pub first: Option<(TouchRef, Touch)>,
    /// The newest, the newest first: at most 20.
    pub recent: Vec<(TouchRef, Touch)>,
}

impl Touches {
    /// They as a history, of an event that happened at this time, with nothing counted. A visit that began at
    /// one of the clicks is one touch with it.
    pub fn history(&self, at: Timestamp) -> History {
        let all = self.recent.iter().chain(self.first.iter().filter(|first| !self.recent.contains(first)));
        let mut touches = touch::joined(all.map(|(_, touch)| touch.clone()).collect());
        let first = touches.last().cloned();
        touches.truncate(self.recent.len());
        History { first, recent: touches, ..History::empty(at) }
    }
}

/// Where the store has a touch: what is kept with a decision, so that the details of clicks and visits stand in
/// one place, and go with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TouchRef {
    /// A visit, by the funnel's id of it.
    Visit(String),
    /// A click.
    Click(ClickId),
}

/// What a sale was decided from.
#[derive(Clone, Debug)]
pub struct Sale {
    /// The event of the sale.
    pub event: EventId,
    /// When it happened, or the sale that it follows itself.
    pub at: Timestamp,
    /// The touches.
    pub touches: Touches,
    /// The click ids that were matched for it, by connector.
    pub matched: BTreeMap<ConnectorId, String>,
}

/// What was decided about a candidate, to be made durable in the same transaction.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// What to do with it.
    pub verdict: Verdict,
    /// Its trace, in order: everything that was decided in this turn.
    pub decisions: Vec<Decision>,
}

/// The verdicts.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Another intake of the same event came before. Only the trace is kept, with that event's.
    Duplicate {
        /// The intake that came first.
        first: EventId,
    },
    /// It goes on where it stopped. Nothing is stored but the trace.
    Resume(Vec<Delivery>),
    /// It waits; the marker is kept as parked.
    Park(Park),
    /// It is decided.
    Decide(Box<Decided>),
}

/// What an event waits for.
#[derive(Clone, Debug)]
pub struct Park {
    /// The keys, any of which releases it.
    pub keys: Vec<String>,
    /// Since when.
    pub parked: Parked,
    /// The tier that is its timer; none where an earlier one still runs.
    pub tier: Option<Tier>,
}

/// A payout of a rule that pays once per click.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutClaim {
    /// The click: its id, of ours or another tracker's.
    pub click: String,
    /// The offer.
    pub offer: OfferId,
    /// The rule.
    pub rule: String,
    /// The key of the conversion that it was paid for.
    pub conversion: String,
}

/// An event that was decided.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// The click that it is attributed to.
    pub click: Option<Click>,
    /// How that was found.
    pub found_by: FoundBy,
    /// The click id as it was given, of ours or not, attributed or not.
    pub click_given: Option<String>,
    /// Another tracker's click id that is passed through with it, in place of a click.
    pub foreign_click: Option<String>,
    /// When its order was approved, where this event did that.
    pub paid_at: Option<Timestamp>,
    /// A payout that is claimed with it.
    pub payout: Option<PayoutClaim>,
    /// Its conversion as it stands now.
    pub conversion: Option<Conversion>,
    /// What there was to tell: what it was decided from is kept with it.
    pub news: Option<News>,
    /// The connectors that were skipped only for want of a click, where one may still come.
    pub wanting: Vec<ConnectorId>,
    /// One per selected connector and step. The store drops those whose id it has already (another event
    /// of the same conversion selected them), and traces each as `skipped_already`.
    pub deliveries: Vec<Delivery>,
}

/// What came of resolving one candidate.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The event.
    pub event: EventId,
    /// What is to be handed over now. Empty for duplicates and parked events.
    pub deliveries: Vec<Delivery>,
    /// Whether they were chosen before, by somebody who may have handed them over already.
    pub again: bool,
    /// Whether it is parked.
    pub parked: bool,
    /// The timer that it is parked with: the intake as it goes into the tier.
    pub timer: Option<(Tier, Intake)>,
    /// Events that waited for what this one brought: to be put onto their queue again.
    pub released: Vec<Intake>,
    /// Whether it was a duplicate.
    pub duplicate: bool,
}

/// Which attempt a delivery message is for: what a settled copy is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptKey {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its round.
    pub round: u32,
    /// The attempt's number in that round.
    pub attempt: u32,
}

/// What the store says of an attempt that a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptStanding {
    /// It is to be made.
    Due,
    /// It is settled: the message is a copy.
    Settled,
    /// Its person was erased: it is not to be made.
    Erased,
}

/// Somebody to be erased, within an advertiser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Somebody {
    /// Whose customer.
    pub advertiser: AdvertiserId,
    /// E-mail and phone, as keyed hashes.
    pub marks: Vec<String>,
    /// The keys of contacts, as in `contact:cf:24359`.
    pub contacts: Vec<String>,
}

/// How much of somebody was erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Events: what their senders said, and of whom.
    pub events: u64,
    /// Events among them that waited, with their bodies.
    pub parked: u64,
    /// Requests and answers in the webhook log.
    pub attempts: u64,
    /// Letters, as the store keeps them.
    pub letters: u64,
    /// Clicks: their details, and whose they are.
    pub clicks: u64,
    /// Visits on the funnel's pages.
    pub visits: u64,
    /// Other trackers' click ids.
    pub foreign_clicks: u64,
    /// Orders: who ordered.
    pub orders: u64,
    /// Persons, with all that was joined to them.
    pub persons: u64,
}

impl std::ops::Add for Erased {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            parked: self.parked + other.parked,
            attempts: self.attempts + other.attempts,
            letters: self.letters + other.letters,
            clicks: self.clicks + other.clicks,
            visits: self.visits + other.visits,
            foreign_clicks: self.foreign_clicks + other.foreign_clicks,
            orders: self.orders + other.orders,
            persons: self.persons + other.persons,
        }
    }
}

impl std::ops::AddAssign for Erased {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// What is kept for a time only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Perishable {
    /// What events' senders said, and of whom.
    Payloads,
    /// Details of clicks.
    Clicks,
    /// Visits on funnels' pages.
    Visits,
    /// Requests and answers of attempts.
    Log,
    /// The decisions in events' traces.
    Decisions,
    /// The content of letters that were replayed or purged.
    Letters,
    /// Who is who.
    Identities,
    /// Who was erased.
    Tombstones,
}

impl Perishable {
    /// The word for it, in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payloads => "payloads",
            Self::Clicks => "clicks",
            Self::Visits => "visits",
            Self::Log => "log",
            Self::Decisions => "decisions",
            Self::Letters => "letters",
            Self::Identities => "identities",
            Self::Tombstones => "tombstones",
        }
    }
}

/// The result of one attempt, to be settled after its hand-off was confirmed.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The delivery as its message carried it.
    pub delivery: Delivery,
    /// When the attempt was made.
    pub at: Timestamp,
    /// The request and answer; none where no request was made (blocked, expired, unrenderable, …).
    pub exchange: Option<ExchangeRecord>,
    /// What came of it.
    pub end: End,
}

/// One HTTP exchange as the webhook log keeps it: masked and bounded by the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExchangeRecord {
    /// `GET` or `POST`.
    pub method: String,
    /// The full URL, secrets masked.
    pub url: String,
    /// The request's headers, a line each, secrets masked, bounded.
    pub request_headers: String,
    /// The beginning of the request's body, secrets masked.
    pub request_body: String,
    /// How long it took.
    pub duration: Duration,
    /// The status, if an answer came.
    pub status: Option<u16>,
    /// The failure's class, if none came: `timeout`, `connect`, `dns`, …. Of an answer that counts for nothing
    /// all the same, why: the part of the success rule that does not hold.
    pub failure: Option<String>,
    /// The beginning of the answer.
    pub response: String,
    /// The macros that had no value, by their names: for the trace alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unresolved: Vec<String>,
}

impl ExchangeRecord {
    /// That there was one, how it went and how long it took: what is left when its person was erased.
    #[must_use]
    pub fn without_content(self) -> Self {
        Self {
            method: self.method,
            duration: self.duration,
            status: self.status,
            failure: self.failure,
            ..Self::default()
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum End {
    /// The receiver took it.
    Delivered,
    /// It was of Test mode, and nothing was sent.
    Tested,
    /// It waits in this tier.
    Retry(Tier),
    /// This letter is on `carom.dead`.
    Dead(Box<Letter>),
}

/// Where a delivery stands, for listings and traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Selected; on its queue or on its way to it.
    Queued,
    /// Failed at least once; in a tier or due again.
    Retrying,
    /// The receiver took it.
    Delivered,
    /// It was of Test mode: what would have been sent is in the log.
    Tested,
    /// In the dead letters.
    Dead,
    /// Removed from the dead letters.
    Purged,
}

/// A delivery as listings and traces show it.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryRecord {
    /// Its stable id.
    pub id: DeliveryId,
    /// To whom.
    pub connector: ConnectorId,
    /// For which event.
    pub event: EventId,
    /// Where it stands.
    pub standing: Standing,
    /// Its round.
    pub round: u32,
    /// The number of the last settled attempt in that round; 0 before the first.
    pub attempt: u32,
    /// Why it is dead, if it is.
    pub reason: Option<Reason>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it is due again, if it waits in a tier.
    pub due_at: Option<Timestamp>,
    /// What it tells of the conversion.
    pub conversion: Option<ConversionFacts>,
}

/// An attempt as the webhook log shows it.
#[derive(Clone, Debug, Serialize)]
pub struct AttemptRecord {
    /// Counts up in the order of settling; what pages are keyed by.
    pub sequence: i64,
    /// When it was made.
    pub at: Timestamp,
    /// Of which delivery.
    pub delivery: DeliveryId,
    /// To whom.
    pub connector: ConnectorId,
    /// For which event.
    pub event: EventId,
    /// The event's type.
    pub event_type: String,
    /// Its round.
    pub round: u32,
    /// Its number in that round; 0 for a pixel.
    pub attempt: u32,
    /// `delivered`, `retry`, `dead`, `test` or `pixel`.
    pub outcome: String,
    /// The tier or the reason; of a pixel, where it runs.
    pub detail: String,
    /// The exchange, if there was one. A pixel's has the page as its URL, and the code as its body.
    pub exchange: Option<ExchangeRecord>,
    /// What the browser reports of a pixel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Reported>,
}

impl AttemptRecord {
    /// Whether it is a pixel: no attempt of ours, but what a browser was given.
    pub fn is_pixel(&self) -> bool {
        self.attempt == 0
    }
}

/// What became of a pixel, as a tag has reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PixelReport {
    /// What it says.
    pub report: Report,
    /// The source that it came from: only of that one's events is it believed.
    pub source: SourceId,
    /// When it came in.
    pub at: Timestamp,
}

/// The same as the log shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reported {
    /// What became of the pixel.
    pub outcome: Outcome,
    /// When the report came in.
    pub at: Timestamp,
    /// What the browser says about it: text of a stranger's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Which attempts to list.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Of this connector only.
    pub connector: Option<ConnectorId>,
    /// Of this delivery only.
    pub delivery: Option<DeliveryId>,
    /// Of this event only.
    pub event: Option<EventId>,
    /// This one only, by its sequence number.
    pub sequence: Option<i64>,
    /// Settled before the one with this sequence number: how the newest are paged backwards.
    pub before: Option<i64>,
    /// With this outcome only: `delivered`, `retry`, `dead`, `test` or `pixel`.
    pub outcome: Option<String>,
    /// Made at or after this.
    pub since: Option<Timestamp>,
    /// Made before this.
    pub until: Option<Timestamp>,
}

/// Which letters are meant. What is not given does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// This one only.
    pub id: Option<Uuid>,
    /// To this connector.
    pub connector: Option<ConnectorId>,
    /// For this reason.
    pub reason: Option<Reason>,
    /// Whose last attempt got this status.
    pub status: Option<u16>,
    /// Of events of this type (raw type or mapped name).
    pub event_type: Option<String>,
    /// Given up at or after this.
    pub since: Option<Timestamp>,
    /// Given up before this.
    pub before: Option<Timestamp>,
}

/// A letter as listings show it.
#[derive(Clone, Debug, Serialize)]
pub struct LetterRecord {
    /// Its id.
    pub id: Uuid,
    /// `delivery`, `intake`, `click` or `message`.
    pub kind: String,
    /// To whom it was to go, if to anybody.
    pub connector: Option<ConnectorId>,
    /// Of which event.
    pub event: Option<EventId>,
    /// The event's type, if it is known.
    pub event_type: Option<String>,
    /// Of which delivery.
    pub delivery: Option<DeliveryId>,
    /// The delivery's round.
    pub round: u32,
    /// Why it is here.
    pub reason: Reason,
    /// More about that.
    pub detail: String,
    /// Attempts in its last round.
    pub attempts: u32,
    /// The last attempt's status.
    pub last_status: Option<u16>,
    /// The beginning of the last response.
    pub response: String,
    /// When it was given up.
    pub at: Timestamp,
    /// The queue that it came from.
    pub queue: String,
}

/// What the store says of a letter that a replay or purge holds in its hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterStanding {
    /// It is listed as dead: replay or purge it.
    Dead,
    /// It was replayed or purged before, or its delivery has since been delivered: a copy, to be dropped.
    Settled,
    /// The store has not heard of it (an older back-up, or a crash before it was recorded).
    Unheard,
}

/// What an event came to, for `trace`: `--json` prints it as it is.
#[derive(Clone, Debug, Serialize)]
pub struct EventTrace {
    /// The event.
    pub event: Event,
    /// How far it has come: `parked`, `decided` or `handed_over`.
    pub progress: String,
    /// The click that it was attributed to.
    pub click: ClickRecord,
    /// What it is under its key, and how the conversion under that stands now; none where the mapping
    /// gives it no key.
    pub conversion: Option<ConversionRecord>,
    /// Its deliveries.
    pub deliveries: Vec<DeliveryRecord>,
    /// Their attempts.
    pub attempts: Vec<AttemptRecord>,
    /// Each decision, in order.
    pub decisions: Vec<Decision>,
}

/// An event's click as traces show it.
#[derive(Clone, Debug, Serialize)]
pub struct ClickRecord {
    /// Its id, of ours or another tracker's; also where it leads to no recorded click.
    pub id: Option<String>,
    /// How it was found.
    pub found_by: FoundBy,
    /// The click, where it is recorded and the event is attributed to it.
    pub recorded: Option<Click>,
}

/// What an event is under its key, as traces show it.
#[derive(Clone, Debug, Serialize)]
pub struct ConversionRecord {
    /// The key, such as `order:22642`; of a milestone `tag:4`, of an identity `contact:24359`.
    pub key: String,
    /// What this event is to us.
    pub kind: Kind,
    /// Where the conversion stands; none where there is none under the key.
    pub status: Option<Status>,
    /// The event parameter under which it counts.
    pub name: Option<String>,
    /// What it is worth; where only refunds of it are known, what was refunded.
    pub amount: Option<String>,
    /// In which currency.
    pub currency: Option<String>,
    /// What has been refunded.
    pub refunded: Option<String>,
    /// What the offer's rule gives for it.
    pub payout: Option<String>,
    /// In which currency.
    pub payout_currency: Option<String>,
}

/// Figures about what waits, for metrics.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    /// Per tier: how many deliveries wait in it by the store's account, and since when the oldest does.
    pub tiers: Vec<(Tier, u64, Timestamp)>,
    /// Per connector: how many deliveries are queued (selected and never tried, or due again), and since
    /// when the oldest is.
    pub connectors: Vec<(ConnectorId, u64, Timestamp)>,
    /// Per connector (none for intakes and messages) and reason: how many letters are dead, and since
    /// when the oldest is.
    pub dead: Vec<(Option<ConnectorId>, Reason, u64, Timestamp)>,
}

/// A connector that nothing is taken for until somebody resumes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// Why, for people. No personal data, no secrets.
    pub why: String,
}

/// What `apply` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The version that is current now.
    pub version: u64,
    /// Whether anything changed. The same document again is no new version.
    pub changed: bool,
}

/// Whose event may be asked for: ids are unique, keys are not over advertisers.
pub type Scope = Option<AdvertiserId>;

/// The key under which a refund waits for its sale.
pub fn sale_key(conversion: &str) -> String {
    format!("sale:{conversion}")
}
