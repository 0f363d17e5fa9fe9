use super::*;
use proptest::prelude::*;
use serde_json::json;

fn masked(mut given: Value) -> Value {
    value(&mut given, &[]);
    given
}

#[test]
fn a_name_says_that_its_value_is_secret_however_it_is_written() {
    for name in [
        "card_number",
        "cardNumber",
        "Card-Number",
        "CARDNUMBER",
        "credit_card",
        "credit_card_number",
        "creditCardNumber",
        "creditcardnumber",
        "credit_card_exp_date_month",
        "cc_number",
        "cc-exp",
        "cvv",
        "CVV2",
        "cvc",
        "card_cvc",
        "security_code",
        "exp_month",
        "expYear",
        "iban",
        "account_number",
        "bank_account_number",
        "routing_number",
        "ssn",
        "password",
        "Password",
        "user_password",
        "userpassword",
        "password_confirmation",
        "form[password]",
        "passwd",
        "pwd",
        "pin",
        "secret",
        "client_secret",
        "secret_key",
        "token",
        "access_token",
        "accessToken",
        "payment_gateway_token",
        "stripe_token",
        "stripeToken",
        "stripe_customer_token",
        "payment_method_nonce",
        "api_key",
        "apiKey",
        "X-Api-Key",
        "authorization",
    ] {
        assert!(name::said(name).secret, "{name}");
    }
    for name in [
        "token_count",
        "pinned",
        "pin_code",
        "public_id",
        "event_id",
        "clickid",
        "click_id",
        "cid",
        "tid",
        "shipping_address",
        "shipping_pin_code",
        "secretary",
        "key",
        "keyword",
        "utm_term",
        "discard",
        "postcard_number",
        "company",
        "expansion",
        "spin",
        "tokenize",
        "authorized",
        "name",
        "number",
        "",
        "created_at",
        "payment_type",
        "passenger",
        "compass",
        "account",
        "card_type",
    ] {
        assert!(!name::said(name).secret, "{name}");
    }
}

#[test]
fn what_a_secret_name_holds_is_masked_whole_and_the_rest_stays() {
    let given = json!({
        "id": 7, "card": {"number": "4111 1111 1111 1111", "exp_month": 12, "brand": "visa"},
        "password": "hunter2", "token": {"id": "tok_1", "used": false}, "tokens_left": 3,
        "fields": [{"name": "password", "value": "hunter3"}, {"name": "city", "value": "Madrid"}],
        "cvv": "", "pin": null, "total_amount": "396.00"
    });
    let expected = json!({
        "id": 7, "card": {"number": "…1111", "exp_month": "…", "brand": "visa"},
        "password": "…", "token": {"id": "…", "used": false}, "tokens_left": 3,
        "fields": [{"name": "password", "value": "…"}, {"name": "city", "value": "Madrid"}],
        "cvv": "", "pin": null, "total_amount": "396.00"
    });
    let mut value = given;
    assert_eq!(super::value(&mut value, &[]), 5);
    assert_eq!(value, expected);
}

#[test]
fn a_card_number_is_masked_wherever_it_stands_but_for_its_last_four_digits() {
    for (given, expected) in [
        ("4111111111111111", "…1111"),
        ("my card is 4111-1111-1111-1111, thanks", "my card is …1111, thanks"),
        ("12 4111 1111 1111 1111 12/27", "12 …1111 12/27"),
        ("3782 822463 10005", "…0005"),
        ("378282246310005", "…0005"),
        ("5555555555554444.", "…4444."),
        ("2223003122003222", "…3222"),
        ("6011111111111117 and 30569309025904", "…1117 and …5904"),
        ("note%204111111111111111", "note%20…1111"),
        ("4111+1111+1111+1111", "…1111"),
    ] {
        assert_eq!(masked(json!({"note": given})), json!({"note": expected}), "{given}");
    }
    assert_eq!(masked(json!({"note": 4_111_111_111_111_111_u64})), json!({"note": "…1111"}));
    assert_eq!(masked(json!([["4111111111111111"]])), json!([["…1111"]]));
    let nested = json!({"raw": r#"{"card": {"cvv": "123"}, "n": "4111111111111111"}"#});
    assert_eq!(masked(nested), json!({"raw": r#"{"card":{"cvv":"…"},"n":"…1111"}"#}));
    let page = json!({"page": "https://a.example/p?clickid=7&token=s3cr3t&cc=4111+1111+1111+1111#top"});
    let expected = "https://a.example/p?clickid=7&token=%E2%80%A6&cc=%E2%80%A61111#top";
    assert_eq!(masked(page), json!({"page": expected}));
}

#[test]
fn ids_times_telephones_and_amounts_are_no_card_numbers() {
    for given in [
        json!({"note": "4111111111111112"}),
        json!({"note": "14111111111111111"}),
        json!({"note": "x4111111111111111"}),
        json!({"note": "0.4111111111111111"}),
        json!({"note": "4111111111111111_7"}),
        json!({"id": 4_111_111_111_111_111_u64, "order_id": "4111111111111111", "txid": "4111111111111111"}),
        json!({"order_number": "4111111111111111", "ids": [4_111_111_111_111_111_u64]}),
        json!({"phone_number": "4222222222222", "phone": "4111 1111 1111 1111"}),
        json!({"note": "+4222222222222"}),
        json!({"note": "11111111-1111-4111-8111-111111111111"}),
        json!({"at": 1_768_046_400_004_u64, "started": 1_768_046_400_000_u64, "fbp": "fb.1.1596403881668.1116446470"}),
        json!({"note": "2026-01-10T12:00:00.000Z 2026-01-10 12:00:00"}),
        json!({"amount": "39600000000000.00", "rate": "0.1000000000000000055511151231"}),
    ] {
        assert_eq!(masked(given.clone()), given);
    }
    // Every time in milliseconds of this century begins with what is no issuer's.
    for at in (1_700_000_000_000_u64..1_700_000_000_200).chain(1_999_999_999_900..2_000_000_000_100) {
        assert_eq!(masked(json!({"n": at})), json!({"n": at}));
    }
}

#[test]
fn the_names_of_a_sources_click_id_are_spared() {
    let mut given = json!({"token": "our-click", "password": "hunter2"});
    assert_eq!(value(&mut given, &["Token".to_owned()]), 1);
    assert_eq!(given, json!({"token": "our-click", "password": "…"}));
    let (query, count) = pairs("token=our-click&password=hunter2", &["token".to_owned()]);
    assert_eq!((query.as_str(), count), ("token=our-click&password=%E2%80%A6", 1));
}

#[test]
fn a_query_keeps_what_is_not_masked_to_the_byte() {
    let given = "a=%7E+b&credit%5Fcard%5Fnumber=4111&a=2&&x&note=4111%201111%201111%201111&pin=";
    let expected = "a=%7E+b&credit%5Fcard%5Fnumber=%E2%80%A6&a=2&&x&note=%E2%80%A61111&pin=";
    assert_eq!(pairs(given, &[]), (expected.to_owned(), 2));
    assert_eq!(pairs(expected, &[]), (expected.to_owned(), 0));
}

#[test]
fn what_looks_like_a_form_once_it_is_masked_is_masked_as_one() {
    let (masked, count) = body(b"password%20=4242 4242 4242 4242", &[]);
    assert_eq!(count, 2);
    assert!(!String::from_utf8(masked).unwrap().contains("4242"));
}

#[test]
fn a_body_that_cannot_be_parsed_is_masked_by_its_looks() {
    for (given, expected) in [
        (r#"{"password": "hunter2", "a": 1"#, r#"{"password": "…", "a": 1"#),
        (r#"{"password": "hun\"ter2", "a": 1"#, r#"{"password": "…", "a": 1"#),
        (r#"{"password": "hunter2"#, r#"{"password": "…"#),
        (r#"{"cvv": 123, "token": {"id": "x"}, "b": 2,"#, r#"{"cvv": …, "token": …, "b": 2,"#),
        (
            r#"{"raw": "{\"password\": \"hunter2\", \"c\": 3}", "#,
            r#"{"raw": "{\"password\": \"…\", \"c\": 3}", "#,
        ),
        ("a=1&password=hunter2&b=2", "a=1&password=%E2%80%A6&b=2"),
        ("Authorization: Bearer abc.def\r\nHost: x", "Authorization: …\r\nHost: x"),
        ("<x password='hunter2' card=4111111111111111>", "<x password='…' card=…1111>"),
        ("nothing of the kind: 7 = 7", "nothing of the kind: 7 = 7"),
    ] {
        let (masked, _) = body(given.as_bytes(), &[]);
        assert_eq!(String::from_utf8(masked).unwrap(), expected, "{given}");
    }
    let given = b"\xffpassword=hunter2 \xfe 4111111111111111\xfd";
    let (masked, count) = body(given, &[]);
    assert_eq!(count, 2);
    let parts: [&[u8]; 5] = [b"\xff", "password=…".as_bytes(), b" \xfe ", "…1111".as_bytes(), b"\xfd"];
    assert_eq!(masked, parts.concat());
    assert_eq!(body(b"\xff{", &[]), (b"\xff{".to_vec(), 0));
}

#[test]
fn a_json_body_without_secrets_stays_to_the_byte() {
    let given = br#"{ "b":1.10, "a": [1, 2] ,"b":2}"#;
    assert_eq!(body(given, &[]), (given.to_vec(), 0));
}

#[test]
fn the_remnants_in_a_classic_purchase_are_masked() {
    let purchase = json!({"contact": {"additional_info": {
        "purchase": {"credit_card_number": "############1111", "credit_card_exp_date_month": "06",
            "payment_gateway_token": "tok_secret", "product_ids": ["1609585"]},
        "password": "hunter2", "clickid": "01JD3V7Q9ZK4T8M2N5X6C7B8A9"}}});
    let expected = json!({"contact": {"additional_info": {
        "purchase": {"credit_card_number": "…", "credit_card_exp_date_month": "…",
            "payment_gateway_token": "…", "product_ids": ["1609585"]},
        "password": "…", "clickid": "01JD3V7Q9ZK4T8M2N5X6C7B8A9"}}});
    assert_eq!(masked(purchase), expected);
}

/// Text that is likely to hit something.
fn text() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("4111111111111111".to_owned()),
        Just("4242 4242 4242 4242".to_owned()),
        Just("4242".to_owned()),
        Just("password".to_owned()),
        Just("token".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("=".to_owned()),
        Just(":".to_owned()),
        Just("&".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just(" ".to_owned()),
        Just("-".to_owned()),
        Just("%20".to_owned()),
        Just("…".to_owned()),
        Just("https://a.b/?".to_owned()),
        Just("'".to_owned()),
        "\\PC{0,3}",
        "[0-9]{1,20}",
    ];
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = prop_oneof![Just("password".to_owned()), Just("id".to_owned()), "\\PC{0,6}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn masking_json_twice_is_masking_it_once_and_it_stays_json(given in json_value()) {
        let once = masked(given.clone());
        prop_assert_eq!(masked(once.clone()), once.clone());
        let (bytes, _) = body(given.to_string().as_bytes(), &[]);
        prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), once);
    }

    #[test]
    fn masking_text_twice_is_masking_it_once_and_it_hardly_grows(given in text()) {
        let (once, _) = body(given.as_bytes(), &[]);
        let (twice, _) = body(&once, &[]);
        prop_assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once));
        prop_assert!(once.len() <= 9 * given.len() + 9);
    }

    #[test]
    fn masking_bytes_never_fails(given in prop::collection::vec(any::<u8>(), 0..200)) {
        let (once, _) = body(&given, &[]);
        prop_assert_eq!(body(&once, &[]).0, once);
    }
}
