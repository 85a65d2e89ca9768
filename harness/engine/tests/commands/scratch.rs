//! A folder for one test, the programs run in it, and their output without variable parts.

use crate::common::{own_path, text};
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// Selects one of the systems of this program; workers inherit it.
pub const SYSTEM: &str = "SYSTEM_UNDER_TEST";

/// A new folder, with an empty configuration: a parent folder may have another.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("commands").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).expect("cargo's directory for tests can be written");
        }
        std::fs::create_dir_all(&folder).expect("cargo's directory for tests can be written");
        let scratch = Scratch(folder);
        scratch.write("latent.toml", "[profile.nothing]\n");
        scratch
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    pub fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        let folder = path.parent().expect("it is in the scratch folder");
        std::fs::create_dir_all(folder).expect("cargo's directory for tests can be written");
        std::fs::write(path, text).expect("cargo's directory for tests can be written");
    }

    /// Writes a scenario of the misbehaving system.
    pub fn misbehaving_scenario(&self, name: &str, more: &str) {
        let text = format!(
            "{{ \"name\": \"{name}\", \"start\": \"2016-02-22T00:00:00Z\", \"run_for\": \"1m\"{more} }}\n"
        );
        self.write(&format!("{name}.json"), &text);
    }

    /// Returns a command in the folder, called by its system's name, without environment variables that affect it.
    pub fn command(&self, system: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(own_path());
        let settings = std::env::vars_os().map(|(name, _)| name);
        for name in settings.filter(|name| name.to_string_lossy().starts_with("LATENT_")) {
            command.env_remove(name);
        }
        command.env_remove("GITHUB_STEP_SUMMARY").env("RUST_BACKTRACE", "0").env(SYSTEM, system);
        command.arg0(system).args(arguments).current_dir(&self.0);
        command
    }

    /// Runs the write-ahead log to its end.
    pub fn wal(&self, arguments: &[&str]) -> ProgramOutput {
        ProgramOutput::of(self.command("wal", arguments).output().expect("this program can be started"))
    }

    /// Runs the misbehaving system to its end.
    pub fn odd(&self, arguments: &[&str]) -> ProgramOutput {
        ProgramOutput::of(self.command("odd", arguments).output().expect("this program can be started"))
    }

    /// Runs the rewriting log to its end.
    pub fn rewriting(&self, arguments: &[&str]) -> ProgramOutput {
        ProgramOutput::of(self.command("rewriting", arguments).output().expect("this program can be started"))
    }

    /// Starts a program, with its output in pipes.
    pub fn start(&self, system: &str, arguments: &[&str]) -> Child {
        let mut command = self.command(system, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("this program can be started")
    }

    /// The lines of a results file, sorted, without the machine-dependent field.
    pub fn results(&self, file: &str) -> Vec<String> {
        let timeless = |line: &str| {
            let mut line: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            for part in ["case", "end"] {
                if let Some(part) = line.get_mut(part).and_then(Value::as_object_mut) {
                    part.remove("wall_ms").expect("each says how long it took");
                }
            }
            line.to_string()
        };
        let mut lines: Vec<String> = self.read(file).lines().map(timeless).collect();
        lines.sort();
        lines
    }
}

/// Exit code and output of a program.
pub struct ProgramOutput {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl ProgramOutput {
    pub fn of(output: Output) -> ProgramOutput {
        ProgramOutput { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Checks the exit code.
    #[track_caller]
    pub fn ends(self, code: i32) -> ProgramOutput {
        assert_eq!(self.code, Some(code), "\n{}{}", self.out, self.err);
        self
    }

    /// The standard output without variable parts: real times, trace hashes, line numbers of code.
    pub fn screen(&self) -> String {
        stable(&self.out)
    }

    /// The standard error, likewise.
    pub fn stderr_text(&self) -> String {
        stable(&self.err)
    }
}

fn stable(shown: &str) -> String {
    shown.lines().map(stable_line).collect::<Vec<_>>().join("\n")
}

fn stable_line(line: &str) -> String {
    if let Some((before, _)) = line.split_once(" in ").filter(|_| line.contains(" x real time")) {
        return format!("{before} in …");
    }
    if let Some((before, _)) =
        line.rsplit_once(", in ").filter(|_| line.ends_with(" s") || line.ends_with(" ms"))
    {
        return format!("{before}, in …");
    }
    let digits = |word: &str| word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit());
    let word = |word: &str| match word.split_once(',') {
        _ if word.contains("/misbehaving.rs:") => {
            format!("{}:LINE", word.trim_end_matches(|c: char| c == ':' || c.is_ascii_digit()))
        }
        _ if digits(word) => "HASH".to_owned(),
        Some((hash, rest)) if digits(hash) => format!("HASH,{rest}"),
        _ => word.to_owned(),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
