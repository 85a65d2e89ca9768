//! The `latent` binary: the command line of the engine, with the whole system under it and the named scenarios.

use latent_engine::NamedScenario;
use latent_world::Latent;
use std::process::ExitCode;

/// Events are many small buffers. No run depends on their addresses: the trace contains none.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        &[$(NamedScenario { name: $name, text: include_str!(concat!("../", $name, ".json")) }),*]
    };
}

fn main() -> ExitCode {
    let named = scenarios![
        "incident-2016",
        "incident-2016-protected",
        "hostile",
        "quiet-week",
        "rough-week",
        "busy-week",
        "month",
        "year",
        "one-day",
    ];
    latent_engine::main::<Latent>(named, concat!(env!("CARGO_PKG_VERSION"), " ", env!("LATENT_COMMIT")))
}
