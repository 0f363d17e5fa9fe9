//! What a user agent says of itself: the kind of its device, and whether it is a program.
//!
//! woothee knows browsers, systems and the older crawlers. Asked before it is what it does not know or takes
//! for a browser: link previews, programs behind a browser's name, televisions, consoles, tablets. A program
//! that says it is a browser is believed: nobody is kept from an offer by this, or counted twice.

use carom_common::click::{Device, NotATouch};
use woothee::parser::{Parser, WootheeResult};

/// Who fetches a page to show a preview of it, by a part of their names, in lower case.
const PREVIEWS: [&str; 23] = [
    // iMessage, LINE and KakaoTalk name this one too, the first behind Safari's name.
    "facebookexternalhit",
    "facebookcatalog",
    "facebot",
    "twitterbot",
    "slackbot",
    "slack-imgproxy",
    "telegrambot",
    "discordbot",
    "linkedinbot",
    "pinterestbot",
    "redditbot",
    "vkshare",
    "skypeuripreview",
    "bingpreview",
    "google web preview",
    "google-pagerenderer",
    "link preview",
    "url preview",
    "embedly",
    "iframely",
    "cardyb",
    "flipboardproxy",
    "mastodon/",
];

/// The same by how their names begin: the browsers inside these apps name them further right.
const PREVIEWS_FIRST: [&str; 2] = ["whatsapp/", "pinterest/0."];

/// Programs that do not call themselves bots, by a part of their names, in lower case.
const PROGRAMS: [&str; 20] = [
    "headlesschrome",
    "phantomjs",
    "chrome-lighthouse",
    "google-inspectiontool",
    "googleother",
    "google-read-aloud",
    "google-safety",
    "mediapartners-google",
    "feedfetcher",
    "meta-externalagent",
    "meta-externalfetcher",
    "ia_archiver",
    "chatgpt-user",
    "perplexity-user",
    "claude-user",
    "slurp",
    "pingdom",
    "statuscake",
    "zgrab",
    "nmap scripting engine",
];

/// HTTP libraries and tools, by how their names begin, in lower case. Browsers begin with Mozilla or Opera.
const LIBRARIES: [&str; 27] = [
    "curl/",
    "libcurl",
    "wget",
    "python",
    "aiohttp",
    "httpx",
    "scrapy",
    "go-http-client",
    "okhttp",
    "java/",
    "apache-httpclient",
    "axios/",
    "node",
    "undici",
    "got ",
    "got/",
    "ruby",
    "faraday",
    "php",
    "guzzlehttp",
    "libwww-perl",
    "lwp",
    "postmanruntime",
    "insomnia/",
    "httpie/",
    "reqwest/",
    "dart/",
];

/// How the words end by which programs call themselves what they are.
const CALLINGS: [&str; 5] = ["bot", "bots", "crawler", "spider", "scraper"];

/// A maker of telephones whose name ends like a program's.
const CUBOT: &str = "cubot";

/// Televisions and boxes, by a part of their names, in lower case. Most say `TV` as a word or at its end.
const TELEVISIONS: [&str; 9] =
    ["appletv", "smarttv", "web0s", "bravia", "crkey", "roku", "netcast", "vidaa", "chromecast"];

/// Game consoles, by a part of their names, in lower case.
const CONSOLES: [&str; 3] = ["playstation", "nintendo", "xbox"];

/// What a user agent tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// What it runs on.
    pub device: Device,
    /// Why it is no person's, where it is none.
    pub program: Option<NotATouch>,
}

impl Agent {
    /// Reads a user agent.
    pub fn read(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let known = Parser::new().parse(text);
        let program = program(&lower, known.as_ref());
        let device = if program.is_some() { Device::Other } else { device(text, &lower, known.as_ref()) };
        Self { device, program }
    }
}

fn program(lower: &str, known: Option<&WootheeResult<'_>>) -> Option<NotATouch> {
    let any = |names: &[&str]| names.iter().any(|name| lower.contains(name));
    let first = |names: &[&str]| names.iter().any(|name| lower.starts_with(name));
    if any(&PREVIEWS) || first(&PREVIEWS_FIRST) {
        return Some(NotATouch::LinkPreview);
    }
    let called = words(lower).any(|word| word != CUBOT && CALLINGS.iter().any(|end| word.ends_with(end)));
    // Its `misc` are HTTP libraries and feed readers. It, too, is taken in by that maker's name.
    let crawls = known.is_some_and(|known| matches!(known.category, "crawler" | "misc"));
    let crawls = crawls && !lower.contains(CUBOT);
    (called || any(&PROGRAMS) || first(&LIBRARIES) || crawls).then_some(NotATouch::Bot)
}

fn device(text: &str, lower: &str, known: Option<&WootheeResult<'_>>) -> Device {
    let any = |names: &[&str]| names.iter().any(|name| lower.contains(name));
    let has = |word: &str| words(lower).any(|given| given == word);
    // Fire TV has model numbers only: AFTS, AFTMM, AFTKA.
    let fire_tv = || any(&["android"]) && words(text).any(|word| word.starts_with("AFT"));
    if any(&CONSOLES) {
        return Device::Console;
    }
    if any(&TELEVISIONS) || words(lower).any(|word| word.ends_with("tv")) || fire_tv() {
        return Device::Tv;
    }
    // Browsers on Android say `Mobile` on telephones and leave it out on tablets. Apps say neither.
    let android_tablet = lower.starts_with("mozilla/") && has("android") && !has("mobile");
    let other_tablet = has("ipad") || has("kindle") || (has("tablet") && !any(&["windows nt"]));
    if android_tablet || other_tablet {
        return Device::Tablet;
    }
    match known.map(|known| known.category) {
        Some("pc") => Device::Desktop,
        Some("smartphone" | "mobilephone") => Device::Mobile,
        _ if any(&["mobi", "opera mini", "midp", "phone"]) => Device::Mobile,
        _ if any(&["windows nt", "macintosh", "x11;"]) => Device::Desktop,
        _ => Device::Other,
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;
