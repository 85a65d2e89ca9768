//! Which file may use which: the layers inside each crate, read from the source text.
//!
//! Held to: no circle of imports between the files of a crate, a module and its own parent aside; and in crates with
//! layers, that each layer uses only those below it. The arrows between crates are in `dependencies.rs`.

mod imports;

use imports::Imports;
use std::path::{Path, PathBuf};

/// Crates whose files use each other one way.
const WITHOUT_CIRCLES: [&str; 3] = ["harness/host", "harness/verdict", "models/oracle"];

fn source_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src")
}

#[test]
fn the_files_of_a_crate_use_each_other_one_way() {
    for name in WITHOUT_CIRCLES {
        let imports = Imports::read(&source_of(name));
        assert_eq!(imports.circles().iter().map(describe).collect::<Vec<_>>(), [""; 0], "{name}");
    }
    let describe_edges = |imports: &Imports| imports.edges().len();
    assert!(describe_edges(&Imports::read(&source_of("harness/engine"))) > 50, "imports are read");

    fn describe(circle: &std::collections::BTreeSet<&str>) -> String {
        circle.iter().copied().collect::<Vec<_>>().join(", ")
    }
}

/// A crate of files, written to a temporary folder.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let imports = Imports::read(folder.path());
    imports.circles().iter().map(|circle| circle.iter().copied().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let root = ("lib.rs", "mod a; mod b;");
    for (a, b) in [
        ("use crate::b::X;", "fn f() { crate::a::g() }"),
        ("use super::b;", "use super::a::Y;"),
        ("fn f() { println!(\"{}\", crate::b::X) }", "use crate::{a::Y, c};"),
        ("use crate::b::*;", "impl crate::a::T for X {}"),
    ] {
        assert_eq!(circles_of(&[root, ("a.rs", a), ("b.rs", b)]), ["a.rs b.rs"], "{a} {b}");
    }
    let reexported =
        [("lib.rs", "mod a; mod b; pub use b::X;"), ("a.rs", "use crate::X;"), ("b.rs", "use crate::a;")];
    assert_eq!(circles_of(&reexported), ["a.rs b.rs"], "through a re-export");
    let nested = [
        ("lib.rs", "mod a; mod b;"),
        ("a/mod.rs", "mod c;"),
        ("a/c.rs", "use crate::b;"),
        ("b.rs", "use crate::a::c::X;"),
    ];
    assert_eq!(circles_of(&nested), ["a/c.rs b.rs"]);
}

#[test]
fn a_module_and_its_parent_and_tests_are_no_circle() {
    let parent =
        [("lib.rs", "mod a; fn f() { a::g() } pub struct X;"), ("a.rs", "use super::X; use crate::X as Y;")];
    assert_eq!(circles_of(&parent), [""; 0]);
    let tests = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b::X;"),
        ("b.rs", "#[cfg(test)] mod tests { use crate::a; }\n#[cfg(test)] use crate::a::T;"),
    ];
    assert_eq!(circles_of(&tests), [""; 0]);
}
