//! The brackets that a script is in, and whom the value between them goes to.
//!
//! A string can be safe as a string and still be code, HTML or an address to whoever is given it. What is given
//! directly, as in `eval("…")` and `location.href = "…"`, is seen here. What takes a longer way is not: what a script
//! makes of its own strings is its author's affair.

use super::word::After;
use std::ops::Range;

/// Whom a string goes to, and as what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sink {
    pub(super) what: &'static str,
    pub(super) name: String,
}

const CODE: &str = "code";
const HTML: &str = "HTML";
pub(super) const ADDRESS: &str = "an address";

/// What a function of this name does with a string: `object`, where it is a method of a word, and whether the string
/// is in its first argument.
fn called(name: &str, object: Option<&str>, first: bool) -> Option<&'static str> {
    match name {
        // As jQuery's methods do. What forms, parameters and headers append comes after its name.
        "append" | "prepend" | "before" | "after" | "replaceWith" | "wrap" if object.is_some() && first => {
            Some(HTML)
        }
        "replace" if object == Some("location") => Some(ADDRESS),
        "eval" | "Function" | "execScript" | "setTimeout" | "setInterval" | "import" | "importScripts" => {
            Some(CODE)
        }
        "write"
        | "writeln"
        | "insertAdjacentHTML"
        | "createContextualFragment"
        | "parseFromString"
        | "html"
        | "setHTMLUnsafe"
        | "parseHTMLUnsafe"
        | "$"
        | "jQuery" => Some(HTML),
        "open" | "assign" | "Worker" | "SharedWorker" => Some(ADDRESS),
        _ => None,
    }
}

/// What a property of this name, or a variable, does with a string.
fn assigned(name: &str, property: bool) -> Option<&'static str> {
    match name {
        "location" => Some(ADDRESS),
        _ if !property => None,
        "innerHTML" | "outerHTML" | "srcdoc" => Some(HTML),
        "src" | "href" | "action" | "formAction" => Some(ADDRESS),
        "cssText" => Some("a style"),
        _ => None,
    }
}

/// A bracket that is open.
#[derive(Default)]
struct Scope {
    opened: &'static str,
    /// The name before it, where it is a call's, and of what that is a method.
    callee: Option<(String, Option<String>)>,
    /// Whether an argument is over.
    later: bool,
    /// Whether it is the head of an `if`, `while`, `for` or `with`, and not surely another.
    head: Option<After>,
    /// What is assigned to, since the last statement or comma.
    target: Option<Sink>,
}

/// A template that is open.
struct Template {
    at: usize,
    tagged: bool,
    texts: Vec<Range<usize>>,
    /// How many brackets were open where it began.
    depth: usize,
}

/// The last words and signs: as much as it takes to know a call and an assignment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Nothing,
    Word(String),
    Dot,
    Operand,
    Sign,
}

/// All that is open.
#[derive(Default)]
pub(super) struct Scopes {
    stack: Vec<Scope>,
    bottom: Scope,
    templates: Vec<Template>,
    last: Last,
    /// Whether the last word is the name of a property.
    property: bool,
    /// What it is a property of: a word, or empty where that is no word.
    object: Option<String>,
}

impl Scopes {
    fn top(&mut self) -> &mut Scope {
        self.stack.last_mut().unwrap_or(&mut self.bottom)
    }

    /// Whether the next word is a property's name.
    pub(super) fn after_dot(&self) -> bool {
        self.last == Last::Dot
    }

    /// A word; `new_line` says that a statement may begin with it, where no semicolon does.
    pub(super) fn word(&mut self, word: &str, new_line: bool) {
        if new_line {
            self.top().target = None;
        }
        self.property = self.last == Last::Dot;
        if !self.property {
            self.object = None;
        }
        self.last = Last::Word(word.to_owned());
    }

    /// A number, a string or the like.
    pub(super) fn operand(&mut self) {
        self.last = Last::Operand;
    }

    /// A sign, after whatever it opens or closes.
    pub(super) fn sign(&mut self, sign: &str) {
        match sign {
            "=" | "+=" | "||=" | "&&=" | "??=" => {
                if let Last::Word(name) = &self.last
                    && let Some(what) = assigned(name, self.property)
                {
                    let sink = Sink { what, name: name.clone() };
                    self.top().target = Some(sink);
                }
            }
            ";" => self.top().target = None,
            "," => {
                let top = self.top();
                (top.target, top.later) = (None, true);
            }
            "." | "?." => {
                self.object = match &self.last {
                    Last::Word(word) => Some(word.clone()),
                    _ => Some(String::new()),
                };
            }
            _ => {}
        }
        self.last = match sign {
            "." | "?." => Last::Dot,
            ")" | "]" | "}" => Last::Operand,
            _ => Last::Sign,
        };
    }

    pub(super) fn open(&mut self, opened: &str) {
        let word = match &self.last {
            Last::Word(word) => Some(word.clone()),
            _ => None,
        };
        let head = word.as_deref().filter(|_| !self.property).and_then(|word| match word {
            "if" | "while" | "for" | "with" => Some(After::Operator),
            "await" => Some(After::Either),
            _ => None,
        });
        let object = self.object.clone().filter(|_| self.property);
        let callee = word.filter(|_| opened == "(").map(|word| (word, object));
        let opened = ["(", "[", "{", "${"].into_iter().find(|known| *known == opened).unwrap_or_default();
        let head = head.filter(|_| opened == "(");
        self.stack.push(Scope { opened, callee, later: false, head, target: None });
        self.last = Last::Sign;
    }

    /// Closes a bracket; what can follow it.
    pub(super) fn close(&mut self, closed: char) -> After {
        let opens: &[&str] = match closed {
            ')' => &["("],
            ']' => &["["],
            _ => &["{", "${"],
        };
        match self.stack.pop() {
            Some(scope) if opens.contains(&scope.opened) => scope.head.unwrap_or(After::Operand),
            // Brackets that do not match are no script.
            _ => After::Either,
        }
    }

    pub(super) fn open_template_at(&mut self, at: usize, tagged: bool) {
        self.templates.push(Template { at, tagged, texts: Vec::new(), depth: self.stack.len() });
    }

    pub(super) fn template_text(&mut self, text: Range<usize>) {
        if let Some(template) = self.templates.last_mut() {
            template.texts.push(text);
        }
    }

    /// Whether a `}` goes on with a template.
    pub(super) fn in_template(&self) -> bool {
        let depth = self.stack.len();
        self.stack.last().is_some_and(|scope| scope.opened == "${")
            && self.templates.last().is_some_and(|template| template.depth + 1 == depth)
    }

    pub(super) fn close_template(&mut self) -> (Vec<Range<usize>>, bool) {
        self.templates.pop().map_or((Vec::new(), true), |template| (template.texts, template.tagged))
    }

    /// Where a template begins that is still open.
    pub(super) fn open_template(&self) -> Option<usize> {
        self.templates.last().map(|template| template.at)
    }

    /// Whom a string here goes to.
    pub(super) fn sink(&self) -> Option<Sink> {
        if self.last == Last::Word("import".to_owned()) || self.last == Last::Word("from".to_owned()) {
            return Some(Sink { what: CODE, name: "import".to_owned() });
        }
        for scope in self.stack.iter().rev().chain([&self.bottom]) {
            if let Some(target) = &scope.target {
                return Some(target.clone());
            }
            match (scope.opened, &scope.callee) {
                ("(", Some((name, object))) => {
                    let what = called(name, object.as_deref(), !scope.later)?;
                    return Some(Sink { what, name: name.clone() });
                }
                // Brackets around a value, and what stands in a template, go where the whole goes.
                ("(", None) | ("${", _) => {}
                _ => return None,
            }
        }
        None
    }
}
