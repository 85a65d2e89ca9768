//! Workload: the stream of requests of a project, given by a specification, so that a plan is small and single events
//! can be removed from it.
//!
//! Event `k` is a pure function of the specification, the draw function and `k`; its request is a slot of the
//! project's local calendar. When events are removed, the others keep their bytes, times and slots.
//!
//! Modelled: diurnal traffic, late and offline devices, devices back after days, clocks ahead, both units of time,
//! duplicate uploads, events with white space, events without identity or time, invalid events, huge events, all
//! request formats of the API; optionally bursts, offline windows and wrong clocks. Not modelled: sessions, funnels,
//! weekends; answers and retries belong to the client.

mod calendar;
mod device;
mod event;
mod event_traits;
mod event_values;
mod explicit_requests;
mod json_text;
mod layout;
mod placement;
mod prng;
mod ranges;
mod request;
mod stream;
mod time_format;
mod workload_spec;

#[cfg(test)]
mod tests;

pub use explicit_requests::ExplicitRequest;
pub use request::{FormData, Gzip, PlannedEvent, PlannedRequest, RequestApi};
pub use stream::RequestStream;
pub use workload_spec::{
    BACK_WITHIN_MS, Burst, ClockSkew, Defect, HOUR_MS, LATE_MS, LatenessSpec, MAX_BURST_EVENTS, MINUTE_MS,
    OfflineWindow, RequestMix, WorkloadSpec, WorkloadSpecError,
};
