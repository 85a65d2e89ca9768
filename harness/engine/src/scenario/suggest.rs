//! "Did you mean": the known word nearest to a misspelt one.

use strsim::osa_distance;

/// Returns known words similar to `word`, nearest first; empty if none is similar.
///
/// Similar means at most one edit (a letter added, dropped, changed, or two swapped) for every three letters, or one
/// word being a prefix of the other.
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    let lower = word.to_lowercase();
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|one| {
            let edit_distance = osa_distance(&lower, &one.to_lowercase());
            let begins =
                word.len() >= 3 && (one.starts_with(word) || word.starts_with(one) && one.len() >= 3);
            (edit_distance <= limit || begins).then_some((edit_distance, one))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, one)| one).collect()
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
}
