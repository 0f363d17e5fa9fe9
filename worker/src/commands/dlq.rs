//! `dlq`: the dead letters. Listing reads the store; a sweep (replay, purge) consumes `carom.dead`.

mod room;
mod sweep;
mod swept;

use super::{Usage, ago, json_line, parsed, reading, usage};
use carom_common::config::Config;
use carom_common::store::{LetterFilter, LetterRecord, Store};
use clap::{Args, Subcommand};
use std::io::{BufWriter, ErrorKind, Write};
use sweep::Sweep;
use swept::Act;
use uuid::Uuid;

const PAGE: u32 = 1_000;

/// How many messages a replay leaves on a queue that live traffic goes through as well.
const AHEAD: u32 = 256;

/// What can be done with dead letters.
#[derive(Subcommand)]
pub enum DlqCommand {
    /// List them, oldest first.
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// How many.
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show one whole.
    Show {
        /// The letter's id.
        id: String,
        /// Machine-readable.
        #[arg(long)]
        json: bool,
    },
    /// Send them out again: a fresh schedule under the same delivery id.
    Replay(SweepArgs),
    /// Remove them for good.
    Purge(SweepArgs),
}

/// Which letters a replay or purge takes.
#[derive(Args)]
pub struct SweepArgs {
    /// One letter's id.
    pub id: Option<String>,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// All of them, where nothing else is said.
    #[arg(long)]
    pub all: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// At most so many a second.
    #[arg(long)]
    pub rate: Option<u32>,
    /// Replays wait while so many messages lie on the queue that they go to, so that live traffic is not behind all
    /// of them; 0 for no such wait.
    #[arg(long, default_value_t = AHEAD)]
    pub ahead: u32,
    /// Machine-readable.
    #[arg(long)]
    pub json: bool,
}

/// Filters of dead letters; all that are given must hold.
#[derive(Args, Clone, Default)]
pub struct FilterArgs {
    /// To this connector.
    #[arg(long)]
    pub connector: Option<String>,
    /// For this reason, such as exhausted.
    #[arg(long)]
    pub reason: Option<String>,
    /// Whose last attempt was answered with this status.
    #[arg(long)]
    pub status: Option<u16>,
    /// Of events of this type or name.
    #[arg(long)]
    pub event_type: Option<String>,
    /// Given up at least so long ago, such as 1h.
    #[arg(long)]
    pub older_than: Option<String>,
    /// Given up at most so long ago.
    #[arg(long)]
    pub newer_than: Option<String>,
}

/// Does one of the commands about dead letters.
pub async fn run(config: &Config, command: DlqCommand) -> anyhow::Result<()> {
    match command {
        DlqCommand::List { filter, limit, json } => list(config, &read(&filter, None)?, limit, json).await,
        DlqCommand::Show { id, json } => show(config, &id, json).await,
        DlqCommand::Replay(args) => Box::pin(sweep(config, &args, Act::Replay)).await,
        DlqCommand::Purge(args) => Box::pin(sweep(config, &args, Act::Purge)).await,
    }
}

fn read(args: &FilterArgs, id: Option<&str>) -> Result<LetterFilter, Usage> {
    Ok(LetterFilter {
        id: id
            .map(|id| {
                Uuid::try_parse(id)
                    .map_err(|_| Usage(format!("`{id}` is no letter's id; `dlq list` shows them")))
            })
            .transpose()?,
        connector: parsed(args.connector.as_deref())?,
        reason: parsed(args.reason.as_deref())?,
        status: args.status,
        event_type: args.event_type.clone(),
        since: ago(args.newer_than.as_deref())?,
        before: ago(args.older_than.as_deref())?,
    })
}

async fn list(config: &Config, filter: &LetterFilter, limit: u32, json: bool) -> anyhow::Result<()> {
    let store = reading(config)?;
    // A line at a time would be a system call a line.
    let out = BufWriter::with_capacity(64 * 1024, std::io::stdout().lock());
    match listed(&store, filter, limit, json, out).await {
        // Whoever reads has seen enough.
        Err(error)
            if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe) =>
        {
            Ok(())
        }
        done => done,
    }
}

async fn listed(
    store: &Store,
    filter: &LetterFilter,
    limit: u32,
    json: bool,
    mut out: impl Write,
) -> anyhow::Result<()> {
    let mut after = None;
    let mut left = limit;
    while left > 0 {
        let page = store.letters(filter, after, left.min(PAGE)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        left -= u32::try_from(page.len()).unwrap_or(left).min(left);
        for letter in &page {
            if json {
                serde_json::to_writer(&mut out, letter).map_err(std::io::Error::from)?;
                out.write_all(b"\n")?;
            } else {
                writeln!(out, "{}", line(letter))?;
            }
        }
    }
    if !json {
        let total = store.count_letters(filter).await?;
        let shown = u64::from(limit - left);
        writeln!(out, "{shown} of {total} dead letters")?;
    }
    Ok(out.flush()?)
}

fn line(letter: &LetterRecord) -> String {
    let to = letter.connector.as_ref().map_or(letter.queue.as_str(), |connector| connector.as_str());
    let status = letter.last_status.map_or_else(String::new, |status| format!(", last status {status}"));
    let event = letter.event_type.as_deref().unwrap_or("-");
    format!(
        "{}  {}  {:<8}  {to}  {event}  {} after {} attempts{status}",
        letter.id,
        letter.at,
        letter.kind,
        letter.reason.as_str(),
        letter.attempts,
    )
}

async fn show(config: &Config, id: &str, json: bool) -> anyhow::Result<()> {
    let store = reading(config)?;
    let id = Uuid::try_parse(id).map_err(usage)?;
    let Some((record, letter)) = store.letter(id).await? else {
        anyhow::bail!("there is no letter {id}; `dlq list` shows those that are there");
    };
    if json {
        return json_line(&serde_json::json!({ "record": record, "letter": letter }));
    }
    println!("{}", line(&record));
    println!("  from     {}", record.queue);
    println!("  why      {}: {}", record.reason.as_str(), record.detail);
    if let (Some(delivery), Some(event)) = (record.delivery, record.event) {
        println!("  delivery {delivery} of event {event}, round {}", record.round);
    }
    if !record.response.is_empty() {
        println!("  response {}", record.response);
    }
    println!("  content  {}", serde_json::to_string_pretty(&letter.content)?);
    Ok(())
}

async fn sweep(config: &Config, args: &SweepArgs, act: Act) -> anyhow::Result<()> {
    let filter = read(&args.filter, args.id.as_deref())?;
    if filter == LetterFilter::default() && !args.all {
        return Err(
            Usage("say which: a letter's id, a filter such as --connector, or --all".to_owned()).into()
        );
    }
    if args.dry_run {
        let matching = reading(config)?.count_letters(&filter).await?;
        if args.json {
            return json_line(&serde_json::json!({ "matching": matching }));
        }
        println!("{matching} dead letters would be {}", act.done());
        return list(config, &filter, 20, false).await;
    }
    let (swept, done) = Sweep::new(config, filter, act, args.rate, args.ahead).await?.run().await?;
    if args.json {
        json_line(&swept.json())?;
    } else {
        println!("{swept}");
    }
    done?;
    anyhow::ensure!(!swept.interrupted, "interrupted: run it again to go on");
    anyhow::ensure!(swept.unseen == 0, "{} letters were not seen: run it again", swept.unseen);
    Ok(())
}
