//! The visitor's cookie: who clicks, as the browser tells us on our own domain.

use carom_common::id::VisitorId;
use http::{HeaderMap, HeaderValue, header};
use uuid::Uuid;

/// Its name.
const COOKIE: &str = "carom_visitor";

/// A year; browsers allow 400 days at most.
const MAX_AGE: u32 = 365 * 86_400;

/// Whether the browser asks not to be followed: Global Privacy Control.
pub fn opts_out(headers: &HeaderMap) -> bool {
    headers.get_all("sec-gpc").iter().any(|value| value.as_bytes().trim_ascii() == b"1")
}

/// The visitor that a request's cookies name. A value that we would not have made is none, and so is the
/// cookie of a browser that asks not to be followed.
pub fn known(headers: &HeaderMap) -> Option<VisitorId> {
    if opts_out(headers) {
        return None;
    }
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).find_map(|(_, value)| VisitorId::made_by_us(value))
}

/// A new visitor. The id is random in all its digits: it must not tell when somebody was here first.
pub fn new() -> VisitorId {
    VisitorId(Uuid::new_v4())
}

/// The `Set-Cookie` that makes a browser remember the visitor, unless it asks not to be followed. It is
/// `Secure` where the request came by https.
pub fn remember(visitor: VisitorId, headers: &HeaderMap, https: bool) -> Option<HeaderValue> {
    if opts_out(headers) {
        return None;
    }
    let secure = if https { "; Secure" } else { "" };
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
        let set = |https| remember(visitor, &HeaderMap::new(), https).unwrap().to_str().unwrap().to_owned();
        let plain = format!("carom_visitor={visitor}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax");
        assert_eq!(set(false), plain);
        assert_eq!(set(true), format!("{plain}; Secure"));
    }

    #[test]
    fn a_browser_that_asks_not_to_be_followed_is_neither_known_nor_remembered() {
        let cookie = format!("carom_visitor={}", new());
        for (asks, opted_out) in
            [("1", true), (" 1 ", true), ("0", false), ("", false), ("11", false), ("true", false)]
        {
            let headers = HeaderMap::from_iter([
                (header::COOKIE, HeaderValue::try_from(&cookie).unwrap()),
                ("sec-gpc".parse().unwrap(), HeaderValue::from_static(asks)),
            ]);
            assert_eq!(opts_out(&headers), opted_out, "{asks:?}");
            assert_eq!(known(&headers).is_none(), opted_out, "{asks:?}");
            assert_eq!(remember(new(), &headers, true).is_none(), opted_out, "{asks:?}");
        }
    }
}
