//! Makes a script smaller without reading it as JavaScript: comments, indentation and the spaces and line ends go that
//! mean nothing in a script that keeps a few rules, which stand at the head of `carom.js`. Names stay as they are.

/// The script without what only a reader needs.
pub fn squeeze(source: &str) -> String {
    let lines = source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut squeezed = String::with_capacity(text.len());
    let mut quote = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let before = squeezed.chars().next_back();
        let after = characters.peek().copied();
        match quote {
            Some(_) if character == '\\' => {
                squeezed.push(character);
                squeezed.extend(characters.next());
                continue;
            }
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '`') => quote = Some(character),
            // Between words it keeps them apart.
            None if character == ' ' && !(is_word(before) && is_word(after)) => continue,
            // Elsewhere it may be what ends a statement.
            None if character == '\n' && (is_one_of(before, ";{,([") || is_one_of(after, ")}]")) => continue,
            None => {}
        }
        squeezed.push(character);
    }
    squeezed
}

fn is_word(character: Option<char>) -> bool {
    character.is_some_and(|character| character.is_alphanumeric() || matches!(character, '_' | '$'))
}

fn is_one_of(character: Option<char>, those: &str) -> bool {
    character.is_some_and(|character| those.contains(character))
}

#[cfg(test)]
mod tests {
    use super::squeeze;

    #[test]
    fn what_only_a_reader_needs_goes_and_strings_stay_as_they_are() {
        let source = "// A comment.\n\nconst say = (word) => {\n  // Another.\n  return word + \" // a  b \\\" c\";\n};\n\
                      let x = `a ${ say(\"b\") }  c`;\nif (x)\n  say(x);\nelse in_a in b;\n";
        let squeezed = "const say=(word)=>{return word+\" // a  b \\\" c\";};let x=`a ${ say(\"b\") }  c`;\
                        if(x)\nsay(x);else in_a in b;";
        assert_eq!(squeeze(source), squeezed);
    }

    #[test]
    fn a_line_that_may_end_a_statement_stays_a_line() {
        assert_eq!(squeeze("a = b\nc = d"), "a=b\nc=d");
        assert_eq!(squeeze("a = {\n  b,\n}\n(c)"), "a={b,}\n(c)");
    }
}
