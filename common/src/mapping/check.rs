//! Checking the rows of a source's own mapping: what could never fit, or would count without a key.

use super::{Row, When};
use crate::event::Kind;
use crate::mapping::ClaimKind;
use crate::placeholder::KeyPart;
use crate::template::Fault;

/// Everything wrong with a row. Keys are relative to it, as `when[0].at`.
pub fn faults(row: &Row) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut tell = |key: &str, problem: String, remedy: &str| {
        faults.push(Fault { key: key.to_owned(), problem, remedy: remedy.to_owned() });
    };
    if row.event.trim().is_empty() || row.event.len() > 100 {
        tell("event", "names no type".to_owned(), "write the source's type, such as \"order.created\"");
    }
    for (index, when) in row.when.iter().enumerate() {
        if !is_pointer(&when.at) {
            tell(&format!("when[{index}].at"), format!("`{}` is no JSON pointer", when.at), POINTER);
        }
        if says_nothing(when) {
            let remedy = "give it `is`, `at_most` or `at_least`, or remove it";
            tell(&format!("when[{index}]"), "holds of everything".to_owned(), remedy);
        }
    }
    for (key, pointer) in [
        ("value", &row.value),
        ("value_minor", &row.value_minor),
        ("currency", &row.currency),
        ("refund", &row.refund),
        ("refund_minor", &row.refund_minor),
        ("of", &row.of),
    ] {
        if let Some(pointer) = pointer.as_ref().filter(|pointer| !is_pointer(pointer)) {
            tell(key, format!("`{pointer}` is no JSON pointer"), POINTER);
        }
    }
    for (key, name) in [("parameter", &row.parameter), ("counts_as", &row.counts_as)] {
        if name.as_ref().is_some_and(|name| name.trim().is_empty() || name.len() > 100) {
            tell(key, "is no name".to_owned(), "write 1 to 100 characters, or leave it out");
        }
    }
    match &row.key {
        Some(key) => match KeyPart::all(key) {
            None => tell("key", format!("`{key}` has a brace without its partner, or no path in it"), KEY),
            Some(parts) if !parts.iter().any(|part| matches!(part, KeyPart::Path(_))) => {
                tell("key", format!("`{key}` is the same for every event, so all would be one"), KEY);
            }
            Some(_) => {}
        },
        None if row.claim.is_some() => {
            tell("key", "is missing, and the row claims something".to_owned(), KEY)
        }
        None => {}
    }
    if row.kind == Kind::Conversion && row.claim.is_none() {
        let remedy = "set `claim` to \"approved\" or \"pending\", or `kind` to \"kpi\"";
        tell("claim", "is missing, so nothing would ever be approved".to_owned(), remedy);
    }
    let refunds = row.claim == Some(ClaimKind::Refund);
    if row.kind == Kind::Refund && !refunds {
        tell("claim", "is not \"refund\", so no money would go back".to_owned(), "set `claim` to \"refund\"");
    }
    let of_refunds = row.refund.is_some() || row.refund_minor.is_some() || row.of.is_some() || row.whole;
    if of_refunds && !refunds {
        let remedy = "set `claim` to \"refund\", or remove `refund`, `refund_minor`, `of` and `whole`";
        tell("claim", "is not \"refund\", and other keys are of a refund".to_owned(), remedy);
    }
    if row.number.is_some_and(|number| !(1..=10).contains(&number)) {
        tell("number", "is out of range".to_owned(), "custom events have the numbers 1 to 10");
    }
    faults
}

const POINTER: &str = "write it as in \"/data/total_amount\"";
const KEY: &str = "write it as in \"order:{data.id}\"";

fn says_nothing(when: &When) -> bool {
    when.is.is_empty() && when.at_most.is_none() && when.at_least.is_none()
}

/// RFC 6901: each step begins with `/`, and `~` stands only in `~0` and `~1`.
fn is_pointer(text: &str) -> bool {
    let escaped = |rest: &str| rest.starts_with('0') || rest.starts_with('1');
    text.starts_with('/') && text.split('~').skip(1).all(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_could_not_work_is_told_with_the_key_at_fault() {
        let good = "event = \"moon.landed\"\nkind = \"kpi\"\nkey = \"moon:{data.id}\"\n";
        let claims = "event = \"moon.landed\"\nkind = \"conversion\"\n";
        let refunds =
            "event = \"moon.landed\"\nkind = \"refund\"\nclaim = \"refund\"\nkey = \"o:{data.id}\"\n";
        for (row, keys) in [
            (good.to_owned(), &[][..]),
            (good.replace("moon.landed", ""), &["event"]),
            (format!("{good}number = 0"), &["number"]),
            (format!("{good}number = 11"), &["number"]),
            (format!("{good}value = \"data.total\""), &["value"]),
            (format!("{good}currency = \"/data/a~2b\""), &["currency"]),
            (format!("{good}value = \"/data/a~1b\""), &[]),
            (format!("{good}when = [{{ at = \"data\", is = [\"a\"] }}]"), &["when[0].at"]),
            (format!("{good}when = [{{ at = \"/data\" }}]"), &["when[0]"]),
            (good.replace("{data.id}", "{data.id"), &["key"]),
            (good.replace("{data.id}", "{}"), &["key"]),
            (good.replace("{data.id}", "1"), &["key"]),
            (format!("{good}parameter = \" \""), &["parameter"]),
            (format!("{good}whole = true"), &["claim"]),
            (claims.to_owned(), &["claim"]),
            (format!("{claims}claim = \"approved\""), &["key"]),
            (refunds.to_owned(), &[]),
            (refunds.replace("\"refund\"\nkey", "\"approved\"\nkey"), &["claim"]),
        ] {
            let found = faults(&toml::from_str(&row).unwrap());
            let found: Vec<_> = found.iter().map(|fault| fault.key.as_str()).collect();
            assert_eq!(found, keys, "{row}");
        }
    }
}
