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

/// Returns how a case ended, then its fingerprint: `violated W1:missing:after-crash:loss`.
pub(crate) fn finding_fingerprint(finding: &Finding) -> String {
    let ended = finding.ended();
    match finding.fingerprint.as_str() {
        "" => ended.to_owned(),
        fingerprint if fingerprint == ended => ended.to_owned(),
        fingerprint => format!("{ended} {fingerprint}"),
    }
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
    use super::{finding_fingerprint, finding_text, fingerprint_text};
    use crate::case::finding::Finding;
    use crate::test_system::TestSystem;
    use latent_verdict::Outcome;

    #[test]
    fn a_finding_is_printed_in_words_or_by_its_fingerprint() {
        let of = |outcome, fingerprint: &str| Finding {
            outcome,
            fingerprint: fingerprint.to_owned(),
            items: 1,
            detail: String::new(),
            sim_ms: 1,
            trace_hash: String::new(),
            trace_records: 1,
            judged: 1,
            limit: None,
        };
        let lost = of(Outcome::UnrecoverableLoss, "W1:missing:scrub:loss");
        assert_eq!(finding_fingerprint(&lost), "unrecoverable-loss W1:missing:scrub:loss");
        assert_eq!(finding_text::<TestSystem>(&lost), "unrecoverable-loss: W1 letters missing (loss, scrub)");
        assert_eq!(finding_fingerprint(&of(Outcome::Clean, "")), "clean");
    }

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
