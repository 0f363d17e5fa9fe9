//! The URL of a webhook endpoint: the same whichever way it is encoded, and fit to be stored and shown only
//! without the token in it.

use crate::secret::TokenHash;
use percent_encoding::percent_decode_str;
use url::Url;

/// Stands for the source's token in an endpoint's URL.
pub const TOKEN: &str = "{token}";

/// The URL with `{token}` in the place of any of these tokens, and of whatever stands where our own paths
/// have one.
pub fn sealed(url: &str, tokens: &[TokenHash]) -> String {
    without_tokens(url, |before, segment| {
        is_one_of(segment, tokens) || matches!(before, [.., "api", "v1", "events"])
    })
}

/// The URL with a token filled in.
pub fn filled(url: &str, token: &str) -> String {
    url.replace(TOKEN, token)
}

/// Whether an endpoint that ClickFunnels lists is the one that is meant: the same URL without regard to how
/// it is encoded, with any one of our tokens where a token belongs.
pub fn same(meant: &str, listed: &str, tokens: &[TokenHash]) -> bool {
    let known = |url: &str| without_tokens(url, |_, segment| is_one_of(segment, tokens));
    comparable(&known(meant)) == comparable(&known(listed))
}

fn is_one_of(segment: &str, tokens: &[TokenHash]) -> bool {
    let presented = TokenHash::of(&percent_decode_str(segment).decode_utf8_lossy());
    tokens.iter().any(|token| token.matches(&presented))
}

/// Works on the text as it was typed: what parses a URL would encode its placeholders.
fn without_tokens(url: &str, is_token: impl Fn(&[&str], &str) -> bool) -> String {
    let (path, query) = url.find(['?', '#']).map_or((url, ""), |at| url.split_at(at));
    let mut segments: Vec<&str> = path.split('/').collect();
    for index in 0..segments.len() {
        let (before, rest) = segments.split_at(index);
        if !rest[0].is_empty() && is_token(before, rest[0]) {
            segments[index] = TOKEN;
        }
    }
    format!("{}{query}", segments.join("/"))
}

fn comparable(url: &str) -> String {
    let parsed = Url::parse(url).map_or_else(|_| url.to_owned(), String::from);
    percent_decode_str(&parsed).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPED: &str = "https://Carom.example/api/v1/events/a-secret-token?click_id={contact.custom_attributes.clickid}&event_parameter=[event_name]&payout=[amount]";

    fn ours() -> Vec<TokenHash> {
        vec![TokenHash::of("an-older-token"), TokenHash::of("a-secret-token")]
    }

    #[test]
    fn a_url_is_stored_without_its_token_and_filled_in_again() {
        for tokens in [ours(), vec![]] {
            let kept = sealed(TYPED, &tokens);
            assert!(!kept.contains("a-secret-token"), "{kept}");
            assert_eq!(filled(&kept, "a-secret-token"), TYPED);
        }
        let behind_a_proxy = sealed("https://x.example/hooks/a-secret-token", &ours());
        assert_eq!(behind_a_proxy, "https://x.example/hooks/{token}");
        let by_domain = "https://events.example/api/v1/events?click_id={contact.x}";
        assert_eq!(sealed(by_domain, &ours()), by_domain);
    }

    #[test]
    fn an_endpoint_is_known_in_whatever_way_its_url_is_encoded() {
        let encoded = TYPED.replace('{', "%7B").replace('}', "%7d").replace('[', "%5B").replace(']', "%5D");
        let kept = sealed(TYPED, &ours());
        for listed in [TYPED, &encoded, &TYPED.replace("a-secret", "%61-secret"), &TYPED.replace("C", "c")] {
            assert!(same(&kept, listed, &ours()), "{listed}");
            assert!(same(TYPED, listed, &ours()), "{listed}");
        }
        assert!(
            same(&kept, &TYPED.replace("a-secret-token", "an-older-token"), &ours()),
            "while one is rotated"
        );
    }

    #[test]
    fn another_endpoint_is_not_taken_for_ours() {
        let kept = sealed(TYPED, &ours());
        for other in [
            TYPED.replace("a-secret-token", "another-source's"),
            TYPED.replace("https", "http"),
            TYPED.replace("Carom", "other"),
            TYPED.replace("&payout=[amount]", ""),
        ] {
            assert!(!same(&kept, &other, &ours()), "{other}");
        }
    }
}
