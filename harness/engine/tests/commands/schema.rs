//! `schema --report`: real reports are valid by the published schema.

use crate::common::{Test, tests};
use crate::scratch::Scratch;
use serde_json::Value;

pub const TESTS: &[Test] =
    tests![reports_are_valid_by_the_published_schema, the_schema_of_reports_is_the_same_for_every_system];

fn reports_are_valid_by_the_published_schema() {
    let scratch = Scratch::new("report-schema");
    let schema: Value =
        serde_json::from_str(&scratch.wal(&["schema", "--report"]).ends(0).out).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("it is a schema");
    for (arguments, code) in [
        (&["run", "correct", "--json"][..], 0),
        (&["run", "missing-sync@12", "--json"], 100),
        (&["run", "missing-sync@12", "--json", "-v"], 100),
        (&["run", "missing-sync@12", "--release", "good", "--json"], 0),
        (&["repro", "missing-sync@12", "--json"], 100),
    ] {
        let report: Value = serde_json::from_str(&scratch.wal(arguments).ends(code).out).expect("JSON");
        let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{arguments:?}: {errors:?}");
        let mut altered = report.clone();
        altered["violations"] = serde_json::json!([{ "invariant": "W1" }]);
        assert!(!validator.is_valid(&altered), "a violation has more fields");
        altered["violations"] = report["violations"].clone();
        altered.as_object_mut().expect("it is an object").remove("trace_hash");
        assert!(!validator.is_valid(&altered), "every report has a trace hash");
    }
}

fn the_schema_of_reports_is_the_same_for_every_system() {
    let scratch = Scratch::new("report-schema-of-all");
    let schema = ["schema", "--report"];
    assert_eq!(scratch.wal(&schema).ends(0).out, scratch.odd(&schema).ends(0).out);
}
