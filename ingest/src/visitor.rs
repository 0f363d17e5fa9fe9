//! The visitor's cookie: who clicks, as the browser tells us on our own domain.

use carom_common::id::VisitorId;
use http::{HeaderMap, HeaderValue, header};
use uuid::Uuid;

/// Its name.
const COOKIE: &str = "carom_visitor";

/// A year; browsers allow 400 days at most.
const MAX_AGE: u32 = 365 * 86_400;

/// The visitor that a request's cookies name. A value that we would not have made is none.
pub fn known(headers: &HeaderMap) -> Option<VisitorId> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).find_map(|(_, value)| ours(value))
}

fn ours(value: &str) -> Option<VisitorId> {
    let id = Uuid::try_parse(value).ok().filter(|_| value.len() == 36)?;
    let made_by_us = matches!(id.get_version_num(), 4 | 7) && id.get_variant() == uuid::Variant::RFC4122;
    made_by_us.then_some(VisitorId(id))
}

/// A new visitor. The id is random in all its digits: it must not tell when somebody was here first.
pub fn new() -> VisitorId {
    VisitorId(Uuid::new_v4())
}

/// The `Set-Cookie` that makes a browser remember the visitor.
///
/// It is `Secure` where the request came to us by https, which only the proxy in front of us can say. A
/// client that forges the header changes its own cookie, and nothing else.
pub fn remember(visitor: VisitorId, headers: &HeaderMap) -> Option<HeaderValue> {
    let protocol = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = protocol.split(',').next().unwrap_or_default().trim();
    let secure = if first.eq_ignore_ascii_case("https") { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={visitor}; Path=/; Max-Age={MAX_AGE}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(cookie).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_believed_only_in_the_form_that_we_make() {
        let v4 = "0d4d5f6e-8a52-4c8e-9b57-2f3a1c0de111";
        let v7 = "01890a5d-ac96-774b-bcce-b302099a8057";
        let table = [
            (format!("carom_visitor={v4}"), Some(v4)),
            (format!("a=b; carom_visitor={v7} ; c=d"), Some(v7)),
            (format!("carom_visitor=x; carom_visitor={v4}"), Some(v4)),
            (format!("not_carom_visitor={v4}"), None),
            (format!("carom_visitor={}", v4.replace('-', "")), None),
            (format!("carom_visitor={{{v4}}}"), None),
            ("carom_visitor=00000000-0000-0000-0000-000000000000".into(), None),
            ("carom_visitor=6ba7b810-9dad-11d1-80b4-00c04fd430c8".into(), None),
            ("carom_visitor=".into(), None),
            ("carom_visitor".into(), None),
        ];
        for (cookie, visitor) in table {
            let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::try_from(&cookie).unwrap())]);
            assert_eq!(known(&headers).map(|id| id.to_string()).as_deref(), visitor, "{cookie}");
        }
    }

    #[test]
    fn the_cookie_is_secure_where_the_request_came_by_https() {
        let visitor = new();
        let set = |proto: &'static str| {
            let headers = HeaderMap::from_iter([(
                "x-forwarded-proto".parse().unwrap(),
                HeaderValue::from_static(proto),
            )]);
            remember(visitor, &headers).unwrap().to_str().unwrap().to_owned()
        };
        let plain = format!("carom_visitor={visitor}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax");
        assert_eq!(set("http"), plain);
        assert_eq!(set("https"), format!("{plain}; Secure"));
        assert_eq!(set("HTTPS, http"), format!("{plain}; Secure"));
    }
}
