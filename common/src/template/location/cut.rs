//! Cutting a URL template into its parts, by the template's own text alone.

use crate::template::{Fault, Piece, Template};
use url::Url;

impl Template {
    /// Its text, where it has no macro.
    pub(in crate::template) fn only_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

impl Piece {
    fn as_literal(&self) -> Option<&str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Macro(_) => None,
        }
    }

    fn is_nothing(&self) -> bool {
        self.as_literal() == Some("")
    }

    /// `[x]` as the text that it is in the name of a parameter.
    pub(in crate::template) fn without_brackets(self) -> Self {
        match self {
            Self::Macro(wanted) if wanted.written.starts_with('[') => Self::Literal(wanted.written),
            other => other,
        }
    }
}

/// A URL template in its parts, not yet looked at.
pub(super) struct Cut {
    scheme: &'static str,
    authority: Vec<Piece>,
    pub(super) path: Vec<Piece>,
    pub(super) query: Option<Vec<Piece>>,
    pub(super) fragment: Option<Vec<Piece>>,
}

/// A macro stands where only text may.
pub(super) struct MacroThere;

/// What can be wrong with a URL template.
pub(super) enum Wrong {
    Scheme,
    MacroPlace(&'static str),
    Userinfo,
    Authority(String),
    Character(&'static str),
    DotSegment,
}

impl Wrong {
    pub(super) fn at(&self, key: &str) -> Fault {
        let (problem, remedy) = match self {
            Self::Scheme => (
                "the URL does not begin with http:// or https://".into(),
                "write it in full, as in https://example.com/postback",
            ),
            Self::MacroPlace(place) => (
                format!("a macro stands in the URL's {place}"),
                "use macros in the URL's path and query only",
            ),
            Self::Userinfo => (
                "the URL holds a user or password".into(),
                "send credentials in a header, by reference to a secret",
            ),
            Self::Authority(why) => (
                format!("the URL's host or port cannot be read: {why}"),
                "write a host name or address, and a port only where it is needed",
            ),
            Self::Character(which) => {
                (format!("the URL holds {which}"), "percent-encode it, as in %20 for a space")
            }
            Self::DotSegment => {
                ("the URL's path holds a dot segment (`.` or `..`)".into(), "write the path that it leads to")
            }
        };
        Fault::new(key, problem, remedy)
    }
}

impl Cut {
    pub(super) fn of(mut pieces: Vec<Piece>) -> Result<Self, Wrong> {
        let Some(Piece::Literal(first)) = pieces.first_mut() else {
            return Err(Wrong::Scheme);
        };
        let scheme = ["https://", "http://"]
            .into_iter()
            .find(|scheme| first.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
            .ok_or(Wrong::Scheme)?;
        first.drain(..scheme.len());
        let (authority, rest) = split_once(pieces, &['/', '?', '#']);
        let (path, rest) = match rest {
            Some(('/', rest)) => split_once(rest, &['?', '#']),
            other => (Vec::new(), other),
        };
        let (query, rest) = match rest {
            Some(('?', rest)) => {
                let (query, rest) = split_once(rest, &['#']);
                (Some(query), rest)
            }
            other => (None, other),
        };
        Ok(Self { scheme, authority, path, query, fragment: rest.map(|(_, fragment)| fragment) })
    }

    pub(super) fn origin(&self) -> Result<Url, Wrong> {
        let authority = literal(&self.authority).map_err(|MacroThere| Wrong::MacroPlace("host or port"))?;
        if authority.contains('@') {
            return Err(Wrong::Userinfo);
        }
        if authority.is_empty() {
            return Err(Wrong::Authority("there is none".to_owned()));
        }
        // To the url crate a backslash is a slash, a percent-encoded host is a host, and so is `{domain}`.
        let odd =
            authority.chars().find(|c| c.is_ascii() && !c.is_ascii_alphanumeric() && !"-._:[]".contains(*c));
        if let Some(odd) = odd {
            return Err(Wrong::Authority(format!("`{}` cannot stand in it", odd.escape_debug())));
        }
        Url::parse(&format!("{}{authority}/", self.scheme)).map_err(|why| Wrong::Authority(why.to_string()))
    }

    /// What the url crate would drop or take for something else.
    pub(super) fn odd_characters(&self) -> impl Iterator<Item = Wrong> {
        let text = |pieces: &[Piece]| -> String { pieces.iter().filter_map(Piece::as_literal).collect() };
        let path = text(&self.path);
        let parts = [Some(&self.authority), Some(&self.path), self.query.as_ref(), self.fragment.as_ref()];
        let all: String = parts.into_iter().flatten().map(|pieces| text(pieces)).collect();
        [
            all.chars().any(char::is_control).then_some("a control character"),
            all.chars().any(|c| c.is_whitespace() && !c.is_control()).then_some("a space"),
            path.contains('\\').then_some("a backslash in its path"),
        ]
        .into_iter()
        .flatten()
        .map(Wrong::Character)
    }
}

pub(super) fn literal(pieces: &[Piece]) -> Result<String, MacroThere> {
    pieces.iter().map(|piece| piece.as_literal().ok_or(MacroThere)).collect()
}

/// What stands before the first of some characters in the template's own text; then that character and
/// what stands after it.
pub(in crate::template) fn split_once(
    pieces: Vec<Piece>,
    at: &[char],
) -> (Vec<Piece>, Option<(char, Vec<Piece>)>) {
    let mut before = Vec::new();
    let mut pieces = pieces.into_iter();
    while let Some(piece) = pieces.next() {
        if let Some(text) = piece.as_literal()
            && let Some((index, found)) = text.char_indices().find(|(_, c)| at.contains(c))
        {
            let rest = Piece::Literal(text[index + found.len_utf8()..].to_owned());
            before.push(Piece::Literal(text[..index].to_owned()));
            before.retain(|piece| !piece.is_nothing());
            return (
                before,
                Some((found, [rest].into_iter().filter(|p| !p.is_nothing()).chain(pieces).collect())),
            );
        }
        before.push(piece);
    }
    before.retain(|piece| !piece.is_nothing());
    (before, None)
}

pub(in crate::template) fn split(mut pieces: Vec<Piece>, at: char) -> Vec<Vec<Piece>> {
    let mut parts = Vec::new();
    loop {
        let (part, rest) = split_once(pieces, &[at]);
        parts.push(part);
        match rest {
            Some((_, rest)) => pieces = rest,
            None => return parts,
        }
    }
}
