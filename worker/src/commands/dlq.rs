//! `dlq`: the dead letters. Listing reads the store; a sweep (replay, purge) consumes `carom.dead`.

mod sweep;

use super::{Usage, ago, json_line, parsed, reading, usage};
use carom_common::config::Config;
use carom_common::store::{LetterFilter, LetterRecord};
use clap::{Args, Subcommand};
use sweep::{Act, Sweep};
use uuid::Uuid;

const PAGE: u32 = 500;

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
    let mut after = None;
    let mut left = limit;
    while left > 0 {
        let page = store.letters(filter, after, left.min(PAGE)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        left -= u32::try_from(page.len()).unwrap_or(left).min(left);
        for letter in &page {
            if json {
                json_line(letter)?;
            } else {
                println!("{}", line(letter));
            }
        }
    }
    if !json {
        let total = store.count_letters(filter).await?;
        let shown = u64::from(limit - left);
        println!("{shown} of {total} dead letters");
    }
    Ok(())
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
        println!("{matching} dead letters would be {}", act.done());
        return list(config, &filter, 20, false).await;
    }
    let swept = Sweep::new(config, filter, act, args.rate).await?.run().await?;
    println!("{swept}");
    Ok(())
}
