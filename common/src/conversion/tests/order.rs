//! One paid order and its refund, as ClickFunnels reports them: in every order of arrival.

use super::*;

/// The claims of one order's events. `orders/invoice.created`, the ninth, makes none.
fn claims(of_invoice: &str) -> Vec<Claim> {
    use Evidence::{Invoice, Order, Transaction};
    let of =
        |subject: &str, seconds, claim: Claim| Claim { subject: subject.into(), at: at(seconds), ..claim };
    let unnamed = |claim: Claim| Claim { name: None, ..claim };
    vec![
        of("22642", 0, claim(Says::Pending, Order, "396.00")),
        of("22642", 1, unnamed(claim(Says::Nothing, Order, "396.00"))),
        of("22642", 2, claim(Says::Approved, Order, "396.00")),
        of("22642", 2, claim(Says::Approved, Order, "396.00")),
        of("20", 3, claim(Says::Approved, Invoice, of_invoice)),
        of("20", 3, claim(Says::Approved, Invoice, of_invoice)),
        of("4", 1, claim(Says::Approved, Transaction, "396.00")),
        of("9", 90, refund("9", Transaction, "100")),
    ]
}

/// Calls `visit` with every permutation (Heap's way).
fn permutations(claims: &mut [Claim], count: usize, visit: &mut dyn FnMut(&[Claim])) {
    if count <= 1 {
        visit(claims);
        return;
    }
    for index in 0..count {
        permutations(claims, count - 1, visit);
        claims.swap(if count.is_multiple_of(2) { index } else { 0 }, count - 1);
    }
}

#[test]
fn an_order_is_the_same_conversion_in_every_order_of_its_events() {
    let mut seen = 0;
    let mut claims = claims("396.00");
    let (expected, _) = play(&claims);
    assert_eq!(expected.status, Status::PartiallyRefunded);
    assert_eq!((expected.value, expected.refunded()), (Some(usd("396.00")), Some(100.into())));
    assert_eq!((expected.first_at, expected.name.as_deref()), (Some(at(1)), Some("purchase")));
    let count = claims.len();
    permutations(&mut claims, count, &mut |claims| {
        seen += 1;
        let changes = changes(claims);
        let steps: Vec<_> = changes
            .iter()
            .flat_map(|change| change.steps.clone())
            .filter(|step| *step != Step::Pending)
            .collect();
        assert_eq!(steps, [Step::Conversion, Step::Refund(100.into())], "{claims:#?}");
        assert!(changes.iter().all(|change| change.corrected.is_none()), "{claims:#?}");
        assert!(changes.iter().filter(|change| change.first_seen).count() == 1, "{claims:#?}");
        assert_eq!(changes.last().unwrap().conversion, expected, "{claims:#?}");
    });
    assert_eq!(seen, 40_320);
}

#[test]
fn an_invoice_that_disagrees_changes_nothing_in_the_end() {
    let mut claims = claims("13.00");
    let (expected, _) = play(&claims);
    assert_eq!((expected.value, expected.status), (Some(usd("396.00")), Status::PartiallyRefunded));
    let count = claims.len();
    permutations(&mut claims, count, &mut |claims| {
        let (conversion, steps) = play(claims);
        let sent: Vec<_> = steps.iter().filter(|step| **step != Step::Pending).collect();
        assert_eq!(sent, [&Step::Conversion, &Step::Refund(100.into())], "{claims:#?}");
        assert_eq!(known_of(conversion), known_of(expected.clone()), "{claims:#?}");
    });
}

proptest! {
    #[test]
    fn copies_of_an_orders_events_change_nothing(
        shuffled in Just([claims("396.00"), claims("396.00")].concat()).prop_shuffle()
    ) {
        let (expected, _) = play(&claims("396.00"));
        let (conversion, steps) = play(&shuffled);
        prop_assert_eq!(conversion, expected);
        let sent: Vec<_> = steps.into_iter().filter(|step| *step != Step::Pending).collect();
        prop_assert_eq!(sent, [Step::Conversion, Step::Refund(100.into())]);
    }
}

#[test]
fn a_first_subscription_payment_that_three_events_report_is_one_conversion() {
    let report = |name: &str, subject: &str, evidence| Claim {
        name: Some(name.into()),
        subject: subject.into(),
        ..claim(Says::Approved, evidence, "49")
    };
    let reports = [
        report("purchase", "22642", Evidence::Order),
        report("purchase", "22642", Evidence::Order),
        report("purchase", "20", Evidence::Invoice),
    ];
    let (conversion, steps) = play(&reports);
    assert_eq!(steps, [Step::Conversion]);
    assert_eq!((conversion.value, conversion.status), (Some(usd("49")), Status::Approved));
}
