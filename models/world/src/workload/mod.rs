//! What clients send: a stream of requests as a law, so that a plan is small and an event can be taken out of it.
//!
//! Event `k` is a pure function of the law, the draw function and `k`; the request that it travels in is a slot of
//! the project's local calendar. Whatever events are left out, the others keep their bytes, their times and their
//! slots.
//!
//! Modelled: diurnal traffic, late and offline devices, devices back after days, clocks ahead, both units of time,
//! second uploads, events laid out with white space, events without identity or time, items that must be rejected, huge events, every way in that the
//! API has; if the law names them, bursts, devices out of reach, and wrong clocks. Not modelled: sessions, funnels, weekends; nor answers and retries, which are the client's.

mod calendar;
mod device;
mod event;
mod event_values;
mod explicit_requests;
mod layout;
mod placement;
mod prng;
mod request;
mod stream;
mod workload_spec;

#[cfg(test)]
mod tests;

pub use explicit_requests::ExplicitRequest;
pub use request::{FormData, Gzip, PlannedEvent, PlannedRequest, RequestApi};
pub use stream::RequestStream;
pub use workload_spec::{
    RequestMix, BACK_WITHIN_MS, Burst, ClockSkew, Defect, HOUR_MS, LATE_MS, LatenessSpec,
    MAX_BURST_EVENTS, MINUTE_MS, OfflineWindow, WorkloadSpec, WorkloadSpecError,
};
