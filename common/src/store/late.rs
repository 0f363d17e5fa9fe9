//! Late clicks: events that were decided without the click that they name, and what is told once it comes.
//!
//! A row is the marker: until everything that was chosen with the click is on its queue, whoever records the
//! click again finds it and goes on there.

use super::column::{document, json};
use super::reach::{Hold, Reach};
use super::session::Session;
use super::{Store, deliveries, identities, news, orders, subjects, touches, trace};
use crate::click::Click;
use crate::delivery::Delivery;
use crate::id::{ClickId, ConnectorId, EventId};
use crate::identity::Who;
use crate::news::News;
use crate::store::{Error, Late};
use crate::touch::History;
use crate::trace::{Code, Decision};
use uuid::Uuid;

/// How many events of one click are looked at at once: each is a walk over its visitor's touches.
const AT_ONCE: i64 = 25;

impl Store {
    /// Keeps what was chosen of an event for a click that came late, and gives what is to be handed over:
    /// that, or where it was chosen before, what of it no attempt has been settled of.
    ///
    /// # Errors
    /// The database failed; nothing is kept.
    pub async fn choose_late(
        &self,
        news: News,
        deliveries: Vec<Delivery>,
        decisions: Vec<Decision>,
    ) -> Result<Vec<Delivery>, Error> {
        let Some(click) = news.click.as_ref().map(|click| click.id) else { return Ok(Vec::new()) };
        let reach = Reach::of([&news.event.advertiser], Hold::Alone);
        self.write(reach, move |session| {
            let event = news.event.id;
            let sql = "UPDATE late SET chosen = 1 WHERE click = ?1 AND event_id = ?2 AND chosen = 0";
            let key = (click.0.as_bytes(), event.0.as_bytes());
            if session.execute(sql, key)? == 1 {
                let mut decisions = decisions.clone();
                for delivery in &deliveries {
                    if !deliveries::insert_late(session, delivery, click)? {
                        let at = delivery.due_since;
                        let detail = format!("connector {}, delivery {}", delivery.connector, delivery.id);
                        decisions.push(Decision::new(at, Code::SkippedAlready, detail));
                    }
                }
                trace::append(session, event, &decisions)?;
            }
            deliveries::unsettled(session, &news, Some(click))
        })
        .await
    }

    /// The next events that were decided without this click; none when all are done.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn late(&self, click: Click) -> Result<Vec<Late>, Error> {
        self.read(move |session| wanting(session, &click)).await
    }

    /// Notes that everything that was chosen of these events for these clicks is on its queue. Twice is once.
    ///
    /// # Errors
    /// The database failed; none of them is noted.
    pub async fn late_handed_over(&self, done: Vec<(EventId, ClickId)>) -> Result<(), Error> {
        self.write(Reach::nothing(), move |session| {
            for (event, click) in &done {
                session.execute(
                    "DELETE FROM late WHERE click = ?1 AND event_id = ?2",
                    (click.0.as_bytes(), event.0.as_bytes()),
                )?;
            }
            Ok(())
        })
        .await
    }
}

/// Notes that an event was decided without this click, and which connectors were skipped only for that.
pub(super) fn want(
    session: &Session<'_>,
    click: ClickId,
    event: EventId,
    connectors: &[ConnectorId],
) -> Result<(), Error> {
    let sql = "INSERT INTO late (click, event_id, connectors) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let connectors = json("connectors", &connectors)?;
    session.execute(sql, (click.0.as_bytes(), event.0.as_bytes(), connectors))?;
    Ok(())
}

/// Forgets that an event wants a click.
pub(super) fn forget(session: &Session<'_>, event: EventId) -> Result<(), Error> {
    session.execute("DELETE FROM late WHERE event_id = ?1", [event.0.as_bytes()])?;
    Ok(())
}

/// The events that were decided without a click that is recorded now.
pub(super) fn wanting(session: &Session<'_>, click: &Click) -> Result<Vec<Late>, Error> {
    let sql = "SELECT event_id, connectors FROM late WHERE click = ?1 ORDER BY event_id LIMIT ?2";
    let wanting = session.rows(sql, (click.id.0.as_bytes(), AT_ONCE), |row| {
        let connectors: Vec<ConnectorId> = document("connectors", &row.get::<_, String>(1)?)?;
        Ok((EventId(Uuid::from_bytes(row.get(0)?)), connectors))
    })?;
    let mut late = Vec::new();
    for (event, connectors) in wanting {
        let news = news::of_event(session, event)?;
        if let Some(news) = news.filter(|news| news.event.advertiser == click.advertiser) {
            late.push(Late { news: with_click(session, news, click)?, connectors });
        }
    }
    Ok(late)
}

/// The news of an event as they are with this click: its touches, and the counts of before.
fn with_click(session: &Session<'_>, news: News, click: &Click) -> Result<News, Error> {
    let who = Who::of(&news.event, &subjects::hasher(session)?);
    let order = match &who.order {
        Some(key) => orders::find(session, news.event.advertiser.as_str(), key)?,
        None => None,
    };
    let who = Who { contact: who.contact.clone().or(order.and_then(|order| order.buyer)), ..who };
    let visitor = identities::visitor(session, &news.event, &who, Some(click))?;
    let gathered = touches::gather(session, &news.event, &visitor, &[], Some(click))?;
    let (conversions, events) = (news.history.conversions, news.history.events);
    let history = History { conversions, events, ..gathered.touches.history(news.history.at) };
    Ok(News { click: Some(click.clone()), history, ..news })
}
