use super::*;
use crate::click::Device;
use crate::id::{ClickId, VisitorId};
use crate::template::hostile;
use proptest::prelude::*;
use url::Url;

fn click(parameters: &[(&str, &str)]) -> Click {
    let visitor = "018f0000-0000-7000-8000-000000000001".parse::<VisitorId>().unwrap();
    let at = "2026-01-10T20:00:00Z".parse().unwrap();
    Click {
        id: "018f0000-0000-7000-8000-00000000ABCD".parse::<ClickId>().unwrap(),
        parameters: parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        referrer: Some("https://blog.example/?a=1&b=2".to_owned()),
        device: Some(Device::Mobile),
        country: Some("DE".to_owned()),
        ..Click::new("acme".parse().unwrap(), "summer".parse().unwrap(), visitor, at)
    }
}

fn offer(tracking_url: &str) -> Offer {
    Offer {
        id: "summer".parse().unwrap(),
        advertiser: "acme".parse().unwrap(),
        name: String::new(),
        tracking_url: tracking_url.to_owned(),
        target: default_target(),
        attribution_window: default_window(),
        payout: vec![],
        payout_default: None,
    }
}

#[test]
fn a_tracking_urls_macros_are_filled_for_their_place() {
    let click = click(&[
        ("utm_source", "a&b"),
        ("GCLID", "g/1"),
        ("sub1", "one"),
        ("sub1", "two"),
        ("x-y", "é"),
        ("country", "FR"),
    ]);
    for (template, location) in [
        ("https://f/p?clickid={click_id}", "https://f/p?clickid=018f0000-0000-7000-8000-00000000abcd"),
        ("https://f/{offer}/{offer_id}/{target}", "https://f/summer/summer/main"),
        ("https://f/?v={visitor}", "https://f/?v=018f0000-0000-7000-8000-000000000001"),
        (
            "https://f/?r={referrer}&u={user_agent}.",
            "https://f/?r=https%3A%2F%2Fblog.example%2F%3Fa%3D1%26b%3D2&u=.",
        ),
        ("https://f/{utm_source}/{gclid}?s={sub1}&t={sub2}", "https://f/a%26b/g%2F1?s=one&t="),
        ("https://f/?a={param.x-y}&b={param.nope}", "https://f/?a=%C3%A9&b="),
        ("https://f/{country}?d={device}&p={param.country}", "https://f/DE?d=mobile&p=FR"),
        ("https://f/?a=[click_id]", "https://f/?a=[click_id]"),
        ("https://f/page#top", "https://f/page#top"),
    ] {
        assert_eq!(offer(template).location(&click).unwrap(), location, "{template}");
        assert_eq!(offer(template).faults(), []);
    }
}

#[test]
fn an_offers_faults_say_what_would_be_right() {
    for (template, told) in [
        ("https://f/?a={foo}", "tracking_url: unknown macro {foo}; known are {click_id}, {offer}"),
        ("https://f/?a={{click_id}}", "tracking_url: `{{click_id}}` is written with double braces"),
        ("https://f/?a={value}", "unknown macro {value}"),
        ("https://{offer}/", "a macro stands in the URL's host or port"),
        ("https://f/#{click_id}", "a macro stands in the URL's fragment"),
        ("javascript:alert(1)", "does not begin with http"),
    ] {
        let faulty = offer(template);
        assert!(faulty.faults()[0].to_string().contains(told), "{:?}", faulty.faults());
        let refused = faulty.location(&click(&[])).unwrap_err();
        assert_eq!(refused, Unsendable::Faulty(faulty.faults()));
    }
}

#[test]
fn a_click_cannot_lead_to_another_path() {
    let refused = offer("https://f/{sub1}/x").location(&click(&[("sub1", "..")])).unwrap_err();
    assert_eq!(refused, Unsendable::Unfit(Unfit::DotSegment(1)));
}

proptest! {
    #[test]
    fn whatever_a_click_brings_arrives_as_it_is_and_where_it_should(one in hostile::value(), two in hostile::value()) {
        let click = click(&[("sub1", &one), ("x", &two)]);
        let template = "https://funnel.example:8443/a/{sub1}-/{param.x}?c={sub1}&{param.x}={click_id}&last=1";
        match offer(template).location(&click) {
            Ok(location) => {
                prop_assert!(location.is_ascii() && !location.contains(char::is_control));
                let url = Url::parse(&location).unwrap();
                prop_assert_eq!(url.host_str(), Some("funnel.example"));
                prop_assert_eq!(url.port(), Some(8443));
                let segments: Vec<_> = url.path_segments().unwrap()
                    .map(|s| percent_encoding::percent_decode_str(s).decode_utf8().unwrap().into_owned()).collect();
                prop_assert_eq!(segments, ["a".to_owned(), format!("{one}-"), two.clone()]);
                let pairs: Vec<_> = url.query_pairs().into_owned().collect();
                let expected = [("c".to_owned(), one), (two, click.id.to_string()), ("last".to_owned(), "1".to_owned())];
                prop_assert_eq!(pairs, expected);
            }
            Err(Unsendable::Unfit(Unfit::DotSegment(_))) => prop_assert!(two == "." || two == ".."),
            Err(other) => prop_assert!(matches!(other, Unsendable::Unfit(Unfit::TooLong(_))), "{}", other),
        }
    }
}
