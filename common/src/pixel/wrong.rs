//! What can be wrong with a pixel's code: why no value is safe in a place, and what to do instead.

/// Why a macro cannot stand where it stands, or why code cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    // The macro itself.
    Secret,
    Number,
    // HTML.
    TagName,
    EndTag,
    AttributeName,
    Unquoted,
    Handler(String),
    Style,
    Markup(String),
    ManyAddresses(String),
    Base,
    Attribute(String),
    Comment,
    Doctype,
    RawText(String),
    After(String),
    Noscript,
    Reference,
    // Addresses.
    NotWhole,
    Host,
    Scheme(String),
    Percent,
    AddressReference,
    LoadedPath(String),
    DotSegment,
    // Scripts.
    Code,
    ScriptComment,
    Regex,
    Escape,
    Tagged,
    HtmlInString,
    Sink(&'static str, String),
    Lost(&'static str),
    ScriptType(String),
    // JSON.
    JsonBare,
    // Of the whole.
    TooLong(usize),
    TooMany,
    Empty,
    Nul,
    Unfinished(&'static str),
    NeverClosed(String),
    EndsScript,
    Unreadable,
}

const ELEMENT: &str = "put it into a data- attribute, as in data-value=\"{{VALUE}}\", and read it from there";
const STRING: &str =
    "put it between quotes, as in \"{{VALUE}}\"; where a number is wanted, Number(\"{{VALUE}}\")";
const OUTSIDE: &str = "write it outside of it";
const WHOLE: &str = "write scheme and host in full, as in https://example.com/p?v={{VALUE}}";

impl Wrong {
    /// What is wrong, in words.
    pub(super) fn problem(&self) -> String {
        match self {
            Self::Secret => "a secret would be told to every visitor".into(),
            Self::Number => {
                "`number` is for JSON bodies of webhooks, and a macro is never more than text here".into()
            }
            Self::TagName => "a macro stands in the name of a tag".into(),
            Self::EndTag => "a macro stands in an end tag".into(),
            Self::AttributeName => {
                "a macro stands among the attributes of a tag, outside of their values".into()
            }
            Self::Unquoted => {
                "a macro stands in an attribute without quotes, which a space in the value would end".into()
            }
            Self::Handler(name) => {
                format!("a macro stands in the event handler `{name}`, which is a script within an attribute")
            }
            Self::Style => {
                "a macro stands in a style, where values can load addresses and overlay the page".into()
            }
            Self::Markup(name) => {
                format!("a macro stands in `{name}`, which is a document within an attribute")
            }
            Self::ManyAddresses(name) => format!("a macro stands in `{name}`, which is a list of addresses"),
            Self::Base => "a macro stands in <base>, by which every other address is read".into(),
            Self::Attribute(name) => {
                format!("a macro stands in `{name}`, and a value there can change what the element does")
            }
            Self::Comment => "a macro stands in a comment, where it tells nobody anything".into(),
            Self::Doctype => "a macro stands in the doctype".into(),
            Self::RawText(name) => format!("a macro stands in the text of <{name}>, which knows no escaping"),
            Self::After(name) => {
                format!("a macro stands after <{name}>, within which HTML is read by other rules")
            }
            Self::Noscript => {
                "a macro stands in a <noscript> that browsers with and without scripts read differently"
                    .into()
            }
            Self::Reference => "a macro follows a `&`, and the two would be read as one character".into(),
            Self::NotWhole => "a macro stands in an address without a scheme and a host of its own".into(),
            Self::Host => {
                "a macro stands in an address before its path, so that its value would choose the host".into()
            }
            Self::Scheme(name) => format!("a macro stands in an address of `{name}:`, which can run scripts"),
            Self::Percent => "a macro follows a `%`, and the two would be read as one character".into(),
            Self::AddressReference => {
                "an address with a macro holds a character reference other than `&amp;`".into()
            }
            Self::LoadedPath(name) => {
                format!(
                    "a macro stands in the path of what <{name}> loads, so that its value would choose the code"
                )
            }
            Self::DotSegment => "a segment of an address would be `.` or `..`".into(),
            Self::Code => {
                "a macro stands in JavaScript outside of a string, where its value would be code".into()
            }
            Self::ScriptComment => {
                "a macro stands in a comment of a script, which a line end in the value would end".into()
            }
            Self::Regex => {
                "a macro stands in a regular expression, where its value would be a pattern".into()
            }
            Self::Escape => {
                "a macro follows an unfinished escape, and the two would be read as one character".into()
            }
            Self::Tagged => {
                "a macro stands in a tagged template, whose function sees its text before it is unescaped"
                    .into()
            }
            Self::HtmlInString => {
                "a macro stands in a string of HTML, which is read once more where it is used".into()
            }
            Self::Sink(what, name) => format!("a macro stands in a string that `{name}` takes as {what}"),
            Self::Lost(what) => {
                format!(
                    "a macro stands after {what}, from where on strings and code cannot be told apart for sure"
                )
            }
            Self::ScriptType(kind) => format!("a macro stands in a script of the type `{kind}`"),
            Self::JsonBare => "a macro stands in JSON outside of a string".into(),
            Self::TooLong(bytes) => {
                format!("the code is {bytes} bytes long, and {} are the most", super::CODE_MAX)
            }
            Self::TooMany => format!("there are over {} macros", super::MACROS_MAX),
            Self::Empty => "there is no code".into(),
            Self::Nul => "the code holds a NUL character".into(),
            Self::Unfinished(what) => format!("{what} never ends"),
            Self::NeverClosed(name) => format!("<{name}> is never closed"),
            Self::EndsScript => "this would end the script that JavaScript is sent in".into(),
            Self::Unreadable => "the structure from here on cannot be made out".into(),
        }
    }

    /// What to do instead.
    pub(super) fn advice(&self) -> String {
        match self {
            Self::Secret => "send it by the webhook, from server to server",
            Self::Number => "leave the filter out, and write Number(\"{{VALUE}}\")",
            Self::TagName | Self::EndTag | Self::AttributeName | Self::Attribute(_) => ELEMENT,
            Self::Unquoted => "put the attribute's value between quotes",
            Self::Handler(_) => "write a <script>, and the macro into a string of it",
            Self::Style => "set a style by a script that checks the value",
            Self::Markup(_) => "write the document's elements themselves",
            Self::ManyAddresses(_) => "write `src`",
            Self::Base | Self::Doctype => "leave it out",
            Self::Comment | Self::ScriptComment => "leave it out, or take the braces away",
            Self::RawText(_) => OUTSIDE,
            Self::After(_) => "write it before that element",
            Self::Noscript => "write no `</noscript` within attributes and scripts of it",
            Self::Reference => "write `&` as `&amp;`",
            Self::NotWhole | Self::Host => WHOLE,
            Self::Scheme(_) => "write an address of https://, or a <script>",
            Self::Percent => "take the `%` away: values are percent-encoded by themselves",
            Self::AddressReference => "write the character itself, and `&` as `&amp;`",
            Self::LoadedPath(_) => "write the whole path, and the macro into the query",
            Self::DotSegment => "use macros in the query instead",
            Self::Code => STRING,
            Self::Regex => "compare with a string: a value is no pattern",
            Self::Escape => "take the backslash away, or write it as `\\\\`",
            Self::Tagged => "use a string, or a template without a function before it",
            Self::HtmlInString => {
                "make the element by itself, as in new Image().src = \"https://example.com/p?v={{VALUE}}\""
            }
            Self::Sink("code", _) => "give it a function that has the macro in a string of its own",
            Self::Sink("an address", _) => "begin the string with scheme and host, as in \"https://example.com/p?v={{VALUE}}\"",
            Self::Sink(..) => "set textContent, or an attribute by setAttribute",
            Self::Lost(_) => {
                "put a `;` before it or brackets around it, or the macro into a script of its own before this one"
            }
            Self::ScriptType(_) => "use macros in JavaScript, or in application/json and application/ld+json",
            Self::JsonBare => "put it between quotes, as in \"{{VALUE}}\"",
            Self::TooLong(_) => "load the rest by a <script src>",
            Self::TooMany => "keep values that are used again in variables of the script",
            Self::Empty => "write HTML or JavaScript, or remove the pixel",
            Self::Nul => "remove it",
            Self::Unfinished(_) | Self::NeverClosed(_) => "close it",
            Self::EndsScript => "write it in two strings, as in \"</scr\" + \"ipt>\"",
            Self::Unreadable => "write it as plain HTML",
        }
        .to_owned()
    }
}
