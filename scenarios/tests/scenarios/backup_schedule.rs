//! Background jobs, by their marks: an outcome alone does not show that each of them ran.

use crate::common::{command, folder, marks, report_of};

#[test]
fn a_backup_is_taken_every_day_while_the_operator_is_cut_off_for_six() {
    let case = folder().join("../corpus/backups-wait-for-the-operator.json");
    let (report, code) =
        report_of(command(&["repro", "--json", case.to_str().expect("cargo's paths are UTF-8")]));
    assert_eq!((report["outcome"].as_str(), code), (Some("recovered"), Some(0)), "{report}");
    // Eleven days, two data centers.
    assert_eq!(marks(&report, "backup.catalog-durable"), 22, "{}", report["marks"]);
    assert!(marks(&report, "alarms.undelivered") > 0, "{}", report["marks"]);
}
