//! A pixel's code: parsed once, filled in for each delivery.

use super::html;
use super::outline::Outline;
use super::place::Place;
use super::wrong::Wrong;
use super::{CODE_MAX, Fault, MACROS_MAX, RENDERED_MAX, Rendered, Unrenderable};
use crate::connector::Connector;
use crate::event::Facts;
use crate::id::DeliveryId;
use crate::postback::subject::Subject;
use crate::template::{self, Macro, Malformed, Piece, Values, catalogue};
use std::collections::BTreeMap;
use std::ops::Range;

/// Stands in a gap where code is read as it was written: it means nothing anywhere.
const HARMLESS: &str = "x";

const SCRIPT: (&str, &str) = ("<script>", "</script>");

/// A pixel's code, split into text and macros, each macro with its place.
#[derive(Clone, Debug)]
pub struct Code {
    parts: Vec<Part>,
    /// Its structure, to browsers that run scripts and to those that do not.
    outlines: [Outline; 2],
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Macro(Macro, Place),
}

impl Code {
    /// Parses a pixel's code.
    ///
    /// # Errors
    /// Everything that is wrong with it, in its order.
    pub fn parse(code: &str) -> Result<Self, Vec<Fault>> {
        // HTML and JavaScript know one line end, and a browser makes this of the others.
        let code = code.replace("\r\n", "\n").replace('\r', "\n");
        let mut wrong = Vec::new();
        if code.len() > CODE_MAX {
            return Err(vec![fault(&code, 0, &Wrong::TooLong(code.len()))]);
        }
        if code.trim().is_empty() {
            return Err(vec![fault(&code, 0, &Wrong::Empty)]);
        }
        wrong.extend(code.match_indices('\0').map(|(at, _)| (at, Wrong::Nul)));
        let (pieces, malformed) = template::parts(&code, &catalogue::PIXEL);
        let laid = Laid::out(pieces, is_html(&code));
        if laid.macros.len() > MACROS_MAX {
            return Err(vec![fault(&code, 0, &Wrong::TooMany)]);
        }
        let outlines = html::read(&laid.source, &laid.gaps);
        let found = Outline::agreed(&outlines);
        for ((wanted, at), found) in laid.macros.iter().zip(&found) {
            if wanted.holds_a_secret() {
                wrong.push((*at, Wrong::Secret));
            } else if wanted.is_number() {
                wrong.push((*at, Wrong::Number));
            }
            wrong.extend(found.as_ref().err().map(|wrong| (*at, wrong.clone())));
        }
        let mut general: Vec<_> = outlines.iter().flat_map(|outline| outline.faults.clone()).collect();
        general.dedup();
        wrong.extend(general.into_iter().map(|(at, wrong)| (laid.in_code(at), wrong)));
        wrong.extend(laid.ends_early(&code).map(|at| (at, Wrong::EndsScript)));
        let mut faults: Vec<(usize, Fault)> =
            wrong.iter().map(|(at, wrong)| (*at, fault(&code, *at, wrong))).collect();
        faults.extend(malformed.iter().map(|(at, malformed)| (*at, no_macro(&code, *at, malformed))));
        faults.sort_by_key(|(at, _)| *at);
        faults.dedup();
        if faults.is_empty() {
            Ok(Self { parts: laid.parts(&found), outlines })
        } else {
            Err(faults.into_iter().map(|(_, fault)| fault).collect())
        }
    }

    /// Fills it in for a delivery of a connector, with the macros that a webhook has.
    ///
    /// # Errors
    /// The connector has no pixel, or with these values it cannot be sent.
    pub fn render(
        &self,
        connector: &Connector,
        delivery: &DeliveryId,
        facts: &Facts,
    ) -> Result<Rendered, Unrenderable> {
        let pixel = connector.pixel.as_ref().ok_or(Unrenderable::NoPixel)?;
        let secrets = BTreeMap::new();
        self.fill(&Subject { connector, delivery, facts, rename: &pixel.rename, secrets: &secrets })
    }

    /// Fills it in.
    pub(super) fn fill(&self, values: &dyn Values) -> Result<Rendered, Unrenderable> {
        self.fill_by(values, Place::push)
    }

    /// Fills a value in as it is: as if no escape did anything.
    #[cfg(test)]
    pub(super) fn fill_unescaped(&self, value: &str) -> Result<Rendered, Unrenderable> {
        struct One<'a>(&'a str);
        impl Values for One<'_> {
            fn value(&self, _: &str) -> Option<std::borrow::Cow<'_, str>> {
                Some(self.0.into())
            }
        }
        self.fill_by(&One(value), |_, value, to| to.push_str(value))
    }

    fn fill_by(
        &self,
        values: &dyn Values,
        push: impl Fn(Place, &str, &mut String),
    ) -> Result<Rendered, Unrenderable> {
        let mut rendered = Rendered { html: String::new(), unresolved: Vec::new() };
        let mut gaps = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => rendered.html.push_str(text),
                Part::Macro(wanted, place) => {
                    let start = rendered.html.len();
                    match wanted.resolve(values) {
                        Some(value) => push(*place, &value, &mut rendered.html),
                        None if wanted.is_optional() => {}
                        None if rendered.unresolved.iter().any(|known| known == wanted.spelling()) => {}
                        None => rendered.unresolved.push(wanted.spelling().to_owned()),
                    }
                    gaps.push(start..rendered.html.len());
                }
            }
            if rendered.html.len() > RENDERED_MAX {
                return Err(Unrenderable::TooLong(rendered.html.len()));
            }
        }
        self.compare(&rendered.html, &gaps)?;
        Ok(rendered)
    }

    /// Holds what was filled in against the structure of the code. The escapes alone should do; were one of them
    /// wrong, this is where it ends.
    fn compare(&self, html: &str, gaps: &[Range<usize>]) -> Result<(), Unrenderable> {
        let outlines = html::read(html, gaps);
        if outlines == self.outlines {
            return Ok(());
        }
        let macros = self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Macro(wanted, _) => Some(wanted.spelling().to_owned()),
        });
        let found = Outline::agreed(&outlines);
        let expected = Outline::agreed(&self.outlines);
        let other = macros.zip(found.iter().zip(&expected)).find(|(_, (found, expected))| found != expected);
        Err(match other {
            Some((name, (Err(Wrong::DotSegment), _))) => Unrenderable::DotSegment(name),
            other => Unrenderable::Structure(other.map(|(name, _)| name)),
        })
    }
}

/// Whether code is HTML: whether it begins with a `<`, blanks aside. No script can.
fn is_html(code: &str) -> bool {
    code.trim_start().starts_with('<')
}

/// Code as it is read: with something harmless in each gap, and in the tags of a script where it is one.
struct Laid {
    source: String,
    gaps: Vec<Range<usize>>,
    /// Each with the byte of the code that it begins at.
    macros: Vec<(Macro, usize)>,
    /// The texts around the macros.
    texts: Vec<String>,
    script: bool,
}

impl Laid {
    fn out(pieces: Vec<Piece>, html: bool) -> Self {
        let begin = if html { "" } else { SCRIPT.0 };
        let mut laid = Self {
            source: String::new(),
            gaps: vec![],
            macros: vec![],
            texts: vec![begin.to_owned()],
            script: !html,
        };
        let mut at = 0;
        laid.source.push_str(begin);
        for piece in pieces {
            match piece {
                Piece::Literal(text) => {
                    at += text.len();
                    laid.source.push_str(&text);
                    if let Some(last) = laid.texts.last_mut() {
                        last.push_str(&text);
                    }
                }
                Piece::Macro(wanted) => {
                    let start = laid.source.len();
                    laid.source.push_str(HARMLESS);
                    laid.gaps.push(start..laid.source.len());
                    let len = wanted.written().len();
                    laid.macros.push((wanted, at));
                    laid.texts.push(String::new());
                    at += len;
                }
            }
        }
        if !html {
            laid.source.push_str(SCRIPT.1);
            if let Some(last) = laid.texts.last_mut() {
                last.push_str(SCRIPT.1);
            }
        }
        laid
    }

    /// The byte of the code that a byte of the source stands for.
    fn in_code(&self, at: usize) -> usize {
        let lead = if self.script { SCRIPT.0.len() } else { 0 };
        let before = self.gaps.iter().zip(&self.macros).filter(|(gap, _)| gap.end <= at);
        let longer: usize = before.map(|(gap, (wanted, _))| wanted.written().len() - gap.len()).sum();
        (at + longer).saturating_sub(lead)
    }

    /// Where JavaScript ends the script that it is sent in.
    fn ends_early<'c>(&self, code: &'c str) -> impl Iterator<Item = usize> + use<'c> {
        let lower = if self.script { code.to_ascii_lowercase() } else { String::new() };
        let found: Vec<_> = lower.match_indices("</script").map(|(at, _)| at).collect();
        found.into_iter()
    }

    fn parts(self, found: &[Result<Place, Wrong>]) -> Vec<Part> {
        let mut parts = Vec::with_capacity(self.texts.len() * 2);
        let mut macros = self.macros.into_iter().zip(found);
        for text in self.texts {
            parts.push(Part::Text(text));
            if let Some(((wanted, _), found)) = macros.next() {
                // Where one has no place there is no code.
                parts.push(Part::Macro(wanted, found.clone().unwrap_or(Place::Query)));
            }
        }
        parts
    }
}

fn fault(code: &str, at: usize, wrong: &Wrong) -> Fault {
    let (line, column) = position(code, at);
    Fault { line, column, problem: wrong.problem(), advice: wrong.advice() }
}

fn no_macro(code: &str, at: usize, malformed: &Malformed) -> Fault {
    let (line, column) = position(code, at);
    let advice = format!("{}; where no macro is meant, write a blank between the braces", malformed.remedy());
    Fault { line, column, problem: malformed.to_string(), advice }
}

/// The line and the column of a byte, from 1.
fn position(code: &str, at: usize) -> (u32, u32) {
    let before = &code[..code.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}
