//! The known word that an unknown one is probably a misspelling of.

/// The nearest of some words, if any is near enough: at most a third of its letters are wrong, whatever their
/// case. The first of several that are as near.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().take(40).collect();
    known
        .map(|candidate| (distance(&word, &candidate.to_lowercase().chars().collect::<Vec<_>>()), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, removed or changed to make the one into the other.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, have) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, want) in to.iter().enumerate() {
            let changed = diagonal + usize::from(have != want);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_has_a_nearest_and_a_strange_one_has_none() {
        let known = ["lower", "sha256", "sha1", "md5", "trim"];
        for (word, expected) in [
            ("lowr", Some("lower")),
            ("LOWER", Some("lower")),
            ("sha265", Some("sha256")),
            ("sha-1", Some("sha1")),
            ("md", Some("md5")),
            ("reverse", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), expected, "{word}");
        }
    }
}
