//! Which pixels a browser is given: the worker's own decision, made now, over what is known now.

use super::history::Looked;
use crate::app::App;
use crate::index::Index;
use carom_common::connector::Connector;
use carom_common::delivery::Delivery;
use carom_common::event::Event;
use carom_common::id::{ConnectorId, DeliveryId};
use carom_common::intake::{Intake, Shown, Told};
use carom_common::pipeline::{self, Read, Rules};
use carom_common::postback::excerpt;
use carom_common::redact;
use carom_common::retry::Schedule;
use carom_common::source::Source;
use carom_common::trace::{Code, folded};
use carom_common::track::Request as Report;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A pixel as the browser is given it.
#[derive(Serialize)]
pub struct Fired {
    connector: ConnectorId,
    delivery: DeliveryId,
    sandbox: bool,
    html: String,
}

/// What the browser is given, and what is written down about it.
#[derive(Default)]
pub struct Preview {
    /// The pixels to fire.
    pub fired: Vec<Fired>,
    /// What the worker writes into trace and log; none where there is nothing to tell.
    pub told: Option<Told>,
}

/// No pixel: the browser asks that nobody be told of whom it belongs to.
pub fn none_for_who_opted_out() -> Preview {
    let decisions = vec![(Code::PixelOptedOut, "by Sec-GPC".to_owned())];
    Preview { fired: Vec::new(), told: Some(Told { at: Timestamp::now(), decisions, pixels: Vec::new() }) }
}

/// Decides which pixels are fired for an event that has just come.
pub async fn preview(app: &App, index: &Index, source: &Source, report: &Report, intake: &Intake) -> Preview {
    let now = Timestamp::now();
    let look = app.history.look();
    let Some(roster) = index.decided_by() else { return Preview::default() };
    let rules = Rules {
        roster: roster.clone(),
        schedule: Schedule::default(),
        parking: Duration::ZERO,
        hasher: look.hasher(),
    };
    let Read::Candidate(candidate) = pipeline::read(intake.clone(), &rules, now) else {
        return Preview::default();
    };
    let candidate = Arc::from(candidate);
    let (known, unknown) = match look.known(Arc::clone(&candidate), &app.metrics.track).await {
        Looked::Known(known) => (Some(known), None),
        // Whatever is told of them is told to nobody.
        Looked::Erased => return Preview::default(),
        Looked::Unknown(why) => (None, Some(why)),
    };
    let (copy_of, reported) =
        known.as_ref().map(|known| (known.copy_of, known.reported.clone())).unwrap_or_default();
    let selection = pipeline::preview(&candidate, known.as_ref().map(|known| &known.known), &rules, now);
    let mut writing = Writing {
        app,
        index,
        source,
        event: &candidate.event,
        page: report.page.as_ref().map(|page| page.without_query()).unwrap_or_default(),
        now,
        fired: Vec::new(),
        shown: Vec::new(),
        decisions: folded(selection.decisions),
    };
    if let Some(why) = unknown.filter(|_| !selection.deliveries.is_empty()) {
        let detail = format!("{why}: pixels are given without a look at what came before");
        writing.decisions.push((Code::HistoryUnknown, detail));
    }
    let ids: Vec<_> = selection.deliveries.iter().map(|delivery| delivery.id).collect();
    let given = match copy_of {
        // It asks again because it had no answer.
        Some(_) => reported,
        None if ids.is_empty() => BTreeSet::new(),
        None => look.given(ids).await,
    };
    for delivery in &selection.deliveries {
        let Some(connector) = roster.resources().connector(&delivery.connector) else { continue };
        let (code, detail) = match given.contains(&delivery.id) {
            true => (Code::SkippedAlready, format!("delivery {}", delivery.id)),
            false => writing.write(connector, delivery),
        };
        app.metrics.track.pixel(&connector.id, code);
        writing.decisions.push((code, format!("pixel of {}: {detail}", connector.id)));
    }
    let Writing { fired, shown, decisions, .. } = writing;
    let told = (!decisions.is_empty()).then_some(Told { at: now, decisions, pixels: shown });
    Preview { fired, told }
}

/// The pixels of one event as they are written.
struct Writing<'a> {
    app: &'a App,
    index: &'a Index,
    source: &'a Source,
    event: &'a Event,
    page: String,
    now: Timestamp,
    fired: Vec<Fired>,
    shown: Vec<Shown>,
    decisions: Vec<(Code, String)>,
}

impl Writing<'_> {
    /// Writes one pixel, where it may fire, and says what was decided.
    fn write(&mut self, connector: &Connector, delivery: &Delivery) -> (Code, String) {
        if let Some(age) = connector.exceeded_age(self.event.at, self.now) {
            return (Code::PixelExpired, format!("the event is older than {age}"));
        }
        let Some(pixel) = connector.live_pixel() else {
            return (Code::SkippedDisabled, String::new());
        };
        // What is only shown in Test mode need not be approved: that is how it is looked at.
        let approvals = &self.index.resources().approvals;
        if !delivery.test && !approvals.allow(connector) {
            let standing = approvals.standing(connector);
            return (
                Code::PixelNotApproved,
                standing.map_or_else(String::new, |standing| standing.to_string()),
            );
        }
        let Some(code) = self.index.pixel(&connector.id) else {
            return (
                Code::PixelUnrenderable,
                "its code is faulty; `carom-worker check` says where".to_owned(),
            );
        };
        let rendered = match code.render(connector, &delivery.id, &delivery.facts) {
            Ok(rendered) => rendered,
            Err(error) => return (Code::PixelUnrenderable, error.to_string()),
        };
        let (masked, _) = redact::body(rendered.html.as_bytes(), &self.source.click_id_keys);
        self.shown.push(Shown {
            connector: connector.id.clone(),
            delivery: delivery.id,
            given: !delivery.test,
            sandbox: pixel.sandbox,
            page: self.page.clone(),
            code: excerpt(&String::from_utf8_lossy(&masked), self.app.log_bytes),
        });
        let mut detail = format!("by delivery {}", delivery.id);
        if !rendered.unresolved.is_empty() {
            detail.push_str(&format!(", without a value for {}", rendered.unresolved.join(", ")));
        }
        if delivery.test {
            detail.push_str(", not given to the browser: the connector is in Test mode");
            return (Code::PixelTested, detail);
        }
        let (connector, delivery) = (connector.id.clone(), delivery.id);
        self.fired.push(Fired { connector, delivery, sandbox: pixel.sandbox, html: rendered.html });
        (Code::PixelGiven, detail)
    }
}
