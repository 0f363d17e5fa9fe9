//! The sender's own API, where a source lets us use it: to set its webhook endpoint up, and to ask what
//! should have come (`[source.api]`).

use crate::mapping::{self, Row};
use crate::secret::SecretRef;
use crate::time::Span;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

/// Stands among the event types for all that matter to conversions.
pub const RECOMMENDED: &str = "recommended";

/// How ClickFunnels' API is used for a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Where the API is, as in `https://myworkspace.myclickfunnels.com/api/v2`.
    pub base_url: String,
    /// The workspace's numeric id.
    #[serde(deserialize_with = "number_or_text")]
    pub workspace: String,
    /// The API's access token.
    pub token: SecretRef,
    /// The public URL that ClickFunnels sends to, as it is to be typed there, placeholders included.
    /// `{token}` stands for the source's own token, which is kept out of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// The endpoint's name in ClickFunnels.
    #[serde(default = "default_endpoint_name")]
    pub endpoint_name: String,
    /// The types to subscribe to, by their names in the catalogue; `recommended` stands for all that matter
    /// to conversions.
    #[serde(default = "default_event_types", deserialize_with = "one_or_more")]
    pub event_types: Vec<String>,
    /// Where `clickfunnels setup` puts the endpoint's secret, for `source.signature` to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// How often `run` asks what should have come; 0 for never.
    #[serde(default = "default_reconcile_every")]
    pub reconcile_every: Span,
    /// How old a record must be before it counts as missing: its delivery may be under way.
    #[serde(default = "default_reconcile_lag")]
    pub reconcile_lag: Span,
    /// How far back the first reconciliation looks, while there is no cursor to begin at.
    #[serde(default = "default_reconcile_reach")]
    pub reconcile_reach: Span,
}

impl Api {
    /// The types to subscribe to, with `recommended` written out. `own` are the source's own rows of the
    /// mapping, which may give a meaning to more types.
    pub fn types(&self, own: &[Row]) -> BTreeSet<String> {
        let mut types = BTreeSet::new();
        for name in &self.event_types {
            if name == RECOMMENDED {
                types.extend(mapping::that_matter(own));
            } else {
                types.insert(mapping::canonical(name).to_owned());
            }
        }
        types
    }
}

fn default_endpoint_name() -> String {
    "Carom".to_owned()
}

fn default_event_types() -> Vec<String> {
    vec![RECOMMENDED.to_owned()]
}

fn default_reconcile_every() -> Span {
    Span::from_secs(60 * 60)
}

fn default_reconcile_lag() -> Span {
    Span::from_secs(5 * 60)
}

fn default_reconcile_reach() -> Span {
    Span::from_secs(24 * 60 * 60)
}

/// An id that people write with and without quotes.
fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Id;

    impl Visitor<'_> for Id {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an id, such as 42000")
        }

        fn visit_str<E: Error>(self, id: &str) -> Result<String, E> {
            Ok(id.to_owned())
        }

        fn visit_u64<E: Error>(self, id: u64) -> Result<String, E> {
            Ok(id.to_string())
        }

        fn visit_i64<E: Error>(self, id: i64) -> Result<String, E> {
            Ok(id.to_string())
        }
    }

    deserializer.deserialize_any(Id)
}

/// A list, or its only item alone.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Words;

    impl<'de> Visitor<'de> for Words {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of event types, or \"recommended\"")
        }

        fn visit_str<E: Error>(self, word: &str) -> Result<Vec<String>, E> {
            Ok(vec![word.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
            let mut words = Vec::new();
            while let Some(word) = items.next_element()? {
                words.push(word);
            }
            Ok(words)
        }
    }

    deserializer.deserialize_any(Words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(event_types: &str) -> Api {
        let text = format!(
            "base_url = \"https://w.myclickfunnels.com/api/v2\"\nworkspace = 42000\n\
             token = {{ env = \"CF\" }}\n{event_types}"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_workspace_is_an_id_with_and_without_quotes() {
        assert_eq!(api("").workspace, "42000");
        let kept = serde_json::to_string(&api("")).unwrap();
        assert_eq!(serde_json::from_str::<Api>(&kept).unwrap(), api(""));
    }

    #[test]
    fn recommended_are_the_types_that_matter_to_conversions_and_no_others() {
        let types = api("").types(&[]);
        assert_eq!(types, api("event_types = \"recommended\"").types(&[]));
        for wanted in [
            "one-time-order.completed",
            "orders/transaction.updated",
            "one_time_order.refunded",
            "contact.created",
            "contact.deleted",
        ] {
            assert!(types.contains(wanted), "{wanted} in {types:?}");
        }
        for other in ["blogs/post.created", "courses/lesson.published"] {
            assert!(!types.contains(other), "{other}");
        }
        let more = api("event_types = [\"recommended\", \"blogs/post.created\"]").types(&[]);
        assert_eq!(more.len(), types.len() + 1);
    }

    #[test]
    fn a_type_that_the_sources_own_mapping_makes_a_conversion_is_recommended_too() {
        let own = |event: &str| -> Row {
            toml::from_str(&format!("event = \"{event}\"\nkind = \"conversion\"")).unwrap()
        };
        let types = api("").types(&[own("blogs/post.created"), own("purchase_created")]);
        assert!(types.contains("blogs/post.created"));
        assert!(!types.contains("purchase_created"), "Classic's types are not subscribed to by name");
    }

    #[test]
    fn types_are_taken_in_any_spelling_that_the_documentation_ever_used() {
        let types = api("event_types = [\"one_time_order.completed\"]").types(&[]);
        assert_eq!(types.into_iter().collect::<Vec<_>>(), ["one-time-order.completed"]);
    }
}
