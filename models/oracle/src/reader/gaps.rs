//! Gaps: the requests that edges recorded in `edge/gaps` as let through although the tee lacked them.

use crate::view::DiskView;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Maximal number of requests of one line; an edge's batch is smaller. Lines that claim more are ignored.
const MAX_REQUESTS_PER_LINE: u64 = 4_096;

/// A line that opens or closes a gap.
#[derive(Deserialize)]
struct GapLine {
    edge: u16,
    first: u64,
    last: u64,
    arrived_ms: Option<i64>,
    closed_ms: Option<i64>,
}

/// Requests in gaps that no line has closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenGaps {
    /// Edge and sequence, to the arrival time of the gap's first request, by the edge's clock.
    open: BTreeMap<(u16, u64), i64>,
}

impl OpenGaps {
    /// Reads the open gaps on these edge disks. A truncated line covers only requests that were never answered.
    #[must_use]
    pub fn of(disks: &[DiskView]) -> OpenGaps {
        let is_lines = |path: &str| path == "edge/gaps" || path == "edge/gaps.old";
        let mut lines: Vec<GapLine> = Vec::new();
        for file in disks.iter().flat_map(|disk| &disk.files).filter(|file| is_lines(&file.path)) {
            let text = file.chunks.concat();
            let parsed =
                text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
            lines.extend(
                parsed.filter(|line: &GapLine| line.last.saturating_sub(line.first) < MAX_REQUESTS_PER_LINE),
            );
        }
        let mut gaps = OpenGaps::default();
        for line in &lines {
            if let Some(arrived_ms) = line.arrived_ms {
                let requests = (line.first..=line.last).map(|sequence| ((line.edge, sequence), arrived_ms));
                gaps.open.extend(requests);
            }
        }
        for line in lines.iter().filter(|line| line.closed_ms.is_some()) {
            for sequence in line.first..=line.last {
                gaps.open.remove(&(line.edge, sequence));
            }
        }
        gaps
    }

    /// Returns, for each request in an open gap, the arrival time of the first request recorded with it, by the edge's
    /// clock: ms since 1970, sorted.
    #[must_use]
    pub fn arrivals_ms(&self) -> Vec<i64> {
        let mut arrivals_ms: Vec<i64> = self.open.values().copied().collect();
        arrivals_ms.sort_unstable();
        arrivals_ms
    }

    /// Whether a request is in an open gap.
    #[must_use]
    pub fn contains(&self, edge: u16, sequence: u64) -> bool {
        self.open.contains_key(&(edge, sequence))
    }

    /// Whether there are no open gaps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::FileView;

    #[test]
    fn a_gap_is_open_until_a_line_closes_it_in_full_or_in_part() {
        let text = concat!(
            "\n{\"edge\":1,\"first\":5,\"last\":7,\"arrived_ms\":100,\"why\":\"x\"}\n",
            "{\"edge\":1,\"first\":9,\"la",
            "\n{\"edge\":1,\"first\":5,\"last\":6,\"closed_ms\":200}\n",
            "{\"edge\":2,\"first\":7,\"last\":7,\"closed_ms\":200}\n",
        );
        let file = FileView::whole("edge/gaps", text.as_bytes().to_vec().into());
        let gaps = OpenGaps::of(&[DiskView { name: "edge-1".into(), files: vec![file] }]);
        assert_eq!((gaps.contains(1, 5), gaps.contains(1, 7), gaps.contains(1, 9)), (false, true, false));
        assert_eq!(gaps.arrivals_ms(), [100]);
        assert!(!gaps.is_empty() && OpenGaps::default().is_empty());
    }
}
