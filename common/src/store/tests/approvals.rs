use super::*;
use crate::connector::Pixel;
use crate::pixel::{Approval, code_hash};
use std::collections::BTreeMap;

#[tokio::test]
async fn the_newest_decision_about_a_pixel_counts_and_all_are_kept() {
    let (_place, store) = store();
    let hash = |code: &str| {
        code_hash(&Pixel { enabled: true, code: code.to_owned(), sandbox: true, rename: BTreeMap::new() })
    };
    let at = |second: i64| Timestamp::from_second(1_763_700_000 + second).unwrap();
    let of = |connector: &str, code: &str, by: &str, second: i64| Approval {
        connector: connector.parse().unwrap(),
        hash: hash(code),
        by: by.to_owned(),
        at: at(second),
    };
    assert_eq!(store.pixel_approvals().await.unwrap(), crate::pixel::Approvals::default());
    assert!(store.approve_pixel(of("a", "one()", "ann", 1)).await.unwrap());
    assert!(!store.approve_pixel(of("a", "one()", "bob", 2)).await.unwrap(), "it was approved already");
    assert!(store.approve_pixel(of("b", "two()", "bob", 3)).await.unwrap());
    let approvals = store.pixel_approvals().await.unwrap();
    assert_eq!(approvals.given, [of("a", "one()", "ann", 1), of("b", "two()", "bob", 3)]);
    assert_eq!((approvals.version, store.pixel_approvals_version().await.unwrap()), (2, 2));

    assert!(store.approve_pixel(of("a", "one(1)", "bob", 4)).await.unwrap());
    assert_eq!(store.pixel_approvals().await.unwrap().given[0], of("a", "one(1)", "bob", 4));
    let a = "a".parse().unwrap();
    let revoked = store.revoke_pixel(&a, "ann", at(5)).await.unwrap();
    assert_eq!(revoked, Some(of("a", "one(1)", "bob", 4)));
    assert_eq!(store.revoke_pixel(&a, "ann", at(6)).await.unwrap(), None);
    let approvals = store.pixel_approvals().await.unwrap();
    assert_eq!((approvals.version, approvals.given), (4, vec![of("b", "two()", "bob", 3)]));

    let history = store.pixel_decisions(Some(&a)).await.unwrap();
    let told: Vec<_> = history.iter().map(|one| (one.approved, one.by.as_str(), one.hash.clone())).collect();
    let expected =
        [(true, "ann", hash("one()")), (true, "bob", hash("one(1)")), (false, "ann", hash("one(1)"))];
    assert_eq!(told, expected);
    assert_eq!(store.pixel_decisions(None).await.unwrap().len(), 4);
    // What was taken back can be given again.
    assert!(store.approve_pixel(of("a", "one(1)", "ann", 7)).await.unwrap());
    assert_eq!(store.pixel_approvals().await.unwrap().given.len(), 2);
}
