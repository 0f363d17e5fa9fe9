//! From a rendered postback to what `egress` sends, and to what the webhook log keeps of it.

use crate::egress::Request;
use carom_common::connector::Method;
use carom_common::postback::{Postback, excerpt};
use carom_common::store::ExchangeRecord;

/// The request as it goes out.
pub fn request(postback: Postback) -> Request {
    let method = match postback.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
    };
    Request {
        method,
        url: postback.url,
        headers: postback.headers.into_iter().map(|header| (header.name, header.value)).collect(),
        body: postback.body.map(|body| (body.content_type.to_owned(), body.bytes)),
    }
}

/// The request as the log keeps it: masked, and of its headers and body at most `kept` bytes each.
pub fn recorded(postback: &Postback, kept: usize) -> ExchangeRecord {
    let shown = postback.shown();
    let part = |text: &str| if kept == 0 { String::new() } else { excerpt(text, kept) };
    ExchangeRecord {
        method: shown.method.to_owned(),
        request_headers: part(&shown.header_lines()),
        request_body: part(&shown.body),
        url: shown.url,
        unresolved: postback.unresolved.clone(),
        ..ExchangeRecord::default()
    }
}
