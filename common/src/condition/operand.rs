//! What a value is compared with: a truth, a number, a text, or a list of these.
//!
//! Numbers are decimals all the way. TOML reads `49.99` as a float, and the shortest decimal that is that float
//! is 49.99 again, as long as nobody writes more digits than a float tells apart. Who does is asked to write
//! them in quotes; nothing is rounded in silence.

use crate::money;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use std::fmt;

/// How many significant digits any decimal keeps on its way through a float and back.
const DIGITS_OF_A_FLOAT: usize = 15;

/// What a value is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub enum Operand {
    /// `true` or `false`.
    Truth(bool),
    /// A number.
    Number(Decimal),
    /// A text.
    Text(String),
    /// Several, for `in` and `not_in`.
    List(Vec<Operand>),
}

/// Why a value is nothing to compare with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A date, a table, nothing, or no number at all.
    #[error("expected a text, a number, true or false, or a list of these")]
    Shape,
    /// A number that no decimal can hold.
    #[error("the number {0} is too large")]
    TooLarge(String),
    /// A number that has perhaps been rounded already.
    #[error(
        "the number {0} has more than {DIGITS_OF_A_FLOAT} digits: write it in quotes, so that it is read exactly \
         (where event.PATH or click.NAME holds a text, `equals` and `in` then compare texts)"
    )]
    Inexact(String),
}

impl TryFrom<Value> for Operand {
    type Error = Unusable;

    fn try_from(value: Value) -> Result<Self, Unusable> {
        match value {
            Value::Bool(truth) => Ok(Self::Truth(truth)),
            Value::Number(number) => exact(&number.to_string()).map(Self::Number),
            Value::String(text) => Ok(Self::Text(text)),
            Value::Array(items) => {
                items.into_iter().map(Self::try_from).collect::<Result<_, _>>().map(Self::List)
            }
            Value::Null | Value::Object(_) => Err(Unusable::Shape),
        }
    }
}

fn exact(text: &str) -> Result<Decimal, Unusable> {
    let number = money::decimal(text).ok_or_else(|| Unusable::TooLarge(text.to_owned()))?.normalize();
    if number.is_integer() || digits(number) <= DIGITS_OF_A_FLOAT {
        Ok(number)
    } else {
        Err(Unusable::Inexact(text.to_owned()))
    }
}

fn digits(number: Decimal) -> usize {
    number.mantissa().unsigned_abs().to_string().len()
}

/// Numbers are written as numbers, in TOML and in JSON, so that what is read back is what was written.
impl Serialize for Operand {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Truth(truth) => serializer.serialize_bool(*truth),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Number(number) => {
                let number = number.normalize();
                let text = number.to_string();
                match (text.parse::<i64>(), text.parse::<f64>()) {
                    (Ok(whole), _) => serializer.serialize_i64(whole),
                    (_, Ok(float)) if digits(number) <= DIGITS_OF_A_FLOAT => serializer.serialize_f64(float),
                    // As a text it is exact, and is compared with numbers as a number all the same.
                    _ => serializer.serialize_str(&text),
                }
            }
        }
    }
}

/// As it is written in a file.
impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truth(truth) => write!(f, "{truth}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        value: Operand,
    }

    fn number(text: &str) -> Operand {
        Operand::Number(text.parse().unwrap())
    }

    #[test]
    fn a_number_is_exactly_what_was_written_through_toml_and_json_and_back() {
        for written in [
            "0",
            "50",
            "49.99",
            "0.1",
            "0.3",
            "-1.005",
            "1e3",
            "9223372036854775807",
            "123456789012.345",
            "0.000001",
            "1999.00",
            "0.000000000000001",
        ] {
            let wanted = Operand::Number(money::decimal(written).unwrap());
            let read: Holder = toml::from_str(&format!("value = {written}")).unwrap();
            assert_eq!(read.value, wanted, "{written}");
            let by_table: toml::Table = format!("value = {written}").parse().unwrap();
            assert_eq!(by_table.try_into::<Holder>().unwrap(), read, "{written}");
            let json = serde_json::to_string(&read).unwrap();
            assert_eq!(serde_json::from_str::<Holder>(&json).unwrap(), read, "{json}");
            assert!(!json.contains(":\""), "{json}");
            let value = serde_json::to_value(&read).unwrap();
            assert_eq!(serde_json::from_value::<Holder>(value).unwrap(), read, "{written}");
            let toml = toml::to_string(&read).unwrap();
            assert_eq!(toml::from_str::<Holder>(&toml).unwrap(), read, "{toml}");
        }
        let json: Holder = serde_json::from_str(r#"{"value": 49.99}"#).unwrap();
        assert_eq!(json.value, number("49.99"));
    }

    #[test]
    fn each_shape_is_read_as_itself() {
        let read = |text: &str| toml::from_str::<Holder>(&format!("value = {text}")).map(|held| held.value);
        assert_eq!(read("true"), Ok(Operand::Truth(true)));
        assert_eq!(read("\"50\""), Ok(Operand::Text("50".into())));
        let list = Operand::List(vec![Operand::Text("a".into()), number("1.5"), Operand::Truth(false)]);
        assert_eq!(read("[\"a\", 1.5, false]"), Ok(list.clone()));
        assert_eq!(list.to_string(), "[\"a\", 1.5, false]");
        for odd in ["1979-05-27", "{ a = 1 }", "nan", "inf"] {
            assert!(read(odd).unwrap_err().message().contains("expected a text, a number"), "{odd}");
        }
        assert!(read("1e300").unwrap_err().message().contains("too large"));
    }

    #[test]
    fn a_number_that_a_float_may_have_rounded_is_refused_and_exact_in_quotes() {
        let written = "0.12345678901234567";
        let error = toml::from_str::<Holder>(&format!("value = {written}")).unwrap_err();
        assert!(error.message().contains("write it in quotes"), "{error}");
        assert!(error.message().contains("then compare texts"), "{error}");
        let exact = Holder { value: number(written) };
        let json = serde_json::to_string(&exact).unwrap();
        assert_eq!(json, format!("{{\"value\":\"{written}\"}}"));
    }
}
