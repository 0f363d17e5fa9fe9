//! `forget`: erases a person, and says how much of what that was.

use super::{Usage, json_line, parsed, reading, settings};
use anyhow::Context;
use carom_common::config::Config;
use carom_common::id::AdvertiserId;
use carom_common::store::{Erased, Somebody, Store};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

/// Whom to forget.
#[derive(Args)]
pub struct ForgetArgs {
    /// By e-mail address.
    #[arg(long, required_unless_present_any = ["phone", "contact"])]
    pub email: Option<String>,
    /// By phone number, international where it can be.
    #[arg(long)]
    pub phone: Option<String>,
    /// By the funnel's number of the contact; cf:24359 or classic:24359 where both have one.
    #[arg(long)]
    pub contact: Option<String>,
    /// Of this advertiser only.
    #[arg(long)]
    pub advertiser: Option<String>,
    /// Say what would be erased, and erase nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Machine-readable.
    #[arg(long)]
    pub json: bool,
}

/// What was erased of one advertiser's.
#[derive(Serialize)]
struct Told<'a> {
    advertiser: &'a AdvertiserId,
    dry_run: bool,
    /// Whether the write-ahead log was emptied, so that nothing is left in the store's files.
    log_emptied: bool,
    #[serde(flatten)]
    erased: Erased,
}

/// Erases a person. It asks for nothing, and run again it finds nothing more.
pub async fn run(config: &Config, args: &ForgetArgs) -> anyhow::Result<()> {
    let store = if args.dry_run {
        reading(config)?
    } else {
        Store::open(&settings(config), |_, _| {}).context("the store")?
    };
    let mut told = Vec::new();
    for somebody in whom(&store, args).await? {
        let advertiser = somebody.advertiser.clone();
        let erased = if args.dry_run {
            store.would_erase(somebody).await?
        } else {
            store.erase(somebody, Timestamp::now()).await?
        };
        told.push((advertiser, erased));
    }
    store.close().await;
    let log_emptied = !args.dry_run && Store::empty_log(&settings(config))?;
    for (advertiser, erased) in &told {
        if args.json {
            json_line(&Told { advertiser, dry_run: args.dry_run, log_emptied, erased: *erased })?;
        } else {
            tell(advertiser, erased, args.dry_run);
        }
    }
    if !args.json {
        hint(args, &told, log_emptied);
    }
    Ok(())
}

/// Whom the arguments name, per advertiser.
async fn whom(store: &Store, args: &ForgetArgs) -> anyhow::Result<Vec<Somebody>> {
    let hasher = store.hasher().await?;
    let refuse = |what: &str| Usage(format!("that is no {what}; nothing was erased"));
    let mut marks = Vec::new();
    if let Some(email) = &args.email {
        marks.push(hasher.email(email).ok_or_else(|| refuse("e-mail address"))?);
    }
    if let Some(phone) = &args.phone {
        marks.push(hasher.phone(phone).ok_or_else(|| refuse("phone number"))?);
    }
    let advertisers = match parsed::<AdvertiserId>(args.advertiser.as_deref())? {
        Some(advertiser) => vec![advertiser],
        None => {
            let resources = store.resources().await?.resources;
            resources.advertisers.into_iter().map(|advertiser| advertiser.id).collect()
        }
    };
    let mut all = Vec::new();
    for advertiser in advertisers {
        let mut contacts = Vec::new();
        if let Some(number) = &args.contact {
            let keys = store.contacts(advertiser.clone(), number).await?;
            if keys.len() > 1 {
                let keys: Vec<&str> = keys.iter().map(|key| key.trim_start_matches("contact:")).collect();
                let keys = keys.join(" or ");
                return Err(Usage(format!("{advertiser} has several contacts {number}: write {keys}")).into());
            }
            contacts.extend(keys);
        }
        all.push(Somebody { advertiser, marks: marks.clone(), contacts });
    }
    Ok(all)
}

fn tell(advertiser: &AdvertiserId, erased: &Erased, dry_run: bool) {
    if *erased == Erased::default() {
        println!("{advertiser}: nothing is known of them");
        return;
    }
    if dry_run {
        let Erased { events, clicks, persons, .. } = erased;
        println!("{advertiser}: would erase {events} events, {clicks} clicks, {persons} persons");
        return;
    }
    println!(
        "{advertiser}: erased {} events ({} of them waiting), {} requests and answers, {} letters, {} clicks, \
         {} visits, {} foreign click ids, {} orders' buyers, {} persons",
        erased.events,
        erased.parked,
        erased.attempts,
        erased.letters,
        erased.clicks,
        erased.visits,
        erased.foreign_clicks,
        erased.orders,
        erased.persons
    );
}

fn hint(args: &ForgetArgs, told: &[(AdvertiserId, Erased)], log_emptied: bool) {
    if args.dry_run {
        return;
    }
    if told.iter().any(|(_, erased)| erased.letters > 0) {
        println!("their dead letters still lie in the broker as they were: `dlq purge` removes them");
    }
    if !log_emptied {
        println!(
            "the store's write-ahead log was in use: run this again, or restart the worker, to empty it"
        );
    }
}
