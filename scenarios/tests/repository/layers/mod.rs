//! Which file may use which: the layers inside each crate, read from the source text.
//!
//! Held to: no circle of imports between the files of a crate, a module and its own parent aside; and in crates with
//! layers, that each layer uses only those below it. The arrows between crates are in `dependencies.rs`.

mod imports;

use crate::root;
use imports::Imports;
use std::path::PathBuf;

/// Top-level modules of the pipeline, bottom to top: each uses only modules of the lines above it.
const PIPELINE: [&[&str]; 11] = [
    // Values and permissions.
    &["marks", "zone", "codec", "access"],
    &["release"],
    &["config", "record", "hold"],
    &["boot_config", "merge", "union", "wire"],
    // The event store.
    &["arb"],
    // Clocks, schedules, alarms: what every job uses.
    &["median_clock", "alarms"],
    &["schedule", "heartbeat", "export", "objects"],
    // Jobs. Those of one line do not know each other.
    &["compare", "compaction", "anti_entropy", "ingest", "backup"],
    &["recovery"],
    &["audit"],
    // All jobs of a node, put together.
    &["roles"],
];

/// Layers of `models/world`, bottom to top, by top-level module. A module uses only modules of layers below its own.
const WORLD_LAYERS: [&[&str]; 9] = [
    &["marks", "mutex"],
    &["scenario"],
    &["plan"],
    &["check"],
    &["cluster"],
    &["observe"],
    &["actors"],
    &["judge"],
    &["run", "shrink", "glossary"],
];

/// Folders of the crates that are libraries, below the root: `models/world`.
fn libraries() -> Vec<String> {
    let root = root();
    let mut found = Vec::new();
    for group in ["harness", "models"] {
        for entry in std::fs::read_dir(root.join(group)).expect("a folder of the tree is readable") {
            let name = entry.expect("an entry of a folder").file_name().to_string_lossy().into_owned();
            if root.join(group).join(&name).join("src/lib.rs").exists() {
                found.push(format!("{group}/{name}"));
            }
        }
    }
    found.sort();
    found
}

fn source_of(name: &str) -> PathBuf {
    root().join(name).join("src")
}

#[test]
fn the_files_of_a_crate_use_each_other_one_way() {
    let libraries = libraries();
    assert!(libraries.len() >= 10, "{libraries:?}");
    for name in libraries {
        let imports = Imports::read(&source_of(&name));
        assert_eq!(imports.circles().iter().map(describe).collect::<Vec<_>>(), [""; 0], "{name}");
    }
    assert!(Imports::read(&source_of("harness/engine")).edges().len() > 50, "imports are read");

    fn describe(circle: &std::collections::BTreeSet<&str>) -> String {
        circle.iter().copied().collect::<Vec<_>>().join(", ")
    }
}

/// The top-level module of a file: `arb` for `arb/api.rs` and `zone` for `zone.rs`.
fn module_of(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or_default()
}

/// Uses that do not go to a layer below, one sentence each, and modules without a layer. The root file declares the
/// modules and may use all of them.
fn upward_uses(imports: &Imports, layers: &[&[&str]]) -> Vec<String> {
    let layer_of = |module: &str| layers.iter().position(|layer| layer.contains(&module));
    let mut wrong = Vec::new();
    for (from, used) in imports.edges() {
        let from_module = module_of(from);
        for to in used {
            let to_module = module_of(to);
            if from_module == "lib" || from_module == to_module {
                continue;
            }
            match (layer_of(from_module), layer_of(to_module)) {
                (Some(above), Some(below)) if below < above => {}
                (Some(_), Some(_)) => wrong.push(format!("{from} uses {to}, which is not below it")),
                _ => wrong.push(format!("{from} uses {to}: a module without a layer")),
            }
        }
    }
    wrong
}

#[test]
fn each_module_uses_only_layers_below_its_own() {
    for (name, layers) in [("models/world", &WORLD_LAYERS[..]), ("models/pipeline", &PIPELINE[..])] {
        let imports = Imports::read(&source_of(name));
        assert_eq!(upward_uses(&imports, layers), [""; 0], "{name}");
        let reversed: Vec<&[&str]> = layers.iter().rev().copied().collect();
        assert!(upward_uses(&imports, &reversed).len() > 50, "{name}: uses are read");
        let folder = std::fs::read_dir(source_of(name)).expect("the folder is readable");
        for entry in folder {
            let file = entry.expect("an entry of a folder").file_name().to_string_lossy().into_owned();
            let is_listed = layers.iter().any(|layer| layer.contains(&module_of(&file)));
            assert!(is_listed || file == "lib.rs" || is_test_module(&file), "{name}: {file} has no layer");
        }
    }
}

/// Modules of `models/world` that only its own tests use.
fn is_test_module(file: &str) -> bool {
    ["small_scenario.rs", "operation_tests.rs"].contains(&file)
}

#[test]
fn a_use_of_a_layer_above_or_beside_is_found() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; use b::X;"),
        ("a.rs", "use crate::b::X;"),
        ("b.rs", ""),
        ("c.rs", "use crate::b::X;"),
    ];
    let wrong = |layers: &[&[&str]]| with_crate(&files, |imports| upward_uses(imports, layers));
    assert_eq!(wrong(&[&["b"], &["a", "c"]]), [""; 0]);
    assert_eq!(wrong(&[&["a"], &["b"], &["c"]]), ["a.rs uses b.rs, which is not below it"]);
    assert_eq!(wrong(&[&["b", "c"], &["a"]]), ["c.rs uses b.rs, which is not below it"]);
    assert_eq!(wrong(&[&["b"], &["a"]]), ["c.rs uses b.rs: a module without a layer"]);
}

/// Reads a crate of files, written to a temporary folder.
fn with_crate<T>(files: &[(&str, &str)], ask: impl Fn(&Imports) -> T) -> T {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    ask(&Imports::read(folder.path()))
}

fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let join =
        |circle: &std::collections::BTreeSet<&str>| circle.iter().copied().collect::<Vec<_>>().join(" ");
    with_crate(files, |imports| imports.circles().iter().map(join).collect())
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
