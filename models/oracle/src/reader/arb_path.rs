//! Paths of files on a disk of Arb.

use super::decimal;
use crate::day::{format_day, parse_day};
use crate::identity::ProjectDay;

/// Parses the project-day and the id from a segment's path on a disk of Arb.
#[must_use]
pub fn parse_segment_path(path: &str) -> Option<(ProjectDay, u64)> {
    match parse_arb_path(path)? {
        ArbPath::Segment(project_day, id) => Some((project_day, id)),
        _ => None,
    }
}

/// Parses the project-day from the path of a manifest on a disk of Arb.
#[must_use]
pub fn parse_manifest_path(path: &str) -> Option<ProjectDay> {
    if !path.ends_with("/manifest") {
        return None;
    }
    match parse_arb_path(path)? {
        ArbPath::Manifest(project_day) => Some(project_day),
        _ => None,
    }
}

/// Parses the project-day from the path of its directory on a disk of Arb, such as `arb/17/2016-02-22`.
#[must_use]
pub fn parse_day_path(path: &str) -> Option<ProjectDay> {
    let (project, day) = path.strip_prefix("arb/")?.split_once('/')?;
    Some(ProjectDay { project: decimal(project)?, day: parse_day(day)? })
}

/// Kind of a path below `arb/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArbPath {
    /// The manifest of a day.
    Manifest(ProjectDay),
    /// A segment, by id.
    Segment(ProjectDay, u64),
    /// Any other file in a day's directory, such as a segment that is being written.
    OtherFile(ProjectDay),
    /// A file in a quarantined directory of a day, and the directory's number.
    Quarantined(ProjectDay, u64),
    /// A project's lease.
    Lease(u32),
}

/// Parses a path such as `arb/17/2016-02-22/3.seg`; `None` for every other path.
pub(crate) fn parse_arb_path(path: &str) -> Option<ArbPath> {
    let (project, rest) = path.strip_prefix("arb/")?.split_once('/')?;
    let project = decimal(project)?;
    if rest == "lease" {
        return Some(ArbPath::Lease(project));
    }
    let (day, name) = rest.split_once('/')?;
    if let Some((day, number)) = day.split_once(".corrupt-") {
        return Some(ArbPath::Quarantined(ProjectDay { project, day: parse_day(day)? }, decimal(number)?));
    }
    let project_day = ProjectDay { project, day: parse_day(day)? };
    if name == "manifest" {
        return Some(ArbPath::Manifest(project_day));
    }
    Some(match name.strip_suffix(".seg").and_then(decimal) {
        Some(id) => ArbPath::Segment(project_day, id),
        None => ArbPath::OtherFile(project_day),
    })
}

/// Returns the path of a day's manifest.
#[must_use]
pub fn manifest_path(project_day: ProjectDay) -> String {
    format!("arb/{}/{}/manifest", project_day.project, format_day(project_day.day))
}

/// Returns the path of a segment.
#[must_use]
pub fn segment_path(project_day: ProjectDay, id: u64) -> String {
    format!("arb/{}/{}/{id}.seg", project_day.project, format_day(project_day.day))
}

/// Returns the path of the file with the grants of a project's lease.
#[must_use]
pub fn lease_path(project: u32) -> String {
    format!("arb/{project}/lease")
}

/// Returns the path of a quarantined directory of a day.
#[must_use]
pub fn quarantine_path(project_day: ProjectDay, number: u64) -> String {
    format!("arb/{}/{}.corrupt-{number}", project_day.project, format_day(project_day.day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_parsed_strictly() {
        let project_day = ProjectDay { project: 17, day: 16_853 };
        assert_eq!(parse_arb_path("arb/17/2016-02-22/3.seg"), Some(ArbPath::Segment(project_day, 3)));
        assert_eq!(parse_arb_path("arb/17/2016-02-22/manifest"), Some(ArbPath::Manifest(project_day)));
        assert_eq!(parse_arb_path("arb/17/2016-02-22/3.seg.tmp"), Some(ArbPath::OtherFile(project_day)));
        assert_eq!(parse_arb_path("arb/17/2016-02-22/03.seg"), Some(ArbPath::OtherFile(project_day)));
        assert_eq!(
            parse_arb_path("arb/17/2016-02-22.corrupt-3/manifest"),
            Some(ArbPath::Quarantined(project_day, 3))
        );
        assert_eq!(parse_arb_path("arb/17/lease"), Some(ArbPath::Lease(17)));
        assert_eq!(parse_arb_path("arb/17/lease.corrupt-0"), None);
        assert_eq!(parse_arb_path("arb/017/2016-02-22/3.seg"), None);
        assert_eq!(parse_arb_path("arb/17/2016-02-30/3.seg"), None);
        assert_eq!(segment_path(project_day, 3), "arb/17/2016-02-22/3.seg");
    }
}
