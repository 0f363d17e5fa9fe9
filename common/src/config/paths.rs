//! What cannot be the path of an endpoint, though it is a text.

use super::{Config, Fault};

/// The paths that are taken, and all below them.
const TAKEN: [&str; 2] = ["/c", "/api/v1/events"];

pub(super) fn faults(file: &str, config: &Config) -> Vec<Fault> {
    let path = config.ingest.track_path.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let parts = || path.split('/').skip(1);
    let sound = path.starts_with('/') && parts().all(|part| !part.is_empty() && part.chars().all(plain));
    let below =
        |taken: &str| path.strip_prefix(taken).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let problem = match TAKEN.into_iter().find(|taken| below(taken)) {
        _ if !sound || parts().any(|part| part.starts_with('.')) => format!("`{path}` is no path"),
        Some(taken) => format!("{taken} and what is below it is another endpoint's"),
        None => return Vec::new(),
    };
    let remedy = "write it as in /api/v1/track, of letters, digits, `-`, `_` and `.`";
    vec![Fault::new(file, "ingest.track_path", problem, remedy)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_ones_own_is_a_path_and_nobody_elses() {
        let mut config = Config::load(None).unwrap();
        let mut sound = |path: &str| {
            path.clone_into(&mut config.ingest.track_path);
            faults("a.toml", &config).is_empty()
        };
        for good in ["/api/v1/track", "/t", "/shop/collect.json", "/clicks", "/a-b_c"] {
            assert!(sound(good), "{good}");
        }
        for bad in [
            "",
            "/",
            "track",
            "/a//b",
            "/a/",
            "/a b",
            "/{token}",
            "/a?b",
            "/..",
            "/c",
            "/c/x",
            "/api/v1/events/x",
        ] {
            assert!(!sound(bad), "{bad}");
        }
    }
}
