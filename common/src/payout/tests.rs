use super::*;
use crate::money;
use serde_json::json;

/// The four rules of the specification's page, and some that are narrower.
fn offer() -> Offer {
    read(
        r#"
        [[payout]]
        name = "lead-us-mobile"
        event = "lead"
        country = ["US", "ca"]
        device = "mobile"
        pay = { fixed = "3.75", currency = "USD" }
        per_click = "once"

        [[payout]]
        name = "lead"
        event = ["lead", "opt-in"]
        pay = { fixed = "2.50", currency = "USD" }
        per_click = "once"

        [[payout]]
        name = "purchase-shop"
        event = "purchase"
        source = "shop"
        pay = "event"

        [[payout]]
        name = "purchase"
        event = "purchase"
        pay = { percent = "30" }

        [[payout]]
        name = "cart"
        event = "cart"
        counts_as = "kpi"

        [[payout]]
        name = "refund"
        event = "refund"
        pay = { percent = "30" }

        [payout_default]
        pay = { fixed = "1", currency = "EUR" }
        per_click = "once"
        "#,
    )
    .unwrap()
}

fn read(payouts: &str) -> Result<Offer, toml::de::Error> {
    let head = "id = \"demo\"\nadvertiser = \"acme\"\ntracking_url = \"https://f.example/\"\n";
    toml::from_str(&format!("{head}{payouts}"))
}

fn usd(text: &str) -> Option<Amount> {
    Some(Amount { amount: text.parse().unwrap(), currency: money::currency("USD") })
}

#[test]
fn the_first_rule_that_matches_counts_and_else_the_default() {
    let purchase = Case { event: "purchase", source: "funnel", value: usd("396.00"), ..Case::default() };
    let lead = Case { event: "lead", source: "funnel", ..Case::default() };
    for (case, rule, payout, once) in [
        (lead, "lead", "2.50 USD", true),
        (Case { event: "Opt-In", ..lead }, "lead", "2.50 USD", true),
        (Case { country: Some("us"), device: Some("Mobile"), ..lead }, "lead-us-mobile", "3.75 USD", true),
        (Case { country: Some("CA"), device: Some("mobile"), ..lead }, "lead-us-mobile", "3.75 USD", true),
        (Case { country: Some("DE"), device: Some("mobile"), ..lead }, "lead", "2.50 USD", true),
        (Case { country: Some("US"), device: Some("desktop"), ..lead }, "lead", "2.50 USD", true),
        // Where the country is not known, no rule for a country matches.
        (Case { device: Some("mobile"), ..lead }, "lead", "2.50 USD", true),
        (purchase, "purchase", "118.80 USD", false),
        (Case { event: "PURCHASE", ..purchase }, "purchase", "118.80 USD", false),
        (Case { source: "shop", ..purchase }, "purchase-shop", "396.00 USD", false),
        (Case { value: None, ..purchase }, "purchase", "", false),
        (Case { source: "shop", value: None, ..purchase }, "purchase-shop", "", false),
        (Case { event: "refund", value: usd("100"), ..purchase }, "refund", "30.00 USD", false),
        (Case { event: "upsell", ..purchase }, "default", "1 EUR", true),
    ] {
        let settled = decide(&offer(), &case);
        let told = settled.payout.map_or(String::new(), |payout| payout.to_string());
        assert_eq!((settled.rule.as_str(), told.as_str(), settled.once), (rule, payout, once), "{case:?}");
        assert!(settled.payable, "{case:?}");
    }
}

#[test]
fn a_kpi_is_not_payable_and_pays_nothing() {
    let settled = decide(&offer(), &Case { event: "cart", value: usd("5"), ..Case::default() });
    assert_eq!(settled, Settled { rule: "cart".into(), payable: false, once: false, payout: None });
}

#[test]
fn an_offer_without_rules_pays_nothing_and_withholds_nothing() {
    let offer = read("").unwrap();
    let settled = decide(&offer, &Case { event: "purchase", value: usd("5"), ..Case::default() });
    assert_eq!(settled, Settled { rule: "none".into(), payable: true, once: false, payout: None });
    assert_eq!((offer.faults(), offer.warnings()), (vec![], vec![]));
}

#[test]
fn a_refund_is_never_once_per_click() {
    let mut offer = offer();
    offer.payout.retain(|rule| rule.name != "refund");
    let settled = decide(&offer, &Case { event: "refund", value: usd("5"), ..Case::default() });
    assert_eq!((settled.rule.as_str(), settled.once), ("default", false));
}

#[test]
fn percentages_are_rounded_to_the_currencys_minor_units() {
    let offer = read(
        "[[payout]]\nname = \"p\"\nevent = \"p\"\npay = { percent = \"12.5\" }\n[payout_default]\npay = \"event\"",
    )
    .unwrap();
    for (value, code, payout) in [
        ("1999", "JPY", "250 JPY"),
        ("10.01", "KWD", "1.251 KWD"),
        ("10.01", "USD", "1.25 USD"),
        ("10.04", "USD", "1.26 USD"),
        ("10.01", "", "1.25"),
    ] {
        let value = Some(Amount { amount: value.parse().unwrap(), currency: money::currency(code) });
        let settled = decide(&offer, &Case { event: "p", value, ..Case::default() });
        assert_eq!(settled.payout.unwrap().to_string(), payout);
    }
}

#[test]
fn what_is_paid_once_and_has_been_pays_nothing_again() {
    let fresh = Conversion::new("acme".parse().unwrap(), "order:1");
    let settled = decide(&offer(), &Case { event: "lead", ..Case::default() });
    let mut paid = fresh.clone();
    settled.clone().enter(&mut paid, false);
    assert_eq!((paid.payout, paid.payout_rule.as_deref()), (usd("2.50"), Some("lead")));
    assert!(!paid.already_paid && !paid.kpi);
    let mut again = fresh;
    settled.enter(&mut again, true);
    assert_eq!((again.payout, again.payout_rule.as_deref()), (None, Some("lead")));
    assert!(again.already_paid);
}

#[test]
fn rules_are_kept_as_they_were_written() {
    let offer = offer();
    assert_eq!(offer.faults(), []);
    let kept = serde_json::to_string(&offer).unwrap();
    assert_eq!(serde_json::from_str::<Offer>(&kept).unwrap(), offer);
    let pay = serde_json::to_value(offer.payout[1].pay).unwrap();
    assert_eq!(pay, json!({"fixed": "2.50", "currency": "USD"}));
}

#[test]
fn a_payout_that_cannot_be_read_says_how_it_is_written() {
    for (pay, told) in [
        (
            "{ fixed = 2.50, currency = \"USD\" }",
            "expected a decimal number in quotation marks, such as \"2.50\"",
        ),
        ("{ percent = 30 }", "expected a decimal number in quotation marks"),
        ("{ fixed = \"2,50\", currency = \"USD\" }", "`2,50` is not a decimal number such as \"2.50\""),
        ("{ fixed = \"2.505\", currency = \"USD\" }", "2.505 is not payable: USD has 2 decimal places"),
        ("{ fixed = \"2.5\", currency = \"JPY\" }", "2.5 is not payable: JPY has 0 decimal places"),
        ("{ fixed = \"2.50\" }", "a fixed payout needs its currency"),
        ("{ fixed = \"2.50\", currency = \"dollars\" }", "`dollars` is not a currency of ISO 4217"),
        ("{ percent = \"30\", currency = \"USD\" }", "remove `currency`"),
        ("{ percent = \"30\", fixed = \"1\" }", "expected one of { fixed ="),
        ("{ share = \"30\" }", "unknown field `share`"),
        ("{}", "expected one of { fixed ="),
        ("\"value\"", "expected one of { fixed ="),
        ("30", "expected { fixed ="),
    ] {
        let error = read(&format!("[payout_default]\npay = {pay}")).unwrap_err();
        assert!(error.message().contains(told), "{pay}: {}", error.message());
    }
    let error = read("[[payout]]\nname = \"a\"\nevent = 5\npay = \"event\"").unwrap_err();
    assert!(error.message().contains("expected a word such as \"purchase\", or a list"), "{error}");
}

fn rule(text: &str) -> String {
    format!("[[payout]]\n{text}\n")
}

#[test]
fn every_fault_of_the_rules_is_told_with_its_key() {
    let rest = "[payout_default]\npay = \"event\"\n";
    let sound = rule("name = \"a\"\nevent = \"lead\"\npay = \"event\"");
    for (payouts, key, told) in [
        (sound.clone(), "payout_default", "is missing"),
        (format!("{sound}{sound}{rest}"), "payout[1].name", "`a` is the name of payout[0] already"),
        (
            format!("{}{rest}", rule("name = \" \"\nevent = \"x\"\npay = \"event\"")),
            "payout[0].name",
            "no name",
        ),
        (
            format!("{}{rest}", rule("name = \"default\"\nevent = \"x\"\npay = \"event\"")),
            "payout[0].name",
            "no name",
        ),
        (format!("{}{rest}", rule("name = \"a\"\nevent = []\npay = \"event\"")), "payout[0].event", "empty"),
        (
            format!("{}{rest}", rule("name = \"a\"\nevent = \" lead\"\npay = \"event\"")),
            "payout[0].event",
            "blanks",
        ),
        (
            format!("{}{rest}", rule("name = \"a\"\nevent = \"x\"\ncountry = \"USA\"\npay = \"event\"")),
            "payout[0].country",
            "`USA` is not the code of a country",
        ),
        (format!("{}{rest}", rule("name = \"a\"\nevent = \"x\"")), "payout[0].pay", "is missing"),
        (
            format!("{}{rest}", rule("name = \"a\"\nevent = \"x\"\npay = \"event\"\ncounts_as = \"kpi\"")),
            "payout[0].pay",
            "a KPI pays nothing",
        ),
        (
            format!(
                "{}{rest}",
                rule("name = \"a\"\nevent = \"refund\"\npay = \"event\"\nper_click = \"once\"")
            ),
            "payout[0].per_click",
            "it follows its sale",
        ),
        ("[payout_default]\nper_click = \"once\"\n".to_owned(), "payout_default.pay", "is missing"),
        (
            "[payout_default]\npay = \"event\"\ncounts_as = \"kpi\"\n".to_owned(),
            "payout_default.pay",
            "a KPI",
        ),
    ] {
        let faults = read(&payouts).unwrap().faults();
        assert_eq!(faults.len(), 1, "{payouts}: {faults:#?}");
        assert_eq!(faults[0].key, key, "{payouts}");
        assert!(faults[0].to_string().contains(told), "{}", faults[0]);
    }
}

#[test]
fn a_rule_that_can_never_match_is_warned_of() {
    for (rules, warned) in [
        (&["event = \"lead\"", "event = \"LEAD\"\ncountry = \"US\""][..], Some(1)),
        (&["event = \"lead\"\ncountry = \"US\"", "event = \"lead\""], None),
        (&["event = \"lead\"\ncountry = [\"US\", \"CA\"]", "event = \"lead\"\ncountry = \"us\""], Some(1)),
        (&["event = \"lead\"\ncountry = \"US\"", "event = \"lead\"\ncountry = [\"US\", \"CA\"]"], None),
        (&["event = \"lead\"", "event = [\"lead\", \"purchase\"]"], None),
        // Two rules together may take all of a third.
        (&["event = \"lead\"", "event = \"purchase\"", "event = [\"purchase\", \"lead\"]"], Some(2)),
        (&["event = \"lead\"\ndevice = \"mobile\"", "event = \"lead\"\nsource = \"shop\""], None),
    ] {
        let rules: String = rules
            .iter()
            .enumerate()
            .map(|(index, text)| rule(&format!("name = \"r{index}\"\npay = \"event\"\n{text}")))
            .collect();
        let offer = read(&format!("{rules}[payout_default]\ncounts_as = \"kpi\"")).unwrap();
        assert_eq!(offer.faults(), []);
        let keys: Vec<_> = offer.warnings().into_iter().map(|fault| fault.key).collect();
        let expected: Vec<_> = warned.iter().map(|index| format!("payout[{index}]")).collect();
        assert_eq!(keys, expected, "{rules}");
    }
}
