//! Pixels: every place and every fault, and values of the worst kind in every place.

mod attacks;
mod faults;
mod oracle;
mod places;

use super::*;
use crate::template::Values;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Values by their names.
struct Given(BTreeMap<String, String>);

impl Given {
    /// One value, for every name.
    fn all(value: &str) -> Self {
        Self(BTreeMap::from([(String::new(), value.to_owned())]))
    }

    fn some(values: &[(&str, &str)]) -> Self {
        Self(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}

impl Values for Given {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.get(name).or_else(|| self.0.get("")).map(|value| value.as_str().into())
    }
}

/// The faults of code, as `line:column problem`.
fn faults(code: &str) -> Vec<String> {
    let told = |fault: &Fault| format!("{}:{} {}", fault.line, fault.column, fault.problem);
    Code::parse(code).map_or_else(|faults| faults.iter().map(told).collect(), |_| Vec::new())
}

/// Code filled in with one value for every macro.
fn filled(code: &str, value: &str) -> Result<String, Unrenderable> {
    let code = Code::parse(code).unwrap_or_else(|faults| panic!("{code}: {faults:?}"));
    code.fill(&Given::all(value)).map(|rendered| rendered.html)
}
