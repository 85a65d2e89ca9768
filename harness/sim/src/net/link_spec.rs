//! Configuration of links.

/// Tail of the latency distribution: one message in `one_in` takes `multiplier` times as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyTail {
    /// One message in this many is slow; 0: none.
    pub one_in: u32,
    /// Factor on the latency drawn.
    pub multiplier: u32,
}

/// Properties of one direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSpec {
    /// Latency of a message in microseconds: minimum and maximum, drawn uniformly.
    pub latency_us: (u32, u32),
    /// Tail of the latency distribution.
    pub tail: LatencyTail,
    /// Messages lost, in parts per million.
    pub loss_ppm: u32,
    /// Bandwidth in bytes per second, at which messages queue; `None`: unlimited.
    pub bandwidth_bytes_per_s: Option<u64>,
}

impl Default for LinkSpec {
    /// Returns a link within a data center: 100 to 500 us, one in 1,000 takes 20 times as long, no loss, no limit.
    fn default() -> LinkSpec {
        LinkSpec {
            latency_us: (100, 500),
            tail: LatencyTail { one_in: 1_000, multiplier: 20 },
            loss_ppm: 0,
            bandwidth_bytes_per_s: None,
        }
    }
}
