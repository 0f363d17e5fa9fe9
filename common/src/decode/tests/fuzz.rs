//! Whatever a sender sends: no decoder panics, and what it makes of it is bounded and survives our own wire.
//!
//! Each property runs 2,000 times; `CAROM_FUZZ_CASES=1000000 cargo test -p carom-common --lib fuzz` runs them
//! a million times each. What fails is kept in `common/proptest-regressions/` and tried first from then on.

use super::*;
use crate::placeholder;
use proptest::prelude::*;
use serde_json::Map;
use std::sync::LazyLock;

fn config() -> ProptestConfig {
    let cases = std::env::var("CAROM_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: cases.unwrap_or(2_000), ..ProptestConfig::default() }
}

static FIXTURES: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| fixtures::files().iter().flat_map(|file| fixtures::bodies(file)).collect());

/// Names and texts that some part of a decoder looks for.
const WORDS: [&str; 48] = [
    "data",
    "contact",
    "order",
    "purchase",
    "event",
    "event_type",
    "event_type_id",
    "event_id",
    "uuid",
    "id",
    "attributes",
    "custom_attributes",
    "clickid",
    "CID",
    "visits",
    "last_visit",
    "landing_page",
    "started_at",
    "created_at",
    "updated_at",
    "order_id",
    "contact_id",
    "total_amount",
    "amount",
    "currency",
    "products",
    "line_items",
    "live_mode",
    "original_amount",
    "original_amount_cents",
    "fractional",
    "status",
    "paid",
    "refunded",
    "order.created",
    "orders/transaction.created",
    "purchase_created",
    "created",
    "2026-01-10T20:15:09.000Z",
    "https://f.example/?clickid=%00&gclid=%ff#x?y",
    "{contact.id}",
    "[amount]",
    "USD",
    "JPY",
    "99999999999999999999999999999999",
    "1e-30",
    "platform_application",
    "funnel",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned),
        2 => ".{0,12}",
        1 => "\\PC{180,260}",
        1 => Just("\u{0}\u{202e}".to_owned()),
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("a number", |n| n.is_finite()).prop_map(|n| n.to_string()),
        "-?[1-9][0-9]{0,40}(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number.prop_map(|text| serde_json::from_str(&text).unwrap_or_default()),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((text(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// One change of a body: somewhere, something else.
#[derive(Clone, Debug)]
enum Change {
    Replace(Value),
    Drop,
    Rename(String),
    Add(String, Value),
    Repeat,
}

fn change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    let change = prop_oneof![
        3 => json().prop_map(Change::Replace),
        2 => Just(Change::Drop),
        1 => text().prop_map(Change::Rename),
        2 => (text(), json()).prop_map(|(name, value)| Change::Add(name, value)),
        1 => Just(Change::Repeat),
    ];
    (any::<prop::sample::Index>(), change)
}

fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
        _ => return,
    };
    for (name, child) in children {
        let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        pointers(child, &pointer, found);
        found.push(pointer);
    }
}

fn apply(body: &mut Value, index: prop::sample::Index, change: Change) {
    let mut all = Vec::new();
    pointers(body, "", &mut all);
    if all.is_empty() {
        return;
    }
    let pointer = &all[index.index(all.len())];
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/").replace("~0", "~");
    let target = body.pointer(pointer).unwrap().clone();
    let parent = body.pointer_mut(parent).unwrap();
    match (change, parent) {
        (Change::Replace(new), _) => *body.pointer_mut(pointer).unwrap() = new,
        (Change::Drop, Value::Object(fields)) => drop(fields.remove(&name)),
        (Change::Rename(new), Value::Object(fields)) => {
            fields.remove(&name);
            fields.insert(new, target);
        }
        (Change::Add(new, value), Value::Object(fields)) => drop(fields.insert(new, value)),
        (Change::Repeat, Value::Object(fields)) => {
            fields.insert(name.to_uppercase(), target);
        }
        (Change::Repeat, Value::Array(items)) => items.push(target),
        _ => {}
    }
}

fn query() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        prop::sample::select(
            &["click_id", "event_parameter", "payout", "currency", "txid", "email", "status"][..]
        )
        .prop_map(str::to_owned),
        text(),
    ];
    let pair = (name, text()).prop_map(|(name, value)| format!("{name}={value}"));
    prop_oneof![3 => prop::collection::vec(pair, 0..5).prop_map(|pairs| pairs.join("&")), 1 => ".{0,80}"]
}

/// What must hold of every intake, whatever is in it.
fn holds(query: &str, content_type: Option<&str>, body: &[u8]) {
    for kind in ["clickfunnels", "plain"] {
        let intake = Intake { content_type: content_type.map(str::to_owned), ..intake(query, body) };
        let Ok(decoded) = decode(&intake, &source(kind)) else { continue };
        let event = &decoded.event;
        let given = body.len() + query.len();
        let within = |what: &str, text: &str, most: usize| {
            assert!(text.len() <= most, "{what} has {} bytes", text.len());
        };
        within("the key", &event.key, 300);
        within("the type", &event.raw_type, 400);
        let claim = decoded.claim.as_ref();
        for key in [
            event.ledger_key.as_deref(),
            event.source_event_id.as_deref(),
            event.transaction.as_deref(),
            event.order.as_deref(),
            claim.map(|claim| claim.key.as_str()),
            claim.map(|claim| claim.subject.as_str()),
            event.person.contact.as_deref(),
        ] {
            within("a key", key.unwrap_or_default(), 300);
            assert!(!key.unwrap_or_default().contains('\0'));
        }
        let person = &event.person;
        let texts =
            [&event.name, &person.email, &person.phone, &event.foreign_click, &event.origin.funnel_name];
        for text in texts.into_iter().flatten() {
            within("a text", text, 1016);
        }
        assert!(
            decoded.visits.len() <= 15 && decoded.visits.iter().all(|visit| visit.parameters.len() <= 160)
        );
        assert!(decoded.order.iter().all(|order| order.products.len() <= 50));
        assert!(decoded.notes.iter().all(|(_, detail)| detail.len() <= 1000));
        let data = serde_json::to_string(&event.data).unwrap();
        // Control characters are escaped in six bytes, and a form's names have none in its own.
        assert!(data.len() <= 6 * given + 100, "{} bytes of data from {given}", data.len());
        let facts = event::Facts::new(event.clone());
        let wire = serde_json::to_string(&facts).unwrap();
        let back: event::Facts = serde_json::from_str(&wire).unwrap();
        assert_eq!(back, facts);
        assert_eq!(decode(&intake, &source(kind)).unwrap(), decoded, "it is not the same the second time");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn fuzz_bytes(query in query(), media in prop::option::of(".{0,20}"), body in prop::collection::vec(any::<u8>(), 0..200)) {
        holds(&query, media.as_deref(), &body);
    }

    #[test]
    fn fuzz_json(query in query(), body in json()) {
        holds(&query, Some("application/json"), body.to_string().as_bytes());
    }

    #[test]
    fn fuzz_a_fixture_with_changes(
        query in query(),
        index in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let mut body: Value = serde_json::from_slice(index.get::<Vec<u8>>(&FIXTURES[..])).unwrap();
        for (index, change) in changes {
            apply(&mut body, index, change);
        }
        holds(&query, None, body.to_string().as_bytes());
    }

    #[test]
    fn fuzz_a_fixture_with_other_bytes(
        index in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        others in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cuts in any::<bool>(),
    ) {
        let mut body = index.get(&FIXTURES[..]).clone();
        for (index, byte) in others {
            let at = index.index(body.len());
            body[at] = byte;
        }
        if cuts {
            body.truncate(cut.index(body.len()));
        }
        holds("", None, &body);
    }

    #[test]
    fn fuzz_placeholders_and_landing_pages(text in prop_oneof![text(), ".{0,60}", "[\\[{$]{0,2}[a-z.]{0,9}[\\]}]{0,2}"], body in json()) {
        if let Some(placeholder::Placeholder::Path(path)) = placeholder::parse(&text) {
            placeholder::resolve(&body, path);
            placeholder::resolve_classic(&body, path);
        }
        placeholder::KeyPart::all(&text);
        let visit = json!({"landing_page": text, "started_at": "2026-01-10T20:15:09Z"});
        let event = json!({"event_type": "order.created", "data": {"visits": {"last_visit": visit}}});
        holds("", None, event.to_string().as_bytes());
    }
}
