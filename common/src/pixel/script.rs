//! Reading JavaScript: gaps are safe in strings and in the text of templates, and nowhere else.
//!
//! It is a lexer and no parser. What it has to know and a lexer cannot, whether a `/` divides or begins a regular
//! expression, it decides only where the token before leaves no doubt; after any other the rest of the script is
//! lost, and a gap there is a fault.

mod scope;
mod string;
mod word;

use super::outline::Reading;
use super::wrong::Wrong;
use scope::Scopes;
use std::ops::Range;
use string::Text;
use word::{After, after_word};

/// What the gaps in a script are in. A `module` knows no HTML comments.
pub(super) fn read(reading: &mut Reading<'_>, body: Range<usize>, module: bool) {
    for gap in reading.within(&body) {
        reading.set(gap, Err(Wrong::Code));
    }
    let (source, end) = (reading.source, body.end);
    let mut lexer = Lexer {
        source,
        end,
        at: body.start,
        module,
        scopes: Scopes::default(),
        after: After::Operator,
        fresh: true,
    };
    if lexer.rest().starts_with("#!") {
        return lexer.lose(reading, "a `#!` line");
    }
    while lexer.at < end {
        if let Err(what) = lexer.token(reading) {
            return match what {
                Stop::Lost(what) => lexer.lose(reading, what),
                Stop::Unfinished(what) => reading.fault(lexer.at, Wrong::Unfinished(what)),
            };
        }
    }
    if let Some(at) = lexer.scopes.open_template() {
        reading.fault(at, Wrong::Unfinished("a template"));
    }
}

/// Why reading ends.
enum Stop {
    /// What follows cannot be told apart for sure.
    Lost(&'static str),
    /// What began here never ends, so that no browser runs it either.
    Unfinished(&'static str),
}

struct Lexer<'a> {
    source: &'a str,
    end: usize,
    at: usize,
    module: bool,
    scopes: Scopes,
    /// What the token before leaves to follow.
    after: After,
    /// Whether only blanks and comments stand before this on its line.
    fresh: bool,
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..self.end]
    }

    fn lose(&self, reading: &mut Reading<'_>, what: &'static str) {
        reading.border(b'?', self.at);
        for gap in reading.within(&(self.at..self.end)) {
            reading.set(gap, Err(Wrong::Lost(what)));
        }
    }

    /// Takes one token, or blanks.
    fn token(&mut self, reading: &mut Reading<'_>) -> Result<(), Stop> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(()) };
        match first {
            c if is_line_end(c) => {
                self.fresh = true;
                self.at += c.len_utf8();
            }
            c if c.is_whitespace() || c == '\u{feff}' => self.at += c.len_utf8(),
            '/' if rest.starts_with("//") => self.line_comment(reading),
            '/' if rest.starts_with("/*") => self.block_comment(reading)?,
            '<' if rest.starts_with("<!--") && !self.module => self.line_comment(reading),
            '-' if rest.starts_with("-->") && self.fresh && !self.module => self.line_comment(reading),
            '<' if rest.starts_with("<!--") => return Err(Stop::Lost("a `<!--`")),
            '-' if rest.starts_with("-->") && self.fresh => return Err(Stop::Lost("a `-->`")),
            '"' | '\'' => self.string(reading, first)?,
            '`' => {
                let tagged = self.after != After::Operator;
                self.scopes.open_template_at(self.at, tagged);
                self.at += 1;
                self.template(reading)?;
            }
            '}' if self.scopes.in_template() => {
                self.scopes.close('}');
                self.at += 1;
                self.template(reading)?;
            }
            '/' => match self.after {
                After::Operator => self.regex(reading)?,
                After::Operand => self.punctuator(reading, 1),
                After::Either => {
                    return Err(Stop::Lost("a `/` that may divide or begin a regular expression"));
                }
            },
            '\\' => return Err(Stop::Lost("an escape in a name")),
            c if c.is_ascii_digit() || c == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let len = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_')));
                self.take(reading, b'0', len.unwrap_or(rest.len()), After::Operand);
                self.scopes.operand();
            }
            c if is_name(c) => self.word(reading),
            _ => {
                let len = ["...", "||=", "&&=", "??=", "?.", "=>", "++", "--", "+=", "==="]
                    .iter()
                    .find(|sign| rest.starts_with(**sign));
                self.punctuator(reading, len.map_or(first.len_utf8(), |sign| sign.len()));
            }
        }
        Ok(())
    }

    fn take(&mut self, reading: &mut Reading<'_>, kind: u8, len: usize, after: After) {
        reading.border(kind, self.at);
        self.at += len;
        reading.border(b'.', self.at);
        self.after = after;
        self.fresh = false;
    }

    fn word(&mut self, reading: &mut Reading<'_>) {
        let rest = self.rest();
        let len = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        let word = &rest[..len];
        let after = if self.scopes.after_dot() { After::Operand } else { after_word(word) };
        self.scopes.word(word, self.fresh && self.after != After::Operator);
        self.take(reading, b'w', len, after);
    }

    fn punctuator(&mut self, reading: &mut Reading<'_>, len: usize) {
        let sign = &self.rest()[..len];
        let after = match sign {
            "(" | "[" | "{" => {
                self.scopes.open(sign);
                After::Operator
            }
            ")" => self.scopes.close(')'),
            "]" => {
                self.scopes.close(']');
                After::Operand
            }
            "}" => {
                self.scopes.close('}');
                After::Either
            }
            "++" | "--" => After::Either,
            _ => After::Operator,
        };
        self.scopes.sign(sign);
        self.take(reading, b'p', len, after);
    }

    fn line_comment(&mut self, reading: &mut Reading<'_>) {
        let rest = self.rest();
        let end = self.at + rest.find(is_line_end).unwrap_or(rest.len());
        reading.border(b'/', self.at);
        for gap in reading.within(&(self.at + 1..end)) {
            reading.set(gap, Err(Wrong::ScriptComment));
        }
        self.at = end;
        reading.border(b'.', end);
    }

    fn block_comment(&mut self, reading: &mut Reading<'_>) -> Result<(), Stop> {
        let rest = self.rest();
        let len = rest[2..].find("*/").ok_or(Stop::Unfinished("a comment"))? + 4;
        reading.border(b'*', self.at);
        reading.token(self.at..self.at + len, &Err(Wrong::ScriptComment));
        self.fresh |= rest[..len].contains(is_line_end);
        self.at += len;
        reading.border(b'.', self.at);
        Ok(())
    }

    fn string(&mut self, reading: &mut Reading<'_>, quote: char) -> Result<(), Stop> {
        let start = self.at + 1;
        let mut escaped = false;
        for (offset, c) in self.source[start..self.end].char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '\n' | '\r' => break,
                c if c == quote => {
                    let body = start..start + offset;
                    let gaps = reading.within(&body);
                    if !gaps.is_empty() {
                        let text = Text::of(reading, &body);
                        for gap in gaps {
                            reading.set(gap, text.found(reading, gap, self.scopes.sink()));
                        }
                    }
                    self.scopes.operand();
                    self.take(reading, b'"', offset + 2, After::Operand);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(Stop::Unfinished("a string"))
    }

    /// The text of a template, up to its end or to a `${`.
    fn template(&mut self, reading: &mut Reading<'_>) -> Result<(), Stop> {
        let start = self.at;
        let rest = self.rest();
        let mut escaped = false;
        for (offset, c) in rest.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '`' => {
                    self.scopes.template_text(start..start + offset);
                    let (texts, tagged) = self.scopes.close_template();
                    let text = Text::of_template(reading, &texts);
                    let gaps: Vec<_> = texts.iter().flat_map(|body| reading.within(body)).collect();
                    for gap in gaps {
                        let tagged = tagged.then_some(Err(Wrong::Tagged));
                        let found = tagged.unwrap_or_else(|| text.found(reading, gap, self.scopes.sink()));
                        reading.set(gap, found);
                    }
                    self.scopes.operand();
                    self.take(reading, b'`', offset + 1, After::Operand);
                    return Ok(());
                }
                '$' if rest[offset + 1..].starts_with('{') => {
                    self.scopes.template_text(start..start + offset);
                    self.scopes.open("${");
                    self.take(reading, b'$', offset + 2, After::Operator);
                    return Ok(());
                }
                _ => {}
            }
        }
        self.at = self.scopes.open_template().unwrap_or(start);
        Err(Stop::Unfinished("a template"))
    }

    fn regex(&mut self, reading: &mut Reading<'_>) -> Result<(), Stop> {
        let rest = self.rest();
        let (mut escaped, mut class) = (false, false);
        for (offset, c) in rest.char_indices().skip(1) {
            match c {
                c if is_line_end(c) => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '[' => class = true,
                ']' => class = false,
                '/' if !class => {
                    let flags =
                        rest[offset + 1..].find(|c: char| !is_name(c)).unwrap_or(rest.len() - offset - 1);
                    let len = offset + 1 + flags;
                    reading.token(self.at..self.at + len, &Err(Wrong::Regex));
                    self.scopes.operand();
                    self.take(reading, b'r', len, After::Operand);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(Stop::Unfinished("a regular expression"))
    }
}

/// Whether a character is of a name, as of `#private`. What is beyond ASCII and no blank is, or the script is none.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '_' | '$' | '#')
        || (!c.is_ascii() && !c.is_whitespace() && c != '\u{feff}')
}
