//! A folder for one test, the programs run in it, and what is compared of their output.

use crate::common::{own_path, text};
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// Says which of the two systems this program is; workers inherit it.
pub const SYSTEM: &str = "SYSTEM_UNDER_TEST";

/// A folder of its own, with nothing in it but settings that set nothing: a project around it may have others.
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

    /// A scenario of the system that misbehaves.
    pub fn odd_scenario(&self, name: &str, more: &str) {
        let text = format!(
            "{{ \"name\": \"{name}\", \"start\": \"2016-02-22T00:00:00Z\", \"run_for\": \"1m\"{more} }}\n"
        );
        self.write(&format!("{name}.json"), &text);
    }

    /// A program that is about to run in the folder, called by its system's name, and with nothing in its environment that
    /// would change what it does.
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

    /// The write-ahead log, run to its end.
    pub fn wal(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command("wal", arguments).output().expect("this program can be started"))
    }

    /// The system that misbehaves, run to its end.
    pub fn odd(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command("odd", arguments).output().expect("this program can be started"))
    }

    /// A program under way, its output in pipes.
    pub fn start(&self, system: &str, arguments: &[&str]) -> Child {
        let mut command = self.command(system, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("this program can be started")
    }

    /// The lines of a file of results, sorted, without the one field that differs from machine to machine.
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

/// How a program ended, and what it printed.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// The output, after the code was compared.
    #[track_caller]
    pub fn ends(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "\n{}{}", self.out, self.err);
        self
    }

    /// The output without what changes: real times, hashes of traces, line numbers of code.
    pub fn screen(&self) -> String {
        stable(&self.out)
    }

    /// The same of the error output.
    pub fn complaint(&self) -> String {
        stable(&self.err)
    }
}

fn stable(shown: &str) -> String {
    shown.lines().map(stable_line).collect::<Vec<_>>().join("\n")
}

fn stable_line(line: &str) -> String {
    if let Some((before, _)) = line.split_once(" in ").filter(|_| line.contains("times real time")) {
        return format!("{before} in …");
    }
    if let Some((before, _)) =
        line.rsplit_once(", in ").filter(|_| line.ends_with(" s") || line.ends_with(" ms"))
    {
        return format!("{before}, in …");
    }
    let digits = |word: &str| word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit());
    let word = |word: &str| match word.split_once(',') {
        _ if word.contains("/odd.rs:") => {
            format!("{}:LINE", word.trim_end_matches(|c: char| c == ':' || c.is_ascii_digit()))
        }
        _ if digits(word) => "HASH".to_owned(),
        Some((hash, rest)) if digits(hash) => format!("HASH,{rest}"),
        _ => word.to_owned(),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
