//! A URL with macros in its path and query, and nowhere else.
//!
//! The template is cut into host, segments and parameters before anything is filled in, so that no value
//! can end the one and begin the next; and what comes out is parsed again and held against the
//! template's structure, so that a mistake of ours is an error and never a request to somewhere else.

pub(super) mod cut;

use super::catalogue::Catalogue;
use super::form::{flag_without_a_place, number_in_text};
use super::pair::{Pair, Places};
use super::place::Place;
use super::{Fault, MASK, Rendered, Template, Values};
use crate::connector::Empty;
use cut::{Cut, MacroThere, Wrong, literal, split};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// The longest URL that the HTTP client can carry, in bytes.
pub const URL_MAX: usize = 65_534;

const PLACES: Places = Places { name: Place::QueryName, value: Place::QueryValue };

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

/// A filled URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The URL.
    pub url: Url,
    /// The URL for showing, secrets masked.
    pub shown: String,
    /// The values that a secret went into, before they were escaped.
    pub secrets: Vec<String>,
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
        let query: Option<Vec<Pair>> = cut.query.map(Pair::all);
        for segment in &segments {
            faults.extend(flag_without_a_place(key, segment, "a URL's path"));
        }
        for pair in query.iter().flatten() {
            faults.extend(pair.name.as_ref().and_then(|name| flag_without_a_place(key, name, "a name")));
            faults.extend(number_in_text(key, &pair.value));
        }
        match origin {
            Some(origin) if faults.is_empty() => Ok(Self { origin, segments, query, fragment }),
            _ => Err(faults),
        }
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &Url {
        &self.origin
    }

    /// Its templates.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let pairs = self.query.iter().flatten().flat_map(Pair::templates);
        self.segments.iter().chain(pairs)
    }

    /// The names in its query that hold no macro.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.query.iter().flatten().filter_map(|pair| pair.name.as_ref()?.only_literal())
    }

    /// What in its path and query reads like a macro and is none.
    pub fn lookalikes(&self) -> Vec<&str> {
        let values = self.query.iter().flatten().map(|pair| &pair.value);
        self.segments.iter().chain(values).flat_map(Template::lookalikes).collect()
    }

    /// Fills the template, with `more` pairs, plain text, after what its query has. `empty` is what becomes
    /// of pairs whose value comes out empty; those of `more` were looked at by whoever rendered them.
    ///
    /// # Errors
    /// With these values it would not be a URL of the template's structure.
    pub fn fill(
        &self,
        values: &dyn Values,
        more: Vec<(&str, Rendered)>,
        empty: Empty,
    ) -> Result<Filled, Unfit> {
        let mut out = Rendered::default();
        out.push(self.origin.as_str().trim_end_matches('/'));
        for (index, segment) in self.segments.iter().enumerate() {
            out.push("/");
            let start = out.text.len();
            segment.render_onto(&mut out, values, Place::PathSegment);
            if is_dot_segment(&out.text[start..]) {
                return Err(Unfit::DotSegment(index + 1));
            }
        }
        let parameters = self.fill_query(&mut out, values, more, empty);
        if let Some(fragment) = &self.fragment {
            out.push("#");
            out.push(fragment);
        }
        if out.text.len() > URL_MAX {
            return Err(Unfit::TooLong(out.text.len()));
        }
        let url = Url::parse(&out.text).map_err(|_| Unfit::Structure("form"))?;
        self.compare(&url, parameters)?;
        let shown = if out.holds_a_secret() { shown(&out)? } else { url.to_string() };
        Ok(Filled { url, shown, secrets: out.secrets, unresolved: out.unresolved })
    }

    /// Appends the query; returns how many parameters it has. An empty `&&` is no parameter.
    fn fill_query(
        &self,
        out: &mut Rendered,
        values: &dyn Values,
        more: Vec<(&str, Rendered)>,
        empty: Empty,
    ) -> usize {
        let Some(own) = self.query.as_deref().or((!more.is_empty()).then_some(&[])) else { return 0 };
        // A bare `?` in the template is an empty query: parameters follow it directly.
        let own = if matches!(own, [pair] if pair.is_empty()) { &[] } else { own };
        let mut pairs = Vec::with_capacity(own.len() + more.len());
        for pair in own {
            pairs.extend(pair.render(out, values, PLACES, empty));
        }
        for (name, value) in more {
            let mut pair = Rendered::default();
            pair.push_value(name, Place::QueryName);
            pair.push("=");
            pair.append(value, Place::QueryValue);
            pairs.push(pair);
        }
        let parameters = pairs.iter().filter(|pair| !pair.text.is_empty()).count();
        // What had a query and lost all of it has none; one that was written empty stays.
        if pairs.is_empty() && !own.is_empty() {
            return 0;
        }
        out.push("?");
        for (index, pair) in pairs.into_iter().enumerate() {
            if index > 0 {
                out.push("&");
            }
            out.append(pair, Place::Text);
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

/// The URL with its secrets masked, in the spelling that it is sent in.
fn shown(filled: &Rendered) -> Result<String, Unfit> {
    let url = Url::parse(filled.shown()).map_err(|_| Unfit::Structure("form"))?;
    let escaped: String = MASK.bytes().map(|byte| format!("%{byte:02X}")).collect();
    Ok(url.as_str().replace(&escaped, MASK))
}

/// Whether the url crate, as the standard says, would take this for `.` or `..`.
fn is_dot_segment(segment: &str) -> bool {
    segment.len() <= 6 && matches!(&*percent_decode_str(segment).collect::<Vec<_>>(), b"." | b"..")
}

#[cfg(test)]
mod tests;
