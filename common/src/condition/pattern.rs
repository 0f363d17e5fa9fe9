//! Regular expressions, compiled once each and not once per event.

use regex::{Regex, RegexBuilder};
use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

/// How much memory a compiled expression may take, and its matching as much again: 1 MiB.
const SIZE_MAX: usize = 1 << 20;

/// How many are kept. A change of the resources may leave some behind that nobody asks for.
const KEPT_MAX: usize = 1_024;

/// What was compiled, by the pattern; none for one that is no expression. It is a memory of a pure function,
/// so one for the whole process is right, whichever version of the resources asks.
static COMPILED: LazyLock<RwLock<HashMap<String, Option<Regex>>>> = LazyLock::new(RwLock::default);

/// Compiles a pattern. Letters match in either case, as everywhere in conditions.
///
/// # Errors
/// It is no regular expression, or a very large one.
pub(super) fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).case_insensitive(true).size_limit(SIZE_MAX).dfa_size_limit(SIZE_MAX).build()
}

/// Whether a pattern matches somewhere in a text. One that is no expression matches nothing; `check` refuses it.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    // A lock that somebody died with holds whole entries all the same.
    if let Some(known) = COMPILED.read().unwrap_or_else(PoisonError::into_inner).get(pattern) {
        return known.as_ref().is_some_and(|regex| regex.is_match(text));
    }
    let compiled = compile(pattern).ok();
    let matches = compiled.as_ref().is_some_and(|regex| regex.is_match(text));
    let mut known = COMPILED.write().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= KEPT_MAX {
        known.clear();
    }
    known.insert(pattern.to_owned(), compiled);
    matches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_compiled_once_and_matches_anywhere_in_either_case() {
        for _ in 0..2 {
            assert!(matches("^face(book)?$", "FaceBook"));
            assert!(matches("straße", "DIE STRASSE UND DIE STRAßE"));
            assert!(!matches("(?-i)^face", "FACE"));
            assert!(!matches("(", "("));
        }
        let known = COMPILED.read().unwrap();
        assert!(known["^face(book)?$"].is_some());
        assert!(known["("].is_none());
    }

    #[test]
    fn a_pattern_that_would_take_much_memory_is_refused_and_none_takes_long() {
        assert!(matches!(compile(r"(\w{1,100}){100}"), Err(regex::Error::CompiledTooBig(_))));
        // Catastrophic where expressions backtrack.
        assert!(!matches("^(a+)+$", &format!("{}!", "a".repeat(100_000))));
    }
}
