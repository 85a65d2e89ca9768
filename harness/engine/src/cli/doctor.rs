//! `doctor`: checks this machine, and whether a case is deterministic on it.

use super::{CliError, Context};
use crate::case::CASE_MEMORY_MB;
use crate::case::ipc::CaseResult;
use crate::case::parent::{self, WorkerLimits};
use crate::case::pool;
use crate::case_source::CaseSource;
use crate::print::humanize::{counted, span_ms};
use crate::print::{Screen, StyledText, terminal};
use crate::sweep::runner::now;
use crate::{System, exit};
use std::io::IsTerminal as _;
use std::time::Duration;

/// Limit of each of the three runs.
const LONGEST: Duration = Duration::from_secs(120);
/// With less free space than this a long sweep may fill the disk.
const MIN_DISK_MB: u64 = 1024;

pub(super) fn run<S: System>(context: &Context<'_>) -> Result<u8, CliError> {
    let mut screen = Screen::new(true);
    screen.heading(StyledText::new().plain(format!("{} {}", S::NAME, context.build)));
    let profile = if cfg!(debug_assertions) {
        "debug: 3 to 10 times slower than a release build (cargo build --release)"
    } else {
        "release"
    };
    screen.item("build", profile);
    screen.item("system", system());
    screen.item("cpu", cpu());
    memory(&mut screen);
    disk(&mut screen);
    terminal(&mut screen);
    let code = determinism::<S>(context, &mut screen)?;
    terminal::screen(&screen)?;
    Ok(code)
}

fn system() -> String {
    let kernel = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {} {}", std::env::consts::OS, std::env::consts::ARCH, kernel.trim()).trim_end().to_owned()
}

fn cpu() -> String {
    let info = read("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, name)| name);
    let model = model.map_or(String::new(), |name| format!("{}, ", name.trim()));
    format!("{model}{} for this process, so as many jobs", counted(pool::cores() as u64, "cores"))
}

fn memory(screen: &mut Screen) {
    let info = read("/proc/meminfo").unwrap_or_default();
    let field_mb = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kb| kb / 1024)
    };
    let Some((total_mb, free_mb)) = field_mb("MemTotal").zip(field_mb("MemAvailable")) else {
        screen.item("memory", "unknown; cases have no limit of memory on this system");
        return;
    };
    // A container may have less than its machine.
    let cgroup = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse::<u64>().ok());
    let limit_mb = cgroup.map(|bytes| bytes >> 20).filter(|limit_mb| *limit_mb < total_mb);
    let of_container = limit_mb.map_or(String::new(), |mb| format!(", {mb} MB for this container"));
    let free_mb = limit_mb.map_or(free_mb, |limit_mb| limit_mb.min(free_mb));
    let message =
        format!("{total_mb} MB, {free_mb} MB free{of_container}; a case may hold {CASE_MEMORY_MB} MB");
    if free_mb < CASE_MEMORY_MB {
        screen.item("memory", StyledText::new().bad(message));
        screen.item("", "the largest cases may not fit: lower --case-memory-mb, or --jobs");
    } else {
        screen.item("memory", message);
    }
}

#[cfg(unix)]
fn disk(screen: &mut Screen) {
    let folder = std::env::current_dir().unwrap_or_default().display().to_string();
    let free_mb = rustix::fs::statvfs(".").ok().map(|of| of.f_bavail.saturating_mul(of.f_frsize) >> 20);
    let can_write = rustix::fs::access(".", rustix::fs::Access::WRITE_OK).is_ok();
    let free = free_mb.map_or("unknown space".to_owned(), |mb| format!("{mb} MB free"));
    let message = format!("{free} in {folder}");
    if free_mb.is_some_and(|mb| mb < MIN_DISK_MB) {
        screen.item("disk", StyledText::new().bad(format!("{message}: a long sweep may fill it")));
    } else {
        screen.item("disk", message);
    }
    if !can_write {
        screen.item(
            "",
            StyledText::new().bad("this folder cannot be written: give --json and --out other places"),
        );
    }
}

#[cfg(not(unix))]
fn disk(screen: &mut Screen) {
    screen.item("disk", "unknown on this system");
}

fn terminal(screen: &mut Screen) {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_terminal = std::io::stdout().is_terminal();
    let what = if is_terminal { "yes" } else { "none (a pipe or a file)" };
    let columns =
        terminal::columns().map_or("100 columns assumed".to_owned(), |columns| format!("{columns} columns"));
    let colours = match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => "no colours",
        _ => "colours",
    };
    let why =
        ["NO_COLOR", "CLICOLOR_FORCE", "COLUMNS"].into_iter().filter(|name| set(name)).collect::<Vec<_>>();
    let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) };
    screen.item("terminal", format!("{what}, {columns}, {colours}{why}"));
}

/// Runs one case three times: twice as usual, and once with random addresses.
fn determinism<S: System>(context: &Context<'_>, screen: &mut Screen) -> Result<u8, CliError> {
    let Some(target) = shortest::<S>(context)? else {
        screen.item("determinism", "not checked: there is no built-in scenario");
        return Ok(exit::CLEAN);
    };
    let name = target.name();
    let began = now();
    let run = |keep_randomisation| {
        let limits = WorkerLimits { keep_randomisation, ..WorkerLimits::limited(Some(LONGEST), None) };
        parent::run(&target.request(), limits, |_| {})
    };
    let cannot = |error| CliError::Internal(format!("{name} cannot be run here: {error}"));
    let (first, second) = (run(false).map_err(cannot)?, run(false).map_err(cannot)?);
    let random = run(true).map_err(cannot)?;
    addresses(&first, screen);
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX) / 3;
    let is_same = first.trace_hash == second.trace_hash;
    if is_same && first.trace_hash == random.trace_hash {
        let message = format!("{name} has the same hash three times, once with random addresses, ");
        screen.item(
            "determinism",
            StyledText::new().good("yes: ").plain(message + &span_ms(took_ms) + " each"),
        );
        return Ok(exit::CLEAN);
    }
    let what = if is_same { "differs with random addresses" } else { "differs from run to run" };
    screen.item(
        "determinism",
        StyledText::new().bad(format!("no: {name} {what}; no result of this build can be trusted")),
    );
    for judged in [&first, &second, &random] {
        screen.item("", format!("{} after {}", judged.trace_hash, counted(judged.trace_records, "records")));
    }
    Ok(exit::NONDETERMINISTIC)
}

/// Returns the built-in scenario with the shortest run, or a generated one.
fn shortest<S: System>(context: &Context<'_>) -> Result<Option<CaseSource<S>>, CliError> {
    let mut shortest: Option<CaseSource<S>> = None;
    for one in context.named {
        let target: CaseSource<S> = context.target(one.name, None, None)?;
        if shortest.as_ref().is_none_or(|other| target.scenario.run_for < other.scenario.run_for) {
            shortest = Some(target);
        }
    }
    if shortest.is_none()
        && let Some(generator) = S::GENERATORS.first()
    {
        shortest = Some(context.target(generator.name, None, None)?);
    }
    Ok(shortest)
}

fn addresses(judged: &CaseResult, screen: &mut Screen) {
    let message = if judged.addresses_fixed {
        StyledText::new().plain("not randomised in a case's process, as it should be")
    } else {
        StyledText::new()
            .plain("random: personality(2) is refused here (a container's seccomp profile?). ")
            .plain("Runs do not depend on it")
    };
    screen.item("addresses", message);
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
