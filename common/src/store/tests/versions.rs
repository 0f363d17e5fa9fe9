//! Old and new binaries on one store, by a step that is yet to come.

use super::*;
use crate::store::schema::{CURRENT, STEPS, Step};
use crate::store::{Error, migrate_to};

fn next(serves: u32, sql: &'static str) -> Vec<Step> {
    let step = Step { version: CURRENT + 1, serves, sqlite: Some(sql), postgres: Some(sql) };
    [STEPS, &[step]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_only_adds_is_taken_while_an_older_binary_goes_on() {
    let (place, store) = store();
    let writing = |from: usize| {
        let store = store.clone();
        async move {
            for n in from..from + 20 {
                selected(&store, &event(&format!("order:{n}")), &["meta"]).await;
            }
        }
    };
    let adding = next(CURRENT, "ALTER TABLE events ADD COLUMN colour TEXT; CREATE TABLE shades (name TEXT)");
    let settings = settings(&place);
    let migrating = tokio::task::spawn_blocking(move || migrate_to(&settings, &adding));
    let (migrated, ()) = tokio::join!(migrating, writing(0));
    assert_eq!(migrated.unwrap().unwrap(), (CURRENT, CURRENT + 1));
    writing(20).await;
    store.check().await.unwrap();
    store.close().await;
    // The older binary starts again, and leaves the newer schema alone.
    let store = open(&place);
    assert_eq!(Store::migrate(&place.settings).unwrap(), (CURRENT + 1, CURRENT + 1));
    assert_eq!(place.count("events"), 40);
    selected(&store, &event("order:40"), &["meta"]).await;
    assert!(Store::open_read_only(&place.settings).is_ok());
}

#[tokio::test]
async fn a_schema_that_no_longer_serves_a_binary_refuses_it_and_says_which_it_takes() {
    let (place, store) = store();
    store.close().await;
    migrate_to(&place.settings, &next(CURRENT + 1, "DROP TABLE pauses")).unwrap();
    for refused in [
        Store::migrate(&place.settings).map(drop),
        Store::open(&place.settings, |_, _| {}).map(drop),
        Store::open_read_only(&place.settings).map(drop),
    ] {
        let error = refused.unwrap_err();
        let named = matches!(error, Error::TooNew { found, known: CURRENT, serves, .. }
            if found == CURRENT + 1 && serves == CURRENT + 1);
        assert!(named && error.to_string().contains(env!("CARGO_PKG_VERSION")), "{error}");
    }
}

#[test]
fn a_store_that_was_never_migrated_says_what_to_do() {
    let place = place();
    migrate_to(&place.settings, &STEPS[..STEPS.len() - 1]).unwrap();
    let opened = Store::open(&place.settings, |_, _| {});
    assert!(matches!(opened, Err(Error::TooOld { found, known: CURRENT }) if found == CURRENT - 1));
}
