use super::*;
use crate::attribution::Named;
use crate::click::Click;
use crate::id::{ClickId, EventId, VisitorId};
use crate::intake::Body;
use crate::resources::Resources;
use crate::store::{Marker, Progress};
use serde_json::json;

fn rules() -> Rules {
    let resources: Resources = serde_json::from_value(json!({
        "advertiser": [{"id": "acme"}],
        "source": [{"id": "shop", "advertiser": "acme", "kind": "plain", "open": true}],
        "offer": [{"id": "demo", "advertiser": "acme", "tracking_url": "https://f.example/"}],
        "connector": [{"id": "network", "advertiser": "acme", "triggers": ["conversion"], "webhook": {"url": "https://n.example/"}}],
    }))
    .unwrap();
    Rules {
        roster: Arc::new(Roster::new(1, Arc::new(resources))),
        schedule: Schedule::default(),
        parking: Duration::from_secs(900),
        hasher: Hasher::new(b"key"),
    }
}

fn now() -> Timestamp {
    "2026-01-10T12:00:00Z".parse().unwrap()
}

fn intake(query: &str) -> Intake {
    Intake {
        id: EventId::new(),
        source: "shop".parse().unwrap(),
        verified: Default::default(),
        received_at: now(),
        query: query.into(),
        content_type: None,
        body: Body::default(),
        visitor: None,
        parked: None,
        key: None,
        told: None,
    }
}

fn candidate(intake: Intake) -> Candidate {
    match read(intake, &rules(), now()) {
        Read::Candidate(candidate) => *candidate,
        Read::Letter(letter) => panic!("{}", letter.detail),
        Read::Visit(_) | Read::Reports(_) => panic!("it is no event"),
    }
}

fn click(id: ClickId) -> Click {
    let at = "2026-01-10T11:00:00Z".parse().unwrap();
    Click { id, ..Click::new("acme".parse().unwrap(), "demo".parse().unwrap(), VisitorId::new(), at) }
}

fn codes(resolution: &Resolution) -> Vec<&'static str> {
    resolution.decisions.iter().map(|decision| decision.code.as_str()).collect()
}

#[test]
fn a_purchase_with_its_click_becomes_a_delivery_and_every_step_is_traced() {
    let id = ClickId::new();
    let candidate = candidate(intake(&format!("click_id={id}&event_parameter=purchase&payout=5&txid=1")));
    let known = Known { named_click: Some(click(id)), ..Known::default() };
    let resolution = decide(&candidate, &known, &rules(), now());
    assert_eq!(codes(&resolution), ["received", "decoded", "click_found", "conversion", "selected"]);
    let Verdict::Decide(decided) = resolution.verdict else { panic!("not decided") };
    assert_eq!(decided.deliveries.len(), 1);
    assert_eq!(decided.click.unwrap().id, id);
}

#[test]
fn an_unknown_click_is_waited_for_by_timers_that_fit_and_then_done_without() {
    let query = format!("click_id={}&event_parameter=purchase", ClickId::new());
    for (parking, expected) in [(900, vec!["15m"]), (1_000, vec!["15m", "1m", "15s", "15s", "1s"])] {
        let rules = Rules { parking: Duration::from_secs(parking), ..rules() };
        let mut tiers = Vec::new();
        let mut waited = 0;
        let mut parked = None;
        let last = loop {
            let at = now() + SignedDuration::from_secs(waited);
            let intake = Intake { parked, ..intake(&query) };
            let Verdict::Park(park) =
                decide(&candidate(intake.clone()), &Known::default(), &rules, at).verdict
            else {
                break decide(&candidate(intake), &Known::default(), &rules, at);
            };
            let tier = park.tier.unwrap();
            tiers.push(tier.to_string());
            waited += i64::try_from(tier.delay().as_secs()).unwrap();
            parked = Some(park.parked);
        };
        assert_eq!(tiers[..expected.len().min(tiers.len())], expected[..expected.len().min(tiers.len())]);
        assert!(waited >= i64::try_from(parking).unwrap());
        assert_eq!(codes(&last), ["parking_over", "click_unknown", "conversion", "selected"]);
    }
}

#[test]
fn a_released_event_that_must_wait_on_needs_no_second_timer() {
    let parked = Some(Parked { since: now(), times: 1, released: true });
    let query = format!("click_id={}&event_parameter=purchase", ClickId::new());
    let released = candidate(Intake { parked, ..intake(&query) });
    let Verdict::Park(park) = decide(&released, &Known::default(), &rules(), now()).verdict else { panic!() };
    assert_eq!((park.tier, park.parked.times), (None, 2));
}

#[test]
fn what_names_no_click_of_ours_is_not_late_for_it() {
    for query in [
        "event_parameter=purchase",
        "click_id=01JD3V7Q9ZK4T8M2N5X6C7B8A9&event_parameter=purchase",
        "click_id={click_id}",
    ] {
        let resolution = decide(&candidate(intake(query)), &Known::default(), &rules(), now());
        assert!(matches!(resolution.verdict, Verdict::Decide(_)), "{query}");
    }
}

#[test]
fn a_sale_whose_later_report_names_no_click_keeps_the_one_it_has() {
    let id = ClickId::new();
    let pending = candidate(intake(&format!("click_id={id}&event_parameter=purchase&status=pending&txid=1")));
    let known = Known { named_click: Some(click(id)), ..Known::default() };
    let Verdict::Decide(first) = decide(&pending, &known, &rules(), now()).verdict else { panic!() };
    let known = Known { conversion: first.conversion, conversion_click: Some(click(id)), ..Known::default() };
    let approved = candidate(intake("event_parameter=purchase&txid=1"));
    let Verdict::Decide(second) = decide(&approved, &known, &rules(), now()).verdict else { panic!() };
    assert_eq!(second.deliveries[0].facts.click.as_ref().map(|click| click.id), Some(id));
}

#[test]
fn an_intake_that_comes_again_resumes_and_another_of_the_same_event_is_a_duplicate() {
    let candidate = candidate(intake("event_parameter=purchase&txid=1"));
    let marker =
        |event| Known { marker: Some(Marker { event, progress: Progress::Decided }), ..Known::default() };
    let resumed = decide(&candidate, &marker(candidate.event.id), &rules(), now());
    assert!(matches!(resumed.verdict, Verdict::Resume(_)));
    let first = EventId::new();
    let duplicate = decide(&candidate, &marker(first), &rules(), now());
    assert!(matches!(duplicate.verdict, Verdict::Duplicate { first: of } if of == first));
}

#[test]
fn an_intake_of_a_source_that_is_gone_is_a_letter_that_can_be_replayed() {
    let gone = Intake { source: "gone".parse().unwrap(), ..intake("a=1") };
    let Read::Letter(letter) = read(gone, &rules(), now()) else { panic!() };
    assert_eq!((letter.reason, letter.queue.as_str()), (Reason::SourceRemoved, "carom.events"));
}

#[test]
fn a_click_id_that_is_still_a_macro_is_told_as_one() {
    let candidate = candidate(intake("click_id=%7Bclick_id%7D&event_parameter=lead"));
    assert!(matches!(candidate.named, Named::Placeholder(_)));
    let resolution = decide(&candidate, &Known::default(), &rules(), now());
    assert!(codes(&resolution).contains(&"unresolved_macro"));
}

#[test]
fn secrets_are_masked_before_there_is_a_candidate_and_a_kept_key_stands() {
    let masked = candidate(intake("event=purchase&txid=1&password=hunter2&note=4111111111111111"));
    assert_eq!(masked.event.data["password"], "…");
    assert_eq!(masked.event.data["note"], "…1111");
    let told: Vec<_> = masked.decisions.iter().filter(|one| one.code == Code::Redacted).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].detail, "2 values in its data");
    let clean = candidate(intake("event=purchase&txid=1"));
    assert!(clean.decisions.iter().all(|one| one.code != Code::Redacted));

    let again = candidate(Intake { key: Some("as it was read".into()), ..intake("txid=1") });
    assert_eq!(again.event.key, "as it was read");
}

#[test]
fn a_letter_holds_no_secrets() {
    let Read::Letter(letter) =
        read(Intake { source: "gone".parse().unwrap(), ..intake("password=hunter2") }, &rules(), now())
    else {
        panic!("there is no such source");
    };
    assert!(!serde_json::to_string(&letter).unwrap().contains("hunter2"));
}

#[test]
fn a_parameter_beside_a_signed_body_counts_for_nothing() {
    let mut rules = rules();
    let signed = json!({"scheme": "hmac", "header": "x-signature", "secrets": [{"env": "SECRET"}]});
    let mut resources = Resources::clone(rules.roster.resources());
    resources.sources[0].open = false;
    resources.sources[0].signature = Some(serde_json::from_value(signed).unwrap());
    rules.roster = Arc::new(Roster::new(1, Arc::new(resources)));
    let body = Body(b"event=purchase&txid=1&payout=5".to_vec());
    let intake = Intake { body, ..intake("payout=5000&txid=2&click_id=abc") };
    let Read::Candidate(candidate) = read(intake, &rules, now()) else { panic!() };
    assert_eq!(candidate.event.value.unwrap().amount.to_string(), "5");
    assert_eq!(candidate.claim.unwrap().key, "txid:1");
}
