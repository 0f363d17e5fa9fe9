//! Makes a script smaller without reading it as JavaScript: comments, indentation and the spaces and line ends go that
//! mean nothing in a script that keeps a few rules, which stand at the head of `carom.js`. Names that it declares become
//! letters, where they are nothing else than names.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Words of JavaScript's own that are as short as the names that we give.
const RESERVED: [&str; 4] = ["do", "if", "in", "of"];

/// The script without what only a reader needs.
pub fn squeeze(source: &str) -> String {
    let lines = source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    let text = shorten(&lines.collect::<Vec<_>>().join("\n"));
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
            // The bracket that follows ends it as well.
            None if after == Some('\n') && is_needless(character, characters.clone()) => continue,
            // Elsewhere it may be what ends a statement.
            None if character == '\n' && (is_one_of(before, ";{,([") || is_one_of(after, ")}]")) => continue,
            None => {}
        }
        squeezed.push(character);
    }
    squeezed
}

/// Whether a comma or semicolon is the last of its brackets.
fn is_needless(character: char, mut rest: impl Iterator<Item = char>) -> bool {
    let next = rest.find(|character| !character.is_whitespace());
    matches!((character, next), (',', Some(')' | '}' | ']')) | (';', Some('}')))
}

/// A word of a script: where it begins, and the quotes that it stands in.
struct Word<'a> {
    at: usize,
    text: &'a str,
    quote: Option<char>,
}

/// The script with short names.
fn shorten(text: &str) -> String {
    let words = words(text);
    let mut short = short_names(text, &words);
    // Nothing is assigned to a constant, so a variable does as well.
    short.insert("const", "let".to_owned());
    let mut shortened = String::with_capacity(text.len());
    let mut end = 0;
    for word in words.iter().filter(|word| word.quote.is_none()) {
        if let Some(short) = short.get(word.text) {
            shortened.push_str(&text[end..word.at]);
            shortened.push_str(short);
            end = word.at + word.text.len();
        }
    }
    shortened.push_str(&text[end..]);
    shortened
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut quote = None;
    let mut begun: Option<usize> = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        if is_word(Some(character)) {
            begun = begun.or(Some(at));
            continue;
        }
        if let Some(start) = begun.take() {
            words.push(Word { at: start, text: &text[start..at], quote });
        }
        match quote {
            Some(_) if character == '\\' => {
                characters.next();
            }
            Some(open) if character == open => quote = None,
            None if matches!(character, '"' | '`') => quote = Some(character),
            _ => {}
        }
    }
    if let Some(start) = begun {
        words.push(Word { at: start, text: &text[start..], quote });
    }
    words
}

/// Short ones for the names that `const` and `let` declare, the shortest for the most frequent. The same name is the
/// same everywhere, so it does not matter where it holds.
fn short_names<'a>(text: &str, words: &[Word<'a>]) -> BTreeMap<&'a str, String> {
    let mut uses = BTreeMap::new();
    for pair in words.windows(2) {
        let [keyword, name] = pair else { continue };
        let declares = keyword.quote.is_none() && matches!(keyword.text, "const" | "let");
        if !declares || name.at != keyword.at + keyword.text.len() + 1 {
            continue;
        }
        let all: Vec<_> = words.iter().filter(|word| word.text == name.text).collect();
        if all.iter().all(|word| word.quote == Some('"') || is_name(text, word)) {
            uses.insert(name.text, all.len());
        }
    }
    let mut names: Vec<_> = uses.into_iter().collect();
    names.sort_by_key(|(_, uses)| Reverse(*uses));
    let letters = || ('a'..='z').chain('A'..='Z');
    let pairs = letters().flat_map(|first| letters().map(move |second| format!("{first}{second}")));
    let all = letters().map(String::from).chain(pairs);
    let free = all.filter(|short| {
        let short = short.as_str();
        !RESERVED.contains(&short) && words.iter().all(|word| word.text != short)
    });
    names.into_iter().map(|(name, _)| name).zip(free).collect()
}

/// Whether a word can be nothing but a name: no property, no key, no part of a template. A name that is also one of
/// these somewhere stays as it is everywhere.
fn is_name(text: &str, word: &Word<'_>) -> bool {
    let (before, after) = (&text[..word.at], &text[word.at + word.text.len()..]);
    let begins = before.ends_with("...") || is_one_of(before.chars().next_back(), " \n([!");
    let ends = is_one_of(after.chars().next(), " \n()[],;.");
    // As in `{ url, referrer }`, where it is a key as well.
    let listed = is_one_of(before.trim_end().chars().next_back(), "{,")
        && is_one_of(after.trim_start().chars().next(), ",}");
    word.quote.is_none() && begins && ends && !listed
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
        let squeezed = "let say=(word)=>{return word+\" // a  b \\\" c\"};let d=`a ${ say(\"b\") }  c`;\
                        if(d)\nsay(d);else in_a in b;";
        assert_eq!(squeeze(source), squeezed);
    }

    #[test]
    fn a_line_that_may_end_a_statement_stays_a_line() {
        assert_eq!(squeeze("a = b\nc = d"), "a=b\nc=d");
        assert_eq!(squeeze("a = {\n  b,\n}\n(c)"), "a={b}\n(c)");
        assert_eq!(squeeze("a = /b,)/;\nc = /d;}/;"), "a=/b,)/;c=/d;}/;");
    }

    #[test]
    fn names_become_letters_where_they_are_nothing_else() {
        let source = "const first = \"first\";\nlet second = { first: 1 };\nconst third = (first) => second[third];\n\
                      const fourth = { third, fifth: !second };\nconst fifth = `${fifth}`;\nfourth(fourth, ...second);\n";
        let squeezed = "let first=\"first\";let a={first:1};let third=(first)=>a[third];\
                        let b={third,fifth:!a};let fifth=`${fifth}`;b(b,...a);";
        assert_eq!(squeeze(source), squeezed);
    }
}
