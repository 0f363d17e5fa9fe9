use super::*;
use proptest::prelude::*;

fn advertiser() -> AdvertiserId {
    "acme".parse().unwrap()
}

fn amount(text: &str) -> Option<Amount> {
    Some(Amount { amount: text.parse().unwrap(), currency: Some(iso_currency::Currency::USD) })
}

fn claim(says: Says, evidence: Evidence, value: &str) -> Claim {
    let value = if value.is_empty() { None } else { amount(value) };
    Claim {
        key: "order:1".into(),
        name: Some("purchase".into()),
        says,
        value,
        evidence,
        subject: "1".into(),
        at: Timestamp::UNIX_EPOCH,
        test: false,
    }
}

fn refund(subject: &str, evidence: Evidence, text: &str) -> Claim {
    let line = Refund {
        subject: subject.into(),
        evidence,
        amount: text.parse().ok(),
        of: None,
        whole: false,
        partial: false,
    };
    Claim { name: None, ..claim(Says::Refund(line), evidence, "") }
}

fn play(claims: &[Claim]) -> (Conversion, Vec<Step>) {
    let mut known = None;
    let mut steps = Vec::new();
    for claim in claims {
        let change = apply(known, &advertiser(), claim, None);
        steps.extend(change.steps);
        known = Some(change.conversion);
    }
    (known.unwrap(), steps)
}

#[test]
fn the_events_of_one_paid_order_are_one_conversion() {
    let (conversion, steps) = play(&[
        claim(Says::Pending, Evidence::Order, "396.00"),
        claim(Says::Approved, Evidence::Order, "396.00"),
        claim(Says::Approved, Evidence::Invoice, "396.00"),
        claim(Says::Approved, Evidence::Transaction, "396.00"),
    ]);
    assert_eq!(conversion.status, Status::Approved);
    assert_eq!(steps, [Step::Conversion]);
}

#[test]
fn a_sale_that_arrives_after_its_refund_stays_refunded_and_both_are_told_in_order() {
    let (conversion, steps) = play(&[
        refund("9", Evidence::Transaction, "396.00"),
        claim(Says::Approved, Evidence::Order, "396.00"),
    ]);
    assert_eq!(conversion.status, Status::Refunded);
    assert_eq!(steps, [Step::Conversion, Step::Refund("396.00".parse().unwrap())]);
}

#[test]
fn reports_of_different_kinds_about_the_same_refund_are_not_added() {
    let (conversion, steps) = play(&[
        claim(Says::Approved, Evidence::Order, "100"),
        refund("1", Evidence::Order, "100"),
        refund("7", Evidence::Invoice, "100"),
        refund("9", Evidence::Transaction, "100"),
    ]);
    assert_eq!(conversion.status, Status::Refunded);
    assert_eq!(steps, [Step::Conversion, Step::Refund(100.into())]);
}

#[test]
fn two_partial_refunds_are_told_at_their_sums() {
    let (conversion, steps) = play(&[
        claim(Says::Approved, Evidence::Order, "100"),
        refund("1", Evidence::Transaction, "-30"),
        refund("2", Evidence::Transaction, "70"),
        refund("2", Evidence::Transaction, "70"),
    ]);
    assert_eq!(conversion.status, Status::Refunded);
    assert_eq!(steps, [Step::Conversion, Step::Refund(30.into()), Step::Refund(100.into())]);
}

#[test]
fn a_refund_of_unknown_amount_is_recorded_and_told_once_the_amount_is_known() {
    let unknown = [claim(Says::Approved, Evidence::Order, "100"), refund("1", Evidence::Transaction, "")];
    let (conversion, steps) = play(&unknown);
    assert_eq!(conversion.status, Status::Refunded);
    assert_eq!(steps, [Step::Conversion]);
    let (_, steps) = play(&[&unknown[..], &[refund("1", Evidence::Transaction, "40")]].concat());
    assert_eq!(steps, [Step::Conversion, Step::Refund(40.into())]);
}

#[test]
fn what_was_approved_is_not_voided_by_a_late_event() {
    let void = claim(Says::Void, Evidence::Order, "");
    let (conversion, _) = play(&[claim(Says::Approved, Evidence::Order, "1"), void.clone()]);
    assert_eq!(conversion.status, Status::Approved);
    let (conversion, steps) = play(&[claim(Says::Pending, Evidence::Order, "1"), void]);
    assert_eq!((conversion.status, steps), (Status::Void, vec![]));
}

#[test]
fn a_test_order_is_recorded_and_never_told() {
    let test = Claim { test: true, ..claim(Says::Approved, Evidence::Order, "5") };
    let (conversion, steps) = play(&[test]);
    assert_eq!((conversion.status, steps), (Status::Test, vec![]));
}

proptest! {
    #[test]
    fn any_order_of_arrival_ends_in_the_same_state_and_money(order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle()) {
        let claims = [
            claim(Says::Pending, Evidence::Order, "100"),
            claim(Says::Approved, Evidence::Order, "100"),
            claim(Says::Approved, Evidence::Invoice, "110"),
            claim(Says::Approved, Evidence::Transaction, "120"),
            refund("1", Evidence::Transaction, "20"),
            claim(Says::Nothing, Evidence::Order, "100"),
        ];
        let shuffled: Vec<_> = order.iter().map(|i| claims[*i].clone()).collect();
        let (conversion, steps) = play(&shuffled);
        prop_assert_eq!(conversion.status, Status::PartiallyRefunded);
        prop_assert_eq!(conversion.value, amount("120"));
        prop_assert_eq!(steps, vec![Step::Conversion, Step::Refund(20.into())]);
    }
}
