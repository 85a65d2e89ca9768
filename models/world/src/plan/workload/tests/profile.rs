//! Workload specifications for tests: the customers of the incident by size and lateness.

use super::*;

/// A product with live traffic: 600 to 1,000 events per day, 0.5% of them late.
pub(super) fn large(project: u32, token: &str, secret: &str) -> WorkloadSpec {
    WorkloadSpec {
        project,
        token: token.to_owned(),
        secret: secret.to_owned(),
        events_per_day: (600, 1_000),
        requests_per_day: 36,
        users: 200,
        late: LatenessSpec {
            share_ppm: 5_000,
            same_day_ppm: 750_000,
            by_ms: (2 * HOUR_MS, 30 * HOUR_MS),
            long_ppm: 50_000,
            long_by_ms: (30 * HOUR_MS, 96 * HOUR_MS),
        },
        ahead_ppm: 500,
        border_ppm: 0,
        resend_ppm: 3_000,
        resend_after_ms: (10 * MINUTE_MS, 20 * HOUR_MS),
        no_insert_id_ppm: 5_000,
        shared_insert_id_ppm: 2_000,
        no_time_ppm: 2_000,
        invalid_ppm: 1_000,
        huge_ppm: 0,
        event_bytes: (200, 300),
        api: RequestMix {
            track_raw: 30,
            track_form: 12,
            track_get: 3,
            import_json: 30,
            import_ndjson: 25,
            gzip_ppm: 80_000,
        },
        bursts: Vec::new(),
        offline_windows: Vec::new(),
        clock_skews: Vec::new(),
        silent_from_ms: None,
        kept_indices: Vec::new(),
    }
}

/// Devices that are rarely connected: the volume of a large project, with `late_share_ppm` of it (93 to 98% in the
/// incident) uploaded hours later, mostly before the local day ends.
pub(super) fn offline(project: u32, token: &str, secret: &str, late_share_ppm: u32) -> WorkloadSpec {
    let mut spec = large(project, token, secret);
    spec.requests_per_day = 24;
    spec.late.share_ppm = late_share_ppm;
    spec.late.same_day_ppm = 800_000;
    spec.late.long_ppm = 20_000;
    spec
}

/// A small project: at most 60 events per day, in a few requests.
pub(super) fn small(project: u32, token: &str, secret: &str) -> WorkloadSpec {
    let mut spec = large(project, token, secret);
    spec.events_per_day = (4, 60);
    spec.requests_per_day = 6;
    spec.users = 20;
    spec
}
