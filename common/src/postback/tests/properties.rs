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

/// What is told of a click's parameter: a blank, or a macro that nobody filled in, is none.
fn told(click: &str) -> &str {
    if crate::attribution::is_given(click) { click } else { "" }
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
        let click = told(&click);
        let own = [pair("one", &data), pair("two[x]", &format!("<{click}&{email}>")), pair("three", "const&ant")];
        let mut query = vec![pair("u", click), pair(&email, &data), pair("fixed", "1")];
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

/// A form and a JSON body that are written out, with what a value could want to break out of.
const FORM: &str =
    "fixed=1&one={{OWN}}&{{EMAIL}}=x&two[a]=%3C{{UTM_SOURCE}}%26{{EMAIL | append: OWN}}&last=2";
const JSON: &str = r#"{"fixed": 1, "list": ["{{OWN}}", {"deep": "<{{UTM_SOURCE}}\"{{EMAIL | append: OWN}}>"}],
    "number": "{{OWN | number}}", "maybe": ["{{OWN | optional}}"], "last": null}"#;

proptest! {
    #[test]
    fn a_body_that_is_written_out_parses_back_to_its_values(
        data in hostile::value(),
        click in hostile::value(),
        email in hostile::value(),
    ) {
        let sent = |encoding, text: &str| {
            let mut webhook = webhook(Method::Post, "https://net.example/", &[]);
            webhook.encoding = encoding;
            webhook.body = Some(text.to_owned());
            rendered(webhook, &facts_of(&data, &click, &email)).unwrap().body.unwrap().bytes
        };
        let told = told(&click);
        // Where a filter needs both and one is missing, there is no value.
        let both = if email.is_empty() || data.is_empty() { String::new() } else { format!("{email}{data}") };
        let form: Vec<_> = form_urlencoded::parse(&sent(Encoding::Form, FORM)).into_owned().collect();
        let two = format!("<{told}&{both}");
        let expected = [pair("fixed", "1"), pair("one", &data), pair(&email, "x"), pair("two[a]", &two), pair("last", "2")];
        prop_assert_eq!(form, expected);

        let json: Value = serde_json::from_slice(&sent(Encoding::Json, JSON)).unwrap();
        let number = serde_json::from_str::<Value>(&data).ok().filter(Value::is_number);
        let bare = number.filter(|number| {
            let written = number.to_string();
            written == data && !written.contains(['e', 'E'])
        });
        let mut expected = json!({"fixed": 1, "list": [data, {"deep": format!("<{told}\"{both}>")}],
            "number": bare.unwrap_or_else(|| data.clone().into()), "maybe": [data], "last": null});
        if data.is_empty() {
            expected.as_object_mut().unwrap().shift_remove("maybe");
        }
        prop_assert_eq!(json, expected);
    }

    #[test]
    fn filtered_values_add_nothing_to_a_request_either(
        data in hostile::value(),
        email in hostile::value(),
        filter in prop::sample::select(vec!["lower", "upper", "trim", "base64", "sha256", "append: EMAIL", "prepend: EMAIL",
            "default: EMAIL", "e164", "decimal: 2", "ts_iso", "date: \"&=%d\"", "optional"]),
    ) {
        let value = format!("{{{{OWN | {filter}}}}}");
        let url = format!("https://net.example:8443/a/x{value}/?q={value}&fixed=1");
        let mut webhook = webhook(Method::Get, &url.replace(" | optional}}/", "}}/"), &[("one", &value), ("two", "2")]);
        webhook.headers = vec![line("X-Own", &value), line("X-Fixed", "f")];
        let optional = filter == "optional" && data.is_empty();
        let postback = match rendered(webhook, &facts_of(&data, "", &email)) {
            Ok(postback) => postback,
            Err(Unrenderable::Url(Unfit::TooLong(_))) => return Ok(()),
            Err(why) => return Err(TestCaseError::fail(why.to_string())),
        };
        let (segments, pairs) = parsed(&postback.url);
        prop_assert_eq!(segments.len(), 3);
        prop_assert!(segments[0] == "a" && segments[1].starts_with('x') && segments[2].is_empty());
        let names: Vec<_> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        if optional {
            prop_assert_eq!(names, ["fixed", "two"]);
        } else {
            prop_assert_eq!(names, ["q", "fixed", "one", "two"]);
            prop_assert_eq!(&pairs[0].1, &pairs[2].1);
            prop_assert_eq!(&segments[1][1..], if filter == "optional" { &data } else { &pairs[0].1 });
        }
        let headers: Vec<_> = postback.headers.iter().map(|header| header.name.as_str()).collect();
        prop_assert_eq!(headers.len(), if optional { 2 } else { 3 });
        prop_assert!(postback.headers.iter().all(|header| is_printable(&header.value)));
    }

    #[test]
    fn no_value_shows_a_secret(data in hostile::value(), secret in "[A-Za-z0-9+/=%& ]{8,40}") {
        let mut webhook = everywhere(Method::Post, Encoding::Json);
        webhook.secrets = [("key".to_owned(), SecretRef::Env("KEY".to_owned()))].into();
        webhook.url.push_str("&k={{secret.key}}&own={{OWN}}");
        webhook.parameters.push(Parameter { name: "s".to_owned(), value: "{{OWN | prepend: secret.key}}".to_owned() });
        webhook.headers.push(line("X-Key", "k={{secret.key}}"));
        let facts = facts_of(&data, &data, "jane@example.com");
        prop_assume!(!data.contains(&secret));
        let Ok(postback) = rendered_with(webhook, &facts, &|_| Ok(secret.clone())) else { return Ok(()) };
        let shown = format!("{} {:?} {}", postback.masked_url(), postback.masked_headers(), postback.masked_body().unwrap());
        prop_assert!(!shown.contains(&secret), "{}", shown);
        prop_assert!(!percent_decode_str(&shown).decode_utf8_lossy().contains(&secret), "{}", shown);
    }
}

#[test]
fn a_value_of_a_megabyte_travels_in_a_body() {
    let value = "\u{202e}&%\r\n\0\"😀".repeat(80_000);
    assert!(value.len() > 1_000_000);
    for encoding in [Encoding::Form, Encoding::Json] {
        let mut flat = webhook(Method::Post, "https://net.example/", &[("one", "{{OWN}}")]);
        flat.encoding = encoding;
        let body = rendered(flat, &facts_of(&value, "", "")).unwrap().body.unwrap();
        let read = match encoding {
            Encoding::Form => form_urlencoded::parse(&body.bytes).next().unwrap().1.into_owned(),
            Encoding::Json => {
                serde_json::from_slice::<Value>(&body.bytes).unwrap()["one"].as_str().unwrap().to_owned()
            }
        };
        assert!(read == value);
        let mut webhook = webhook(Method::Post, "https://net.example/", &[]);
        webhook.encoding = encoding;
        webhook.body =
            Some(if encoding == Encoding::Json { r#"["{{OWN}}"]"# } else { "one={{OWN}}" }.to_owned());
        let body = rendered(webhook, &facts_of(&value, "", "")).unwrap().body.unwrap().bytes;
        let read = match encoding {
            Encoding::Form => form_urlencoded::parse(&body).next().unwrap().1.into_owned(),
            Encoding::Json => serde_json::from_slice::<[String; 1]>(&body).unwrap()[0].clone(),
        };
        assert!(read == value, "written out");
    }
}
