//! A fingerprint in words, for screens. Files and arguments keep the fingerprint itself.

use crate::case::finding::Finding;
use crate::system::System;

/// Returns how a case ended, then its fingerprint in words: `violated: W1 acknowledged records missing (after crash)`.
pub(crate) fn finding_text<S: System>(finding: &Finding) -> String {
    let ended = finding.ended();
    if finding.fingerprint.is_empty() || finding.fingerprint == ended {
        return ended.to_owned();
    }
    let words = fingerprint_text::<S>(&finding.fingerprint);
    if words == finding.fingerprint { format!("{ended} {words}") } else { format!("{ended}: {words}") }
}

/// Returns `W1 acknowledged records missing (loss, after crash)` for `W1:missing:after-crash:loss`; the fingerprint
/// itself if the system has no phrase for its kind, or if it names an end cause.
pub(crate) fn fingerprint_text<S: System>(fingerprint: &str) -> String {
    let parts: Vec<&str> = fingerprint.split(':').collect();
    let &[invariant, kind, stage, class] = parts.as_slice() else { return fingerprint.to_owned() };
    let Some(phrase) = S::phrase(invariant, kind) else { return fingerprint.to_owned() };
    let loss = if class == "loss" { "loss, " } else { "" };
    format!("{invariant} {phrase} ({loss}{})", stage.replace('-', " "))
}

#[cfg(test)]
mod tests {
    use super::fingerprint_text;
    use crate::test_system::TestSystem;

    #[test]
    fn a_fingerprint_is_printed_in_words_where_the_system_has_them() {
        for (fingerprint, text) in [
            ("W1:missing:after-crash:loss", "W1 letters missing (loss, after crash)"),
            ("W1:missing:scrub:breach", "W1 letters missing (scrub)"),
            ("W1:altered:scrub:breach", "W1:altered:scrub:breach"),
            ("died", "died"),
            ("", ""),
        ] {
            assert_eq!(fingerprint_text::<TestSystem>(fingerprint), text);
        }
    }
}
