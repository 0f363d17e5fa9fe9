use super::*;

fn broker(toml: &str) -> Broker {
    let mut table: toml::Table = crate::config::DEFAULTS.parse().unwrap();
    let given: toml::Table = toml.parse().unwrap();
    table["broker"].as_table_mut().unwrap().extend(given);
    table.remove("broker").unwrap().try_into().unwrap()
}

#[test]
fn every_host_is_a_node_with_the_urls_user_and_vhost() {
    let broker = broker(r#"hosts = ["b:5673", "[::2]:1"]"#);
    let nodes = nodes(&broker, "amqps://u:p@a/v").unwrap();
    let places: Vec<_> = nodes
        .iter()
        .map(|(uri, tls)| (name(&uri.authority.host, uri.authority.port), uri.vhost.as_str(), *tls))
        .collect();
    let expected = [("a:5671", "v", true), ("b:5673", "v", true), ("[::2]:1", "v", true)];
    assert_eq!(places, expected.map(|(place, vhost, tls)| (place.to_owned(), vhost, tls)));
    assert!(nodes.iter().all(|(uri, _)| uri.authority.userinfo.password == "p"));
    assert!(nodes.iter().all(|(uri, _)| uri.query.heartbeat == Some(10)));
}

#[test]
fn an_address_in_brackets_is_a_host_and_not_localhost() {
    let nodes = nodes(&broker(""), "amqp://u:p@[2001:db8::7]:5672/%2f").unwrap();
    assert_eq!(nodes[0].0.authority.host, "2001:db8::7");
}

#[test]
fn a_password_may_hold_any_character_that_is_percent_encoded() {
    let url = "amqp://us%40er:p%40ss%2Fw%3Ard%25%23%20%C3%BC@h/%2F";
    let (uri, _) = nodes(&broker(""), url).unwrap().remove(0);
    assert_eq!(uri.authority.userinfo.username, "us@er");
    assert_eq!(uri.authority.userinfo.password, "p@ss/w:rd%# ü");
    assert_eq!(uri.vhost, "/");
}

#[test]
fn a_url_that_is_none_is_never_repeated() {
    for url in [
        "amqp:u:hunter2@h",
        "hunter2",
        "http://u:hunter2@h",
        "amqp://u:hun/ter2@h",
        "amqp://u:p@h?heartbeat=hunter2",
    ] {
        let error = nodes(&broker(""), url).map(|_| ()).unwrap_err().to_string();
        assert!(!error.contains("hun"), "{error}");
        assert!(error.contains("amqp://user:password@host:5672/vhost"), "{error}");
    }
}

#[test]
fn a_certificate_logs_in_by_itself_only_where_the_url_names_no_user() {
    let broker = broker(r#"client_cert_file = "c""#);
    let mechanism = |url: &str| nodes(&broker, url).unwrap()[0].0.query.auth_mechanism;
    assert_eq!(mechanism("amqps://h/v"), Some(SASLMechanism::External));
    assert_eq!(mechanism("amqps://u:p@h/v"), None);
}

#[test]
fn a_host_has_a_port() {
    for (text, good) in [
        ("a:1", true),
        ("[::1]:5672", true),
        ("a", false),
        ("::1", false),
        ("a:0", false),
        ("a:b", false),
        ("u@a:1", false),
        (":1", false),
        ("[a]:1", false),
        ("amqp://a:1", false),
    ] {
        assert_eq!(host_and_port(text).is_some(), good, "{text}");
    }
}

#[test]
fn a_url_file_that_holds_no_url_leaves_us_the_last_that_it_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    let mut config = Config::load(None).unwrap();
    config.broker.url = "amqp://a:1@first/v".to_owned();
    config.files.insert("broker.url".to_owned(), path.clone());
    let address = Address::new(&config);
    for (held, host) in [
        (None, "first"),
        (Some("amqp://a:2@second/v"), "second"),
        (Some("amqp://a:2@sec ond"), "second"),
        (Some("not a url"), "second"),
        (Some("amqp://a:3@third/v\n"), "third"),
    ] {
        if let Some(held) = held {
            std::fs::write(&path, held).unwrap();
        }
        let nodes = address.nodes().unwrap();
        assert_eq!(nodes[0].uri.authority.host, host, "{held:?}");
        assert_eq!(address.vhost().unwrap(), "v");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(address.nodes().unwrap()[0].uri.authority.host, "third");
}
