//! What cannot be meant by `[tag]`: paths that are none, or that lead elsewhere already.

use super::{Config, Fault};

/// What the other paths of carom-ingest begin with.
const OURS: [&str; 2] = ["/c/", "/api/v1/events"];

pub(super) fn faults(file: &str, config: &Config) -> Vec<Fault> {
    let (script, track) = (&config.tag.script, &config.tag.track);
    let mut faults = Vec::new();
    for (key, path) in [("tag.script", script), ("tag.track", track)] {
        if !is_path(path) {
            let remedy = "write a path such as \"/assets/shop.js\": letters, digits and -._~ between slashes";
            faults.push(Fault::new(file, key, "is no path", remedy));
        } else if OURS.iter().any(|ours| path.starts_with(ours)) {
            let remedy = "name a path that does not begin with /c/ or /api/v1/events";
            faults.push(Fault::new(file, key, "is a path of clicks or events", remedy));
        }
    }
    if script == track {
        faults.push(Fault::new(file, "tag.track", "is the path of tag.script", "name another"));
    }
    faults
}

/// Whether it is a path that means the same to every router, proxy and browser.
fn is_path(path: &str) -> bool {
    let plain = |segment: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !matches!(segment, "" | "." | "..") && segment.bytes().all(known)
    };
    path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(plain))
}
