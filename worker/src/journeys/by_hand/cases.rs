//! The cases. Who is not named otherwise is of one advertiser; minutes count from noon.

use super::Case;
use super::step::*;
use crate::journeys::journey::{Arrival, Input};

const MONTH: i64 = 30 * 24 * 60;

fn case(
    name: &'static str,
    arrivals: impl IntoIterator<Item = Arrival>,
    decisions: &'static [&'static str],
    conversions: &'static [&'static str],
) -> Case {
    let mut arrivals: Vec<_> = arrivals.into_iter().collect();
    for (number, arrival) in arrivals.iter_mut().enumerate() {
        if let Input::Event(event) = &mut arrival.input
            && event.id.is_empty()
        {
            event.id = uuid(&format!("e{number}"));
        }
    }
    Case { name, arrivals, decisions, conversions }
}

/// Every case.
pub fn all() -> Vec<Case> {
    [named(), visitors(), joined(), early(), following(), money()].into_iter().flatten().collect()
}

fn named() -> Vec<Case> {
    vec![
        case(
            "the click that an event names earned it",
            [click(0, "c1", "ann"), lead(5, "7").naming("c1")],
            &["c1 custom_attribute"],
            &["lead:7 approved told conversion"],
        ),
        case(
            "it says where the click was named",
            [
                click(0, "c1", "ann"),
                lead(5, "7").naming_by("c1", "landing_page"),
                order(6, "1", "7").naming_by("c1", "query"),
            ],
            &["c1 landing_page", "c1 query"],
            &[],
        ),
        case(
            "a named click counts though its window is over",
            [click(0, "c1", "ann"), order(2 * MONTH, "1", "7").naming("c1")],
            &["c1 custom_attribute"],
            &[],
        ),
        case(
            "a named click counts though by the clocks it is later than the event",
            [click(0, "c1", "ann"), order(5, "1", "7").dated(-10).naming("c1")],
            &["c1 custom_attribute"],
            &[],
        ),
        case(
            "a named click counts though the visitor has a newer one",
            [click(0, "c1", "ann"), click(5, "c2", "ann"), lead(9, "7").naming("c1")],
            &["c1 custom_attribute"],
            &[],
        ),
        case(
            "a bot's click counts where it is named",
            [click(0, "c1", "ann").bot(), lead(5, "7").naming("c1")],
            &["c1 custom_attribute"],
            &[],
        ),
        case(
            "another advertiser's click counts for nothing and is not waited for",
            [click(0, "c1", "ann").of("other"), lead(5, "7").naming("c1")],
            &["none"],
            &[],
        ),
        case(
            "where another advertiser's click is named, the contact's own counts",
            [
                click(0, "c1", "ann"),
                click(1, "c2", "ann").of("other"),
                lead(5, "7").naming("c1"),
                order(6, "1", "7").naming("c2"),
            ],
            &["c1 custom_attribute", "c1 contact"],
            &[],
        ),
        case(
            "another tracker's id counts for nothing and is not waited for",
            [
                click(0, "c1", "ann"),
                lead(5, "7").naming("c1"),
                lead(6, "8").foreign(),
                order(7, "1", "7").foreign(),
            ],
            &["c1 custom_attribute", "none", "c1 contact"],
            &[],
        ),
        case(
            "a macro that nobody filled in is no click, and the e-mail counts",
            [
                click(0, "c1", "ann"),
                lead(5, "7").email("ann").naming("c1"),
                order(6, "1", "8").email("ann").placeholder(),
                order(7, "2", "9").email("bob").placeholder(),
            ],
            &["c1 custom_attribute", "c1 email", "none"],
            &[],
        ),
    ]
}

fn visitors() -> Vec<Case> {
    vec![
        case(
            "the visitor's newest click counts",
            [click(0, "c1", "ann"), click(5, "c2", "ann"), click(6, "c3", "bob"), plain(9, "1", "ann")],
            &["c2 visitor"],
            &["txid:1 approved 100 told conversion"],
        ),
        case(
            "the newest is the newest by its time, whenever we heard of it",
            [click(5, "c2", "ann"), click(0, "c1", "ann").heard(6), plain(9, "1", "ann")],
            &["c2 visitor"],
            &[],
        ),
        case(
            "of two clicks at the same time the one with the greater id counts",
            [click(0, "c2", "ann"), click(0, "c1", "ann"), plain(9, "1", "ann")],
            &["c2 visitor"],
            &[],
        ),
        case(
            "a click at the time of the event is before it",
            [click(0, "c1", "ann"), plain(0, "1", "ann")],
            &["c1 visitor"],
            &[],
        ),
        case(
            "a click after the event, by its sender's clock, does not count",
            [
                click(0, "c1", "ann"),
                lead(1, "7").naming("c1"),
                click(20, "c2", "ann"),
                order(30, "1", "7").dated(10),
                order(31, "2", "7").dated(-10),
            ],
            &["c1 custom_attribute", "c1 contact", "none"],
            &[],
        ),
        case(
            "the window's edge is inside",
            [click(0, "c1", "ann").window(60), plain(60, "1", "ann")],
            &["c1 visitor"],
            &[],
        ),
        case(
            "a millisecond past the window is outside",
            [click(0, "c1", "ann").window(60), plain(60, "1", "ann").later(1)],
            &["none"],
            &[],
        ),
        case(
            "30 days are a window, a minute more is none",
            [click(0, "c1", "ann"), plain(MONTH, "1", "ann"), plain(MONTH + 1, "2", "ann")],
            &["c1 visitor", "none"],
            &[],
        ),
        case(
            "an older click whose offer's window still holds counts over a newer one whose does not",
            [click(0, "c1", "ann"), click(5, "c2", "ann").window(10), plain(60, "1", "ann")],
            &["c1 visitor"],
            &[],
        ),
        case(
            "a bot's click is no touch, new as it may be",
            [click(0, "c1", "ann"), click(5, "c2", "ann").bot(), plain(9, "1", "ann")],
            &["c1 visitor"],
            &[],
        ),
        case(
            "a cookie's clicks for another advertiser are no touches of this one's visitor",
            [
                click(0, "c1", "ann"),
                click(5, "c2", "ann").of("other"),
                plain(9, "1", "ann"),
                plain(9, "2", "ann").of("other"),
            ],
            &["c1 visitor", "c2 visitor"],
            &[],
        ),
        case(
            "a sale without any trace of a click goes on at once",
            [click(0, "c1", "ann"), order(5, "1", "7").email("bob").phone("11"), plain(6, "2", "bob")],
            &["none", "none"],
            &["order:1 approved 100 told conversion"],
        ),
    ]
}

fn joined() -> Vec<Case> {
    vec![
        case(
            "a contact has the clicks of every cookie that it came with",
            [
                click(0, "c1", "ann"),
                click(3, "c2", "annie"),
                lead(5, "7").naming("c2"),
                lead(6, "7").naming("c1"),
                order(9, "1", "7"),
            ],
            &["c2 custom_attribute", "c1 custom_attribute", "c2 contact"],
            &["lead:7 approved told conversion"],
        ),
        case(
            "two cookies of one contact are one visitor",
            [
                click(0, "c1", "ann"),
                click(3, "c2", "annie"),
                lead(5, "7").naming("c1"),
                lead(6, "7").naming("c2"),
                plain(9, "1", "ann"),
            ],
            &["c1 custom_attribute", "c2 custom_attribute", "c2 visitor"],
            &[],
        ),
        case(
            "devices are joined by an e-mail",
            [
                click(0, "c1", "ann"),
                lead(5, "7").email("ann").naming("c1"),
                plain(9, "1", "annie").email("ann"),
                plain(10, "2", "annie"),
            ],
            &["c1 custom_attribute", "c1 email", "c1 visitor"],
            &[],
        ),
        case(
            "devices are joined by a phone number",
            [
                click(0, "c1", "ann"),
                lead(5, "7").phone("11").naming("c1"),
                order(9, "1", "8").email("bob").phone("11"),
            ],
            &["c1 custom_attribute", "c1 phone"],
            &[],
        ),
        case(
            "an e-mail leads to a phone number, and that to the click",
            [
                click(0, "c1", "ann"),
                lead(1, "7").phone("11").naming("c1"),
                lead(2, "8").phone("11").email("ann"),
                order(3, "1", "9").email("ann"),
            ],
            &["c1 custom_attribute", "c1 phone", "c1 email"],
            &[],
        ),
        case(
            "the cookie counts before the contact, and the contact before the e-mail",
            [
                click(0, "c1", "ann"),
                lead(1, "7").email("ann").naming("c1"),
                plain(2, "1", "ann").contact("7").email("ann"),
                order(3, "1", "7").email("ann"),
            ],
            &["c1 custom_attribute", "c1 visitor", "c1 contact"],
            &[],
        ),
        case(
            "the newest click counts whichever way leads to it",
            [
                click(0, "c1", "ann"),
                lead(1, "7").email("ann").naming("c1"),
                click(2, "c2", "annie"),
                lead(3, "8").email("ann").naming("c2"),
                order(4, "1", "7").email("ann"),
            ],
            &["c1 custom_attribute", "c2 custom_attribute", "c2 email"],
            &[],
        ),
        case(
            "who has an e-mail with another advertiser is a stranger here",
            [
                click(0, "c1", "ann"),
                lead(1, "7").email("ann").naming("c1"),
                order(2, "1", "7").email("ann").of("other"),
            ],
            &["c1 custom_attribute", "none"],
            &[],
        ),
        shared(
            "an e-mail on 20 visitors joins them",
            20,
            &[
                "c1 custom_attribute",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
            ],
        ),
        shared(
            "an e-mail on 21 visitors joins nobody",
            21,
            &[
                "c1 custom_attribute",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "c1 email",
                "none",
            ],
        ),
        case(
            "a merge after the decision changes nothing, and counts for what comes then",
            [
                click(0, "c1", "ann"),
                order(5, "1", "7").email("ann"),
                lead(6, "8").email("ann").naming("c1"),
                sale(7, "1", "4", 100),
                order(8, "2", "7").email("bob"),
            ],
            &["none", "c1 custom_attribute", "c1 contact", "c1 contact"],
            &[],
        ),
    ]
}

/// So many contacts with one e-mail, the first of whom clicked.
fn shared(name: &'static str, contacts: i64, decisions: &'static [&'static str]) -> Case {
    let others = (1..contacts).map(|n| lead(5 + n, &(100 + n).to_string()).email("office"));
    let first = [click(0, "c1", "ann"), lead(5, "100").email("office").naming("c1")];
    case(name, first.into_iter().chain(others), decisions, &[])
}

fn early() -> Vec<Case> {
    vec![
        case(
            "a named click that is not recorded yet is waited for",
            [lead(0, "7").dated(-5).naming("c1"), click(3, "c1", "ann")],
            &["c1 custom_attribute after click"],
            &[],
        ),
        case(
            "a click that comes a millisecond before the 15 minutes are over is in time",
            [lead(0, "7").naming("c1"), click(15, "c1", "ann").later(-1)],
            &["c1 custom_attribute after click"],
            &[],
        ),
        case(
            "a click that comes after the 15 minutes changes nothing that is decided",
            [lead(0, "7").naming("c1"), click(16, "c1", "ann").later(-40 * MINUTE).heard(16)],
            &["none after click in vain"],
            &["lead:7 approved told conversion"],
        ),
        case(
            "what waited for its click in vain has its visitor's",
            [click(0, "c1", "ann"), lead(1, "7").naming("c1"), order(2, "1", "7").naming("c9")],
            &["c1 custom_attribute", "c1 contact after click in vain"],
            &[],
        ),
        case(
            "a visitor's click that comes while an event waits counts for it in the end",
            [
                click(0, "c1", "ann"),
                lead(1, "7").naming("c1"),
                order(2, "1", "7").dated(10).naming("c9"),
                click(9, "c2", "ann"),
            ],
            &["c1 custom_attribute", "c2 contact after click in vain"],
            &[],
        ),
        case(
            "an event that waits joins nobody yet",
            [
                click(0, "c1", "ann"),
                lead(1, "7").email("ann").naming("c9"),
                plain(2, "1", "ann").email("ann"),
                click(5, "c9", "bob"),
            ],
            &["c9 custom_attribute after click", "c1 visitor"],
            &[],
        ),
        case(
            "a transaction before its order waits for it",
            [click(0, "c1", "ann"), sale(1, "1", "4", 100), order(2, "1", "7").naming("c1")],
            &["c1 order after order", "c1 custom_attribute"],
            &["order:1 approved 100 told conversion"],
        ),
        case(
            "a transaction whose order does not come goes on without",
            [click(0, "c1", "ann"), sale(1, "1", "4", 100), order(20, "1", "7").naming("c1")],
            &["none after order in vain", "c1 custom_attribute"],
            &["order:1 approved 100 told conversion"],
        ),
        case(
            "what is shipped to an unknown contact waits for the contact",
            [click(0, "c1", "ann"), shipped(1, "7"), lead(2, "7").email("ann").naming("c1")],
            &["c1 contact after contact", "c1 custom_attribute"],
            &[],
        ),
        case(
            "a refund before its sale waits for it",
            [
                click(0, "c1", "ann"),
                refunded_order(1, "1", "7").email("ann"),
                order(2, "1", "7").email("ann").naming("c1"),
            ],
            &["c1 order after sale", "c1 custom_attribute"],
            &["order:1 refunded 100 back 100 told conversion, refund:100"],
        ),
        case(
            "a sale that comes long after its refund stays refunded, and both are told then",
            [
                click(0, "c1", "ann"),
                refunded_order(1, "1", "7").email("ann"),
                order(30, "1", "7").email("ann").naming("c1"),
            ],
            &["none after sale in vain", "c1 custom_attribute"],
            &["order:1 refunded 100 back 100 told conversion, refund:100"],
        ),
        case(
            "a refund transaction that comes first waits for its order and its sale",
            [click(0, "c1", "ann"), refund(1, "1", "6", None, 40), order(2, "1", "7").naming("c1")],
            &["c1 order after order and sale", "c1 custom_attribute"],
            &["order:1 partially_refunded 100 back 40 told conversion, refund:40"],
        ),
        case(
            "a refund waits for a sale that waits for its click, and follows it",
            [
                order(0, "1", "7").email("ann").naming("c1"),
                refunded_order(1, "1", "7").email("ann"),
                sale(2, "1", "4", 100),
                click(3, "c1", "ann").later(-10 * MINUTE).heard(3),
            ],
            &["c1 custom_attribute after click", "c1 order after sale", "c1 order after order"],
            &["order:1 refunded 100 back 100 told conversion, refund:100"],
        ),
        case(
            "when a sale stops waiting, what waits for the sale is released",
            [
                order(0, "1", "7").email("ann").naming("c1"),
                refunded_order(10, "1", "7").email("ann"),
                click(20, "c1", "ann"),
            ],
            &["none after click in vain", "none after sale"],
            &["order:1 refunded 100 back 100 told conversion, refund:100"],
        ),
    ]
}

fn following() -> Vec<Case> {
    vec![
        case(
            "transactions and invoices have their order's click",
            [
                click(0, "c1", "ann"),
                order(1, "1", "7").naming("c1"),
                click(2, "c2", "ann"),
                sale(3, "1", "4", 100),
                invoice(4, "1", "8", 100, "7"),
            ],
            &["c1 custom_attribute", "c1 order", "c1 order"],
            &["order:1 approved 100 told conversion"],
        ),
        case(
            "a rebill has the sale's click, long after the window and with newer clicks about",
            [
                click(0, "c1", "ann"),
                subscription(1, "1", "7").email("ann").naming("c1"),
                click(3 * MONTH - 5, "c2", "ann"),
                rebill(3 * MONTH, "1", "9", "7").email("ann"),
            ],
            &["c1 custom_attribute", "c1 order"],
            &["order:1 approved 100 told conversion", "invoice:9 approved 100 told conversion"],
        ),
        case(
            "a refund has the sale's click, long after the window",
            [
                click(0, "c1", "ann"),
                order(1, "1", "7").naming("c1"),
                refunded_order(2 * MONTH, "1", "7").email("ann"),
            ],
            &["c1 custom_attribute", "c1 order"],
            &["order:1 refunded 100 back 100 told conversion, refund:100"],
        ),
        case(
            "a rebill of an order that is not known goes by its contact",
            [click(0, "c1", "ann"), lead(1, "7").naming("c1"), rebill(2, "1", "9", "7").email("ann")],
            &["c1 custom_attribute", "c1 contact"],
            &[],
        ),
        case(
            "a sale that is approved by another click has that one from then on",
            [
                click(0, "c1", "ann"),
                click(1, "c2", "ann"),
                placed(2, "1", 100, "7").naming("c1"),
                order(3, "1", "7").naming("c2"),
                invoice(4, "1", "8", 100, "7").naming("c1"),
                sale(5, "1", "4", 100),
            ],
            &["c1 custom_attribute", "c2 custom_attribute", "c1 custom_attribute", "c2 order"],
            &[],
        ),
        case(
            "a copy changes nothing and is told to nobody",
            [
                click(0, "c1", "ann"),
                order(1, "1", "7").naming("c1").id("e1"),
                order(2, "1", "7").naming("c1").id("e1"),
                order(3, "1", "7").naming("c1").id("e1").of("other"),
            ],
            &["c1 custom_attribute", "copy", "none"],
            &["order:1 approved 100 told conversion"],
        ),
        case(
            "a copy of what waits is a copy",
            [lead(0, "7").naming("c1").id("e1"), lead(1, "7").naming("c1").id("e1"), click(2, "c1", "ann")],
            &["c1 custom_attribute after click", "copy"],
            &["lead:7 approved told conversion"],
        ),
    ]
}

fn money() -> Vec<Case> {
    vec![
        case(
            "an order is pending until it is paid",
            [placed(0, "1", 90, "7").email("ann")],
            &["none"],
            &["order:1 pending 90"],
        ),
        case(
            "a weaker or earlier statement of the value changes nothing",
            [
                order(5, "1", "7").email("ann"),
                invoice(6, "1", "8", 110, "7").email("ann"),
                sale(7, "1", "4", 120),
                placed(8, "1", 90, "7").email("ann").dated(4),
            ],
            &["none", "none", "none", "none"],
            &["order:1 approved 120 told conversion"],
        ),
        case(
            "of an order's totals the one that was stated last counts",
            [order(5, "1", "7").email("ann"), placed(8, "1", 90, "7").email("ann").dated(4)],
            &["none", "none"],
            &["order:1 approved 100 told conversion"],
        ),
        case(
            "transactions of one order are added up, each once",
            [
                order(0, "1", "7").email("ann"),
                sale(1, "1", "4", 60),
                sale(2, "1", "5", 40),
                sale(3, "1", "4", 60),
            ],
            &["none", "none", "none", "none"],
            &["order:1 approved 100 told conversion"],
        ),
        case(
            "partial refunds are told one by one until all is back",
            [
                order(0, "1", "7").email("ann"),
                sale(1, "1", "4", 100),
                refund(2, "1", "6", Some("4"), 30),
                refund(3, "1", "7", Some("4"), 70),
            ],
            &["none", "none", "none", "none"],
            &["order:1 refunded 100 back 100 told conversion, refund:30, refund:100"],
        ),
        case(
            "a sale that is marked as refunded and its refund transactions are the same money",
            [
                order(0, "1", "7").email("ann"),
                sale(1, "1", "4", 60),
                sale(2, "1", "5", 40),
                marked(3, "1", "4", 60),
                refund(4, "1", "6", Some("4"), 60),
                refund(5, "1", "7", Some("5"), 10),
            ],
            &["none", "none", "none", "none", "none", "none"],
            &["order:1 partially_refunded 100 back 70 told conversion, refund:60, refund:70"],
        ),
        case(
            "a refund that does not say of which sale is first that of the sale that is marked",
            [
                order(0, "1", "7").email("ann"),
                sale(1, "1", "4", 60),
                sale(2, "1", "5", 40),
                marked(3, "1", "4", 60),
                refund(4, "1", "6", None, 60),
                refund(5, "1", "7", None, 15),
            ],
            &["none", "none", "none", "none", "none", "none"],
            &["order:1 partially_refunded 100 back 75 told conversion, refund:60, refund:75"],
        ),
        case(
            "a refund that is told by order, invoice and transaction is one refund",
            [
                order(0, "1", "7").email("ann"),
                invoice(1, "1", "8", 100, "7").email("ann"),
                sale(2, "1", "4", 100),
                refunded_order(3, "1", "7").email("ann"),
                refunded_invoice(4, "1", "8", 100, "7").email("ann"),
                refund(5, "1", "6", Some("4"), 100),
                marked(6, "1", "4", 100),
            ],
            &["none", "none", "none", "none", "none", "none", "none"],
            &["order:1 refunded 100 back 100 told conversion, refund:100"],
        ),
    ]
}
