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
mod dice;
mod event;
mod law;
mod layout;
mod place;
mod request;
mod stream;
mod words;
mod written;

#[cfg(test)]
mod tests;

pub use law::{
    Absence, ApiMix, BACK_WITHIN_MS, Burst, Defect, HOUR_MS, LATE_MS, Late, LawError, MINUTE_MS,
    MOST_BURST_EVENTS, StreamLaw, WrongClock,
};
pub use request::{Api, FormData, Gzip, PlannedEvent, PlannedRequest};
pub use stream::Stream;
pub use written::WrittenRequest;
