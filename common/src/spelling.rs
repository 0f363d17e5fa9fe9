//! Spelling: the word that somebody may have meant.

/// The candidate that takes the fewest changes to become, if it is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = (word.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (changes(word, candidate), candidate))
        .min()
        .filter(|(changes, _)| *changes <= near)
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be put in, taken out or changed (Levenshtein's distance).
fn changes(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(!a.eq_ignore_ascii_case(b));
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_only_where_it_may_be_meant() {
        let known = ["order.created", "order.completed", "contact.created"];
        for (word, meant) in [
            ("order.create", Some("order.created")),
            ("orders.completed", Some("order.completed")),
            ("Contact.Created", Some("contact.created")),
            ("invoice.paid", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
