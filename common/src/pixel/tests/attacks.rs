//! No value escapes its place: 390 attacks and 100,000 generated values, in every place.
//!
//! `CAROM_FUZZ_CASES` says how many are generated, and `CAROM_FUZZ_SEED` which.

use super::oracle::{HARMLESS, WAYS, Way, differs, tree};
use super::*;

const ATTACKS: &str = include_str!("../../../../tests/fixtures/attacks.txt");

/// Every place but the paths of addresses.
const PLACES: &str = r##"<!doctype html>
<p title="a {{V}}" lang=en data-value='{{V}}' aria-label = "{{V}}{{V}}">a{{V}}b &amp; {{V}} c<b>-{{V}}-</b> é{{V}}</p>
<table><tr><td>a{{V}}b</table>
<img src="https://a.example/p.gif?v={{V}}&amp;{{V}}=1&w=2#{{V}}" alt='{{V}}'>
<a href='//a.example:8443/?{{V}}'>a{{V}}</a>
<script src="https://a.example/a.js?v={{V}}" data-a="{{V}}" async></script>
<script type="application/json">{"a": "{{V}}", "b{{V}}": ["x{{V}}y", {"c": "\\{{V}}\n"}], "d": 1}</script>
<script>
  f("{{V}}", 'it\'s {{V}}', "a" + '{{V}}{{V}}', {v: "{{V}}"}, `a${ b + `{{V}}` + c } {{V}} ${ {a: "{{V}}"} }`);
  new Image().src = "https://a.example/p.gif?v={{V}}&w=" + g('{{V}}') + "#a";
  h("//a.example/?{{V}}", `https://a.example/?v={{V}}&i=${i}`, "\\{{V}}\n", "\x41{{V}}", 'é{{V}}');
</script>
<template><p title="{{V}}">a{{V}}b<script>f('{{V}}')</script></template>
<script type=module>k("{{V}}")</script>
"##;

/// The paths of addresses, where a value that makes a dot segment is refused.
const PATHS: &str = r##"<img src="https://a.example/{{V}}">
<img src="https://a.example/a/{{V}}/b?c#d"><a href='https://a.example/a-{{V}}.gif?{{V}}'>a</a>
<script>f("https://a.example/{{V}}/x", 'https://a.example/a/x{{V}}?{{V}}')</script>"##;

/// A script without tags.
const SCRIPT: &str = "f('{{V}}', \"{{V}}\", `{{V}}`)\nvar a = {b: '{{V}}'};\n";

/// A place where nothing but the value is, so that an empty one leaves nothing.
const ALONE: [&str; 6] = [
    "<p>{{V}}</p>",
    "<b>{{V}}</b>{{V}}<i>{{V}}</i>",
    "<p>{{V}}",
    "<p title=\"{{V}}\">",
    "f('{{V}}')",
    "<script type='application/json'>\"{{V}}\"</script>",
];

pub(super) fn attacks() -> Vec<String> {
    let lines = ATTACKS.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

/// Code, and the trees of a harmless value in it.
struct Tried {
    code: Code,
    paths: bool,
    trees: Vec<(Way, Vec<oracle::Leaf>)>,
}

impl Tried {
    fn of(code: &str, ways: &[Way]) -> Self {
        let html = filled(code, HARMLESS).unwrap();
        let trees = ways.iter().map(|way| (*way, tree(&html, *way))).collect();
        Self { code: Code::parse(code).unwrap(), paths: code == PATHS, trees }
    }

    fn all(ways: &[Way]) -> Vec<Self> {
        [PLACES, PATHS, SCRIPT].into_iter().map(|code| Self::of(code, ways)).collect()
    }

    /// Fills the value in, and holds what becomes of it against the harmless one.
    fn hold(&self, value: &str) {
        let html = match self.code.fill(&Given::all(value)) {
            Ok(rendered) => rendered.html,
            Err(Unrenderable::DotSegment(_)) if self.paths && [".", ".."].contains(&value) => return,
            Err(refused) => panic!("{value:?}: {refused}"),
        };
        for (way, harmless) in &self.trees {
            if let Some(how) = differs(harmless, &tree(&html, *way), value) {
                panic!("{value:?}, {way:?}: {how}");
            }
        }
    }
}

#[test]
fn no_attack_leaves_its_place_in_any_way_that_a_pixel_is_put_into_a_page() {
    let attacks = attacks();
    assert!(attacks.len() >= 390, "{}", attacks.len());
    let tried = Tried::all(&WAYS);
    for attack in &attacks {
        tried.iter().for_each(|tried| tried.hold(attack));
    }
    // Where nothing but the value is, an empty one or a blank leaves no text.
    for code in ALONE {
        let tried = Tried::of(code, &WAYS);
        attacks.iter().filter(|attack| !attack.trim().is_empty()).for_each(|attack| tried.hold(attack));
        for blank in ["", " ", "\n"] {
            assert!(filled(code, blank).is_ok(), "{code}");
        }
    }
}

#[test]
fn no_two_attacks_in_places_beside_each_other_make_one() {
    let attacks = attacks();
    let code =
        Code::parse("<p title='{{A}}{{B}}'>a{{A}}{{B}}<script>f('{{A}}{{B}}', \"{{A}}\\\\{{B}}\")</script>")
            .unwrap();
    let kinds = |one: &str, other: &str| -> Vec<String> {
        let html = code.fill(&Given::some(&[("A", one), ("B", other)])).unwrap().html;
        tree(&html, Way::Document).iter().map(|leaf| leaf.kind().to_owned()).collect()
    };
    let harmless = kinds(HARMLESS, HARMLESS);
    for (index, one) in attacks.iter().enumerate() {
        // Each with some of the others, and all in all with each.
        for other in attacks.iter().skip(index % 17).step_by(17) {
            assert_eq!(kinds(one, other), harmless, "{one:?} and {other:?}");
        }
    }
}

/// A generator of values: splitmix64, and what to make of it.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides.max(1) as u64).unwrap_or_default()
    }

    fn pick<'a>(&mut self, parts: &[&'a str]) -> &'a str {
        parts[self.roll(parts.len())]
    }

    /// Any character, the ASCII ones and those of the odd corners more often than others.
    fn character(&mut self) -> char {
        let below = match self.roll(6) {
            0..=2 => 0x80,
            3 => 0x250,
            4 => {
                return *['\u{2028}', '\u{2029}', '\u{feff}', '\u{fffe}', '\u{85}', '\u{202e}', '\0', '\r']
                    .get(self.roll(8))
                    .unwrap_or(&' ');
            }
            _ => 0x11_0000,
        };
        u32::try_from(self.roll(below)).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
    }

    fn value(&mut self, attacks: &[String]) -> String {
        const PARTS: &[&str] = &[
            "<",
            ">",
            "</",
            "<!--",
            "-->",
            "--!>",
            "<script",
            "</script",
            "<script>",
            "</script>",
            "<!",
            "<?",
            "]]>",
            "\"",
            "'",
            "`",
            "\\",
            "\\\\",
            "\\u",
            "\\x",
            "\\u{",
            "${",
            "$",
            "{",
            "}",
            "{{",
            "}}",
            "{{V}}",
            "&",
            "&#",
            "&#x",
            "&amp;",
            "&lt",
            "lt;",
            ";",
            "=",
            "/",
            "//",
            "/*",
            "*/",
            "\n",
            "\r",
            "\r\n",
            "\t",
            "\u{c}",
            " ",
            "\0",
            "\u{2028}",
            "\u{2029}",
            "%",
            "%2",
            "%00",
            "..",
            ".",
            "?",
            "#",
            "@",
            ":",
            "javascript:",
            "data:",
            "https://",
            "on",
            "onload=canary()",
            "canary()",
            "0",
            "9",
            "a",
            "F",
            "x",
            "u",
            "é",
            "😀",
            "\u{fffd}",
        ];
        let mut value = String::new();
        for _ in 0..=self.roll(9) {
            match self.roll(8) {
                0..=3 => value.push_str(self.pick(PARTS)),
                4 | 5 => value.push(self.character()),
                6 => {
                    let attack = &attacks[self.roll(attacks.len())];
                    let (skip, take) = (self.roll(attack.len()), 1 + self.roll(24));
                    value.extend(attack.chars().skip(skip).take(take));
                }
                _ => {
                    let part = self.pick(PARTS);
                    value.push_str(&part.repeat(1 + self.roll(4)));
                }
            }
        }
        value
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A quarter of all values, so that the quarters run side by side.
fn generated(quarter: u64) {
    let cases = number("CAROM_FUZZ_CASES").unwrap_or(100_000) / 4;
    let seed = number("CAROM_FUZZ_SEED").unwrap_or(7).wrapping_mul(4).wrapping_add(quarter);
    let attacks = attacks();
    // The ways in turns: each costs as much as all the rest.
    let tried = WAYS.map(|way| Tried::all(&[way]));
    let mut dice = Dice(seed << 32);
    for case in 0..cases {
        let value = dice.value(&attacks);
        let way = usize::try_from(case).unwrap_or_default() % WAYS.len();
        tried[way].iter().for_each(|tried| tried.hold(&value));
    }
}

#[test]
fn no_generated_value_leaves_its_place_1() {
    generated(0);
}

#[test]
fn no_generated_value_leaves_its_place_2() {
    generated(1);
}

#[test]
fn no_generated_value_leaves_its_place_3() {
    generated(2);
}

#[test]
fn no_generated_value_leaves_its_place_4() {
    generated(3);
}

#[test]
fn an_escape_that_fails_is_noticed_before_anything_is_sent() {
    // What the escapes make of a value is taken away: the value goes in as it is.
    let raw = |code: &str, value: &str| Code::parse(code).unwrap().fill_unescaped(value);
    for (code, value) in [
        ("<p>{{V}}</p>", "<b>"),
        ("<p>{{V}}</p>", "</p>"),
        ("<p>{{V}}</p>", "<!-- a"),
        ("<p title=\"{{V}}\">", "\" onclick=\"f()"),
        ("<p title=\"{{V}}\">", "\">"),
        ("<p title='{{V}}'>", "'a='"),
        ("<img src=\"https://a.example/?{{V}}\">", "\" onerror=\"f()"),
        ("f('{{V}}')", "', '"),
        ("f('{{V}}')", "\\"),
        ("f('{{V}}')", "'-g()-'"),
        ("f('{{V}}')", "</script>"),
        ("f('{{V}}')", "\n"),
        ("f(`{{V}}`)", "${g()}"),
        ("f(`{{V}}`)", "`"),
        ("f('{{V}}'); g('{{V}}')", "<!--<script>"),
        ("<script type='application/json'>{\"a\": \"{{V}}\"}</script>", "\", \"b\": \""),
        ("<script type='application/json'>{\"a\": \"{{V}}\"}</script>", "</script>"),
    ] {
        let refused = raw(code, value);
        assert!(matches!(refused, Err(Unrenderable::Structure(_))), "{code} with {value:?}: {refused:?}");
        assert!(raw(code, "harmless").is_ok(), "{code}");
        assert!(filled(code, value).is_ok(), "{code} with {value:?}");
    }
}
