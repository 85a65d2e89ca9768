//! "Did you mean": the known word nearest to a misspelt one.

/// Returns known words similar to `word`, nearest first; empty if none is similar.
///
/// Similar means at most one edit (a letter added, dropped, changed, or two swapped) for every three letters, or one
/// word being a prefix of the other.
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|one| {
            let edit_distance = edit_distance(word, one);
            let begins =
                word.len() >= 3 && (one.starts_with(word) || word.starts_with(one) && one.len() >= 3);
            (edit_distance <= limit || begins).then_some((edit_distance, one))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, one)| one).collect()
}

/// Edit distance of two words (optimal string alignment), ignoring case.
fn edit_distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().flat_map(char::to_lowercase).collect();
    let to: Vec<char> = to.chars().flat_map(char::to_lowercase).collect();
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_typing_error() {
        let known = ["zone", "name", "weight", "run_for"];
        assert_eq!(suggest("zoen", known), ["zone"]);
        assert_eq!(suggest("wieght", known), ["weight"]);
        assert_eq!(suggest("runfor", known), ["run_for"]);
        assert_eq!(suggest("Name", known), ["name"]);
        assert!(suggest("colour", known).is_empty());
    }

    #[test]
    fn finds_a_prefix() {
        assert_eq!(suggest("incident", ["incident-2016", "generated"]), ["incident-2016"]);
        assert_eq!(suggest("", ["a-name"]), Vec::<&str>::new());
    }

    #[test]
    fn counts_edits() {
        for (from, to, count) in
            [("", "", 0), ("", "abc", 3), ("abc", "acb", 1), ("abc", "xbc", 1), ("ca", "abc", 3)]
        {
            assert_eq!(edit_distance(from, to), count, "{from} to {to}");
        }
    }
}
