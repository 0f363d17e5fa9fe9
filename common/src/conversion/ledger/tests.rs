use super::*;
use crate::money::{currency, decimal};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// `order 1 396.00 USD 5`: evidence, subject, amount, currency, time.
fn statement(text: &str) -> Statement {
    let [evidence, subject, amount, code, seconds] =
        text.split_whitespace().collect::<Vec<_>>().try_into().unwrap();
    Statement {
        evidence: evidence_of(evidence),
        subject: subject.into(),
        value: Amount { amount: decimal(amount).unwrap(), currency: currency(code) },
        at: Some(at(seconds.parse().unwrap())),
    }
}

fn evidence_of(word: &str) -> Evidence {
    match word {
        "order" => Evidence::Order,
        "invoice" => Evidence::Invoice,
        "transaction" => Evidence::Transaction,
        other => panic!("{other}"),
    }
}

#[test]
fn a_value_is_by_the_weightiest_evidence_summed_over_its_subjects() {
    for (stated, value_of_it) in [
        (&["order 1 396.00 USD 0"][..], "396.00 USD"),
        (&["order 1 396.00 USD 0", "invoice 1 13 USD 0"], "13 USD"),
        (&["order 1 396.00 USD 9", "invoice 1 13 USD 0", "transaction 4 5 USD 0"], "5 USD"),
        (&["transaction 4 200 USD 0", "transaction 5 196 USD 0"], "396 USD"),
        (&["invoice 7 200 USD 0", "invoice 8 196 USD 0"], "396 USD"),
        // On one subject the later counts, and of equal times the greater.
        (&["transaction 4 10 USD 5", "transaction 4 20 USD 3"], "10 USD"),
        (&["transaction 4 10 USD 5", "transaction 4 20 USD 5"], "20 USD"),
        (&["order 1 10 USD 5", "order 1 20 USD 3"], "10 USD"),
        // Of orders the latest counts, and they are never added.
        (&["order 1 10 USD 5", "order 2 20 USD 3"], "10 USD"),
        (&["order 1 10 USD 5", "order 2 20 USD 5"], "20 USD"),
        // What names no currency is of the one that is named; nobody adds dollars to euros.
        (&["transaction 4 10 ? 9", "transaction 5 20 USD 3"], "30 USD"),
        (&["transaction 4 10 EUR 9", "transaction 5 20 USD 3", "transaction 6 5 EUR 1"], "15 EUR"),
        (&["transaction 4 10 ? 9", "transaction 5 20 ? 3"], "30"),
    ] {
        for turned in [false, true] {
            let mut statements = Vec::new();
            let mut stated: Vec<_> = stated.iter().map(|text| statement(text)).collect();
            if turned {
                stated.reverse();
            }
            for statement in stated.iter().chain(&stated) {
                state(&mut statements, statement.clone());
            }
            assert_eq!(value(&statements).unwrap().1.to_string(), value_of_it, "{stated:#?}");
        }
    }
    assert_eq!(value(&[]), None);
}

/// `transaction 9 40 of=4 whole partial at=5`; `-` is no amount.
fn report(text: &str) -> (Refund, Timestamp) {
    let words: Vec<_> = text.split_whitespace().collect();
    let after = |prefix: &str| words.iter().find_map(|word| word.strip_prefix(prefix));
    let refund = Refund {
        subject: words[1].into(),
        evidence: evidence_of(words[0]),
        amount: decimal(words[2]),
        of: after("of=").map(ToOwned::to_owned),
        whole: words.contains(&"whole"),
        partial: words.contains(&"partial"),
    };
    (refund, at(after("at=").map_or(0, |seconds| seconds.parse().unwrap())))
}

#[test]
fn a_refund_is_summed_over_one_kind_of_report_and_no_money_is_counted_twice() {
    for (reports, sum) in [
        (&["order 1 -"][..], None),
        (&["order 1 100"], Some(100)),
        (&["order 1 100", "invoice 7 90", "invoice 8 5"], Some(95)),
        (&["order 1 100", "invoice 7 90", "transaction 9 30"], Some(30)),
        // A report without an amount is none to sum up by.
        (&["order 1 100", "invoice 7 -"], Some(100)),
        (&["transaction 9 -", "invoice 7 90"], Some(90)),
        (&["transaction 9 30", "transaction 10 -70"], Some(100)),
        (&["transaction 9 30", "transaction 9 30"], Some(30)),
        (&["transaction 9 30 at=2", "transaction 9 50 at=1"], Some(30)),
        (&["transaction 9 30 at=2", "transaction 9 - at=3"], Some(30)),
        // The sale is marked, and its refund is reported: the same money.
        (&["transaction 4 396 whole", "transaction 9 396 of=4"], Some(396)),
        (&["transaction 4 396 whole", "transaction 9 100 of=4"], Some(396)),
        (&["transaction 4 396 whole", "transaction 9 400 of=4"], Some(400)),
        (&["transaction 4 396 whole", "transaction 9 396"], Some(396)),
        (&["transaction 4 396 whole", "transaction 9 300", "transaction 10 196"], Some(496)),
        // Of two sales one is marked; the other's refund is more money.
        (&["transaction 4 200 whole", "transaction 9 50 of=5"], Some(250)),
        (&["transaction 4 200 whole", "transaction 5 196 whole", "transaction 9 396"], Some(396)),
        (&["transaction 4 200 whole", "transaction 9 150 of=4", "transaction 10 80"], Some(230)),
        // A marked sale without an amount gave back what it was worth; here that is 396.
        (&["transaction 40 - whole"], Some(396)),
        (&["transaction 40 - whole", "transaction 9 100 of=40"], Some(396)),
        (&["transaction 40 -"], None),
    ] {
        let statements = [statement("transaction 40 396 USD 0")];
        for turned in [false, true] {
            let mut reports: Vec<_> = reports.iter().map(|text| report(text)).collect();
            if turned {
                reports.reverse();
            }
            let mut lines = Vec::new();
            for (refund, at) in reports.iter().chain(&reports) {
                record(&mut lines, refund, *at);
            }
            assert_eq!(refunded(&lines, &statements), sum.map(Decimal::from), "{reports:#?}");
        }
    }
}

#[test]
fn a_line_keeps_what_any_report_said_of_it() {
    for turned in [false, true] {
        let mut reports = [
            report("transaction 9 30 at=1"),
            report("transaction 9 - of=4 partial at=2"),
            report("transaction 9 - whole at=3"),
        ];
        if turned {
            reports.reverse();
        }
        let mut lines = Vec::new();
        for (refund, at) in &reports {
            record(&mut lines, refund, *at);
        }
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!((line.amount, line.of.as_deref(), line.whole), (Some(30.into()), Some("4"), true));
    }
}
