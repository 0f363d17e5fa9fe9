//! Why a macro cannot be read. The words in it are the operator's own, cut to a readable length.

use super::{Fault, NAME_MAX, filter};

/// What is wrong with something that is meant as a macro.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// `{{` without `}}`.
    #[error("`{0}` begins a macro that never ends")]
    Unterminated(String),
    /// `{{}}`.
    #[error("a macro has no name")]
    Nameless,
    /// A name over [`NAME_MAX`].
    #[error("the macro `{0}` has a name of over {NAME_MAX} bytes")]
    TooLong(String),
    /// A name of other characters than a field's, or with an empty step in its path.
    #[error("`{0}` is not a macro's name")]
    Odd(String),
    /// A filter that we do not have.
    #[error("`{0}` is not a filter")]
    UnknownFilter(String),
    /// Nothing between two bars, or after the last.
    #[error("the macro `{0}` has a `|` without a filter")]
    NoFilter(String),
    /// More filters than [`filter::MOST`].
    #[error("the macro `{0}` has over {most} filters", most = filter::MOST)]
    TooManyFilters(String),
    /// A filter with too few or too many arguments, or with one that it cannot take.
    #[error("the filter {filter} cannot take `{given}`")]
    Arguments {
        /// The filter.
        filter: &'static str,
        /// What was given.
        given: String,
    },
    /// `default` with an empty text.
    #[error("the filter default cannot give nothing")]
    EmptyDefault,
    /// An argument that is neither a literal nor a name.
    #[error("`{0}` is neither a quoted text nor a macro's name")]
    Argument(String),
    /// `{name}` where every such name must be known.
    #[error("unknown macro {{{name}}}")]
    Unknown {
        /// The name.
        name: String,
        /// What could stand there.
        known: String,
    },
    /// `{{name}}` where only `{name}` is a macro.
    #[error("`{0}` is written with double braces, which are no macro here")]
    DoubleBraces(String),
}

impl Malformed {
    /// What would be right.
    pub fn remedy(&self) -> String {
        match self {
            Self::Unterminated(_) => "close it with `}}`".to_owned(),
            Self::Nameless => "write a name between the braces, as in {{VALUE}}".to_owned(),
            Self::TooLong(_) => format!("use at most {NAME_MAX} bytes"),
            Self::Odd(_) => {
                "use letters, digits, `_` and `-`, and single dots between the steps of a path".to_owned()
            }
            Self::UnknownFilter(name) => match filter::nearest(name) {
                Some(nearest) => format!("`{nearest}` is one; `macros` lists all"),
                None => "`macros` lists those that there are".to_owned(),
            },
            Self::NoFilter(_) => "write a filter after each `|`, as in {{EMAIL | lower}}".to_owned(),
            Self::TooManyFilters(_) => format!("use at most {}", filter::MOST),
            Self::Arguments { filter, .. } => format!("write {}", filter::usage(filter)),
            Self::EmptyDefault => {
                "use `optional`, by which a value that is missing is left out and not told as unresolved"
                    .to_owned()
            }
            Self::Argument(_) => {
                "write a literal in quotes, \"…\" or '…', or the bare name of a macro".to_owned()
            }
            Self::Unknown { known, .. } => format!("known are {known}"),
            Self::DoubleBraces(name) => format!("write {{{}}}", name.trim_matches(['{', '}']).trim()),
        }
    }

    /// The fault of a key that holds such a macro.
    pub fn at(&self, key: &str) -> Fault {
        Fault::new(key, self.to_string(), self.remedy())
    }
}
