//! What a click says of whoever clicked, and what it must not.

use super::*;
use carom_common::click::{Device, NotATouch};

#[tokio::test]
async fn a_click_says_what_and_where_it_came_from() {
    const IPHONE: (&str, &str) = (
        "user-agent",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) Version/17.6 Mobile/15E148 Safari/604.1",
    );
    const SPOOFED: (&str, &str) = ("x-forwarded-for", "198.51.100.77");
    let relay = relay(Broker::Confirms, |limits| {
        limits.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    });
    // Who connects, what the header says, the country, the network.
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>, Option<&'a str>);
    let table: &[Row<'_>] = &[
        ("203.0.113.5", &[], Some("FR"), Some("203.0.113.0/24")),
        ("203.0.113.5", &[SPOOFED], Some("FR"), Some("203.0.113.0/24")),
        ("::ffff:203.0.113.5", &[], Some("FR"), Some("203.0.113.0/24")),
        ("10.1.2.3", &[SPOOFED], Some("DE"), Some("198.51.100.0/24")),
        ("10.1.2.3", &[("x-forwarded-for", "2001:db8:7:1::1")], Some("JP"), Some("2001:db8:7::/48")),
        ("10.1.2.3", &[("x-forwarded-for", "192.0.3.1")], None, Some("192.0.3.0/24")),
        ("10.1.2.3", &[], None, None),
    ];
    for (peer, headers, country, network) in table {
        let answered =
            relay.ask_from(peer, "GET", "/c/shoes?gclid=g", &[headers, &[IPHONE][..]].concat(), "").await;
        assert_eq!(answered.status, 302);
        let click = relay.last_click();
        assert_eq!(click.country.as_deref(), *country, "{peer} {headers:?}");
        assert_eq!(
            click.address.map(|network| network.to_string()).as_deref(),
            *network,
            "{peer} {headers:?}"
        );
        assert_eq!((click.device, click.gpc, click.not_a_touch), (Some(Device::Mobile), false, None));
    }
}

#[tokio::test]
async fn who_is_no_person_is_tagged_and_counted_and_redirected_all_the_same() {
    let relay = relay(Broker::Confirms, |_| {});
    const BROWSER: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0";
    let table = [
        ("GET", vec![("user-agent", BROWSER)], None),
        ("HEAD", vec![("user-agent", BROWSER)], Some(NotATouch::Head)),
        ("OPTIONS", vec![("user-agent", BROWSER)], Some(NotATouch::Options)),
        ("GET", vec![("user-agent", BROWSER), ("sec-purpose", "prefetch")], Some(NotATouch::Prefetch)),
        ("GET", vec![], Some(NotATouch::EmptyUserAgent)),
        ("GET", vec![("user-agent", "Slackbot-LinkExpanding 1.0")], Some(NotATouch::LinkPreview)),
        ("GET", vec![("user-agent", "curl/8.5.0")], Some(NotATouch::Bot)),
    ];
    for (method, headers, reason) in table {
        let answered = relay.ask(method, "/c/shoes", &headers, "").await;
        let click = relay.last_click();
        assert_eq!(answered.status, 302, "{method} {headers:?}");
        assert!(answered.headers["location"].to_str().unwrap().contains(&click.id.to_string()));
        assert_eq!(click.not_a_touch, reason, "{method} {headers:?}");
        if let Some(reason) = reason {
            let counter = &relay.app.metrics.clicks_not_touches;
            assert_eq!(counter.with_label_values(&[reason.as_str()]).get(), 1, "{reason:?}");
        }
    }
}

#[tokio::test]
async fn a_browser_that_asks_not_to_be_followed_is_not() {
    let relay = relay(Broker::Confirms, |_| {});
    let visitor = "0d4d5f6e-8a52-4c8e-9b57-2f3a1c0de111";
    let cookie = format!("carom_visitor={visitor}");
    let headers = [UA, ("sec-gpc", "1"), ("cookie", &*cookie)];
    let answered = relay.ask("GET", "/c/shoes?utm_source=mail", &headers, "").await;
    assert_eq!(answered.status, 302);
    assert!(!answered.headers.contains_key("set-cookie"));
    let first = relay.last_click();
    assert_ne!(first.visitor.to_string(), visitor);
    assert_eq!((first.gpc, first.address, first.country.as_deref()), (true, None, Some("FR")));
    assert_eq!(first.parameter("utm_source"), Some("mail"));
    relay.ask("GET", "/c/shoes", &headers, "").await;
    assert_ne!(relay.last_click().visitor, first.visitor, "no two clicks of theirs are joined");

    relay.ask("POST", "/api/v1/events/other?a=1", &headers[1..], "").await;
    assert_eq!(relay.last_intake().visitor, None);
    relay.ask("POST", "/api/v1/events/other?a=1", &headers[2..], "").await;
    assert_eq!(relay.last_intake().visitor.unwrap().to_string(), visitor);
}
