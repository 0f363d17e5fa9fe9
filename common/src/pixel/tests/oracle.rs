//! Another opinion: what html5ever, which parses as browsers do, and a reader of strings that shares nothing with
//! ours, make of a pixel.

use html5ever::driver::ParseOpts;
use html5ever::serialize::{SerializeOpts, serialize};
use html5ever::tendril::TendrilSink;
use html5ever::tree_builder::TreeBuilderOpts;
use html5ever::{QualName, local_name, ns, parse_document, parse_fragment};
use markup5ever_rcdom::{Handle, NodeData, RcDom, SerializableHandle};
use std::iter::Peekable;
use std::str::Chars;

/// Stands where values are looked for. It is the same in every place, whatever the escape.
pub(super) const HARMLESS: &str = "harmlessvalue";

/// How a pixel is put into a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As a document of its own, in a browser that runs scripts: the sandbox.
    Document,
    /// As a document, in one that runs none.
    Scriptless,
    /// Into an element of the page, by way of a template or a parser that runs no scripts.
    Fragment,
    /// Into an element of the page, with scripts.
    FragmentWithScripts,
    /// As a document that was serialized and parsed again.
    Twice,
}

pub(super) const WAYS: [Way; 5] =
    [Way::Document, Way::Scriptless, Way::Fragment, Way::FragmentWithScripts, Way::Twice];

/// A part of a tree: where it is and what it is, and its text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    at: String,
    text: String,
}

impl Leaf {
    /// Where it is and what it is.
    pub(super) fn kind(&self) -> &str {
        &self.at
    }
}

/// The tree that a browser makes of a pixel, its parts in their order.
pub(super) fn tree(html: &str, way: Way) -> Vec<Leaf> {
    let scripting = matches!(way, Way::Document | Way::FragmentWithScripts);
    let tree_builder = TreeBuilderOpts { scripting_enabled: scripting, ..TreeBuilderOpts::default() };
    let options = || ParseOpts { tree_builder, ..ParseOpts::default() };
    let dom = match way {
        Way::Document | Way::Scriptless => parse_document(RcDom::default(), options()).one(html),
        Way::Fragment | Way::FragmentWithScripts => {
            let body = QualName::new(None, ns!(html), local_name!("body"));
            parse_fragment(RcDom::default(), options(), body, Vec::new(), false).one(html)
        }
        Way::Twice => {
            let once = parse_document(RcDom::default(), options()).one(html);
            let mut written = Vec::new();
            let document: SerializableHandle = once.document.clone().into();
            let options_of = SerializeOpts { scripting_enabled: scripting, ..SerializeOpts::default() };
            serialize(&mut written, &document, options_of).unwrap();
            parse_document(RcDom::default(), options()).one(std::str::from_utf8(&written).unwrap())
        }
    };
    let mut leaves = Vec::new();
    walk(&dom.document, "", &mut leaves);
    leaves
}

fn walk(node: &Handle, path: &str, leaves: &mut Vec<Leaf>) {
    let mut path = path.to_owned();
    match &node.data {
        NodeData::Document => {}
        NodeData::Doctype { name, .. } => {
            leaves.push(Leaf { at: format!("{path}!doctype"), text: name.to_string() })
        }
        NodeData::Comment { contents } => {
            leaves.push(Leaf { at: format!("{path}!comment"), text: contents.to_string() });
        }
        NodeData::ProcessingInstruction { target, contents } => {
            leaves.push(Leaf { at: format!("{path}?{target}"), text: contents.to_string() });
        }
        NodeData::Text { contents } => {
            leaves.push(Leaf { at: format!("{path}#text"), text: contents.borrow().to_string() });
        }
        NodeData::Element { name, attrs, template_contents, .. } => {
            path = format!("{path}{}:{}", name.ns, name.local);
            let attributes = attrs.borrow();
            for attribute in attributes.iter().filter(|attribute| &*attribute.name.local == "type") {
                path = format!("{path}[{}]", attribute.value);
            }
            leaves.push(Leaf { at: path.clone(), text: String::new() });
            for attribute in attributes.iter() {
                let at = format!("{path}@{}", attribute.name.local);
                leaves.push(Leaf { at, text: attribute.value.to_string() });
            }
            path.push('/');
            if let Some(contents) = &*template_contents.borrow() {
                walk(contents, &format!("{path}template/"), leaves);
            }
        }
    }
    for child in node.children.borrow().iter() {
        walk(child, &path, leaves);
    }
}

/// Whether a tree is that of [`HARMLESS`] but for the value in its place; else what differs.
pub(super) fn differs(harmless: &[Leaf], found: &[Leaf], value: &str) -> Option<String> {
    if harmless.len() != found.len() {
        return Some(format!("{} parts, not {}", found.len(), harmless.len()));
    }
    let differing = harmless.iter().zip(found).find(|(harmless, found)| {
        harmless.at != found.at || !is_text_with(&harmless.at, &harmless.text, &found.text, value)
    });
    differing.map(|(harmless, found)| format!("{found:?}, not {harmless:?}"))
}

fn is_text_with(at: &str, harmless: &str, found: &str, value: &str) -> bool {
    if !harmless.contains(HARMLESS) {
        return harmless == found;
    }
    // What HTML cannot hold.
    let in_html = value.replace('\0', "\u{fffd}");
    if at.ends_with("script[application/json]/#text") {
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text);
        let (Ok(harmless), Ok(found)) = (read(harmless), read(found)) else { return false };
        return in_json(&harmless, value) == found;
    }
    if at.contains("script") && at.ends_with("/#text") {
        let (Some(harmless), Some(found)) = (script(harmless), script(found)) else { return false };
        let same = |(harmless, found): (&Part, &Part)| match (harmless, found) {
            (Part::Code(harmless), Part::Code(found)) => harmless == found,
            (Part::Text(harmless), Part::Text(found)) => {
                let value = if is_address(harmless) { percent(value) } else { value.to_owned() };
                harmless.replace(HARMLESS, &value) == *found
            }
            _ => false,
        };
        return harmless.len() == found.len() && harmless.iter().zip(&found).all(same);
    }
    // A <noscript> that is read as text has its attributes unread.
    if at.ends_with("noscript/#text") {
        let pieces: Vec<&str> = harmless.split(HARMLESS).collect();
        return !found.contains(['\0']) && in_order(found, &pieces);
    }
    if at.contains('@') && is_address(harmless) {
        return harmless.replace(HARMLESS, &percent(value)) == found
            && (value.is_empty() || same_address(harmless, found, value));
    }
    // What is serialized and parsed again has its line ends made one kind.
    let one_kind = in_html.replace("\r\n", "\n").replace('\r', "\n");
    [&in_html, &one_kind].into_iter().any(|value| harmless.replace(HARMLESS, value) == found)
}

/// Whether a text is these pieces, with text between them that is no markup.
fn in_order(text: &str, pieces: &[&str]) -> bool {
    let Some(mut rest) = text.strip_prefix(pieces[0]) else { return false };
    for piece in &pieces[1..] {
        let Some(at) = rest.find(piece) else { return false };
        if rest[..at].contains(['<', '>', '"', '\'']) {
            return false;
        }
        rest = &rest[at + piece.len()..];
    }
    rest.is_empty()
}

fn in_json(harmless: &serde_json::Value, value: &str) -> serde_json::Value {
    use serde_json::Value;
    match harmless {
        Value::String(text) => Value::String(text.replace(HARMLESS, value)),
        Value::Array(elements) => elements.iter().map(|element| in_json(element, value)).collect(),
        Value::Object(members) => {
            let member =
                |(name, member): (&String, &Value)| (name.replace(HARMLESS, value), in_json(member, value));
            Value::Object(members.iter().map(member).collect())
        }
        other => other.clone(),
    }
}

fn is_address(text: &str) -> bool {
    text.trim_start().starts_with("http") || text.trim_start().starts_with("//")
}

/// Percent-encoding, byte by byte.
fn percent(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let each = value
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    each.collect()
}

/// Whether an address leads to the same place, with the value decoded where the harmless one was.
fn same_address(harmless: &str, found: &str, value: &str) -> bool {
    let base = url::Url::parse("https://page.example/").unwrap();
    let (harmless, found) = (base.join(harmless).unwrap(), base.join(found).unwrap());
    let pairs = |url: &url::Url, value: &str| -> Vec<(String, String)> {
        let with = |text: &str| text.replace(HARMLESS, value);
        url.query_pairs().map(|(name, text)| (with(&name), with(&text))).collect()
    };
    let segments = |url: &url::Url| url.path_segments().unwrap().count();
    harmless.origin() == found.origin()
        && segments(&harmless) == segments(&found)
        && pairs(&harmless, value) == found.query_pairs().into_owned().collect::<Vec<_>>()
}

/// A part of a script.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Code(String),
    /// What a string, or a template's text, says.
    Text(String),
}

/// A script without comments and regular expressions in its parts, as ECMAScript reads them in strict mode; none
/// where it is no such script.
fn script(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut code = String::new();
    let mut templates: Vec<usize> = Vec::new();
    let mut braces = 0;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        code.push(c);
        let ends = match c {
            '"' | '\'' => c,
            '`' => '`',
            '{' => {
                braces += 1;
                continue;
            }
            '}' if templates.last() == Some(&braces) => {
                templates.pop();
                '`'
            }
            '}' => {
                braces -= 1;
                continue;
            }
            _ => continue,
        };
        parts.push(Part::Code(std::mem::take(&mut code)));
        let mut units: Vec<u16> = Vec::new();
        loop {
            let c = rest.next()?;
            match c {
                _ if c == ends => {
                    code.push(c);
                    break;
                }
                '$' if ends == '`' && rest.peek() == Some(&'{') => {
                    rest.next();
                    code.push_str("${");
                    templates.push(braces);
                    break;
                }
                '\n' | '\r' if ends != '`' => return None,
                '\\' => units.extend(escape(&mut rest)?),
                c => units.extend(c.encode_utf16(&mut [0; 2]).iter().copied()),
            }
        }
        parts.push(Part::Text(String::from_utf16(&units).ok()?));
    }
    parts.push(Part::Code(code));
    templates.is_empty().then_some(parts)
}

/// What follows a backslash.
fn escape(rest: &mut Peekable<Chars<'_>>) -> Option<Vec<u16>> {
    let unit = |c: char| vec![u16::try_from(u32::from(c)).unwrap_or_default()];
    Some(match rest.next()? {
        'x' => vec![hex(rest, 2)?],
        'u' => vec![hex(rest, 4)?],
        'n' => unit('\n'),
        't' => unit('\t'),
        'r' => unit('\r'),
        'b' => vec![8],
        'f' => vec![12],
        'v' => vec![11],
        '\n' | '\u{2028}' | '\u{2029}' => Vec::new(),
        // In strict mode octal escapes are none.
        c if c.is_ascii_digit() => return None,
        c => c.encode_utf16(&mut [0; 2]).to_vec(),
    })
}

fn hex(rest: &mut Peekable<Chars<'_>>, len: usize) -> Option<u16> {
    let digits: String = (0..len).map(|_| rest.next()).collect::<Option<_>>()?;
    let all = digits.chars().all(|c| c.is_ascii_hexdigit());
    all.then(|| u16::from_str_radix(&digits, 16).ok())?
}

#[test]
fn the_oracle_knows_a_value_that_left_its_place() {
    let differ = |harmless: &str, found: &str, value: &str| {
        WAYS.map(|way| differs(&tree(harmless, way), &tree(found, way), value).is_some())
    };
    for (harmless, found, value) in [
        ("<p>a harmlessvalue</p>", "<p>a <b></p>", "<b>"),
        ("<p>a harmlessvalue</p>", "<p>a &amp;lt;</p>", "&lt"),
        ("<p title='harmlessvalue'>", "<p title='' onclick=''>", "' onclick='"),
        ("<img src='https://a.example/?harmlessvalue'>", "<img src='https://a.example/?&a'>", "&a"),
        ("<script>f('harmlessvalue')</script>", "<script>f('a'+'b')</script>", "a'+'b"),
        ("<script>f('harmlessvalue')</script>", "<script>f('\\')</script>", "\\"),
        ("<script>f(`harmlessvalue`)</script>", "<script>f(`${a}`)</script>", "${a}"),
        ("<script>f('harmlessvalue')</script>", "<script>f('</script>')</script>", "</script>"),
        (
            "<script type='application/json'>{\"a\": \"harmlessvalue\"}</script>",
            "<script type='application/json'>{\"a\": \"\", \"b\": \"\"}</script>",
            "\", \"b\": \"",
        ),
    ] {
        assert_eq!(differ(harmless, found, value), [true; 5], "{found}");
        assert_eq!(differ(harmless, harmless, HARMLESS), [false; 5], "{harmless}");
    }
    assert_eq!(
        differ("<script>f('harmlessvalue')</script>", "<script>f('\\x3c\\u2028')</script>", "<\u{2028}"),
        [false; 5]
    );
}
