//! `corpus check`: proves that the regression cases can fail.
//!
//! A drift of random draws can make a case miss the mistake that it once found, and stay green. So each case has a
//! mutant (see `mutant`): a patch that puts the mistake back. For each, the patch is applied to a copy of the source
//! tree, the copy is built, and its program must then find in the case what the patch states.
//!
//! The copy and what was built of it stay, so that the next build is incremental. Files are copied only where their
//! contents differ: the build tool sees a change where there is one.

use super::folder::{files, no_case};
use super::mutant::{Mutant, strays};
use crate::cli::context::{CliError, Context};
use crate::exit;
use crate::output::{FileLock, replace};
use crate::print::humanize::{counted, span_ms};
use crate::print::terminal;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Without optimisation: a case runs for some seconds instead of one, and each patch is built in seconds instead of minutes.
const BUILD: &str = "CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_INCREMENTAL=1 cargo build --release --bins";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Check these cases [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Source tree to patch, a git working tree
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    tree: PathBuf,
    /// Keep the patched copy of the tree, and what is built of it, in this folder
    #[arg(long, value_name = "FOLDER", default_value = "target/mutants")]
    scratch: PathBuf,
    /// Shell command that builds the copy, run in its folder
    #[arg(long, value_name = "COMMAND", default_value = BUILD)]
    build: String,
    /// The program that it builds, relative to the copy [default: target/release/ and this program's name]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Write one JSON object for each case to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Result of one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Checked {
    /// It fails under its mutant as recorded.
    Fails,
    /// It passes under its mutant.
    Passes,
    /// It fails under its mutant with another finding than the recorded one.
    FailsOtherwise,
    /// It has no mutant, for a stated reason.
    CannotBeMutated,
    /// Its record is missing or malformed.
    NoMutant,
    DoesNotApply,
    DoesNotBuild,
}

impl Checked {
    fn is_right(self) -> bool {
        matches!(self, Checked::Fails | Checked::CannotBeMutated)
    }
}

/// A line of the JSON file.
#[derive(Serialize)]
struct MutantRecord<'a> {
    case: &'a str,
    result: Checked,
    detail: &'a str,
}

pub(super) fn run(context: &Context<'_>, folder: &Path, arguments: &Args) -> Result<u8, CliError> {
    let cases: BTreeMap<String, PathBuf> = files(folder)?
        .into_iter()
        .filter_map(|path| Some((path.file_stem()?.to_string_lossy().into_owned(), path)))
        .collect();
    if cases.is_empty() {
        return Ok(no_case(folder));
    }
    let unknown = arguments.names.iter().find(|name| !cases.contains_key(*name));
    if let Some(unknown) = unknown {
        let hint = "`corpus list` prints the names";
        return Err(CliError::Usage(format!("{}: no case '{unknown}'\n  {hint}", folder.display())));
    }
    let is_wanted = |name: &&String| arguments.names.is_empty() || arguments.names.contains(name);
    let wanted: Vec<&String> = cases.keys().filter(is_wanted).collect();
    let (mut wrong, mut without_mutant, mut records) = (0_u64, 0_u64, String::new());
    let mut tree = MutantTree::new(context, arguments);
    for (index, name) in wanted.iter().enumerate() {
        let (result, detail) = match Mutant::of(folder, name) {
            Mutant::Invalid(why) => (Checked::NoMutant, why),
            Mutant::None(reason) => (Checked::CannotBeMutated, format!("no mutant: {reason}")),
            Mutant::Patch { path, mistake, expect } => tree
                .check(&path, &cases[*name], &expect)
                .map_err(|error| failed(arguments, &error))?
                .or(&mistake),
        };
        wrong += u64::from(!result.is_right());
        without_mutant += u64::from(result == Checked::CannotBeMutated);
        terminal::print(&format!("[{}/{}] {name}: {detail}\n", index + 1, wanted.len()))?;
        let record = MutantRecord { case: name, result, detail: &detail };
        let line = serde_json::to_string(&record).map_err(|error| CliError::Internal(error.to_string()))?;
        records.push_str(&format!("{line}\n"));
    }
    if arguments.names.is_empty() {
        for stray in strays(folder, &cases).map_err(|error| failed(arguments, &error))? {
            wrong += 1;
            terminal::print(&format!("{}: no case of this name\n  rename or remove it\n", stray.display()))?;
        }
    }
    if let Some(path) = &arguments.json {
        let cannot = |error| CliError::Usage(format!("{}: cannot be written: {error}", path.display()));
        replace(path, &records).map_err(cannot)?;
    }
    let took_ms = u64::try_from(context.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (checked, took) = (counted(wanted.len() as u64, "cases"), span_ms(took_ms));
    let counts = format!("{checked} checked, {wrong} wrong, {without_mutant} without a mutant");
    terminal::print(&format!("{}: {counts}, in {took}\n", folder.display()))?;
    Ok(if wrong == 0 { exit::CLEAN } else { exit::VIOLATION })
}

fn failed(arguments: &Args, error: &io::Error) -> CliError {
    let (tree, scratch) = (arguments.tree.display(), arguments.scratch.display());
    CliError::Internal(format!("the copy of {tree} in {scratch}: {error}"))
}

/// Result of one mutant, before its mistake is added to the line.
struct MutantResult(Checked, String);

impl MutantResult {
    fn or(self, mistake: &str) -> (Checked, String) {
        match self {
            MutantResult(Checked::Passes, _) => {
                let hint = "change the case or its mutant so that the mistake is found";
                (Checked::Passes, format!("passes although {mistake}\n  {hint}"))
            }
            MutantResult(result, detail) => (result, detail),
        }
    }
}

/// Copy of the source tree, to which one patch at a time is applied.
struct MutantTree<'a> {
    arguments: &'a Args,
    /// The copy, in the scratch folder.
    copy: PathBuf,
    program: PathBuf,
    /// Held from the first copy on: two checks must not patch one tree.
    lock: Option<FileLock>,
}

impl MutantTree<'_> {
    fn new<'a>(context: &Context<'_>, arguments: &'a Args) -> MutantTree<'a> {
        let copy = arguments.scratch.join("tree");
        let name = Path::new(&context.program).file_name().unwrap_or_default();
        let program = arguments.program.clone().unwrap_or_else(|| Path::new("target/release").join(name));
        MutantTree { arguments, copy, program, lock: None }
    }

    /// Applies the patch, builds, and runs the case.
    fn check(&mut self, patch: &Path, case: &Path, expect: &str) -> io::Result<MutantResult> {
        self.copy_tree()?;
        let patch = std::path::absolute(patch)?;
        // Inside of a repository git would take the paths of the patch as relative to its root.
        let ceiling = std::path::absolute(&self.arguments.scratch)?;
        let apply = Command::new("git")
            .args(["apply", "--whitespace=nowarn"])
            .arg(&patch)
            .env("GIT_CEILING_DIRECTORIES", ceiling)
            .current_dir(&self.copy)
            .output()?;
        if !apply.status.success() {
            let hint = "write the patch again, against today's code";
            let why = last_lines(&apply, 1);
            return Ok(MutantResult(
                Checked::DoesNotApply,
                format!("the patch does not apply: {why}\n  {hint}"),
            ));
        }
        // The copy has a target folder of its own: the tree's would be built again after each patch.
        let build = Command::new("sh")
            .args(["-c", &self.arguments.build])
            .env_remove("CARGO_TARGET_DIR")
            .current_dir(&self.copy)
            .output()?;
        if !build.status.success() {
            let hint = "write the patch again, against today's code";
            let why = last_lines(&build, 12);
            return Ok(MutantResult(
                Checked::DoesNotBuild,
                format!("the patched tree does not build\n{why}\n  {hint}"),
            ));
        }
        let ended = self.run(case)?;
        Ok(if ended.is_empty() {
            MutantResult(Checked::Passes, String::new())
        } else if ended == expect {
            MutantResult(Checked::Fails, ended)
        } else {
            let hint = "if this is what the mistake does now, change the patch's 'Expect'";
            MutantResult(
                Checked::FailsOtherwise,
                format!("{ended}, where the patch expects {expect}\n  {hint}"),
            )
        })
    }

    /// Runs one case with the built program. Returns its finding as `corpus run --fingerprints` prints it; empty if it
    /// passes.
    fn run(&self, case: &Path) -> io::Result<String> {
        let folder = self.arguments.scratch.join("case");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(case.file_name().unwrap_or_default());
        std::fs::copy(case, &file)?;
        let program = std::path::absolute(self.copy.join(&self.program))?;
        let ran = Command::new(&program)
            .args(["corpus", "run", "--folder"])
            .arg(&folder)
            .arg("--fingerprints")
            .output();
        let ran = ran.map_err(|error| {
            io::Error::other(format!(
                "{} cannot be run: {error}\n  name it with --program",
                program.display()
            ))
        })?;
        if ran.status.success() {
            return Ok(String::new());
        }
        let printed = String::from_utf8_lossy(&ran.stdout);
        let first = printed.lines().next().unwrap_or_default();
        let ended = first.strip_prefix(&format!("{}: ", file.display())).unwrap_or(first).trim();
        Ok(if ended.is_empty() { last_lines(&ran, 3) } else { ended.to_owned() })
    }

    /// Makes the copy equal to the tree: without the patch of before, and with what was changed since.
    fn copy_tree(&mut self) -> io::Result<()> {
        std::fs::create_dir_all(&self.copy)?;
        if self.lock.is_none() {
            let lock = FileLock::take(&self.copy)?;
            self.lock = Some(lock.ok_or_else(|| io::Error::other("another check is using it"))?);
        }
        let tree = &self.arguments.tree;
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listed = Command::new("git").args(list).current_dir(tree).output()?;
        if !listed.status.success() {
            return Err(io::Error::other(last_lines(&listed, 1)));
        }
        let listed = String::from_utf8_lossy(&listed.stdout);
        // The scratch folder may be in the tree, and not ignored.
        let (root, scratch) = (std::path::absolute(tree)?, std::path::absolute(&self.arguments.scratch)?);
        let is_source = |file: &&str| tree.join(file).is_file() && !root.join(file).starts_with(&scratch);
        let files: BTreeSet<&str> = listed.split('\0').filter(is_source).collect();
        for file in &files {
            let (from, to) = (std::fs::read(tree.join(file))?, self.copy.join(file));
            if std::fs::read(&to).ok().as_ref() != Some(&from) {
                std::fs::create_dir_all(to.parent().unwrap_or(&self.copy))?;
                std::fs::write(&to, from)?;
            }
        }
        // What git ignores stays: it is what earlier builds left.
        let mut left = Vec::new();
        list_files(&self.copy, &self.copy, &mut left)?;
        for file in left.iter().filter(|file| !files.contains(file.as_str())) {
            std::fs::remove_file(self.copy.join(file))?;
        }
        Ok(())
    }
}

/// Lists the files below `folder`, relative to `root`, without what builds leave.
fn list_files(root: &Path, folder: &Path, found: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        match path.is_dir() {
            true if relative == "target" => {}
            true => list_files(root, &path, found)?,
            false => found.push(relative),
        }
    }
    Ok(())
}

/// Returns the last lines of what a program wrote to its standard error.
fn last_lines(output: &Output, lines: usize) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
