use super::*;
use serde_json::{Value, json};

/// A verifier of a described signature, with these secrets.
fn verifier(mut signature: Value, secrets: &[&str]) -> Verifier {
    signature["secrets"] = json!([{"env": "ELSEWHERE"}]);
    let signature: Signature = serde_json::from_value(signature).unwrap();
    assert_eq!(signature.faults(), vec![]);
    let keys = secrets.iter().map(|secret| signature.key(secret).unwrap()).collect();
    Verifier::new(&signature, keys).unwrap()
}

type Headers<'a> = &'a [(&'a str, &'a str)];

fn verify(verifier: &Verifier, headers: Headers<'_>, body: &[u8], now: i64) -> Result<(), Refusal> {
    let header = |name: &str| {
        let of_name = headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_bytes()).collect()
    };
    verifier.verify(header, body, Timestamp::from_second(now).unwrap())
}

/// The reason of a refusal; empty where there is none.
fn reason(verified: &Result<(), Refusal>) -> &'static str {
    verified.as_ref().err().map_or("", Refusal::reason)
}

const VECTORS: &str = include_str!("../../../tests/fixtures/signature_vectors.json");
const SIGNATURE: &str = "X-Webhook-ClickFunnels-Signature";
const TIMESTAMP: &str = "X-Webhook-ClickFunnels-Timestamp";
/// When the vectors were signed, and with what.
const SIGNED_AT: i64 = 1_768_076_109;
const SECRET: &str = "839d0d645bedefbaf76e3269d1b1141ef07683c179cc3bb0aee9348c90517a7";

fn clickfunnels(secrets: &[&str]) -> Verifier {
    verifier(json!({"scheme": "clickfunnels"}), secrets)
}

/// A vector by its name: its body, and its signature.
fn vector(name: &str) -> (String, String) {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let vector = vectors.as_array().unwrap().iter().find(|vector| vector["name"] == name).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&vector["body"]), text(&vector["headers"][SIGNATURE]))
}

#[test]
fn clickfunnels_vectors_are_accepted_and_refused_as_they_say() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let vectors = vectors.as_array().unwrap();
    assert_eq!(vectors.iter().filter(|vector| vector["valid"] == true).count(), 3);
    assert_eq!(vectors.len(), 5);
    for vector in vectors {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let headers: Vec<_> =
            vector["headers"].as_object().unwrap().iter().map(|(name, value)| (name, text(value))).collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let verifier = clickfunnels(&[vector["secret"].as_str().unwrap()]);
        let verified = verify(&verifier, &headers, text(&vector["body"]).as_bytes(), SIGNED_AT + 5);
        let expected = if vector["valid"] == true { "" } else { "signature_mismatch" };
        assert_eq!(reason(&verified), expected, "{}", vector["name"]);
    }
}

#[test]
fn a_body_that_was_read_and_written_again_is_another_body() {
    let (body, signature) = vector("rails_escaped");
    let rewritten = serde_json::from_str::<Value>(&body).unwrap().to_string();
    assert_ne!(rewritten, body, "or nothing is tested");
    let headers = [(SIGNATURE, signature.as_str()), (TIMESTAMP, "1768076109")];
    let verifier = clickfunnels(&[SECRET]);
    assert_eq!(verify(&verifier, &headers, body.as_bytes(), SIGNED_AT), Ok(()));
    for other in [rewritten, format!("{body}\n"), format!(" {body}"), body[1..].to_owned(), String::new()] {
        let verified = verify(&verifier, &headers, other.as_bytes(), SIGNED_AT);
        assert_eq!(verified, Err(Refusal::SignatureMismatch), "{other}");
    }
}

#[test]
fn a_signature_is_good_for_its_tolerance_and_no_longer_before_or_after() {
    let (body, signature) = vector("utf8");
    let headers = [(SIGNATURE, signature.as_str()), (TIMESTAMP, "1768076109")];
    let minute = verifier(json!({"scheme": "clickfunnels", "tolerance": "1m"}), &[SECRET]);
    let usual = clickfunnels(&[SECRET]);
    let table = [
        (&usual, 0, ""),
        (&usual, 600, ""),
        (&usual, 601, "timestamp_old"),
        (&usual, 86_400, "timestamp_old"),
        (&usual, -600, ""),
        (&usual, -601, "timestamp_ahead"),
        (&usual, -SIGNED_AT, "timestamp_ahead"),
        (&usual, -SIGNED_AT - 1, "timestamp_ahead"),
        (&minute, 60, ""),
        (&minute, 61, "timestamp_old"),
        (&minute, -61, "timestamp_ahead"),
    ];
    for (verifier, later, expected) in table {
        let verified = verify(verifier, &headers, body.as_bytes(), SIGNED_AT + later);
        assert_eq!(reason(&verified), expected, "{later} s later");
    }
}

#[test]
fn what_is_wrong_with_the_headers_is_told_by_which_and_how() {
    let (body, signature) = vector("utf8");
    let (good, at) = ((SIGNATURE, signature.as_str()), (TIMESTAMP, "1768076109"));
    let upper = signature.to_uppercase();
    let prefixed = format!("sha256={signature}");
    let doubled = format!("{signature},{signature}");
    let table: &[(Headers<'_>, &str)] = &[
        (&[good, at], ""),
        (&[("x-webhook-clickfunnels-signature", &signature), at], ""),
        (&[good, at, ("X-Webhook-ClickFunnels-Id", "1"), ("X-Webhook-ClickFunnels-Id", "2")], ""),
        (&[(SIGNATURE, &upper), at], ""),
        (&[at], "header_missing"),
        (&[good], "header_missing"),
        (&[], "header_missing"),
        (&[good, good, at], "header_repeated"),
        (&[(SIGNATURE, ""), good, at], "header_repeated"),
        (&[good, at, at], "header_repeated"),
        (&[good, (TIMESTAMP, "")], "timestamp_unreadable"),
        (&[good, (TIMESTAMP, "soon")], "timestamp_unreadable"),
        (&[good, (TIMESTAMP, "+1768076109")], "timestamp_unreadable"),
        (&[good, (TIMESTAMP, "-1768076109")], "timestamp_unreadable"),
        (&[good, (TIMESTAMP, "1768076109.0")], "timestamp_unreadable"),
        (&[good, (TIMESTAMP, "1768076109 ")], "timestamp_unreadable"),
        (&[good, (TIMESTAMP, "٣")], "timestamp_unreadable"),
        (&[good, (TIMESTAMP, "99999999999999999999999999")], "timestamp_unreadable"),
        (&[good, (TIMESTAMP, "1768076109000")], "timestamp_ahead"),
        (&[good, (TIMESTAMP, "18446744073709551615")], "timestamp_ahead"),
        (&[good, (TIMESTAMP, "0")], "timestamp_old"),
        (&[good, (TIMESTAMP, "1768076110")], "signature_mismatch"),
        (&[good, (TIMESTAMP, "01768076109")], "signature_mismatch"),
        (&[(SIGNATURE, ""), at], "signature_malformed"),
        (&[(SIGNATURE, "not hex at all"), at], "signature_malformed"),
        (&[(SIGNATURE, &signature[..62]), at], "signature_malformed"),
        (&[(SIGNATURE, &signature[..63]), at], "signature_malformed"),
        (&[(SIGNATURE, &prefixed), at], "signature_malformed"),
        (&[(SIGNATURE, &doubled), at], "signature_malformed"),
    ];
    for (headers, expected) in table {
        let verified = verify(&clickfunnels(&[SECRET]), headers, body.as_bytes(), SIGNED_AT);
        assert_eq!(reason(&verified), *expected, "{headers:?}");
        let Err(refusal) = verified else { continue };
        let told = refusal.to_string();
        assert!(!told.contains(&signature[..20]) && !told.contains(SECRET), "{told}");
        assert!(expected.starts_with("signature_mis") || told.contains("X-Webhook-ClickFunnels-"), "{told}");
    }
}

#[test]
fn any_secret_will_do_and_no_other() {
    let (body, signature) = vector("order_compact");
    let headers = [(SIGNATURE, signature.as_str()), (TIMESTAMP, "1768076109")];
    let table: &[(&[&str], bool)] = &[
        (&[SECRET], true),
        (&[SECRET, "next"], true),
        (&["last", "next", SECRET], true),
        (&["next", SECRET, SECRET], true),
        (&["next"], false),
        (&["", "next"], false),
        (&[], false),
    ];
    for (secrets, good) in table {
        let verified = verify(&clickfunnels(secrets), &headers, body.as_bytes(), SIGNED_AT);
        assert_eq!(verified.is_ok(), *good, "{secrets:?}");
    }
    assert!(!format!("{:?}", clickfunnels(&[SECRET])).contains("839d"), "a secret is shown to nobody");
}

#[test]
fn bodies_are_bytes() {
    // Made with another implementation, over a body that is no text.
    let verifier = verifier(json!({"scheme": "hmac", "header": "X-S"}), &["key"]);
    let signature = "bf735794f51ea7d3ff0132e2d2fdca77428548ca5bc07c1bd2efd82bcd0a93e4";
    let headers = [("X-S", signature)];
    assert_eq!(verify(&verifier, &headers, &[0xff, 0, 0xfe], 0), Ok(()));
    // What a lossy reading would make of it.
    assert_eq!(
        reason(&verify(&verifier, &headers, "\u{fffd}\0\u{fffd}".as_bytes(), 0)),
        "signature_mismatch"
    );
}

/// The example that the reference implementations of Standard Webhooks are tested with.
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const WH_ID: (&str, &str) = ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek");
const WH_AT: (&str, &str) = ("webhook-timestamp", "1614265330");
const WH_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const WH_BODY: &[u8] = br#"{"test": 2432232314}"#;

#[test]
fn standard_webhooks_published_example_is_verified() {
    let other = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
    let several = format!("{other} v1a,asymmetric {WH_SIGNATURE} v2,{}", &WH_SIGNATURE[3..]);
    let table = [
        (WH_SIGNATURE, ""),
        (&several, ""),
        (other, "signature_mismatch"),
        (&WH_SIGNATURE[3..], "signature_malformed"),
        (&WH_SIGNATURE.replace("v1,", "v2,"), "signature_malformed"),
        (&WH_SIGNATURE.replace("v1,", "v1a,"), "signature_malformed"),
        (&WH_SIGNATURE.replace('=', ""), "signature_malformed"),
        (&WH_SIGNATURE.replace(',', "="), "signature_malformed"),
        ("v1,", "signature_malformed"),
        (" ", "signature_malformed"),
    ];
    for secret in [WHSEC, &WHSEC["whsec_".len()..]] {
        let verifier = verifier(json!({"scheme": "standard_webhooks"}), &["d3Jvbmc=", secret]);
        for (signature, expected) in table {
            let headers = [WH_ID, WH_AT, ("Webhook-Signature", signature)];
            let verified = verify(&verifier, &headers, WH_BODY, 1_614_265_330);
            assert_eq!(reason(&verified), expected, "{signature}");
        }
        let good = ("webhook-signature", WH_SIGNATURE);
        let table: [(Headers<'_>, &[u8], i64, &str); 6] = [
            (&[WH_AT, good], WH_BODY, 0, "header_missing"),
            (&[WH_ID, good], WH_BODY, 0, "header_missing"),
            (&[WH_ID, WH_ID, WH_AT, good], WH_BODY, 0, "header_repeated"),
            (&[("webhook-id", "msg_other"), WH_AT, good], WH_BODY, 0, "signature_mismatch"),
            (&[WH_ID, WH_AT, good], br#"{"test":2432232314}"#, 0, "signature_mismatch"),
            (&[WH_ID, WH_AT, good], WH_BODY, 601, "timestamp_old"),
        ];
        for (headers, body, later, expected) in table {
            let verified = verify(&verifier, headers, body, 1_614_265_330 + later);
            assert_eq!(reason(&verified), expected, "{headers:?}");
        }
    }
    let signature: Signature = serde_json::from_value(json!({"scheme": "standard_webhooks"})).unwrap();
    for faulty in ["whsec_", "", "whsec_not Base64", "hush-hush"] {
        let error = signature.key(faulty).unwrap_err().to_string();
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn a_described_hmac_verifies_what_others_sign() {
    // GitHub's is its documentation's example; the others were made with another implementation.
    let github = json!({"scheme": "hmac", "header": "X-Hub-Signature-256", "prefix": "sha256="});
    let old_github =
        json!({"scheme": "hmac", "header": "X-Hub-Signature", "prefix": "sha1=", "algorithm": "sha1"});
    let shopify = json!({"scheme": "hmac", "header": "X-Shopify-Hmac-Sha256", "encoding": "base64"});
    let slack = json!({
        "scheme": "hmac", "header": "X-Slack-Signature", "prefix": "v0=",
        "signed": "v0:{timestamp}:{body}", "timestamp_header": "X-Slack-Request-Timestamp",
    });
    let long = json!({
        "scheme": "hmac", "header": "X-S", "algorithm": "sha512", "encoding": "base64",
        "signed": "{id}:{body}", "id_header": "X-Id",
    });
    const GITHUB: &str = "It's a Secret to Everybody";
    type Row<'a> = (&'a Value, &'a str, Headers<'a>, &'a [u8]);
    let table: &[Row<'_>] = &[
        (
            &github,
            GITHUB,
            &[(
                "X-Hub-Signature-256",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            )],
            b"Hello, World!",
        ),
        (
            &old_github,
            GITHUB,
            &[("X-Hub-Signature", "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59")],
            b"Hello, World!",
        ),
        (
            &shopify,
            "hush",
            &[("X-Shopify-Hmac-Sha256", "qBvrsZF7RfB1iS6BX6IHqJTp5L911P7intnPeTPsH0I=")],
            br#"{"id":820982911946154508}"#,
        ),
        (
            &slack,
            "8f742231b10e8888abcd99yyyzzz85a5",
            &[
                ("X-Slack-Signature", "v0=4f4881d4dae5f8e43a0b23a38214d70484869fe4dc419a0ac58fda558b4dd5b0"),
                ("X-Slack-Request-Timestamp", "1531420618"),
            ],
            b"token=x&text=",
        ),
        (
            &long,
            "key",
            &[
                (
                    "X-S",
                    "Lc+3UrrgQ/xFjUDbMHLR+I8b5GM+2SbeWCSinGnXbqeZd6VJ+i6ysJbuCh9nHpgffLNS2v/dsi+FUzaEdzSKog==",
                ),
                ("X-Id", "msg-1"),
            ],
            b"body",
        ),
    ];
    for (signature, secret, headers, body) in table {
        let right = verifier((*signature).clone(), &[secret]);
        let at = 1_531_420_618;
        assert_eq!(verify(&right, headers, body, at), Ok(()), "{signature}");
        assert_eq!(reason(&verify(&right, headers, b"other", at)), "signature_mismatch", "{signature}");
        let wrong = verifier((*signature).clone(), &["wrong"]);
        assert_eq!(reason(&verify(&wrong, headers, body, at)), "signature_mismatch", "{signature}");
        for (name, value) in *headers {
            let without: Vec<_> = headers.iter().filter(|header| header.0 != *name).copied().collect();
            assert_eq!(reason(&verify(&right, &without, body, at)), "header_missing", "{name}");
            let twice: Vec<_> = headers.iter().copied().chain([(*name, *value)]).collect();
            assert_eq!(reason(&verify(&right, &twice, body, at)), "header_repeated", "{name}");
        }
        // Another prefix, or none, is no signature of theirs.
        let (name, value) = headers[0];
        let stripped = value.split_once('=').filter(|(_, rest)| !rest.is_empty() && *rest != "=");
        if let Some((_, bare)) = stripped {
            let rest = headers[1..].iter().copied();
            let bare: Vec<_> = [(name, bare)].into_iter().chain(rest).collect();
            assert_eq!(reason(&verify(&right, &bare, body, at)), "signature_malformed", "{name}");
        }
    }
}
