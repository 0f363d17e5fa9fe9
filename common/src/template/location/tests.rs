use super::*;
use crate::template::catalogue::{CONNECTOR, OFFER};
use crate::template::hostile;
use crate::template::tests::Given;
use proptest::prelude::*;

fn given(values: &[(&'static str, &str)]) -> Given {
    Given(values.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
}

fn filled(template: &str, values: &[(&'static str, &str)]) -> Result<String, Unfit> {
    let location = Location::parse("url", template, &CONNECTOR).unwrap();
    location.fill(&given(values), Vec::new(), Empty::Keep).map(|filled| filled.url.into())
}

#[test]
fn urls_that_cannot_be_sent_as_written_are_refused() {
    for (url, problem) in [
        ("", "does not begin with http"),
        ("example.com/x", "does not begin with http"),
        ("ftp://example.com/", "does not begin with http"),
        ("{{VALUE}}", "does not begin with http"),
        ("{{VALUE}}://example.com/", "does not begin with http"),
        ("http{{VALUE}}://example.com/", "does not begin with http"),
        ("https:/example.com/", "does not begin with http"),
        ("https:///example.com/", "there is none"),
        ("https://", "there is none"),
        ("https://?x=1", "there is none"),
        ("https://{{VALUE}}.example.com/", "host or port"),
        ("https://example.com:{{VALUE}}/", "host or port"),
        ("https://example.com[value]/", "host or port"),
        ("https://{tracking_domain}/x", "`{` cannot stand in it"),
        ("https://example.com:99999/", "cannot be read"),
        ("https://exa mple.com/", "a space"),
        ("https://example.com\\@evil.example/", "user or password"),
        ("https://example.com\\evil.example/", "cannot stand in it"),
        ("https://example.com%2fevil/", "cannot stand in it"),
        ("https://user:pass@example.com/", "user or password"),
        ("https://user@example.com/", "user or password"),
        ("https://example.com/#{{VALUE}}", "fragment"),
        ("https://example.com/#a=[value]", "fragment"),
        ("https://example.com/a b", "a space"),
        ("https://example.com/ ", "a space"),
        (" https://example.com/", "does not begin with http"),
        ("https://example.com/a\nb", "a control character"),
        ("https://example.com/?a=\t{{VALUE}}", "a control character"),
        ("https://example.com/a\\b", "a backslash"),
        ("https://example.com/a/../b", "dot segment"),
        ("https://example.com/%2E", "dot segment"),
        ("https://example.com/{{VALUE", "never ends"),
    ] {
        let faults = Location::parse("url", url, &CONNECTOR).unwrap_err();
        assert!(faults.iter().any(|fault| fault.problem.contains(problem)), "{url}: {faults:?}");
        assert!(faults.iter().all(|fault| fault.key == "url" && !fault.remedy.is_empty()), "{url}");
    }
}

#[test]
fn all_faults_of_a_url_are_told_at_once() {
    let faults = Location::parse("url", "https://{{VALUE}}/a b/./c#{{VALUE}}", &CONNECTOR).unwrap_err();
    assert_eq!(faults.len(), 4, "{faults:?}");
}

#[test]
fn what_the_operator_wrote_stays_as_written() {
    for (template, url) in [
        ("https://Example.COM", "https://example.com/"),
        ("HTTPS://example.com:443?x=1", "https://example.com/?x=1"),
        ("http://example.com:8080/a/", "http://example.com:8080/a/"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("https://h/a%2Fb;c=d,e/@f:g?x=%26+y&&z&=w#frag", "https://h/a%2Fb;c=d,e/@f:g?x=%26+y&&z&=w#frag"),
        ("https://h/p?", "https://h/p?"),
        ("https://h/p?a[x]=1&filter[status]=[status]", "https://h/p?a[x]=1&filter[status]=sold"),
        ("https://h/p?a={clikid}", "https://h/p?a={clikid}"),
        ("https://h//x//{{VALUE}}", "https://h//x//15"),
        ("https://h/v:{value}/s-[status]?[status]", "https://h/v:15/s-sold?sold"),
        ("https://h/?{status}={{VALUE}}=", "https://h/?sold=15="),
        ("https://h/?u=https://other/?q=1", "https://h/?u=https://other/?q=1"),
    ] {
        let values = [("VALUE", "15"), ("STATUS", "sold")];
        assert_eq!(filled(template, &values).unwrap(), url, "{template}");
    }
}

#[test]
fn a_value_stays_in_its_segment_or_parameter() {
    let template = "https://h/a/{{VALUE}}/b?x={{VALUE}}&y=1";
    for (value, url) in [
        ("", "https://h/a//b?x=&y=1"),
        ("c/../d?e#f", "https://h/a/c%2F..%2Fd%3Fe%23f/b?x=c%2F..%2Fd%3Fe%23f&y=1"),
        ("1&y=2", "https://h/a/1%26y%3D2/b?x=1%26y%3D2&y=1"),
        ("...", "https://h/a/.../b?x=...&y=1"),
        ("%2e%2e", "https://h/a/%252e%252e/b?x=%252e%252e&y=1"),
    ] {
        assert_eq!(filled(template, &[("VALUE", value)]).unwrap(), url, "{value}");
    }
}

#[test]
fn a_value_cannot_make_a_dot_segment() {
    for (template, value, refused) in [
        ("https://h/a/{{VALUE}}/b", "..", true),
        ("https://h/a/{{VALUE}}", ".", true),
        ("https://h/{{VALUE}}", "..", true),
        ("https://h/.{{VALUE}}", ".", true),
        ("https://h/.{{VALUE}}", "", true),
        ("https://h/%2e{{VALUE}}", ".", true),
        ("https://h/%2E{{VALUE}}", "", true),
        ("https://h/.{{VALUE}}", "x", false),
        ("https://h/{{VALUE}}", "%2e%2e", false),
        ("https://h/?x={{VALUE}}", "..", false),
    ] {
        let made = filled(template, &[("VALUE", value)]);
        assert_eq!(matches!(made, Err(Unfit::DotSegment(_))), refused, "{template} {value}: {made:?}");
    }
}

#[test]
fn a_url_is_at_most_as_long_as_the_client_can_carry() {
    let longest = "x".repeat(URL_MAX - "https://h/".len());
    assert!(filled("https://h/{{VALUE}}", &[("VALUE", &longest)]).is_ok());
    let made = filled("https://h/{{VALUE}}", &[("VALUE", &format!("{longest}x"))]);
    assert_eq!(made, Err(Unfit::TooLong(URL_MAX + 1)));
}

#[test]
fn more_parameters_follow_those_of_the_template() {
    for (template, url) in [
        ("https://h/p", "https://h/p?a%20b=1%262&c="),
        ("https://h/p?", "https://h/p?a%20b=1%262&c="),
        ("https://h/p?x=1", "https://h/p?x=1&a%20b=1%262&c="),
        ("https://h/p?x=1&#f", "https://h/p?x=1&&a%20b=1%262&c=#f"),
        ("https://h", "https://h/?a%20b=1%262&c="),
        ("https://h/?{{VALUE}}", "https://h/?&a%20b=1%262&c="),
    ] {
        let location = Location::parse("url", template, &CONNECTOR).unwrap();
        let mut value = Rendered::default();
        value.push("1&2");
        let more = vec![("a b", value), ("c", Rendered::default())];
        let made = location.fill(&given(&[("VALUE", "")]), more, Empty::Keep).unwrap();
        assert_eq!(made.url.as_str(), url, "{template}");
    }
}

#[test]
fn the_last_check_sees_a_url_that_is_not_the_templates() {
    let location = Location::parse("url", "https://h:8443/a/b?x=1", &CONNECTOR).unwrap();
    for (url, broken) in [
        ("https://h:8443/a/b?x=1", None),
        ("https://h:8443/c/d?y=2", None),
        ("http://h:8443/a/b?x=1", Some("host")),
        ("https://i:8443/a/b?x=1", Some("host")),
        ("https://h:8444/a/b?x=1", Some("host")),
        ("https://u@h:8443/a/b?x=1", Some("host")),
        ("https://h:8443/a/b/c?x=1", Some("path")),
        ("https://h:8443/a?x=1", Some("path")),
        ("https://h:8443/a/b?x=1&y=2", Some("query")),
        ("https://h:8443/a/b", Some("query")),
        ("https://h:8443/a/b?x=1#f", Some("fragment")),
    ] {
        let url = Url::parse(url).unwrap();
        assert_eq!(
            location.compare(&url, 1),
            broken.map_or(Ok(()), |what| Err(Unfit::Structure(what))),
            "{url}"
        );
    }
}

#[test]
fn this_machine_is_known_by_its_names() {
    for (url, here) in [
        ("http://localhost/", true),
        ("http://a.localhost:8080/", true),
        ("http://127.0.0.1/", true),
        ("http://127.9.9.9/", true),
        ("http://[::1]/", true),
        ("http://localhost.example/", false),
        ("http://10.0.0.1/", false),
        ("http://128.0.0.1/", false),
    ] {
        assert_eq!(is_loopback(&Url::parse(url).unwrap()), here, "{url}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_url_template_or_refused_and_never_leads_elsewhere(
        before in hostile::value(),
        value in hostile::value(),
    ) {
        for text in [format!("https://h.example/{before}{{VALUE}}"), format!("https://h.example{before}"), before] {
            for catalogue in [&CONNECTOR, &OFFER] {
                let Ok(location) = Location::parse("url", &text, catalogue) else { continue };
                let host = location.origin().host_str().unwrap().to_owned();
                match location.fill(&given(&[("VALUE", &value)]), Vec::new(), Empty::Keep) {
                    Ok(made) => prop_assert_eq!(made.url.host_str(), Some(&*host)),
                    Err(why) => prop_assert!(matches!(why, Unfit::DotSegment(_) | Unfit::TooLong(_)), "{} of {}", why, text),
                }
            }
        }
    }
}
