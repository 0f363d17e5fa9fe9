//! A connector on trial: what it is tried with, whether it would be selected for that, and the requests that it
//! makes of it. `preview` shows them, `test-webhook` sends one.

mod sample;

use super::chosen::Chosen;
use super::{Usage, parsed, printable, stored};
use carom_common::condition::{self, Circumstances};
use carom_common::config::Config;
use carom_common::connector::{Connector, FireAt, Mode, Trigger, Webhook};
use carom_common::delivery::Delivery;
use carom_common::id::EventId;
use carom_common::news::News;
use carom_common::postback::Postback;
use carom_common::trace::Code;
use clap::Args;
use jiff::Timestamp;
pub use sample::Sample;
#[cfg(test)]
pub use sample::news as sample_news;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

/// What a connector is tried with.
#[derive(Args)]
pub struct TrialArgs {
    /// The connector; may be left out where the file has only one.
    pub connector: Option<String>,
    /// A file of resources that need not be applied: its connectors come before those of the same id in the store.
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// A past event, by its id. Without one, sample values are taken.
    #[arg(long, conflicts_with = "sample")]
    pub event: Option<String>,
    /// Which sample values; by default what the connector's first trigger asks for.
    #[arg(long, value_enum)]
    pub sample: Option<Sample>,
    /// Of several requests for one event, those of this step only.
    #[arg(long, value_parser = ["conversion", "refund", "event"])]
    pub step: Option<String>,
}

/// A connector on trial.
pub struct Trial {
    /// The connector.
    pub connector: Connector,
    /// What it is tried with.
    pub tried: Tried,
    /// Whether and why it would be selected.
    pub verdict: Verdict,
    /// The requests that it makes of that, whether it would be selected or not.
    pub requests: Vec<Asked>,
}

/// What a connector is tried with.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tried {
    /// Sample values.
    Sample(Sample),
    /// A past event.
    Event(EventId),
}

/// Whether a connector would be selected.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// Whether it would.
    pub selected: bool,
    /// Whether that would be logged and not sent, because it is in Test mode.
    pub test: bool,
    /// Each decision, by its reason code.
    pub decisions: Vec<Reason>,
    /// Each of its conditions, and whether it holds.
    pub conditions: Vec<Asserted>,
}

/// A decision.
#[derive(Debug, Serialize)]
pub struct Reason {
    /// Its reason code.
    pub code: Code,
    /// With what.
    pub detail: String,
}

/// A condition, and whether it holds.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Asserted {
    /// The condition, in words.
    pub condition: String,
    /// Whether it holds.
    pub holds: bool,
}

/// A request that a connector makes.
#[derive(Debug)]
pub struct Asked {
    /// What it tells: `conversion`, `refund` or `event`.
    pub step: &'static str,
    /// As it would be queued.
    pub delivery: Delivery,
}

impl Trial {
    /// Puts a connector on trial.
    pub async fn of(config: &Config, args: &TrialArgs) -> anyhow::Result<Self> {
        let now = Timestamp::now();
        let chosen = Chosen::read(config, args.file.as_deref()).await?;
        let connector = chosen.connector(args.connector.as_deref())?.clone();
        let (tried, news) = match parsed::<EventId>(args.event.as_deref())? {
            Some(id) => (Tried::Event(id), past(&chosen, &connector, id).await?),
            None => {
                let trigger = connector.triggers.first().map_or(Sample::Purchase, Sample::of);
                let sample = args.sample.unwrap_or(trigger);
                (Tried::Sample(sample), sample::news(&connector, sample, now)?)
            }
        };
        let mut requests = requests(&news, &connector, &chosen.connectors, now);
        if let Some(step) = &args.step {
            requests.retain(|asked| asked.step == step);
            if requests.is_empty() {
                let problem = format!(
                    "there is nothing to tell of a {step} here: leave out --step to see what there is"
                );
                return Err(Usage(problem).into());
            }
        }
        let verdict = verdict(&news, &connector, &chosen.connectors, now);
        Ok(Self { connector, tried, verdict, requests })
    }
}

async fn past(chosen: &Chosen, connector: &Connector, id: EventId) -> anyhow::Result<News> {
    let Some(store) = &chosen.store else {
        anyhow::bail!("there is no store, so no event is known: leave out --event to take sample values");
    };
    let Some(news) = store.news_of(id).await? else {
        anyhow::bail!(
            "no event {id} is known, or nothing is left to tell of it: `carom-worker trace` finds events by order, \
             contact or click"
        );
    };
    if news.event.advertiser != connector.advertiser {
        let owner = &news.event.advertiser;
        let problem = format!(
            "event {id} is of advertiser {owner}, and connector {} is of {}: it would never be told of it",
            connector.id, connector.advertiser
        );
        return Err(Usage(problem).into());
    }
    Ok(news)
}

/// The requests that a connector makes of this, whatever its mode, conditions and currencies say; where its
/// triggers or its click ID matching would stop it, as if they did not.
pub fn requests(news: &News, connector: &Connector, all: &[Connector], now: Timestamp) -> Vec<Asked> {
    let open = Connector {
        mode: Mode::Enabled,
        conditions: Vec::new(),
        currencies: Vec::new(),
        ..connector.with_live_webhook()
    };
    // Selection asks for a webhook. Of a pixel alone the same is told, by a request that nobody renders.
    let open = match open.webhook {
        Some(_) => open,
        None => Connector { webhook: Some(Webhook::get(String::new())), ..open },
    };
    let unmatched = Connector { click_id: None, ..open.clone() };
    let any = vec![Trigger::Conversion, Trigger::Refund];
    let raw = vec![Trigger::Raw(news.event.raw_type.clone())];
    let early = |triggers: Vec<Trigger>, of: &Connector| Connector {
        triggers,
        fire_at: FireAt::Pending,
        ..of.clone()
    };
    let ladder = [
        open.clone(),
        unmatched.clone(),
        early(any.clone(), &open),
        early(any, &unmatched),
        early(raw.clone(), &open),
        early(raw, &unmatched),
    ];
    let mut free = news.clone();
    free.event.test = false;
    if let Some(steps) = &mut free.conversion {
        (steps.kpi, steps.already_paid) = (false, false);
    }
    let mut found = ladder.into_iter().map(|candidate| told(&free, &candidate, all, now));
    found.find(|deliveries| !deliveries.is_empty()).unwrap_or_default()
}

fn told(news: &News, connector: &Connector, all: &[Connector], now: Timestamp) -> Vec<Asked> {
    let deliveries = stored::select(news, connector, all, now).deliveries;
    deliveries.into_iter().map(|delivery| Asked { step: step(&delivery), delivery }).collect()
}

/// What a delivery tells: `conversion`, `refund` or `event`.
pub fn step(delivery: &Delivery) -> &'static str {
    match delivery.facts.conversion.as_ref().map(|conversion| conversion.name.as_deref()) {
        None => "event",
        Some(Some("refund")) => "refund",
        Some(_) => "conversion",
    }
}

/// Whether a connector, as it is, would be selected for this.
pub fn verdict(news: &News, connector: &Connector, all: &[Connector], now: Timestamp) -> Verdict {
    let selection = stored::select(news, connector, all, now);
    Verdict {
        selected: !selection.deliveries.is_empty(),
        test: selection.deliveries.iter().any(|delivery| delivery.test),
        decisions: selection.decisions.into_iter().map(|(code, detail)| Reason { code, detail }).collect(),
        conditions: asserted(news, connector),
    }
}

fn asserted(news: &News, connector: &Connector) -> Vec<Asserted> {
    let conversion = news.conversion.as_ref().and_then(|steps| steps.steps.first()).map(|(_, facts)| facts);
    let circumstances =
        Circumstances { event: &news.event, conversion, click: news.click.as_ref(), history: &news.history };
    let asserted = connector.conditions.iter().map(|one| Asserted {
        condition: one.in_words(),
        holds: condition::unmet(std::slice::from_ref(one), &circumstances).is_none(),
    });
    asserted.collect()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Stands in for a secret that is not to be read, or cannot be. It is fit for a header and for signing, and is
/// masked like any other.
pub const STAND_IN: &str = "whsec_bm8gc2VjcmV0LCBhIHN0YW5kLWluIGZvciBvbmU=";

/// A request for showing. `--json` prints it as it is.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ShownRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// The full URL, secrets masked.
    pub url: String,
    /// Each header's name and value, in their order, secrets masked.
    pub headers: Vec<(String, String)>,
    /// The body, secrets masked.
    pub body: String,
}

impl ShownRequest {
    /// A postback for showing.
    pub fn of(postback: &Postback) -> Self {
        let shown = postback.shown();
        Self { method: shown.method.to_owned(), url: shown.url, headers: shown.headers, body: shown.body }
    }

    /// As it goes over the wire, more or less.
    pub fn print(&self) {
        print!("{}", self.text());
    }

    fn text(&self) -> String {
        let mut text = format!("{} {}\n", self.method, self.url);
        for (name, value) in &self.headers {
            let _ = writeln!(text, "{name}: {value}");
        }
        if !self.body.is_empty() {
            text.push('\n');
            for line in self.body.lines() {
                let _ = writeln!(text, "{}", printable(line));
            }
        }
        text
    }
}

impl Tried {
    /// In words.
    pub fn in_words(self) -> String {
        match self {
            Self::Sample(sample) => format!("sample values of a {}", json(&sample).trim_matches('"')),
            Self::Event(id) => format!("event {id}"),
        }
    }
}

impl Verdict {
    /// Says whether, and why or why not.
    pub fn print(&self) {
        println!(
            "{}",
            match (self.selected, self.test) {
                (true, false) => "it would be selected",
                (true, true) => "it would be selected, and logged instead of sent: it is in Test mode",
                (false, _) => "it would not be selected",
            }
        );
        for reason in &self.decisions {
            println!("  {:<20} {}", reason.code.as_str(), reason.detail);
        }
        for asserted in &self.conditions {
            let holds = if asserted.holds { "holds" } else { "does not hold" };
            println!("  {:<20} {}", holds, asserted.condition);
        }
    }
}

#[cfg(test)]
mod tests;
