//! Gaps: the requests that edges wrote down as let through although the tee lacked them, `edge/gaps`.

use crate::view::DiskView;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One line holds at most so many requests: a batch of an edge has fewer. What claims more is not believed.
const MAX_REQUESTS_PER_LINE: u64 = 4_096;

/// A line that opens a gap, or closes one.
#[derive(Deserialize)]
struct GapLine {
    edge: u16,
    first: u64,
    last: u64,
    arrived_ms: Option<i64>,
    closed_ms: Option<i64>,
}

/// Requests that are in a gap which nothing has closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenGaps {
    /// Edge and sequence, to when the gap's first request came, by the edge's clock.
    open: BTreeMap<(u16, u64), i64>,
}

impl OpenGaps {
    /// The open gaps on these disks of edges. A line that was cut off tells of requests that no client was answered.
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

    /// For each request in an open gap, when the first of those that were written down with it came, by the edge's clock:
    /// ms since 1970, in order.
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

    /// Whether there is none.
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
    fn a_gap_is_open_until_a_line_closes_it_whole_or_in_part() {
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
