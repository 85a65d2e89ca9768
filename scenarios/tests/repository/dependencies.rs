//! Allowed dependencies between crates, read from `cargo metadata`.
//!
//! Checked: dependencies between the workspace's crates, who may use the simulator, which third-party crates the system
//! under test may share with the oracle that judges it, and that the two read time zones by different crates. Not
//! checked: transitive dependencies of third-party crates.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};

/// Allowed dependencies of each crate, besides third parties.
const ALLOWED: [(&str, &[&str]); 12] = [
    ("latent-ports", &[]),
    ("latent-verdict", &[]),
    ("latent-sim", &["latent-ports"]),
    ("latent-host", &["latent-ports"]),
    ("latent-nemesis", &["latent-sim", "latent-ports"]),
    ("latent-engine", &["latent-sim", "latent-ports", "latent-verdict"]),
    ("latent-storekit", &["latent-ports"]),
    ("latent-edge", &["latent-storekit", "latent-ports"]),
    // The edge for the tee's formats: recovery and audit read what the edges wrote.
    ("latent-pipeline", &["latent-storekit", "latent-edge", "latent-ports"]),
    ("latent-oracle", &["latent-verdict"]),
    (
        "latent-world",
        &[
            "latent-engine",
            "latent-nemesis",
            "latent-storekit",
            "latent-edge",
            "latent-pipeline",
            "latent-oracle",
            "latent-ports",
        ],
    ),
    ("latent", &["latent-world", "latent-engine"]),
];

/// Additional dependencies of a crate's tests: the model crates run on both kinds of ports, and the simulated disk is
/// compared with the real one.
const ALLOWED_IN_TESTS: [(&str, &[&str]); 4] = [
    // An example draws its faults.
    ("latent-engine", &["latent-nemesis"]),
    ("latent-edge", &["latent-sim", "latent-host"]),
    ("latent-pipeline", &["latent-sim", "latent-host"]),
    ("latent-host", &["latent-sim"]),
];

/// Crates that both the system under test and its oracle may use. The first four implement the formats themselves;
/// `serde` and `thiserror` only generate code, with no influence on bytes.
const SHARED: [&str; 6] = ["serde_json", "crc-fast", "blake3", "bytes", "serde", "thiserror"];

/// The crates whose code is under test.
const UNDER_TEST: [&str; 3] = ["latent-storekit", "latent-edge", "latent-pipeline"];

/// One dependency of a crate.
#[derive(Clone, Debug)]
struct CrateDependency {
    from: String,
    to: String,
    in_tests: bool,
    features: Vec<String>,
}

impl CrateDependency {
    fn is_ours(&self) -> bool {
        self.to == "latent" || self.to.starts_with("latent-")
    }
}

/// Describes forbidden dependencies; empty if there are none.
fn violations(dependencies: &[CrateDependency]) -> Vec<String> {
    let mut found: Vec<String> = dependencies.iter().filter_map(violation_of).collect();
    let built_on = |crates: &[&str]| -> BTreeSet<&str> {
        let theirs = dependencies
            .iter()
            .filter(|dependency| !dependency.in_tests && crates.contains(&dependency.from.as_str()));
        theirs.filter(|dependency| !dependency.is_ours()).map(|dependency| dependency.to.as_str()).collect()
    };
    let shared =
        built_on(&UNDER_TEST).intersection(&built_on(&["latent-oracle"])).copied().collect::<Vec<_>>();
    found.extend(shared.iter().filter(|name| !SHARED.contains(name)).map(|name| {
        format!("the system under test and latent-oracle both use {name}: one of them must do without")
    }));
    found
}

fn violation_of(dependency: &CrateDependency) -> Option<String> {
    let CrateDependency { from, to, in_tests, features } = dependency;
    if dependency.is_ours() {
        let listed = |table: &[(&str, &[&str])]| {
            table.iter().any(|(name, may)| name == from && may.contains(&to.as_str()))
        };
        let allowed = listed(&ALLOWED) || (*in_tests && listed(&ALLOWED_IN_TESTS));
        return (!allowed).then(|| format!("{from} may not depend on {to}"));
    }
    let simulated = to.starts_with("madsim") && from != "latent-sim";
    let zones = match to.as_str() {
        "jiff" => from == "latent-oracle",
        "chrono" | "chrono-tz" => UNDER_TEST.contains(&from.as_str()),
        _ => false,
    };
    // Only the host, and tests, may use tokio's runtime: other crates use its locks and channels only.
    let real_time = to == "tokio"
        && !in_tests
        && from != "latent-host"
        && features.iter().any(|feature| feature != "sync");
    [
        (simulated, format!("{from} names {to}: only latent-sim may")),
        (zones, format!("{from} reads zones by {to}: that is the other side's crate")),
        (real_time, format!("{from} takes {features:?} of tokio: only 'sync' works under every executor")),
    ]
    .into_iter()
    .find_map(|(is_wrong, what)| is_wrong.then_some(what))
}

/// Every dependency that a member of the workspace declares.
fn declared() -> (BTreeSet<String>, Vec<CrateDependency>) {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo reads the workspace that it just built");
    let names = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let dependencies = metadata.packages.iter().flat_map(|package| {
        package.dependencies.iter().map(|dependency| CrateDependency {
            from: package.name.to_string(),
            to: dependency.name.clone(),
            in_tests: dependency.kind == DependencyKind::Development,
            features: dependency.features.clone(),
        })
    });
    (names, dependencies.collect())
}

#[test]
fn every_arrow_is_an_allowed_one() {
    let (names, dependencies) = declared();
    let listed: BTreeSet<String> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, listed, "every crate of the workspace has its line in ALLOWED, and no other");
    assert_eq!(violations(&dependencies), Vec::<String>::new());
}

/// Dependencies that must exist, so that the tables cannot be vacuously satisfied.
#[test]
fn the_arrows_that_must_be_there_are_seen() {
    let (_, dependencies) = declared();
    let mut from: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for dependency in dependencies.iter().filter(|dependency| !dependency.in_tests) {
        from.entry(&dependency.from).or_default().insert(&dependency.to);
    }
    for (name, may) in ALLOWED {
        for to in may {
            assert!(from[name].contains(to), "{name} -> {to} is allowed and not used: take it off the list");
        }
    }
    assert!(from["latent-sim"].contains("madsim"));
    assert!(from["latent-pipeline"].contains("jiff") && from["latent-oracle"].contains("chrono-tz"));
}

#[test]
fn a_forbidden_arrow_is_flagged() {
    let (_, good) = declared();
    let flagged = |from: &str, to: &str, in_tests: bool, features: &[&str]| {
        let features = features.iter().map(|feature| (*feature).to_owned()).collect();
        let mut dependencies = good.clone();
        dependencies.push(CrateDependency { from: from.to_owned(), to: to.to_owned(), in_tests, features });
        violations(&dependencies).join("; ")
    };
    for (from, to) in [
        ("latent-oracle", "latent-pipeline"),
        ("latent-oracle", "latent-edge"),
        ("latent-oracle", "latent-storekit"),
        ("latent-storekit", "latent-edge"),
        ("latent-edge", "latent-pipeline"),
        ("latent-pipeline", "latent-sim"),
        ("latent-engine", "latent-world"),
        ("latent", "latent-pipeline"),
    ] {
        assert_eq!(flagged(from, to, false, &[]), format!("{from} may not depend on {to}"));
    }
    assert_eq!(
        flagged("latent-oracle", "latent-sim", true, &[]),
        "latent-oracle may not depend on latent-sim"
    );
    assert_eq!(flagged("latent-pipeline", "latent-sim", true, &[]), "");
    assert_eq!(
        flagged("latent-world", "madsim", false, &[]),
        "latent-world names madsim: only latent-sim may"
    );
    assert!(flagged("latent-oracle", "jiff", false, &[]).contains("reads zones by jiff"));
    assert!(flagged("latent-edge", "chrono-tz", false, &[]).contains("reads zones by chrono-tz"));
    assert!(flagged("latent-oracle", "http", false, &[]).contains("both use http"));
    assert!(flagged("latent-pipeline", "tokio", false, &["sync", "time"]).contains("only 'sync'"));
}
