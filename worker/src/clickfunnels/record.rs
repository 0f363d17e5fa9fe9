//! An event record of the API: the same event that a webhook brings, under other names (`uuid` for
//! `event_id`, `event_type_id` for `event_type`).

use super::api::Error;
use carom_common::mapping;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

/// What we need to know of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id in the list: the cursor.
    pub id: u64,
    /// The event's id, as the decoder writes it. Without one nobody can say whether it came.
    pub event_id: Option<String>,
    /// The dedupe keys under which the event may be known. Usually there is one; older envelopes name the
    /// workspace in their data only.
    pub keys: Vec<String>,
    /// The event's type, in the catalogue's spelling.
    pub event_type: String,
    /// When it happened.
    pub at: Option<Timestamp>,
    /// The version of its form.
    pub api_version: Option<u64>,
    /// The record as the API wrote it: the body of the intake that it becomes.
    pub body: Vec<u8>,
}

/// A record as a report names it: nothing of its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The event's id, which `trace` takes.
    pub event_id: String,
    /// Its type.
    pub event_type: String,
    /// When it happened.
    pub at: Option<Timestamp>,
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// It is no object, or has no id: nobody could go on after it.
    pub fn read(raw: &RawValue) -> Result<Self, Error> {
        let unreadable = |what: &str| Error::Unreadable(format!("an event record {what}"));
        let record: Value = serde_json::from_str(raw.get()).map_err(|_| unreadable("is no JSON"))?;
        let text = |at: &str| match record.pointer(at) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let number = |at: &str| text(at).and_then(|text| text.parse().ok());
        let id = number("/id").ok_or_else(|| unreadable("has no id"))?;
        let event_id = text("/uuid").or_else(|| text("/event_id")).map(|id| normalised(&id));
        let workspaces = [text("/workspace_id"), text("/data/workspace_id")];
        let mut keys: Vec<String> = Vec::new();
        if let Some(event_id) = &event_id {
            for workspace in workspaces.into_iter().flatten().chain([String::new()]) {
                let key = format!("cf:{workspace}:{event_id}");
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        let event_type = text("/event_type_id").or_else(|| text("/event_type")).unwrap_or_default();
        Ok(Self {
            id,
            event_id,
            keys,
            event_type: mapping::canonical(&event_type).to_owned(),
            at: text("/created_at").and_then(|at| at.parse().ok()),
            api_version: number("/api_version"),
            body: raw.get().as_bytes().to_vec(),
        })
    }

    /// How a report names it.
    pub fn named(&self) -> Named {
        Named {
            event_id: self.event_id.clone().unwrap_or_default(),
            event_type: self.event_type.clone(),
            at: self.at,
        }
    }
}

/// As the decoder writes an event's id: a UUID comes with and without dashes, in either case.
fn normalised(id: &str) -> String {
    Uuid::try_parse(id).map_or_else(|_| id.to_ascii_lowercase(), |id| id.as_hyphenated().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use carom_common::decode;
    use carom_common::id::EventId;
    use carom_common::intake::{Body, Intake, Verified};
    use serde_json::json;

    fn record(of: Value) -> Result<Record, Error> {
        Record::read(&RawValue::from_string(of.to_string()).unwrap())
    }

    fn listed() -> Value {
        json!({
            "id": 2, "workspace_id": 42000, "uuid": "60DF598E94FDD1D53F202BBC1E05FA38",
            "event_type_id": "contact.identified", "subject_id": 356, "subject_type": "Contact",
            "data": {"id": 7, "workspace_id": 152_039}, "api_version": 2,
            "created_at": "2025-01-01T00:00:00.000Z",
        })
    }

    #[test]
    fn the_record_of_an_event_is_known_by_the_key_that_its_webhook_was_decoded_to() {
        let source = serde_json::from_value(json!({
            "id": "shop", "advertiser": "acme", "kind": "clickfunnels", "open": true,
        }))
        .unwrap();
        let listed = listed();
        let current = json!({
            "event_id": "60df598e-94fd-d1d5-3f20-2bbc1e05fa38", "event_type": "contact.identified",
            "workspace_id": 42000, "data": listed["data"], "api_version": 2,
        });
        let older = json!({
            "event_id": "60df598e94fdd1d53f202bbc1e05fa38", "event_type": "contact.identified",
            "page_id": null, "funnel_id": null, "data": listed["data"],
        });
        let mut nowhere = older.clone();
        nowhere["data"] = json!({"id": 7});
        let record = record(listed).unwrap();
        for webhook in [current, older, nowhere] {
            let intake = Intake {
                id: EventId::new(),
                source: "shop".parse().unwrap(),
                received_at: Timestamp::UNIX_EPOCH,
                query: String::new(),
                content_type: None,
                body: Body(webhook.to_string().into_bytes()),
                visitor: None,
                parked: None,
                verified: Verified::Unrecorded,
                key: None,
                told: None,
            };
            let key = decode::decode(&intake, &source).unwrap().event.key;
            assert!(record.keys.contains(&key), "{key} is not in {:?}", record.keys);
        }
    }

    #[test]
    fn a_record_keeps_its_bytes_and_lacks_what_it_lacks() {
        let text =
            "{\"id\": 9,  \"uuid\": null, \"event_type_id\": \"contact/applied_tag.created\",\"data\":null}";
        let record = Record::read(&RawValue::from_string(text.to_owned()).unwrap()).unwrap();
        assert_eq!(record.body, text.as_bytes());
        assert_eq!((record.event_id, record.keys, record.at), (None, vec![], None));
        assert_eq!(record.event_type, "contacts/applied_tag.created");
    }

    #[test]
    fn a_record_without_an_id_ends_the_reading() {
        for bad in [json!({"uuid": "x"}), json!([]), json!(7), json!({"id": -1}), json!({"id": null})] {
            assert!(matches!(record(bad.clone()), Err(Error::Unreadable(_))), "{bad}");
        }
    }
}
