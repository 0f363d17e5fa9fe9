//! Whatever an event holds, the request parses back to exactly that, and to nothing more.

use super::*;
use crate::template::hostile;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

/// Facts whose values are these: one in the data, one in a click's parameter, one in a field of the event.
fn facts_of(data: &str, click: &str, email: &str) -> Facts {
    let mut facts = facts();
    facts.event.data = json!({"own": data});
    facts.click.as_mut().unwrap().parameters = vec![("utm_source".to_owned(), click.to_owned())];
    facts.event.person.email = Some(email.to_owned());
    facts
}

fn everywhere(method: Method, encoding: Encoding) -> Webhook {
    let url = "https://net.example:8443/a/{{OWN}}/x-{{EMAIL}}/?u={utm_source}&{{EMAIL}}={{own}}&fixed=1";
    let parameters = [("one", "{{OWN}}"), ("two[x]", "<{{UTM_SOURCE}}&{{EMAIL}}>"), ("three", "const&ant")];
    let mut webhook = webhook(method, url, &parameters);
    webhook.encoding = encoding;
    webhook.headers = vec![line("X-Own", "{{OWN}}"), line("X-Two", "a={{EMAIL}};b={{UTM_SOURCE}}")];
    webhook
}

/// What the receiver has of the URL: the segments and the pairs, decoded as the standards say.
fn parsed(url: &Url) -> (Vec<String>, Vec<(String, String)>) {
    // Parsed from text, as the receiver's side would.
    let url = Url::parse(url.as_str()).unwrap();
    assert_eq!((url.scheme(), url.host_str(), url.port()), ("https", Some("net.example"), Some(8443)));
    assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
    let segments = url.path_segments().unwrap().map(decoded).collect();
    (segments, url.query_pairs().into_owned().collect())
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

proptest! {
    #[test]
    fn a_rendered_request_parses_back_to_its_values(
        data in hostile::value(),
        click in hostile::value(),
        email in hostile::value(),
        form in prop::sample::select(vec![(Method::Get, Encoding::Form), (Method::Post, Encoding::Form), (Method::Post, Encoding::Json)]),
    ) {
        let (method, encoding) = form;
        let postback = match rendered(everywhere(method, encoding), &facts_of(&data, &click, &email)) {
            Ok(postback) => postback,
            Err(Unrenderable::Url(Unfit::DotSegment(2))) => {
                prop_assert!(data == "." || data == "..");
                return Ok(());
            }
            Err(Unrenderable::Url(Unfit::TooLong(_))) => return Ok(()),
            Err(why) => return Err(TestCaseError::fail(why.to_string())),
        };
        let own = [pair("one", &data), pair("two[x]", &format!("<{click}&{email}>")), pair("three", "const&ant")];
        let mut query = vec![pair("u", &click), pair(&email, &data), pair("fixed", "1")];
        if method == Method::Get {
            query.extend(own.clone());
        }
        let (segments, pairs) = parsed(&postback.url);
        prop_assert_eq!(segments, ["a".to_owned(), data.clone(), format!("x-{email}"), String::new()]);
        prop_assert_eq!(pairs, query);

        let body = postback.body.as_ref().map(|body| match encoding {
            Encoding::Form => form_urlencoded::parse(&body.bytes).into_owned().collect::<Vec<_>>(),
            Encoding::Json => {
                let object: serde_json::Map<String, Value> = serde_json::from_slice(&body.bytes).unwrap();
                object.into_iter().map(|(name, value)| (name, value.as_str().unwrap().to_owned())).collect()
            }
        });
        prop_assert_eq!(body, (method == Method::Post).then(|| own.to_vec()));

        // Written as HTTP/1.1 and read by its rules: as many lines as headers, each with its own value.
        let wire: String = postback.headers.iter().map(|header| format!("{}: {}\r\n", header.name, header.value)).collect();
        let read: Vec<(&str, String)> = wire
            .split_terminator(['\r', '\n'])
            .filter(|line| !line.is_empty())
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name, decoded(value.trim_matches([' ', '\t']))))
            .collect();
        let two = format!("a={email};b={click}");
        prop_assert_eq!(read, [("X-Own", data), ("X-Two", two), (IDEMPOTENCY_KEY, DELIVERY.to_owned())]);
    }
}

#[test]
fn a_value_of_a_megabyte_travels_in_a_body() {
    let value = "\u{202e}&%\r\n\0\"😀".repeat(80_000);
    assert!(value.len() > 1_000_000);
    for encoding in [Encoding::Form, Encoding::Json] {
        let mut webhook = webhook(Method::Post, "https://net.example/", &[("one", "{{OWN}}")]);
        webhook.encoding = encoding;
        let body = rendered(webhook, &facts_of(&value, "", "")).unwrap().body.unwrap();
        let read = match encoding {
            Encoding::Form => form_urlencoded::parse(&body.bytes).next().unwrap().1.into_owned(),
            Encoding::Json => {
                serde_json::from_slice::<Value>(&body.bytes).unwrap()["one"].as_str().unwrap().to_owned()
            }
        };
        assert!(read == value);
    }
}
