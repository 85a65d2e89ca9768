//! "Did you mean": the known word nearest to a misspelt one.

/// Known words near `word`, nearest first; none when nothing is near.
///
/// Near means at most one slip (a letter added, dropped, changed, or two swapped) for every three letters, or one
/// word being the beginning of the other.
pub fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|one| {
            let slips = slips(word, one);
            let begins =
                word.len() >= 3 && (one.starts_with(word) || word.starts_with(one) && one.len() >= 3);
            (slips <= limit || begins).then_some((slips, one))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, one)| one).collect()
}

/// The fewest single slips that turn one word into the other (optimal string alignment), case ignored.
fn slips(from: &str, to: &str) -> usize {
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
    fn finds_the_slip_of_a_key() {
        let known = ["zone", "name", "weight", "run_for"];
        assert_eq!(near("zoen", known), ["zone"]);
        assert_eq!(near("wieght", known), ["weight"]);
        assert_eq!(near("runfor", known), ["run_for"]);
        assert_eq!(near("Name", known), ["name"]);
        assert!(near("colour", known).is_empty());
    }

    #[test]
    fn finds_what_was_only_begun() {
        assert_eq!(near("incident", ["incident-2016", "generated"]), ["incident-2016"]);
        assert_eq!(near("", ["a-name"]), Vec::<&str>::new());
    }

    #[test]
    fn counts_slips() {
        for (from, to, count) in
            [("", "", 0), ("", "abc", 3), ("abc", "acb", 1), ("abc", "xbc", 1), ("ca", "abc", 3)]
        {
            assert_eq!(slips(from, to), count, "{from} to {to}");
        }
    }
}
