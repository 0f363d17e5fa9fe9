//! Generated journeys, attributed twice: by Carom and by a second, deliberately simple attribution.

mod journey;
mod dice;
mod generate;
mod simple;
mod by_hand;
mod body;
mod real;

use carom_common::store::{Settings, Store};
use futures_util::StreamExt;
use std::collections::BTreeMap;

/// How many journeys, unless `CAROM_JOURNEYS` says otherwise; 100,000 take about ten minutes.
const JOURNEYS: u64 = 10_000;
/// How many go on at once: the store commits what comes together as one.
const AT_ONCE: usize = 512;

/// What differs, for a person to read.
fn differences(
    number: u64,
    arrivals: &[journey::Arrival],
    simple: &simple::Outcome,
    real: &real::Outcome,
) -> Option<String> {
    let decisions = simple.decisions.iter().zip(&real.decisions).filter(|(simple, real)| simple != real);
    let mut told: Vec<String> =
        decisions.map(|(simple, real)| format!("  simple {simple:?}\n  real   {real:?}")).collect();
    let by_key = |all: &[simple::Conversion]| -> BTreeMap<_, _> {
        all.iter().map(|one| ((one.advertiser.clone(), one.key.clone()), one.clone())).collect()
    };
    let (wanted, found) = (by_key(&simple.conversions), by_key(&real.conversions));
    for key in wanted.keys().chain(found.keys()) {
        if wanted.get(key) != found.get(key) {
            told.push(format!("  simple {:?}\n  real   {:?}", wanted.get(key), found.get(key)));
        }
    }
    let story = || arrivals.iter().map(|arrival| format!("  {arrival:?}")).collect::<Vec<_>>().join("\n");
    (!told.is_empty()).then(|| format!("journey {number}:\n{}\n{}", told.join("\n"), story()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_attribution_of_generated_journeys_equals_the_simple_one() {
    let journeys = std::env::var("CAROM_JOURNEYS").ok().and_then(|text| text.parse().ok());
    // In memory where there is some: what is compared is not how well the disk keeps it.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let settings = Settings::Sqlite(folder.path().join("carom.db"));
    Store::migrate(&settings).unwrap();
    let store = Store::open(&settings, |_, _| {}).unwrap();
    let rules = real::rules(store.hasher().await.unwrap());
    let (store, rules) = (&store, &rules);
    let compared = futures_util::stream::iter(0..journeys.unwrap_or(JOURNEYS)).map(|number| async move {
        let arrivals = generate::journey(number);
        let simple = simple::follow(&arrivals);
        differences(number, &arrivals, &simple, &real::follow(store, rules, &arrivals).await)
    });
    let mut wrong = Vec::new();
    let mut compared = compared.buffer_unordered(AT_ONCE);
    while let Some(differs) = compared.next().await {
        wrong.extend(differs);
    }
    wrong.truncate(20);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
