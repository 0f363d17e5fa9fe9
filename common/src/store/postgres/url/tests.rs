use super::*;

#[test]
fn what_is_wrong_with_a_url_is_said_and_its_password_is_not() {
    let table = [
        ("mysql://u:hunter2@h/d", BadUrl::Form),
        ("postgres://u:hunter2@h:port/d", BadUrl::Form),
        ("postgres://u:hunter2@h/d?sslmode=verify-ful", BadUrl::SslMode),
        ("postgres://u:hunter2@h", BadUrl::Incomplete),
        ("postgres:///d", BadUrl::Incomplete),
    ];
    for (text, expected) in table {
        let error = text.parse::<Url>().unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[test]
fn a_url_is_shown_without_its_password() {
    let url: Url = "postgresql://carom:hunter2@db.example:5433/relay?sslmode=verify-full".parse().unwrap();
    assert_eq!(url.to_string(), "postgres://carom@db.example:5433/relay");
    assert_eq!(format!("{url:?}"), "postgres://carom@db.example:5433/relay");
    assert_eq!(url.tls, Tls::VerifyFull);
    assert_eq!(url.config(Duration::from_secs(1)).get_password(), Some(b"hunter2".as_slice()));
}

#[test]
fn of_several_hosts_the_one_that_writes_is_meant_unless_the_url_says_otherwise() {
    let table = [
        ("postgres://u@a/d", TargetSessionAttrs::Any),
        ("postgres://u@a/d?target_session_attrs=read-write", TargetSessionAttrs::ReadWrite),
        ("postgres://u@a,b:5433/d?sslmode=disable", TargetSessionAttrs::ReadWrite),
        ("postgres://u@a,b/d?target_session_attrs=any", TargetSessionAttrs::Any),
    ];
    for (text, expected) in table {
        let url: Url = text.parse().unwrap();
        assert_eq!(url.config(Duration::from_secs(1)).get_target_session_attrs(), expected, "{text}");
    }
}
