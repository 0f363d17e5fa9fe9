use super::*;
use crate::connector::{ClickSource, Webhook};
use crate::event::Visit;
use crate::time::Span;
use jiff::Timestamp;

/// Milliseconds after some noon.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_768_046_400_000 + millis).unwrap()
}

const DAY: i64 = 86_400_000;

/// A touch so long before the event, with this query.
fn touch(before: i64, query: &str) -> Touch {
    let visit = Visit {
        id: String::new(),
        at: at(-before),
        parameters: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        landing_page: None,
        referrer: None,
        device: None,
    };
    Touch::from(&visit)
}

/// The touches of a visitor at an event, the newest first.
fn history(touches: &[(i64, &str)]) -> History {
    let recent: Vec<Touch> = touches.iter().map(|(before, query)| touch(*before, query)).collect();
    History { first: recent.last().cloned(), recent, ..History::empty(at(0)) }
}

fn matching(parameter: &str, source: Option<(&str, &str)>, model: Model) -> ClickIdMatching {
    let source =
        source.map(|(parameter, value)| ClickSource { parameter: parameter.into(), value: value.into() });
    let window = Span(Duration::from_secs(14 * 86_400));
    ClickIdMatching { parameter: parameter.into(), source, model, window }
}

fn connector(id: &str, mode: Mode, matching: ClickIdMatching) -> Connector {
    let webhook: Webhook = serde_json::from_value(serde_json::json!({"url": "https://n.example/"})).unwrap();
    let connector = Connector::new(id.parse().unwrap(), "acme".parse().unwrap(), webhook);
    Connector { mode, click_id: Some(matching), ..connector }
}

/// What `aff` finds by each model, beside a platform `other`, one in Test mode and one that is Disabled.
fn found(history: &History, source: Option<(&str, &str)>) -> [String; 2] {
    [Model::LastClick, Model::AnyClick].map(|model| {
        let own = matching("aff", source, model);
        let connectors = [
            connector("own", Mode::Enabled, own.clone()),
            connector("other", Mode::Enabled, matching("oid", None, model)),
            connector("trial", Mode::Test, matching("tid", Some(("utm_source", "trial")), model)),
            connector("off", Mode::Disabled, matching("did", None, model)),
        ];
        let connectors: Vec<&Connector> = connectors.iter().collect();
        matched(&own, &connectors, history).map_or_else(|why| why.to_string(), str::to_owned)
    })
}

const NOT_LAST: &str = "the last click came from another source";
const TOO_OLD: &str = "the click is older than the window";
const NONE: &str = "no click is known that carries aff";
const UNFILLED: &str = "aff is a placeholder that nobody filled in";

#[test]
fn the_touch_that_counts_is_found_as_the_table_says() {
    type Row<'a> = (&'a [(i64, &'a str)], &'a str, &'a str);
    let table: [Row<'_>; 22] = [
        // The touches, the newest first; by the last click; by any click.
        (&[], NONE, NONE),
        (&[(5, "utm_source=x")], NONE, NONE),
        (&[(5, "aff=1")], "1", "1"),
        (&[(5, "AFF=1")], "1", "1"),
        (&[(5, "aff=+1+")], "1", "1"),
        (&[(5, "aff=2"), (9, "aff=1")], "2", "2"),
        // A direct visit is no click source, nor is one with utm values alone.
        (&[(5, ""), (9, "aff=1")], "1", "1"),
        (&[(5, "utm_source=mail"), (9, "aff=1")], "1", "1"),
        // Another connector's click, also one in Test mode, with its source's value; an ad platform's.
        (&[(5, "oid=7"), (9, "aff=1")], NOT_LAST, "1"),
        (&[(5, "tid=7&utm_source=trial"), (9, "aff=1")], NOT_LAST, "1"),
        (&[(5, "tid=7&utm_source=Trial"), (9, "aff=1")], "1", "1"),
        (&[(5, "tid=7"), (9, "aff=1")], "1", "1"),
        (&[(5, "gclid=7"), (9, "aff=1")], NOT_LAST, "1"),
        (&[(5, "fbclid=7"), (9, "aff=1")], NOT_LAST, "1"),
        (&[(5, "gclid=&oid="), (9, "aff=1")], "1", "1"),
        // A connector that is Disabled makes no click source.
        (&[(5, "did=7"), (9, "aff=1")], "1", "1"),
        // One touch of both is of both.
        (&[(5, "oid=7&aff=1")], "1", "1"),
        // What nobody filled in is no id, and hides none before it.
        (&[(5, "aff={click_id}")], UNFILLED, UNFILLED),
        (&[(5, "aff=%25cid%25"), (9, "aff=1")], "1", "1"),
        (&[(5, "aff="), (9, "aff=1")], "1", "1"),
        (&[(5, "aff=&aff=3")], "3", "3"),
        // Of a source that is newer and one of its own that is too old, the order is the first reason.
        (&[(5, "oid=7"), (15 * DAY, "aff=1")], NOT_LAST, TOO_OLD),
    ];
    for (touches, last, any) in table {
        assert_eq!(found(&history(touches), None), [last, any], "{touches:?}");
    }
}

#[test]
fn a_source_has_the_strict_value() {
    let strict = Some(("utm_source", "platform_x"));
    for (query, id) in [
        ("aff=1&utm_source=platform_x", "1"),
        ("aff=1&UTM_Source=platform_x", "1"),
        ("aff=1&utm_source=Platform_X", NONE),
        ("aff=1&utm_source=platform_x2", NONE),
        ("aff=1", NONE),
        ("utm_source=platform_x", NONE),
    ] {
        assert_eq!(found(&history(&[(5, query)]), strict), [id, id], "{query}");
    }
}

#[test]
fn the_window_is_inclusive_to_the_millisecond_and_measured_to_the_event() {
    let window = 14 * DAY;
    for (before, id) in
        [(window - 1, "1"), (window, "1"), (window + 1, TOO_OLD), (0, "1"), (-1, "1"), (-DAY, "1")]
    {
        assert_eq!(found(&history(&[(before, "aff=1")]), None), [id, id], "{before} ms before");
    }
    // What follows a sale is measured to the sale, which is where its history is.
    let sale = History { at: at(-20 * DAY), ..history(&[(21 * DAY, "aff=1")]) };
    assert_eq!(found(&sale, None), ["1", "1"]);
}

#[test]
fn of_touches_at_the_same_time_the_first_of_the_history_is_the_newer() {
    assert_eq!(found(&history(&[(5, "aff=1"), (5, "oid=7")]), None), ["1", "1"]);
    assert_eq!(found(&history(&[(5, "oid=7"), (5, "aff=1")]), None), [NOT_LAST, "1"]);
}

#[test]
fn the_id_that_our_own_redirect_gave_is_no_platforms() {
    let ours = ClickId::new();
    let mut history = history(&[(4, &format!("aff={ours}")), (5, "utm_source=x")]);
    assert_eq!(found(&history, None), [ours.to_string(), ours.to_string()], "it may be somebody's");
    history.recent[1].click = Some(ours);
    assert_eq!(found(&history, None), [NONE, NONE]);
}

#[test]
fn only_where_no_click_is_known_can_one_that_comes_late_help() {
    let parameter = "aff".to_owned();
    for (why, wants) in [
        (NoMatch::NoClick { parameter: parameter.clone() }, true),
        (NoMatch::Placeholder { parameter }, false),
        (NoMatch::NotTheLast, false),
        (NoMatch::TooOld, false),
    ] {
        assert_eq!(why.for_want_of_a_click(), wants, "{why}");
    }
}
