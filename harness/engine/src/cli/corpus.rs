//! `corpus run | add | list | prune`: cases that once failed, replayed for ever.
//!
//! A case of the corpus is a case's file or a scenario with its seed and faults written out. It must end as its scenario
//! expects: what once failed holds now. One whose faults never strike shows nothing, and does not pass.

use super::{Context, Failure};
use crate::case::assemble::missing_marks;
use crate::case::finding::Finding;
use crate::case::parent::{self, CaseError, Manner};
use crate::case::wire::Judged;
use crate::case::{CASE_TIME, pool};
use crate::case_file;
use crate::output::{Destination, Format};
use crate::print::out;
use crate::print::words::{count, counted, span_ms};
use crate::target::{Target, shell_word};
use crate::{System, exit};
use latent_verdict::Outcome;
use std::path::{Path, PathBuf};

/// What is said of a case that was changed by hand.
const EDITED: &str = "  edited since it was recorded: it runs as a new case\n";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
    /// The corpus
    #[arg(long, value_name = "FOLDER", default_value = "corpus", global = true)]
    folder: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Run every case: each must end as its scenario expects
    Run {
        /// Cases side by side [default: all cores]
        #[arg(short, long, value_name = "N", env = "LATENT_JOBS", value_parser = pool::parse_jobs)]
        jobs: Option<usize>,
    },
    /// Keep a case
    Add {
        /// The case's file
        case: PathBuf,
        /// Under this name, which says what must hold [default: the file's]
        #[arg(long)]
        name: Option<String>,
    },
    /// List the cases
    List,
    /// Add the checksum to cases of the format that had none
    Seal,
    /// List cases that show nothing any more: unreadable, or of faults that never strike
    Prune {
        /// Remove them
        #[arg(long)]
        delete: bool,
    },
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, Failure> {
    let folder = &arguments.folder;
    match &arguments.what {
        What::Run { jobs } => run_all::<S>(context, folder, pool::jobs(*jobs)),
        What::Add { case, name } => add::<S>(context, folder, case, name.as_deref()),
        What::List => list::<S>(context, folder),
        What::Seal => seal(folder),
        What::Prune { delete } => prune::<S>(context, folder, *delete),
    }
}

/// The files of the corpus, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let cannot = |error| {
        Failure::Usage(format!(
            "{}: no corpus can be read there: {error}\n  --folder says where it is",
            folder.display()
        ))
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What became of one file.
enum Ended {
    /// It ended as it must.
    Holds,
    /// It did not: how it must end.
    Fails(Finding, Outcome),
    /// It ended as it must, and showed nothing: why.
    Idle(String),
    /// It cannot be read.
    Unreadable(String),
}

fn of_judged<S: System>(target: &Target<S>, judged: Result<Judged, CaseError>) -> Result<Ended, Failure> {
    let expected = target.scenario.expect;
    let judged = match judged {
        Ok(judged) => judged,
        Err(CaseError::BadScenario(bad) | CaseError::Refused(bad)) => return Ok(Ended::Unreadable(bad)),
        Err(error) => {
            let finding = Finding::of_broken(error);
            return finding
                .map(|finding| Ended::Fails(finding, expected))
                .map_err(|error| Failure::Internal(error.to_string()));
        }
    };
    let finding = Finding::of(&judged);
    if finding.outcome() != expected {
        return Ok(Ended::Fails(finding, expected));
    }
    if finding.shows_nothing() {
        return Ok(Ended::Idle(format!("0 {} acknowledged", S::ITEMS)));
    }
    let idle = judged.faults.iter().filter(|fault| fault.struck_ms.is_none()).count();
    let missing = missing_marks(&target.scenario, &judged.marks);
    Ok(if idle > 0 {
        Ended::Idle(format!("{} never struck", counted(idle as u64, "faults")))
    } else if missing.is_empty() {
        Ended::Holds
    } else {
        Ended::Idle(format!("{} was never reached", missing.join(", ")))
    })
}

/// Runs every case of the corpus that can be read; the others are told, and do not keep the rest from running.
fn ended<S: System>(
    context: &Context<'_>,
    folder: &Path,
    jobs: usize,
) -> Result<Vec<(PathBuf, Ended)>, Failure> {
    let (mut all, mut runnable) = (Vec::new(), Vec::new());
    for path in files(folder)? {
        match Target::<S>::find(&path.display().to_string(), context.named, None, context.most_items) {
            Ok(target) => runnable.push((path, target)),
            Err(bad) => all.push((path, Ended::Unreadable(bad.to_string()))),
        }
    }
    let works: Vec<_> = runnable.iter().map(|(_, target)| target.work()).collect();
    let manner = Manner::limited(Some(CASE_TIME), None);
    let mut said = Vec::new();
    pool::run_all(&works, jobs, manner, Clone::clone, |index, judged| {
        let (path, target) = &runnable[index];
        said.push(of_judged(target, judged).map(|ended| (path.clone(), ended)));
    });
    all.extend(said.into_iter().collect::<Result<Vec<_>, Failure>>()?);
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

/// A folder without cases shows nothing, whatever was asked of them.
fn no_case(folder: &Path) -> u8 {
    out::complain(&format!("{}: no case: a run of nothing shows nothing\n", folder.display()));
    exit::NOTHING_RAN
}

fn run_all<S: System>(context: &Context<'_>, folder: &Path, jobs: usize) -> Result<u8, Failure> {
    let all = ended::<S>(context, folder, jobs)?;
    if all.is_empty() {
        return Ok(no_case(folder));
    }
    let (mut holding, mut code, mut lines) = (0_u64, exit::CLEAN, String::new());
    for (path, ended) in &all {
        let again =
            format!("{} repro {}", shell_word(&context.program), shell_word(&path.display().to_string()));
        let line = match ended {
            Ended::Holds => {
                holding += 1;
                continue;
            }
            Ended::Fails(finding, expected) => {
                let of_case = exit::of_finding(finding.outcome(), *expected, &finding.fingerprint);
                code = exit::worse(code, of_case);
                let Finding { fingerprint, detail, .. } = finding;
                format!(
                    "{}: {} {fingerprint}\n{}  again       {again}\n",
                    path.display(),
                    finding.ended(),
                    if detail.is_empty() { String::new() } else { format!("  {detail}\n") }
                )
            }
            Ended::Idle(idle) => {
                code = exit::worse(code, exit::UNREACHED);
                format!("{}: {idle}: it shows nothing\n  again       {again}\n", path.display())
            }
            Ended::Unreadable(bad) => {
                code = exit::worse(code, exit::USAGE);
                format!("{}\n", bad.trim_end())
            }
        };
        lines.push_str(&line);
    }
    let took_ms = u64::try_from(context.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (holding, all) = (count(holding), count(all.len() as u64));
    lines.push_str(&format!("{}: {holding} of {all} hold, in {}\n", folder.display(), span_ms(took_ms)));
    out::print(&lines)?;
    Ok(code)
}

fn add<S: System>(
    context: &Context<'_>,
    folder: &Path,
    case: &Path,
    name: Option<&str>,
) -> Result<u8, Failure> {
    let target = context.target::<S>(&case.display().to_string(), None, None)?;
    let stem = case.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.unwrap_or_else(|| stem.trim_end_matches(".json").trim_end_matches(".case"));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if stem.is_empty() || !stem.chars().all(plain) {
        let said = format!("'{stem}' cannot name a case");
        let hint = "give --name: lower-case letters, digits and hyphens that say what must hold";
        return Err(Failure::Usage(format!("{said}\n  {hint}")));
    }
    let path = folder.join(format!("{stem}.json"));
    let unreadable = |error| Failure::Usage(format!("{}: {error}", case.display()));
    let text = std::fs::read_to_string(case).map_err(unreadable)?;
    // The corpus is the project's own as well: its first case makes it.
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::Usage(format!("{}: cannot make it: {error}", folder.display())))?;
    let to = Destination::prepare(&path, Format::Case, false);
    // Under the lock: another process may be adding the same name.
    if path.exists() {
        return Err(Failure::Usage(format!("{} is there already: give --name", path.display())));
    }
    to?.write(&text)?;
    let manner = Manner::limited(Some(CASE_TIME), None);
    let now = match of_judged(&target, parent::run(&target.work(), manner, |_| {}))? {
        Ended::Holds => "it holds: it will be noticed when it does not".to_owned(),
        Ended::Fails(finding, _) => {
            format!("it fails still, with {} {}: fix the cause", finding.ended(), finding.fingerprint)
        }
        Ended::Idle(idle) => format!("{idle}: it shows nothing"),
        Ended::Unreadable(bad) => bad,
    };
    let edited = if target.is_edited { EDITED } else { "" };
    out::print(&format!("{}\n{edited}  {now}\n", path.display()))?;
    Ok(exit::CLEAN)
}

fn list<S: System>(context: &Context<'_>, folder: &Path) -> Result<u8, Failure> {
    let mut lines = String::new();
    for path in files(folder)? {
        let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        match Target::<S>::find(&path.display().to_string(), context.named, None, context.most_items) {
            Ok(target) => {
                let about =
                    target.recorded.as_ref().map_or(&target.scenario.about, |recorded| &recorded.about);
                let edited = if target.is_edited { EDITED } else { "" };
                lines.push_str(&format!("{stem}\n  {about}\n{edited}"));
            }
            Err(bad) => {
                lines.push_str(&format!("{stem}\n  cannot be read: {}\n", bad.to_string().trim_end()))
            }
        }
    }
    out::print(&lines)?;
    Ok(exit::CLEAN)
}

/// Adds checksums. A case that was edited keeps its wrong one, which says so.
fn seal(folder: &Path) -> Result<u8, Failure> {
    let mut sealed = 0;
    for path in files(folder)? {
        let name = path.display().to_string();
        let text =
            std::fs::read_to_string(&path).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        if let Some(text) = case_file::sealed(&name, &text)? {
            Destination::prepare(&path, Format::Case, false)?.write(&text)?;
            sealed += 1;
        }
    }
    out::print(&format!("{}: {} sealed\n", folder.display(), counted(sealed, "cases")))?;
    Ok(exit::CLEAN)
}

fn prune<S: System>(context: &Context<'_>, folder: &Path, delete: bool) -> Result<u8, Failure> {
    let mut lines = String::new();
    let mut idle_files = 0_u64;
    let all = ended::<S>(context, folder, pool::cores())?;
    if all.is_empty() {
        return Ok(no_case(folder));
    }
    for (path, ended) in all {
        let line = match ended {
            Ended::Idle(idle) => format!("{}: {idle}", path.display()),
            // It begins with the path.
            Ended::Unreadable(bad) => bad.lines().next().unwrap_or_default().to_owned(),
            Ended::Holds | Ended::Fails(..) => continue,
        };
        idle_files += 1;
        if delete {
            let cannot = |error| Failure::Internal(format!("{}: {error}", path.display()));
            std::fs::remove_file(&path).map_err(cannot)?;
        }
        lines.push_str(&format!("{line}\n"));
    }
    lines.push_str(&match (idle_files, delete) {
        (0, _) => "every case shows something\n".to_owned(),
        (some, true) => format!("{} removed\n", counted(some, "cases")),
        (some, false) => format!("{} show nothing; --delete removes them\n", counted(some, "cases")),
    });
    out::print(&lines)?;
    Ok(exit::CLEAN)
}
