//! Pages of the API's lists: 20 items each, by a cursor (ClickFunnels' documentation, "Pagination").

use http::HeaderMap;
use http::header::LINK;
use url::form_urlencoded;

/// As many items as a page of the API holds.
const FULL: usize = 20;

/// A page, and where the next begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The id to be given as `after` for the next page; none after the last.
    pub next: Option<u64>,
}

/// A page of items, by what its headers say.
pub fn of<T>(headers: &HeaderMap, items: Vec<T>, id: impl Fn(&T) -> u64) -> Page<T> {
    let next = next(headers, items.len(), items.last().map(id));
    Page { items, next }
}

/// The id after which there is more: the header `Pagination-Next`, else the `after` of the link to the next
/// page; where neither came along with a full page, its last item's id. Only the id is taken from the link:
/// the next request goes where the first went.
pub fn next(headers: &HeaderMap, count: usize, last: Option<u64>) -> Option<u64> {
    let said = headers.get("pagination-next").and_then(|id| id.to_str().ok()?.trim().parse().ok());
    said.or_else(|| headers.get_all(LINK).iter().find_map(|links| after_of_next(links.to_str().ok()?)))
        .or_else(|| last.filter(|_| count >= FULL))
}

/// The `after` of the link whose relation is `next`, in a header `Link: <…?after=55>; rel="next"`.
fn after_of_next(links: &str) -> Option<u64> {
    links.split('<').skip(1).find_map(|link| {
        let (target, parameters) = link.split_once('>')?;
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split(' ').any(|rel| rel.eq_ignore_ascii_case("next"))
        });
        let (_, query) = target.split_once('?').filter(|_| is_next)?;
        let after = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "after");
        after.and_then(|(_, id)| id.parse().ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_next_page_is_where_the_headers_say_and_after_the_last_there_is_none() {
        let link = "<https://w.example/api/v2/workspaces/3/contacts?sort_order=asc&after=56>; rel=\"next\"";
        let others = "<https://w.example/?after=1>; rel=\"prev\", <https://w.example/?after=57>; rel=next";
        for (header, value, count, last, expected) in [
            ("pagination-next", "55", 20, Some(55), Some(55)),
            ("pagination-next", " 55 ", 3, Some(50), Some(55)),
            ("link", link, 20, Some(55), Some(56)),
            ("link", others, 20, Some(55), Some(57)),
            ("link", "<https://w.example/?after=1>; rel=\"prev\"", 19, Some(9), None),
            ("link", "nonsense", 20, Some(9), Some(9)),
            ("pagination-next", "soon", 20, Some(9), Some(9)),
            ("x", "y", 20, Some(9), Some(9)),
            ("x", "y", 19, Some(9), None),
            ("x", "y", 0, None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header, HeaderValue::from_static(Box::leak(value.to_owned().into_boxed_str())));
            assert_eq!(next(&headers, count, last), expected, "{header}: {value}, {count} items");
        }
    }
}
