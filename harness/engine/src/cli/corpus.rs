//! `corpus run | check | add | list | prune`: the regression cases.
//!
//! A case of the corpus is a case file, or a scenario with its seed and faults. It must end as its scenario expects: a
//! failure that was fixed stays fixed. A case whose faults are not triggered is vacuous, and does not pass.

mod check;
mod folder;
mod mutant;

use super::{CliError, Context};
use crate::case::finding::Finding;
use crate::case::ipc::CaseResult;
use crate::case::parent::{self, CaseError, WorkerLimits};
use crate::case::report_builder::marks_not_reached;
use crate::case::{CASE_TIME, pool};
use crate::case_file;
use crate::case_source::{CaseSource, shell_word};
use crate::output::{Destination, FileFormat};
use crate::print::finding::{finding_fingerprint, finding_text};
use crate::print::humanize::{count, counted, span_ms};
use crate::print::terminal;
use crate::{System, exit};
use folder::{files, no_case};
use latent_verdict::Expectation;
use std::path::{Path, PathBuf};

/// Note on a case that was edited by hand.
const EDITED: &str = "  edited since it was recorded: it runs as a new case\n";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: CorpusCommand,
    /// Use this corpus
    #[arg(long, value_name = "FOLDER", default_value = "corpus", global = true)]
    folder: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
enum CorpusCommand {
    /// Run every case; each must end as its scenario expects
    Run {
        /// Run this many cases in parallel [default: all cores]
        #[arg(short, long, value_name = "N", env = "LATENT_JOBS", value_parser = pool::parse_jobs)]
        jobs: Option<usize>,
        /// Print the fingerprints of failures, not their words
        #[arg(long)]
        fingerprints: bool,
    },
    /// Prove that the cases can fail: each must under the patch that puts its former mistake back
    Check(check::Args),
    /// Add a case
    Add {
        /// The case file
        case: PathBuf,
        /// Save the case under this name, which describes the expected behaviour [default: the file's]
        #[arg(long)]
        name: Option<String>,
    },
    /// List the cases
    List,
    /// Add checksums to cases of the format without them
    Seal,
    /// List cases that are unreadable, or whose faults are not triggered
    Prune {
        /// Remove them
        #[arg(long)]
        delete: bool,
    },
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, CliError> {
    let folder = &arguments.folder;
    match &arguments.what {
        CorpusCommand::Run { jobs, fingerprints } => {
            let print = if *fingerprints { finding_fingerprint } else { finding_text::<S> };
            run_all::<S>(context, folder, pool::jobs(*jobs), print)
        }
        CorpusCommand::Check(arguments) => check::run(context, folder, arguments),
        CorpusCommand::Add { case, name } => add::<S>(context, folder, case, name.as_deref()),
        CorpusCommand::List => list::<S>(context, folder),
        CorpusCommand::Seal => seal(folder),
        CorpusCommand::Prune { delete } => prune::<S>(context, folder, *delete),
    }
}

/// Result of one file.
enum CorpusVerdict {
    /// It ended as expected.
    Passes,
    /// It did not; with the expected outcome.
    Fails(Finding, Expectation),
    /// It ended as expected, but is vacuous; with the reason.
    Vacuous(String),
    /// It cannot be read.
    Unreadable(String),
}

fn of_judged<S: System>(
    target: &CaseSource<S>,
    judged: Result<CaseResult, CaseError>,
) -> Result<CorpusVerdict, CliError> {
    let expected = target.scenario.expect;
    let judged = match judged {
        Ok(judged) => judged,
        Err(CaseError::ScenarioError(bad) | CaseError::Refused(bad)) => {
            return Ok(CorpusVerdict::Unreadable(bad));
        }
        Err(error) => {
            let finding = Finding::from_error(error);
            return finding
                .map(|finding| CorpusVerdict::Fails(finding, expected))
                .map_err(|error| CliError::Internal(error.to_string()));
        }
    };
    let finding = Finding::of(&judged);
    if !expected.is_met_by(finding.outcome) {
        return Ok(CorpusVerdict::Fails(finding, expected));
    }
    if finding.is_vacuous() {
        return Ok(CorpusVerdict::Vacuous(format!("0 {} acknowledged", S::ITEMS)));
    }
    let reason = judged.faults.iter().filter(|fault| fault.triggered_ms.is_none()).count();
    let missing = marks_not_reached(&target.scenario, &judged.marks);
    Ok(if reason > 0 {
        CorpusVerdict::Vacuous(format!("{} not triggered", counted(reason as u64, "faults")))
    } else if missing.is_empty() {
        CorpusVerdict::Passes
    } else {
        CorpusVerdict::Vacuous(format!("{} not reached", missing.join(", ")))
    })
}

/// Runs every readable case of the corpus; unreadable ones are reported and do not stop the others.
fn ended<S: System>(
    context: &Context<'_>,
    folder: &Path,
    jobs: usize,
) -> Result<Vec<(PathBuf, CorpusVerdict)>, CliError> {
    let (mut all, mut runnable) = (Vec::new(), Vec::new());
    for path in files(folder)? {
        match CaseSource::<S>::find(&path.display().to_string(), context.named, None, context.max_items) {
            Ok(target) => runnable.push((path, target)),
            Err(bad) => all.push((path, CorpusVerdict::Unreadable(bad.to_string()))),
        }
    }
    let requests: Vec<_> = runnable.iter().map(|(_, target)| target.request()).collect();
    let limits = WorkerLimits::limited(Some(CASE_TIME), None);
    let mut message = Vec::new();
    pool::run_all(&requests, jobs, limits, Clone::clone, |index, judged| {
        let (path, target) = &runnable[index];
        message.push(of_judged(target, judged).map(|ended| (path.clone(), ended)));
    });
    all.extend(message.into_iter().collect::<Result<Vec<_>, CliError>>()?);
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

fn run_all<S: System>(
    context: &Context<'_>,
    folder: &Path,
    jobs: usize,
    print: fn(&Finding) -> String,
) -> Result<u8, CliError> {
    let all = ended::<S>(context, folder, jobs)?;
    if all.is_empty() {
        return Ok(no_case(folder));
    }
    let (mut passing, mut code, mut lines) = (0_u64, exit::CLEAN, String::new());
    for (path, ended) in &all {
        let reproduce =
            format!("{} repro {}", shell_word(&context.program), shell_word(&path.display().to_string()));
        let line = match ended {
            CorpusVerdict::Passes => {
                passing += 1;
                continue;
            }
            CorpusVerdict::Fails(finding, expected) => {
                let of_case = exit::of_finding(finding.outcome, *expected, &finding.fingerprint);
                code = exit::worse(code, of_case);
                let detail = &finding.detail;
                format!(
                    "{}: {}\n{}  reproduce   {reproduce}\n",
                    path.display(),
                    print(finding),
                    if detail.is_empty() { String::new() } else { format!("  {detail}\n") }
                )
            }
            CorpusVerdict::Vacuous(reason) => {
                code = exit::worse(code, exit::MARK_NOT_REACHED);
                format!("{}: vacuous: {reason}\n  reproduce   {reproduce}\n", path.display())
            }
            CorpusVerdict::Unreadable(bad) => {
                code = exit::worse(code, exit::USAGE);
                format!("{}\n", bad.trim_end())
            }
        };
        lines.push_str(&line);
    }
    let took_ms = u64::try_from(context.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (passing, all) = (count(passing), count(all.len() as u64));
    lines.push_str(&format!("{}: {passing} of {all} passed, in {}\n", folder.display(), span_ms(took_ms)));
    terminal::print(&lines)?;
    Ok(code)
}

fn add<S: System>(
    context: &Context<'_>,
    folder: &Path,
    case: &Path,
    name: Option<&str>,
) -> Result<u8, CliError> {
    let target = context.target::<S>(&case.display().to_string(), None, None)?;
    let stem = case.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.unwrap_or_else(|| stem.trim_end_matches(".json").trim_end_matches(".case"));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if stem.is_empty() || !stem.chars().all(plain) {
        let message = format!("'{stem}' cannot name a case");
        let hint = "give --name: lower-case letters, digits and hyphens that describe the expected behaviour";
        return Err(CliError::Usage(format!("{message}\n  {hint}")));
    }
    let path = folder.join(format!("{stem}.json"));
    let unreadable = |error| CliError::Usage(format!("{}: {error}", case.display()));
    let text = std::fs::read_to_string(case).map_err(unreadable)?;
    // The corpus is the project's own folder too: its first case creates it.
    std::fs::create_dir_all(folder)
        .map_err(|error| CliError::Usage(format!("{}: cannot create it: {error}", folder.display())))?;
    let to = Destination::prepare(&path, FileFormat::Case, false);
    // Under the lock: another process may be adding the same name.
    if path.exists() {
        return Err(CliError::Usage(format!("{} already exists: choose another --name", path.display())));
    }
    to?.write(&text)?;
    let limits = WorkerLimits::limited(Some(CASE_TIME), None);
    let now = match of_judged(&target, parent::run(&target.request(), limits, |_| {}))? {
        CorpusVerdict::Passes => "passes".to_owned(),
        CorpusVerdict::Fails(finding, _) => {
            format!("still failing: {}", finding_text::<S>(&finding))
        }
        CorpusVerdict::Vacuous(reason) => format!("vacuous: {reason}"),
        CorpusVerdict::Unreadable(bad) => bad,
    };
    let edited = if target.is_edited { EDITED } else { "" };
    terminal::print(&format!("{}\n{edited}  {now}\n", path.display()))?;
    Ok(exit::CLEAN)
}

fn list<S: System>(context: &Context<'_>, folder: &Path) -> Result<u8, CliError> {
    let mut lines = String::new();
    for path in files(folder)? {
        let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        match CaseSource::<S>::find(&path.display().to_string(), context.named, None, context.max_items) {
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
    terminal::print(&lines)?;
    Ok(exit::CLEAN)
}

/// Adds checksums. An edited case keeps its wrong checksum, which marks it as edited.
fn seal(folder: &Path) -> Result<u8, CliError> {
    let mut sealed = 0;
    for path in files(folder)? {
        let name = path.display().to_string();
        let text =
            std::fs::read_to_string(&path).map_err(|error| CliError::Usage(format!("{name}: {error}")))?;
        if let Some(text) = case_file::sealed(&name, &text)? {
            Destination::prepare(&path, FileFormat::Case, false)?.write(&text)?;
            sealed += 1;
        }
    }
    terminal::print(&format!("{}: {} sealed\n", folder.display(), counted(sealed, "cases")))?;
    Ok(exit::CLEAN)
}

fn prune<S: System>(context: &Context<'_>, folder: &Path, delete: bool) -> Result<u8, CliError> {
    let mut lines = String::new();
    let mut removable = 0_u64;
    let all = ended::<S>(context, folder, pool::cores())?;
    if all.is_empty() {
        return Ok(no_case(folder));
    }
    for (path, ended) in all {
        let line = match ended {
            CorpusVerdict::Vacuous(reason) => format!("{}: {reason}", path.display()),
            // The message starts with the path.
            CorpusVerdict::Unreadable(bad) => bad.lines().next().unwrap_or_default().to_owned(),
            CorpusVerdict::Passes | CorpusVerdict::Fails(..) => continue,
        };
        removable += 1;
        if delete {
            let cannot = |error| CliError::Internal(format!("{}: {error}", path.display()));
            std::fs::remove_file(&path).map_err(cannot)?;
        }
        lines.push_str(&format!("{line}\n"));
    }
    lines.push_str(&match (removable, delete) {
        (0, _) => "no vacuous or unreadable case\n".to_owned(),
        (some, true) => format!("{} removed\n", counted(some, "cases")),
        (some, false) => format!("{} vacuous or unreadable; --delete removes them\n", counted(some, "cases")),
    });
    terminal::print(&lines)?;
    Ok(exit::CLEAN)
}
