//! `macros`: what templates can say. The macros that we know, the filters, and the fields of its own data that
//! a source's recorded events carried: their paths, never their values.

use super::{json_line, parsed, reading, usage};
use carom_common::config::Config;
use carom_common::id::SourceId;
use carom_common::postback;
use carom_common::source::Kind;
use carom_common::template::{catalogue, filter};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeSet;

/// How many of a source's newest events are looked at.
const LOOKED_AT: u32 = 500;

/// What `macros` lists.
#[derive(Args)]
pub struct MacrosArgs {
    /// With the fields that this source's newest events carried.
    #[arg(long, conflicts_with = "kind")]
    pub source: Option<String>,
    /// With the fields that sources of this kind have.
    #[arg(long, value_parser = ["clickfunnels", "plain", "tag"])]
    pub kind: Option<String>,
    /// Machine-readable.
    #[arg(long)]
    pub json: bool,
}

/// Fields of ClickFunnels' data that templates are often wanted to have. Which of them an event has depends on
/// its type.
const CLICKFUNNELS: [&str; 20] = [
    "id",
    "public_id",
    "order_number",
    "order_type",
    "total_amount",
    "tax_amount",
    "currency",
    "billing_status",
    "funnel_name",
    "page_name",
    "payment_processor",
    "referral_code",
    "line_items.0.products_variant.sku",
    "line_items.0.products_price.amount",
    "shipping_address_country",
    "billing_address_postal_code",
    "contact.uuid",
    "contact.time_zone",
    "contact.custom_attributes.clickid",
    "created_at",
];

/// Fields of plain events: all their parameters are, and these are usual.
const PLAIN: [&str; 6] = ["order_id", "event_id", "sub1", "first_name", "last_name", "contact_id"];

#[derive(Serialize)]
struct Listing {
    macros: Vec<Macro>,
    filters: Vec<Filter>,
    /// What `{{…}}` can name of the event's own data; none where no source was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Fields>,
}

#[derive(Serialize)]
struct Macro {
    name: &'static str,
    aliases: &'static [&'static str],
    description: &'static str,
}

#[derive(Serialize)]
struct Filter {
    name: &'static str,
    usage: &'static str,
    description: &'static str,
}

#[derive(Serialize)]
struct Fields {
    /// Whose, for people.
    of: String,
    paths: BTreeSet<String>,
}

/// Lists them.
pub async fn run(config: &Config, args: &MacrosArgs) -> anyhow::Result<()> {
    let fields = match (parsed::<SourceId>(args.source.as_deref())?, args.kind.as_deref()) {
        (Some(source), _) => Some(recorded(config, source).await?),
        (None, Some(kind)) => {
            let kind = match kind {
                "plain" => Kind::Plain,
                "tag" => Kind::Tag,
                _ => Kind::Clickfunnels,
            };
            Some(usual(kind))
        }
        (None, None) => None,
    };
    let listing = Listing::of(fields);
    if args.json {
        json_line(&listing)
    } else {
        print!("{}", listing.text());
        Ok(())
    }
}

/// The fields that a source's newest events carried.
async fn recorded(config: &Config, source: SourceId) -> anyhow::Result<Fields> {
    let store = reading(config)?;
    let resources = store.resources().await?.resources;
    if !resources.sources.iter().any(|known| known.id == source) {
        return Err(usage(format!("there is no source `{source}`; `apply` it first")).into());
    }
    let data = store.newest_data(source.clone(), LOOKED_AT).await?;
    let of = format!("Of {source}'s own data, as its newest {} events carried them", data.len());
    Ok(Fields { of, paths: data.iter().flat_map(postback::fields).collect() })
}

/// The fields that are usual for a kind of source.
fn usual(kind: Kind) -> Fields {
    let (of, paths): (_, &[&str]) = match kind {
        Kind::Clickfunnels => ("Of ClickFunnels' own data, for example", &CLICKFUNNELS),
        Kind::Plain => ("Of a plain event every parameter by its name, for example", &PLAIN),
        Kind::Tag => ("Of a tag's event every value of its data by its name, for example", &PLAIN),
    };
    Fields { of: of.to_owned(), paths: paths.iter().map(|path| (*path).to_owned()).collect() }
}

impl Listing {
    fn of(fields: Option<Fields>) -> Self {
        let macros = catalogue::CONNECTOR.macros.iter().map(|known| Macro {
            name: known.name,
            aliases: known.aliases,
            description: known.description,
        });
        let filters = filter::ALL.iter().map(|known| Filter {
            name: known.name,
            usage: known.usage,
            description: known.description,
        });
        Self { macros: macros.collect(), filters: filters.collect(), fields }
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "Macros: {{NAME}} in a path, a query, a header or a body, and [NAME] and {NAME} as well; names are the \
             same in any case.\n",
        );
        for known in &self.macros {
            let names = [&[known.name], known.aliases].concat().join(", ");
            text += &format!("  {names}\n      {}\n", known.description);
        }
        text += "  secret.NAME\n      A secret of the connector, in {{…}} alone. Never shown.\n";
        text += "  param.NAME, data.NAME, any other name\n      \
                 In {{…}} alone: a parameter of the click, a field of the event's own data, or the latter \
                 and else the former.\n";
        text += "\nFilters, in {{…}} alone:\n";
        for known in &self.filters {
            text += &format!("  {}: {}\n      {}\n", known.name, known.usage, known.description);
        }
        if let Some(fields) = &self.fields {
            text += &format!("\n{}:\n", fields.of);
            for path in &fields.paths {
                text += &format!("  {{{{{path}}}}}\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_macro_and_filter_is_listed_with_what_it_is() {
        let listing = Listing::of(Some(usual(Kind::Clickfunnels)));
        let text = listing.text();
        for known in catalogue::CONNECTOR.macros {
            assert!(text.contains(&format!("  {}", known.name)) && text.contains(known.description));
        }
        for known in filter::ALL {
            assert!(text.contains(known.usage) && text.contains(known.description), "{}", known.name);
        }
        assert!(text.contains("\n  {{contact.custom_attributes.clickid}}\n"));
        let json = serde_json::to_value(&listing).unwrap();
        assert_eq!(json["macros"].as_array().unwrap().len(), catalogue::CONNECTOR.macros.len());
        assert_eq!(json["fields"]["paths"][0], "billing_address_postal_code");
        assert!(serde_json::to_value(Listing::of(None)).unwrap().get("fields").is_none());
    }
}
