//! Reading HTML: which gap stands where.
//!
//! html5gum tokenizes by the standard; what a tree builder would tell it, when to read the text of an element as
//! raw, stands here. Where only a whole tree could tell, as within `<svg>` and `<select>`, no gap is safe.

use super::attribute;
use super::json;
use super::outline::{Outline, Reading};
use super::place::Place;
use super::script;
use super::wrong::Wrong;
use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Error, Span, State, Tokenizer};
use std::ops::Range;

/// Elements within which, or after which, a start tag may be ignored and its text read as markup.
const STRANGE: [&str; 5] = ["svg", "math", "select", "frameset", "plaintext"];

/// A token of HTML; text is what lies between them.
enum Token {
    Open(String, usize),
    Name(Range<usize>),
    Value(Range<usize>),
    Close(usize),
    End(String, Range<usize>),
    Comment(Range<usize>),
    Doctype(Range<usize>),
    Unfinished(usize, &'static str),
}

/// A start tag.
#[derive(Default)]
pub(super) struct Tag {
    pub(super) name: String,
    start: usize,
    /// Name and value of each.
    pub(super) attributes: Vec<(Range<usize>, Option<Range<usize>>)>,
}

impl Tag {
    /// The value of the first attribute of this name, as written.
    pub(super) fn attribute<'s>(&self, source: &'s str, name: &str) -> Option<&'s str> {
        let named = |(at, _): &&(Range<usize>, _)| source[at.clone()].eq_ignore_ascii_case(name);
        let (_, value) = self.attributes.iter().find(named)?;
        Some(value.clone().map_or("", |value| &source[value]))
    }
}

/// Reads the code: once as a browser that runs scripts does, and once as one that does not, where that differs.
pub(super) fn read(source: &str, gaps: &[Range<usize>]) -> [Outline; 2] {
    let scripting = pass(source, gaps, true);
    let without = if has_noscript(source) { pass(source, gaps, false) } else { scripting.clone() };
    [scripting, without]
}

fn has_noscript(source: &str) -> bool {
    source.to_ascii_lowercase().contains("<noscript")
}

fn pass(source: &str, gaps: &[Range<usize>], scripting: bool) -> Outline {
    let mut reading = Reading::new(source, gaps);
    let mut tag = Tag::default();
    // The element whose text is read as raw, and where that begins.
    let mut raw: Option<(Tag, usize)> = None;
    let mut strange: Option<(String, usize)> = None;
    let mut emitter = CallbackEmitter::new(token);
    emitter.naively_switch_states(false);
    let mut tokenizer = Tokenizer::new_with_emitter(source, emitter);
    while let Some(Ok(token)) = tokenizer.next() {
        match token {
            Token::Open(name, start) => tag = Tag { name, start, attributes: Vec::new() },
            Token::Name(range) => tag.attributes.push((range, None)),
            Token::Value(range) => {
                if let Some((_, value)) = tag.attributes.last_mut() {
                    *value = Some(range);
                }
            }
            Token::Close(end) => {
                let opened = std::mem::take(&mut tag);
                start_tag(&mut reading, &opened, end);
                if STRANGE.contains(&opened.name.as_str()) && strange.is_none() {
                    strange = Some((opened.name.clone(), end));
                }
                if let Some(state) = state_after(&opened.name, scripting) {
                    tokenizer.set_state(state);
                    raw = Some((opened, end));
                }
            }
            Token::End(name, range) => {
                if let Some((opened, start)) = raw.take() {
                    raw_text(&mut reading, &opened, start..range.start);
                }
                sound(&mut reading, &range, &format!("</{name}"), ">");
                reading.border(b'e', range.start);
                reading.border(b'E', range.end);
                reading.token(range, &Err(Wrong::EndTag));
                tag = Tag::default();
            }
            Token::Comment(range) => {
                sound(&mut reading, &range, "<", "");
                reading.border(b'c', range.start);
                reading.border(b'C', range.end);
                reading.token(range, &Err(Wrong::Comment));
            }
            Token::Doctype(range) => {
                sound(&mut reading, &range, "<!", ">");
                reading.border(b'd', range.start);
                reading.border(b'D', range.end);
                reading.token(range, &Err(Wrong::Doctype));
            }
            Token::Unfinished(at, what) => reading.fault(at.min(source.len()), Wrong::Unfinished(what)),
        }
    }
    if let Some((opened, start)) = raw {
        raw_text(&mut reading, &opened, start..source.len());
        reading.fault(opened.start, Wrong::NeverClosed(opened.name));
    }
    references(&mut reading);
    if let Some((name, at)) = strange {
        for gap in reading.within(&(at..source.len())) {
            reading.set(gap, Err(Wrong::After(name.clone())));
        }
    }
    reading.done()
}

fn token(event: CallbackEvent<'_>, span: Span<usize>) -> Option<Token> {
    let range = span.start..span.end;
    let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    Some(match event {
        CallbackEvent::OpenStartTag { name: of } => Token::Open(name(of), range.start),
        CallbackEvent::AttributeName { .. } => Token::Name(range),
        CallbackEvent::AttributeValue { .. } => Token::Value(range),
        CallbackEvent::CloseStartTag { .. } => Token::Close(range.end),
        CallbackEvent::EndTag { name: of } => Token::End(name(of), range),
        CallbackEvent::Comment { .. } => Token::Comment(range),
        CallbackEvent::Doctype { .. } => Token::Doctype(range),
        CallbackEvent::Error(error) => Token::Unfinished(range.start, unfinished(error)?),
        CallbackEvent::String { .. } => return None,
    })
}

/// What the end of the code cuts off, where an error says so.
fn unfinished(error: Error) -> Option<&'static str> {
    match error {
        Error::EofBeforeTagName | Error::EofInTag => Some("a tag"),
        Error::EofInComment => Some("a comment"),
        Error::EofInDoctype => Some("the doctype"),
        Error::EofInCdata => Some("a CDATA section"),
        Error::EofInScriptHtmlCommentLikeText => Some("a comment in a script"),
        _ => None,
    }
}

/// Holds what the tokenizer says of a token's range against the text there: if the two ever disagree, nothing more
/// is known.
fn sound(reading: &mut Reading<'_>, range: &Range<usize>, begins: &str, ends: &str) {
    let text = reading.source.get(range.clone()).unwrap_or_default();
    let begins = text.get(..begins.len()).is_some_and(|start| start.eq_ignore_ascii_case(begins));
    if !begins || !text.ends_with(ends) {
        reading.fault(range.start.min(reading.source.len()), Wrong::Unreadable);
    }
}

/// How the text after a start tag is read; none where it is markup.
fn state_after(name: &str, scripting: bool) -> Option<State> {
    match name {
        "script" => Some(State::ScriptData),
        "textarea" | "title" => Some(State::RcData),
        "style" | "xmp" | "iframe" | "noembed" | "noframes" => Some(State::RawText),
        "noscript" if scripting => Some(State::RawText),
        "plaintext" => Some(State::PlainText),
        _ => None,
    }
}

fn start_tag(reading: &mut Reading<'_>, tag: &Tag, end: usize) {
    sound(reading, &(tag.start..end), &format!("<{}", tag.name), ">");
    reading.border(b't', tag.start);
    let name = tag.start..tag.start + 1 + tag.name.len();
    reading.token(tag.start..end, &Err(Wrong::AttributeName));
    reading.token(name, &Err(Wrong::TagName));
    for (name, value) in &tag.attributes {
        let odd = |c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/') || c == '=';
        if reading.source.get(name.clone()).is_none_or(|text| text.is_empty() || text[1..].contains(odd)) {
            reading.fault(tag.start, Wrong::Unreadable);
            continue;
        }
        reading.border(b'n', name.start);
        reading.border(b'N', name.end);
        if let Some(value) = value.clone().or_else(|| empty_value(reading.source, name.end)) {
            attribute::read(reading, tag, name, &value);
        }
    }
    reading.border(b'T', end);
}

/// Where the value of an attribute is that has quotes and nothing between them: the tokenizer does not tell.
fn empty_value(source: &str, after_name: usize) -> Option<Range<usize>> {
    let blanks = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_whitespace()).len();
    let rest = &source[after_name..];
    let rest = rest[blanks(rest)..].strip_prefix('=')?;
    let rest = &rest[blanks(rest)..];
    let at = source.len() - rest.len() + 1;
    (rest.starts_with("\"\"") || rest.starts_with("''")).then_some(at..at)
}

/// The text of an element that is no markup.
fn raw_text(reading: &mut Reading<'_>, tag: &Tag, body: Range<usize>) {
    match tag.name.as_str() {
        "script" => script_text(reading, tag, body),
        // What is markup to a browser without scripts. It has no `<` of a value in it, so it ends where it ends; the
        // other pass says what each gap of it is in.
        "noscript" => {}
        _ => {
            for gap in reading.within(&body) {
                reading.set(gap, Err(Wrong::RawText(tag.name.clone())));
            }
        }
    }
}

fn script_text(reading: &mut Reading<'_>, tag: &Tag, body: Range<usize>) {
    // The language is only asked where there is no type.
    let kind = tag.attribute(reading.source, "type").map(str::to_owned);
    let language = tag.attribute(reading.source, "language").filter(|language| !language.is_empty());
    let kind = kind.or_else(|| language.map(|language| format!("text/{language}"))).unwrap_or_default();
    let essence = kind.trim().to_ascii_lowercase();
    match essence.as_str() {
        ""
        | "text/javascript"
        | "application/javascript"
        | "text/ecmascript"
        | "application/ecmascript"
        | "text/x-javascript"
        | "application/x-javascript"
        | "text/javascript1.5" => {
            script::read(reading, body, false);
        }
        "module" => script::read(reading, body, true),
        "application/json" | "application/ld+json" => json::read(reading, body),
        _ => {
            for gap in reading.within(&body) {
                reading.set(gap, Err(Wrong::ScriptType(kind.clone())));
            }
        }
    }
}

/// A gap of text after the beginning of a character reference.
fn references(reading: &mut Reading<'_>) {
    for gap in reading.within(&(0..reading.source.len())) {
        // What stands in a tag was looked at there.
        let text = *reading.found(gap) == Ok(Place::Text);
        if text && begins_a_reference(&reading.source[..reading.gap(gap).start]) {
            reading.set(gap, Err(Wrong::Reference));
        }
    }
}

/// Whether a text ends in what the next characters could make a character reference.
pub(super) fn begins_a_reference(text: &str) -> bool {
    let rest = text.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
    rest.strip_suffix('#').unwrap_or(rest).ends_with('&')
}
