use super::*;

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let variables = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    layers::load("carom.toml", text, variables)
        .map_err(|faults| faults.0.iter().map(ToString::to_string).collect())
}

#[test]
fn the_defaults_are_whole_and_the_schedule_is_the_specifications() {
    // An address that is not given is not told again.
    let config = load("", &[("CAROM_STORE_URL", "postgresql://carom@127.0.0.1/carom")]).unwrap();
    assert_eq!(config.retry.schedule, Schedule::default());
    let keys = |table: toml::Table| -> Vec<(String, Vec<String>)> {
        let section =
            |(name, keys): (String, toml::Value)| (name, keys.as_table().unwrap().keys().cloned().collect());
        table.into_iter().map(section).collect()
    };
    assert_eq!(keys(toml::Table::try_from(&config).unwrap()), keys(DEFAULTS.parse().unwrap()));
}

#[test]
fn the_environment_goes_over_the_file_and_the_file_over_the_defaults() {
    let file = "[broker]\nurl = \"amqp://file\"\n[worker]\nprefetch = 7";
    let environment = [
        ("CAROM_BROKER_URL", "amqp://environment"),
        ("CAROM_RETRY_SCHEDULE", "100ms, 200ms"),
        ("CAROM_EGRESS_ALLOW", "127.0.0.0/8"),
        ("CAROM_INGEST_MAX_BODY_BYTES", "10"),
        ("CAROM_INGEST_PORT", "tcp://10.0.0.1:80"),
        ("CAROM_INGEST_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7, 2001:db8::1"),
        ("CAROM_INGEST_FORWARDED_HEADER", "forwarded"),
        ("CAROM_INGEST_COUNTRY_DATABASE", "/var/lib/country.mmdb"),
    ];
    let config = load(file, &environment).unwrap();
    assert_eq!(config.broker.url, "amqp://environment");
    assert_eq!(config.worker.prefetch, 7);
    assert_eq!(config.retry.schedule.tiers().len(), 2);
    assert_eq!(config.egress.allow, ["127.0.0.0/8".parse::<IpNet>().unwrap()]);
    assert_eq!(config.ingest.max_body_bytes, 10);
    let proxies = ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::1/128"];
    assert_eq!(config.ingest.trusted_proxies, proxies.map(|proxy| proxy.parse::<IpNet>().unwrap()));
    assert_eq!(config.ingest.forwarded_header, ForwardedHeader::Forwarded);
    assert_eq!(config.ingest.country_database, Path::new("/var/lib/country.mmdb"));
}

#[test]
fn every_fault_is_told_at_once_with_its_key_and_what_would_be_right() {
    let file = "
        [broker]
        uri = \"amqp://x\"
        [retry]
        schedule = [\"15s\", \"1s\"]
        [ingest]
        listen = \"nowhere\"
        header_timeout = \"10 parsecs\"
        trusted_proxies = [\"10.0.0.0/8\", \"proxy.example\"]
        forwarded_header = \"x-real-ip\"
        country_database = 7
        [brokr]
        a = 1
    ";
    let faults = load(file, &[("CAROM_WORKER_PREFETCH", "many")]).unwrap_err();
    for place in [
        "broker.uri",
        "retry.schedule",
        "ingest.listen",
        "ingest.header_timeout",
        "ingest.trusted_proxies",
        "ingest.forwarded_header",
        "ingest.country_database",
        "brokr",
        "CAROM_WORKER_PREFETCH",
    ] {
        assert_eq!(faults.iter().filter(|fault| fault.contains(place)).count(), 1, "{place} in {faults:#?}");
    }
    assert_eq!(faults.len(), 9, "{faults:#?}");
    assert!(faults.iter().all(|fault| fault.contains("; ")), "a remedy each: {faults:#?}");
    for told in ["`proxy.example` is no network, as 10.0.0.0/8", "`x-forwarded-for` or `forwarded`"] {
        assert!(faults.iter().any(|fault| fault.contains(told)), "{told} in {faults:#?}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_told_its_place_and_not_its_line() {
    let faults = load("[log]\nlevel = \"info\"\n\n[broker]\nurl = \"amqp://a:hunter2@b\n", &[]).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("line 5, column") && !faults[0].contains("hunter2"), "{faults:?}");
}

#[test]
fn a_key_of_an_earlier_version_is_told_as_such() {
    let faults = load("[ingest]\nclick_line = 50000", &[]).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("ingest.click_line") && faults[0].contains("[spool]"), "{faults:?}");
}

#[test]
fn a_spool_has_room_for_something_and_a_file_of_its_own() {
    for (file, key) in [
        ("[spool]\nmax_bytes = 1048575", "spool.max_bytes"),
        ("[spool]\nmax_bytes = 0", "spool.max_bytes"),
        ("[spool]\npath = \"\"", "spool.path"),
        ("[spool]\npath = \"./x.db\"\n[store]\npath = \"x.db\"", "spool.path"),
        ("[spool]\npath = \"x.db-wal\"\n[store]\npath = \"x.db\"", "spool.path"),
        ("[spool]\npath = \"./carom-resources.json\"", "spool.path"),
        ("[spool]\npath = \"x.db\"\n[ingest]\nsnapshot_path = \"src/../x.db-shm\"", "spool.path"),
    ] {
        let faults = load(file, &[]).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains(key) && faults[0].contains("; "), "{faults:?}");
    }
    assert!(load("[spool]\nmax_bytes = 1048576", &[]).is_ok());
    let here = std::env::current_dir().unwrap().join("x.db");
    let absolute = format!("[spool]\npath = \"x.db\"\n[store]\npath = {here:?}");
    assert_eq!(load(&absolute, &[]).unwrap_err().len(), 1, "whichever way it is written");
}

#[test]
fn the_tags_paths_are_paths_of_its_own() {
    for (file, key) in [
        ("script = \"carom.js\"", "tag.script"),
        ("script = \"/\"", "tag.script"),
        ("script = \"/a//b.js\"", "tag.script"),
        ("script = \"/a/../b.js\"", "tag.script"),
        ("script = \"/{file}\"", "tag.script"),
        ("script = \"/carom.js?key=x\"", "tag.script"),
        ("script = \"/c/carom.js\"", "tag.script"),
        ("track = \"/api/v1/events\"", "tag.track"),
        ("track = \"/carom.js\"", "tag.track"),
    ] {
        let faults = load(&format!("[tag]\n{file}"), &[]).unwrap_err();
        assert_eq!(faults.len(), 1, "{file}: {faults:?}");
        assert!(faults[0].contains(key) && faults[0].contains("; "), "{faults:?}");
    }
    let config = load("[tag]\nscript = \"/assets/shop-1.2~.js\"", &[("CAROM_TAG_TRACK", "/t")]).unwrap();
    assert_eq!((config.tag.script.as_str(), config.tag.track.as_str()), ("/assets/shop-1.2~.js", "/t"));
}

#[test]
fn ops_listeners_are_on_loopback_unless_told_otherwise_and_then_there_is_a_warning() {
    let config = load("", &[]).unwrap();
    assert!(config.ingest.ops_listen.ip().is_loopback() && config.worker.ops_listen.ip().is_loopback());
    assert!(config.ingest.listen.ip().is_loopback());
    assert_eq!(config.warnings("carom.toml"), []);
    let everywhere = "[ingest]\nops_listen = \"0.0.0.0:9101\"\n[worker]\nops_listen = \"[::]:9102\"";
    let warned: Vec<_> =
        load(everywhere, &[]).unwrap().warnings("carom.toml").iter().map(ToString::to_string).collect();
    assert_eq!(warned.len(), 2, "{warned:?}");
    assert!(warned[0].contains("ingest.ops_listen") && warned[1].contains("worker.ops_listen"), "{warned:?}");
}

#[test]
fn a_password_is_not_in_the_debug_form() {
    let config = load("[broker]\nurl = \"amqp://a:hunter2@b\"", &[]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn what_is_kept_is_kept_for_a_time_or_forever_and_for_no_less_than_it_is_needed() {
    let config = load("[retention]\nlog = \"forever\"\nclicks = \"12h\"", &[]).unwrap();
    assert_eq!(config.retention.log, Keep::Forever);
    assert_eq!(config.retention.clicks.to_string(), "12h");
    let spans = config.retention.perishables();
    assert!(spans.iter().all(|(what, _)| what.as_str() != "log"));
    for (file, key) in [
        ("[retention]\nlog = \"0s\"", "retention.log"),
        ("[retention]\nlog = \"off\"", "retention.log"),
        ("[retention]\npayloads = \"48h\"", "retention.payloads"),
    ] {
        let faults = load(file, &[]).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains(key) && faults[0].contains("; "), "{faults:?}");
    }
    let short = "[retention]\npayloads = \"5s\"\n[worker]\nmax_due = \"1s\"\nparking = \"1s\"\n[retry]\nschedule = [\"1s\"]";
    assert!(load(short, &[]).is_ok());
}

#[test]
fn any_key_can_be_read_from_a_file_and_where_from_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (url, prefetch) = (put("broker url", "amqp://a:hunter2@b/%2f\r\n"), put("prefetch", "7\n"));
    let environment =
        [("CAROM_BROKER_URL_FILE", url.as_str()), ("CAROM_WORKER_PREFETCH_FILE", prefetch.as_str())];
    let config = load("", &environment).unwrap();
    assert_eq!(config.broker.url, "amqp://a:hunter2@b/%2f");
    assert_eq!(config.worker.prefetch, 7);
    assert_eq!(config.files["broker.url"], Path::new(&url));
}

#[test]
fn a_key_that_is_given_twice_or_in_a_file_that_cannot_be_read_is_refused_by_the_variables_name() {
    let both = [("CAROM_BROKER_URL", "amqp://a:hunter2@b"), ("CAROM_BROKER_URL_FILE", "/run/secrets/x")];
    let faults = load("", &both).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].contains("CAROM_BROKER_URL_FILE") && faults[0].contains("CAROM_BROKER_URL or"),
        "{faults:?}"
    );
    assert!(!faults[0].contains("hunter2"), "{faults:?}");
    let faults = load("", &[("CAROM_BROKER_URL_FILE", "/nowhere/to/be/found")]).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("CAROM_BROKER_URL_FILE") && faults[0].contains("/nowhere"), "{faults:?}");
}

#[test]
fn a_key_that_ends_in_file_is_a_key() {
    let faults = load("", &[("CAROM_BROKER_CA_FILE", "/nowhere/ca.pem")]).unwrap_err();
    assert!(faults.iter().any(|fault| fault.contains("broker.ca_file")), "{faults:?}");
}

#[test]
fn what_is_wrong_with_the_broker_is_told_by_key_and_never_with_the_password() {
    for (file, key) in [
        ("url = \"amqp:hunter2\"", "broker.url"),
        ("url = \"amqp://a:hunter2@b\"\nca_file = \"/etc/hosts\"", "broker.url"),
        ("hosts = [\"rabbit-2\"]", "broker.hosts[0]"),
        ("hosts = [\"a:5672\", \"amqp://carom:hunter2@rabbit-2:5672\"]", "broker.hosts[1]"),
        ("management_hosts = [\"http://a:hunter2@rabbit-2:15672\"]", "broker.management_hosts[0]"),
        ("heartbeat = \"500ms\"", "broker.heartbeat"),
        ("url = \"amqps://a:hunter2@b\"\nclient_cert_file = \"/etc/hosts\"", "broker.client_cert_file"),
        ("url = \"amqps://a:hunter2@b\"\nca_file = \"/etc/hosts\"", "broker.ca_file"),
        ("url = \"amqp://a:hunter2@b", "line 2"),
    ] {
        let faults = load(&format!("[broker]\n{file}"), &[]).unwrap_err();
        assert!(faults.iter().any(|fault| fault.contains(key) && fault.contains("; ")), "{key}: {faults:?}");
        assert!(faults.iter().all(|fault| !fault.contains("hunter2")), "{faults:?}");
    }
}
