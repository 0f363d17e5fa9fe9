use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

mod order;

fn advertiser() -> AdvertiserId {
    "acme".parse().unwrap()
}

fn usd(text: &str) -> Amount {
    Amount { amount: text.parse().unwrap(), currency: Some(iso_currency::Currency::USD) }
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// So many seconds into the story.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_768_000_000 + seconds).unwrap()
}

/// What the order, invoice or transaction 1 says.
fn claim(says: Says, evidence: Evidence, value: &str) -> Claim {
    let value = if value.is_empty() { None } else { Some(usd(value)) };
    Claim {
        key: "order:1".into(),
        name: Some("purchase".into()),
        says,
        value,
        evidence,
        subject: "1".into(),
        at: at(0),
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

fn partly(claim: Claim) -> Claim {
    let Says::Refund(line) = claim.says else { panic!("no refund") };
    Claim { says: Says::Refund(Refund { partial: true, ..line }), ..claim }
}

fn play(claims: &[Claim]) -> (Conversion, Vec<Step>) {
    let (changes, steps) = (changes(claims), &mut Vec::new());
    steps.extend(changes.iter().flat_map(|change| change.steps.clone()));
    (changes.into_iter().last().unwrap().conversion, std::mem::take(steps))
}

fn changes(claims: &[Claim]) -> Vec<Change> {
    let mut known = None;
    let mut changes: Vec<Change> = Vec::new();
    for claim in claims {
        changes.push(apply(known, &advertiser(), claim, None));
        known = changes.last().map(|change| change.conversion.clone());
    }
    changes
}

#[test]
fn a_status_moves_forward_only_as_the_table_says() {
    let says = |word| match word {
        "pending" => claim(Says::Pending, Evidence::Order, "100"),
        "approved" => claim(Says::Approved, Evidence::Order, "100"),
        "rejected" => claim(Says::Rejected, Evidence::Order, ""),
        "void" => claim(Says::Void, Evidence::Order, ""),
        "nothing" => claim(Says::Nothing, Evidence::Order, "100"),
        "part" => refund("8", Evidence::Transaction, "40"),
        "rest" => refund("9", Evidence::Transaction, "-60"),
        "test" => Claim { test: true, ..claim(Says::Approved, Evidence::Order, "100") },
        other => panic!("{other}"),
    };
    for (story, status, told) in [
        ("pending", "pending", "conversion?"),
        ("nothing", "pending", ""),
        ("nothing pending", "pending", "conversion?"),
        ("pending pending", "pending", "conversion?"),
        ("pending approved", "approved", "conversion? conversion"),
        ("approved pending", "approved", "conversion"),
        ("approved approved nothing", "approved", "conversion"),
        ("pending rejected", "rejected", "conversion?"),
        ("pending void", "void", "conversion?"),
        ("void pending", "void", ""),
        ("void rejected", "rejected", ""),
        ("rejected void pending", "rejected", ""),
        ("approved void", "approved", "conversion"),
        ("approved rejected", "approved", "conversion"),
        // Money came after all.
        ("rejected approved", "approved", "conversion"),
        ("void approved", "approved", "conversion"),
        ("approved part", "partially_refunded", "conversion refund:40"),
        ("approved part rest", "refunded", "conversion refund:40 refund:100"),
        ("approved part part", "partially_refunded", "conversion refund:40"),
        ("approved part rest void rejected pending approved", "refunded", "conversion refund:40 refund:100"),
        ("part approved", "partially_refunded", "conversion refund:40"),
        ("part rest approved", "refunded", "conversion refund:100"),
        ("part", "refunded", ""),
        ("part nothing", "partially_refunded", ""),
        ("void part approved", "partially_refunded", "conversion refund:40"),
        ("test", "test", ""),
        ("test approved part", "test", ""),
        ("approved test part", "test", "conversion"),
    ] {
        let claims: Vec<_> = story.split_whitespace().map(says).collect();
        let (conversion, steps) = play(&claims);
        let steps: Vec<_> = steps
            .iter()
            .map(|step| if *step == Step::Pending { "conversion?".to_owned() } else { step.id() })
            .collect();
        assert_eq!((conversion.status.as_str(), steps.join(" ").as_str()), (status, told), "{story}");
    }
}

#[test]
fn part_or_whole_is_read_off_the_ledger_and_else_off_the_reports() {
    let sale = |value| claim(Says::Approved, Evidence::Order, value);
    let unsaid = || refund("1", Evidence::Order, "");
    for (claims, status) in [
        (vec![sale("100"), refund("9", Evidence::Transaction, "99.99")], Status::PartiallyRefunded),
        (vec![sale("100"), refund("9", Evidence::Transaction, "100.00")], Status::Refunded),
        (vec![sale("100"), refund("9", Evidence::Transaction, "120")], Status::Refunded),
        // No amount of either: most refunds are whole, so those are that say nothing else.
        (vec![sale("100"), unsaid()], Status::Refunded),
        (vec![sale(""), refund("9", Evidence::Transaction, "5")], Status::Refunded),
        (vec![sale("100"), partly(unsaid())], Status::PartiallyRefunded),
        (vec![sale(""), partly(refund("9", Evidence::Transaction, "5"))], Status::PartiallyRefunded),
        (vec![sale("100"), partly(unsaid()), refund("7", Evidence::Invoice, "")], Status::PartiallyRefunded),
        // The order's later word replaces its earlier one, whichever arrives first.
        (vec![sale("100"), partly(unsaid()), Claim { at: at(9), ..unsaid() }], Status::Refunded),
        (vec![sale("100"), Claim { at: at(9), ..unsaid() }, partly(unsaid())], Status::Refunded),
        // Amounts outweigh words.
        (vec![sale("100"), partly(unsaid()), refund("9", Evidence::Transaction, "100")], Status::Refunded),
        (vec![sale("100"), unsaid(), refund("9", Evidence::Transaction, "40")], Status::PartiallyRefunded),
    ] {
        let (conversion, _) = play(&claims);
        assert_eq!(conversion.status, status, "{:#?}", conversion.refunds);
    }
}

#[test]
fn a_sale_that_arrives_after_its_refund_stays_refunded_and_both_are_told_in_order() {
    let (conversion, steps) = play(&[
        refund("9", Evidence::Transaction, "396.00"),
        claim(Says::Approved, Evidence::Order, "396.00"),
    ]);
    assert_eq!(conversion.status, Status::Refunded);
    assert_eq!(steps, [Step::Conversion, Step::Refund(decimal("396.00"))]);
}

#[test]
fn a_refund_of_unknown_amount_is_recorded_and_told_once_the_amount_is_known() {
    let unknown = [claim(Says::Approved, Evidence::Order, "100"), refund("1", Evidence::Transaction, "")];
    let (conversion, steps) = play(&unknown);
    assert_eq!((conversion.status, conversion.refunded()), (Status::Refunded, None));
    assert_eq!(steps, [Step::Conversion]);
    let (_, steps) = play(&[&unknown[..], &[refund("1", Evidence::Transaction, "40")]].concat());
    assert_eq!(steps, [Step::Conversion, Step::Refund(40.into())]);
}

#[test]
fn a_refund_is_told_per_increase_and_a_decrease_is_a_correction() {
    let claims = [
        claim(Says::Approved, Evidence::Order, "100"),
        refund("1", Evidence::Order, "100"),
        // The transactions know better, and in the end there is more of them.
        refund("8", Evidence::Transaction, "30"),
        refund("9", Evidence::Transaction, "50"),
        refund("10", Evidence::Transaction, "50"),
    ];
    let changes = changes(&claims);
    let steps: Vec<_> = changes.iter().map(|change| change.steps.clone()).collect();
    let none = vec![];
    assert_eq!(
        steps,
        [
            vec![Step::Conversion],
            vec![Step::Refund(100.into())],
            none.clone(),
            none,
            vec![Step::Refund(130.into())]
        ]
    );
    let corrected: Vec<_> = changes.iter().map(|change| change.refund_corrected).collect();
    let told = Some(usd("100"));
    let less = |amount| Some(Corrected { before: told, after: Some(usd(amount)) });
    assert_eq!(corrected, [None, None, less("30"), less("80"), None]);
    assert_eq!(corrected[2].unwrap().to_string(), "100 USD was told and 30 USD is known now");
}

#[test]
fn a_value_that_is_not_what_was_told_is_corrected_once_and_nothing_is_sent() {
    let changes = changes(&[
        claim(Says::Pending, Evidence::Order, "90"),
        claim(Says::Approved, Evidence::Order, "100"),
        claim(Says::Approved, Evidence::Invoice, "13.00"),
        claim(Says::Nothing, Evidence::Order, "100"),
        claim(Says::Approved, Evidence::Transaction, "100"),
    ]);
    let corrected: Vec<_> = changes.iter().map(|change| change.corrected).collect();
    let invoice = Some(Corrected { before: Some(usd("100")), after: Some(usd("13.00")) });
    assert_eq!(corrected, [None, None, invoice, None, None], "in the end it is what was told");
    let told: usize = changes[2..].iter().map(|change| change.steps.len()).sum();
    assert_eq!(told, 0);
    assert_eq!(changes[4].conversion.told, Some(usd("100")));
}

#[test]
fn a_value_that_becomes_known_after_the_approval_is_a_correction_too() {
    let changes =
        changes(&[claim(Says::Approved, Evidence::Order, ""), claim(Says::Nothing, Evidence::Invoice, "7")]);
    let corrected = changes[1].corrected.unwrap();
    assert_eq!(corrected.to_string(), "no amount was told and 7 USD is known now");
}

#[test]
fn a_conversion_is_seen_first_by_what_says_that_it_exists() {
    let changes = changes(&[
        claim(Says::Nothing, Evidence::Order, "1"),
        refund("9", Evidence::Transaction, "1"),
        claim(Says::Approved, Evidence::Order, "1"),
        claim(Says::Pending, Evidence::Order, "1"),
    ]);
    let seen: Vec<_> = changes.iter().map(|change| change.first_seen).collect();
    assert_eq!(seen, [false, false, true, false]);
}

#[test]
fn pending_and_approved_are_the_same_step_to_a_receiver() {
    assert_eq!(Step::Pending.id(), Step::Conversion.id());
    assert_eq!(Step::Refund(decimal("10.0")).id(), Step::Refund(decimal("10.00")).id());
}

#[test]
fn a_conversion_goes_by_the_name_of_what_first_approved_it() {
    let named = |says, name: Option<&str>| Claim {
        name: name.map(ToOwned::to_owned),
        ..claim(says, Evidence::Order, "1")
    };
    for (claims, name) in [
        (vec![named(Says::Pending, Some("lead")), named(Says::Approved, Some("purchase"))], "purchase"),
        (vec![named(Says::Pending, Some("lead")), named(Says::Approved, None)], "lead"),
        (vec![named(Says::Approved, Some("purchase")), named(Says::Approved, Some("rebill"))], "purchase"),
        (vec![named(Says::Nothing, None), named(Says::Approved, Some("purchase"))], "purchase"),
        (vec![named(Says::Approved, None), named(Says::Nothing, Some("late"))], "late"),
    ] {
        assert_eq!(play(&claims).0.name.as_deref(), Some(name));
    }
}

#[test]
fn the_newest_click_stands_until_the_approval_decides_it() {
    let (first, second) = (ClickId::new(), ClickId::new());
    let pending = claim(Says::Pending, Evidence::Order, "1");
    let approved = claim(Says::Approved, Evidence::Order, "1");
    for (clicks, ends_with) in [
        ([Some(first), Some(second), None], Some(second)),
        ([Some(first), None, Some(second)], Some(first)),
        ([None, Some(second), Some(first)], Some(second)),
        ([None, None, Some(first)], None),
    ] {
        let mut known = None;
        for (claim, click) in [&pending, &approved, &approved].into_iter().zip(clicks) {
            known = Some(apply(known, &advertiser(), claim, click).conversion);
        }
        assert_eq!(known.unwrap().click, ends_with, "{clicks:?}");
    }
}

#[test]
fn a_test_order_is_recorded_and_never_told_nor_counted() {
    let test = Claim { test: true, ..claim(Says::Approved, Evidence::Order, "5") };
    let sale = claim(Says::Approved, Evidence::Transaction, "5");
    for story in [[test.clone(), sale.clone()], [sale, test]] {
        let (conversion, _) = play(&story);
        assert_eq!(conversion.status, Status::Test);
        assert_eq!((conversion.approved, conversion.first_at), (false, None));
        assert_eq!(conversion.value, Some(usd("5")));
    }
}

#[test]
fn a_rejected_attempt_leaves_a_lead_to_be_told_when_it_is_approved() {
    let (conversion, steps) = play(&[
        claim(Says::Rejected, Evidence::Order, ""),
        Claim { at: at(60), ..claim(Says::Approved, Evidence::Order, "1") },
        Claim { at: at(30), ..claim(Says::Approved, Evidence::Invoice, "1") },
    ]);
    assert_eq!(steps, [Step::Conversion]);
    assert_eq!(conversion.first_at, Some(at(30)), "the earliest approval by its own time");
}

#[test]
fn a_row_of_the_old_shape_reads_and_goes_on() {
    let old = r#"{"advertiser":"acme","key":"order:1","name":"purchase","status":"partially_refunded",
        "value":{"amount":"100","currency":"USD"},"evidence":"transaction","approved":true,
        "refund_selected":"30","refunds":[{"subject":"9","evidence":"transaction","amount":"30"}],"click":null}"#;
    let old: Conversion = serde_json::from_str(old).unwrap();

    // Its value was some transaction's, and here is one: it is not added to itself.
    let sale = Claim { subject: "4".into(), ..claim(Says::Approved, Evidence::Transaction, "100") };
    let same = apply(Some(old.clone()), &advertiser(), &sale, None);
    assert_eq!((same.conversion.value, same.corrected, same.steps), (Some(usd("100")), None, vec![]));
    assert!(!same.first_seen);

    let weaker =
        apply(Some(old.clone()), &advertiser(), &claim(Says::Nothing, Evidence::Invoice, "13"), None);
    assert_eq!(weaker.conversion.value, Some(usd("100")));

    let copy = apply(Some(old.clone()), &advertiser(), &refund("9", Evidence::Transaction, "30"), None);
    assert_eq!(copy.steps, []);
    let more = apply(Some(old), &advertiser(), &refund("8", Evidence::Transaction, "70"), None);
    assert_eq!(more.steps, [Step::Refund(100.into())]);
    assert_eq!(more.conversion.status, Status::Refunded);
}

#[test]
fn a_row_is_read_as_it_was_written() {
    let (mut conversion, _) =
        play(&[claim(Says::Approved, Evidence::Order, "100"), refund("9", Evidence::Transaction, "40")]);
    conversion.payout = Some(usd("30"));
    conversion.kpi = true;
    let row = serde_json::to_string(&conversion).unwrap();
    assert_eq!(serde_json::from_str::<Conversion>(&row).unwrap(), conversion);
}

/// Any claim that could be made of one order.
fn any_claim() -> impl Strategy<Value = Claim> {
    let evidence = prop_oneof![Just(Evidence::Order), Just(Evidence::Invoice), Just(Evidence::Transaction)];
    let amount = || proptest::option::of(0..5_i64);
    let line = (evidence.clone(), "[12]", amount(), proptest::option::of("[12]"), any::<(bool, bool)>());
    let says = prop_oneof![
        Just(Says::Pending),
        Just(Says::Approved),
        Just(Says::Rejected),
        Just(Says::Void),
        Just(Says::Nothing),
        line.prop_map(|(evidence, subject, amount, of, (whole, partial))| Says::Refund(Refund {
            subject,
            evidence,
            amount: amount.map(Into::into),
            of,
            whole,
            partial
        })),
    ];
    (says, evidence, amount(), "[12]", 0..3_i64, proptest::bool::weighted(0.05)).prop_map(
        |(says, evidence, amount, subject, seconds, test)| Claim {
            value: amount.map(|amount| usd(&amount.to_string())),
            subject,
            at: at(seconds),
            test,
            ..claim(says, evidence, "")
        },
    )
}

/// What must not depend on the order of arrival: all but what was told.
fn known_of(conversion: Conversion) -> Conversion {
    Conversion { told: None, refund_selected: None, ..conversion }
}

proptest! {
    #[test]
    fn what_is_known_is_a_function_of_the_set_of_claims(
        (claims, shuffled) in proptest::collection::vec(any_claim(), 1..8)
            .prop_flat_map(|claims| (Just(claims.clone()), Just([claims.clone(), claims].concat()).prop_shuffle())),
    ) {
        let (once, _) = play(&claims);
        let (twice, _) = play(&shuffled);
        prop_assert_eq!(known_of(once), known_of(twice));
    }

    #[test]
    fn no_claim_ever_lowers_a_status_or_takes_back_what_was_told(claims in proptest::collection::vec(any_claim(), 1..12)) {
        let changes = changes(&claims);
        for pair in changes.windows(2) {
            let (before, after) = (&pair[0].conversion, &pair[1].conversion);
            prop_assert!(after.status.rank() >= before.status.rank(), "{:?} to {:?}", before.status, after.status);
            prop_assert!(after.refund_selected >= before.refund_selected);
        }
        let ids: Vec<_> = changes.iter().flat_map(|change| &change.steps)
            .filter(|step| **step != Step::Pending).map(Step::id).collect();
        let distinct: HashSet<_> = ids.iter().collect();
        prop_assert_eq!(distinct.len(), ids.len(), "a step is told once");
        prop_assert!(ids.is_empty() || ids[0] == "conversion", "no refund before its sale");
    }
}
