//! A URL with macros in its path and query, and nowhere else.
//!
//! The template is cut into host, segments and parameters before anything is filled in, so that no value
//! can end the one and begin the next; and what comes out is parsed again and held against the
//! template's structure, so that a mistake of ours is an error and never a request to somewhere else.

mod cut;

use super::catalogue::Catalogue;
use super::place::Place;
use super::{Fault, Piece, Rendered, Template, Values};
use cut::{Cut, MacroThere, Wrong, literal, split, split_once};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// The longest URL that the HTTP client can carry, in bytes.
pub const URL_MAX: usize = 65_534;

/// A parsed URL template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Scheme, host and port, normalised, with the path `/`.
    origin: Url,
    segments: Vec<Template>,
    /// None where the template has no `?`.
    query: Option<Vec<Pair>>,
    fragment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    /// None where there is no `=`: then all of it is value.
    name: Option<Template>,
    value: Template,
}

/// A filled URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The URL.
    pub url: Url,
    /// The macros without a value, as written, each once.
    pub unresolved: Vec<String>,
}

/// Why values cannot stand in a URL. It says where, never what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A segment would be `.` or `..`, which every client resolves away: it would be another path.
    #[error("segment {0} of the URL's path would be a dot segment (`.` or `..`), which cannot be sent")]
    DotSegment(usize),
    /// It is longer than the HTTP client can carry.
    #[error("the URL would be {0} bytes long, and {URL_MAX} is the most that can be sent")]
    TooLong(usize),
    /// It does not parse back to the template's structure.
    #[error("the URL would have another {0} than its template")]
    Structure(&'static str),
}

impl Location {
    /// Parses a URL template. `key` is where it is configured.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn parse(key: &str, text: &str, catalogue: &Catalogue) -> Result<Self, Vec<Fault>> {
        let template = Template::parse(text, catalogue)
            .map_err(|malformed| malformed.iter().map(|fault| fault.at(key)).collect::<Vec<_>>())?;
        let cut = Cut::of(template.pieces).map_err(|why| vec![why.at(key)])?;
        let mut faults = Vec::new();
        let origin = match cut.origin() {
            Ok(origin) => Some(origin),
            Err(why) => {
                faults.push(why.at(key));
                None
            }
        };
        faults.extend(cut.odd_characters().map(|why| why.at(key)));
        let fragment = match cut.fragment.as_deref().map(literal).transpose() {
            Ok(fragment) => fragment,
            Err(MacroThere) => {
                faults.push(Wrong::MacroPlace("fragment").at(key));
                None
            }
        };
        let segments: Vec<_> = split(cut.path, '/').into_iter().map(|pieces| Template { pieces }).collect();
        if segments.iter().any(|segment| is_dot_segment(segment.only_literal().unwrap_or_default())) {
            faults.push(Wrong::DotSegment.at(key));
        }
        let query = cut.query.map(|query| split(query, '&').into_iter().map(Pair::of).collect());
        match origin {
            Some(origin) if faults.is_empty() => Ok(Self { origin, segments, query, fragment }),
            _ => Err(faults),
        }
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &Url {
        &self.origin
    }

    /// What in its path and query reads like a macro and is none.
    pub fn lookalikes(&self) -> Vec<&str> {
        let values = self.query.iter().flatten().map(|pair| &pair.value);
        self.segments.iter().chain(values).flat_map(Template::lookalikes).collect()
    }

    /// Fills the template, with `more` pairs, plain text, after what its query has.
    ///
    /// # Errors
    /// With these values it would not be a URL of the template's structure.
    pub fn fill(&self, values: &dyn Values, more: &[(&str, String)]) -> Result<Filled, Unfit> {
        let mut out =
            Rendered { text: self.origin.as_str().trim_end_matches('/').to_owned(), ..Rendered::default() };
        for (index, segment) in self.segments.iter().enumerate() {
            out.text.push('/');
            let start = out.text.len();
            segment.render_onto(&mut out, values, Place::PathSegment);
            if is_dot_segment(&out.text[start..]) {
                return Err(Unfit::DotSegment(index + 1));
            }
        }
        let parameters = self.fill_query(&mut out, values, more);
        if let Some(fragment) = &self.fragment {
            out.text.push('#');
            out.text.push_str(fragment);
        }
        if out.text.len() > URL_MAX {
            return Err(Unfit::TooLong(out.text.len()));
        }
        let url = Url::parse(&out.text).map_err(|_| Unfit::Structure("form"))?;
        self.compare(&url, parameters)?;
        Ok(Filled { url, unresolved: out.unresolved })
    }

    /// Appends the query; returns how many parameters it has. An empty `&&` is no parameter.
    fn fill_query(&self, out: &mut Rendered, values: &dyn Values, more: &[(&str, String)]) -> usize {
        if self.query.is_none() && more.is_empty() {
            return 0;
        }
        let mut parameters = 0;
        let mut separator = '?';
        let mut begin = |out: &mut Rendered| {
            out.text.push(separator);
            separator = '&';
            out.text.len()
        };
        let own = self.query.as_deref().unwrap_or_default();
        // A bare `?` in the template is an empty query: parameters follow it directly.
        let own = if matches!(own, [pair] if pair.is_empty()) { &[] } else { own };
        for pair in own {
            let start = begin(out);
            if let Some(name) = &pair.name {
                name.render_onto(out, values, Place::QueryName);
                out.text.push('=');
            }
            pair.value.render_onto(out, values, Place::QueryValue);
            parameters += usize::from(out.text.len() > start);
        }
        for (name, value) in more {
            begin(out);
            Place::QueryName.push(name, &mut out.text);
            out.text.push('=');
            Place::QueryValue.push(value, &mut out.text);
            parameters += 1;
        }
        if own.is_empty() && more.is_empty() {
            begin(out);
        }
        parameters
    }

    fn compare(&self, url: &Url, parameters: usize) -> Result<(), Unfit> {
        let origin = &self.origin;
        let same_authority = url.scheme() == origin.scheme()
            && url.host() == origin.host()
            && url.port() == origin.port()
            && url.username().is_empty()
            && url.password().is_none();
        if !same_authority {
            Err(Unfit::Structure("host"))
        } else if url.path_segments().map_or(0, Iterator::count) != self.segments.len() {
            Err(Unfit::Structure("path"))
        } else if url.query_pairs().count() != parameters {
            Err(Unfit::Structure("query"))
        } else if url.fragment().is_some() != self.fragment.is_some() {
            Err(Unfit::Structure("fragment"))
        } else {
            Ok(())
        }
    }
}

/// Whether a URL's host is this machine itself.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl Pair {
    fn of(pieces: Vec<Piece>) -> Self {
        match split_once(pieces, &['=']) {
            (name, Some((_, value))) => {
                // In a name, `[x]` is how PHP and Rails write a field of a form: never a macro there.
                let name = name.into_iter().map(Piece::without_brackets).collect();
                Self { name: Some(Template { pieces: name }), value: Template { pieces: value } }
            }
            (value, None) => Self { name: None, value: Template { pieces: value } },
        }
    }

    fn is_empty(&self) -> bool {
        self.name.is_none() && self.value.pieces.is_empty()
    }
}

/// Whether the url crate, as the standard says, would take this for `.` or `..`.
fn is_dot_segment(segment: &str) -> bool {
    segment.len() <= 6 && matches!(&*percent_decode_str(segment).collect::<Vec<_>>(), b"." | b"..")
}

#[cfg(test)]
mod tests;
