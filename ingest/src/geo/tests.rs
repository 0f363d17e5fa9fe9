use super::*;
use carom_common::telemetry::Metrics;
use database::{Value, database};

// The scenarios write their databases with the same file. It is no part of a crate that ingest could need.
#[path = "../../../tests/src/country_database.rs"]
#[allow(missing_docs, reason = "it is documented as the scenarios' part")]
mod database;

/// A country or none for documentation's networks.
pub fn small() -> Vec<u8> {
    database(&[
        ("198.51.100.0", 24, Value::country("DE")),
        ("203.0.113.0", 25, Value::country("fr")),
        ("203.0.113.128", 25, Value::Map([("country_code", Value::Text("NL".into()))].into())),
        ("192.0.2.0", 25, Value::Map([("country", Value::Text("BR".into()))].into())),
        ("192.0.2.128", 25, Value::Map([("country", Value::Text("Brazil".into()))].into())),
        ("100.64.0.0", 10, Value::country("T1")),
        ("100.128.0.0", 10, Value::Map([("asn", Value::U32(64500))].into())),
        ("100.192.0.0", 10, Value::Text("text".into())),
        ("2001:db8:7::", 48, Value::country("JP")),
    ])
}

async fn started(path: &Path) -> (Atlas, Countries, Arc<Ingest>) {
    let metrics = Arc::new(Ingest::new(&Metrics::new("test")));
    let (atlas, countries) = Atlas::start(path, metrics.clone()).await;
    (atlas, countries, metrics)
}

fn country(countries: &Countries, address: &str) -> Option<String> {
    countries.of(address.parse().unwrap())
}

#[tokio::test]
async fn an_address_is_in_the_country_that_the_database_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("country.mmdb");
    std::fs::write(&path, small()).unwrap();
    let (_atlas, countries, metrics) = started(&path).await;
    for (address, expected) in [
        ("198.51.100.1", Some("DE")),
        ("::ffff:198.51.100.1", Some("DE")),
        ("198.51.101.1", None),
        ("203.0.113.127", Some("FR")),
        ("203.0.113.128", Some("NL")),
        ("192.0.2.1", Some("BR")),
        ("192.0.2.200", None),
        ("100.64.0.1", None),
        ("100.128.0.1", None),
        ("100.192.0.1", None),
        ("2001:db8:7:8::9", Some("JP")),
        ("2001:db8:8::9", None),
        ("0.0.0.0", None),
        ("ffff::", None),
    ] {
        assert_eq!(country(&countries, address).as_deref(), expected, "{address}");
    }
    assert_eq!(metrics.country_database.get(), 1);
}

#[tokio::test]
async fn without_a_database_that_can_be_used_there_is_no_country() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let whole = small();
    let paths = [
        PathBuf::new(),
        folder.path().join("missing.mmdb"),
        folder.path().to_owned(),
        file("empty", b""),
        file("text", b"{\"country\": \"DE\"}"),
        file("half", &whole[..whole.len() / 2]),
    ];
    for path in paths {
        let (_atlas, countries, metrics) = started(&path).await;
        assert_eq!(country(&countries, "198.51.100.1"), None, "{}", path.display());
        assert_eq!(metrics.country_database.get(), 0, "{}", path.display());
    }
}

#[tokio::test]
async fn a_database_that_changes_is_taken_into_use_and_a_broken_one_leaves_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("country.mmdb");
    let (mut atlas, countries, metrics) = started(&path).await;
    let put = |bytes: &[u8]| {
        // As `geoipupdate` does it: another file in its place.
        let beside = folder.path().join("beside");
        std::fs::write(&beside, bytes).unwrap();
        std::fs::rename(&beside, &path).unwrap();
    };
    let steps: [(&[u8], &str, i64); 4] = [
        (&small(), "DE", 1),
        (b"broken", "DE", 0),
        (&database(&[("198.51.100.0", 24, Value::country("AT"))]), "AT", 1),
        (&small(), "DE", 1),
    ];
    for (bytes, expected, usable) in steps {
        put(bytes);
        atlas.look().await;
        assert_eq!(country(&countries, "198.51.100.1").as_deref(), Some(expected));
        assert_eq!(metrics.country_database.get(), usable);
    }
    std::fs::remove_file(&path).unwrap();
    atlas.look().await;
    assert!(atlas.failing);
    assert_eq!(country(&countries, "198.51.100.1").as_deref(), Some("DE"));
}

#[tokio::test]
async fn a_file_that_has_not_changed_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("country.mmdb");
    std::fs::write(&path, small()).unwrap();
    let (mut atlas, countries, _) = started(&path).await;
    let before = countries.0.borrow().clone().unwrap();
    atlas.look().await;
    assert!(Arc::ptr_eq(&before, countries.0.borrow().as_ref().unwrap()));
}
