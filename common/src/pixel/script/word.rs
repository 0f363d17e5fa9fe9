//! What a word leaves to follow it.

/// What can follow a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// A value: a `/` begins a regular expression.
    Operator,
    /// An operator: a `/` divides.
    Operand,
    /// Either, as only a parser could tell.
    Either,
}

/// Of a word that is not the name of a property.
pub(super) fn after_word(word: &str) -> After {
    match word {
        "return" | "typeof" | "instanceof" | "in" | "new" | "delete" | "void" | "throw" | "case" | "else"
        | "do" => After::Operator,
        // Names as well as keywords, or keywords that end a statement.
        "of" | "yield" | "await" | "break" | "continue" | "debugger" | "default" | "extends" | "let"
        | "static" | "async" | "get" | "set" | "if" | "while" | "for" | "with" | "import" | "export" => {
            After::Either
        }
        _ => After::Operand,
    }
}
