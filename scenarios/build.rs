//! Passes the commit to the binary: slices of one sweep must come from one program, and a case records its program.
//! Outside of a repository it is `unknown`.

use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn main() {
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    println!("cargo::rustc-env=LATENT_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    // The file that changes with each commit; HEAD names the file of a branch.
    let head = git(&["symbolic-ref", "HEAD"]).into_iter().chain(["HEAD".to_owned()]);
    for name in head {
        if let Some(path) = git(&["rev-parse", "--git-path", &name]) {
            let path = std::path::Path::new(&path);
            if path.exists() {
                println!("cargo::rerun-if-changed={}", path.display());
            }
        }
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo names the target in the environment, and nowhere else"
    )]
    let is_linux = std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux");
    if is_linux {
        // Without relocation, a case's process writes no page before it starts: 0.6 ms less of 2.1.
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
