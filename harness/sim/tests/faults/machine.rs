//! Faults of a machine and its disk: the files that each boot finds after kills, power losses and new disks.

use super::process::{kill, killed, power_loss};
use crate::support::nodes::{FaultPlan, Observations, at, at_ms, node, none, observe_run};
use latent_ports::{Clock, Disk, Env, File, Mark, NodeId, OpenMode, read_full};
use latent_sim::{CrashPolicy, DiskSpec, FaultAction, Kill, NewDisk, NodeSpec, SimEnv};
use std::collections::BTreeSet;
use std::time::Duration;

mod marks {
    latent_ports::marks! {
        /// A node has written what a crash may take.
        WRITTEN = "written";
    }
}

fn new_disk(restart_after_ms: u64) -> FaultAction {
    FaultAction::NewDisk(NewDisk { node: "a".into(), restart_after_ms })
}

/// Records how each boot finds a file of 12 KiB of As, of which the first was synced. The first boot writes it.
async fn writer(env: SimEnv, observations: Observations<(NodeId, String)>) {
    let disk = env.disk();
    let names: Vec<_> = disk.list("").await.unwrap().into_iter().map(|entry| entry.name).collect();
    let found = if names.is_empty() {
        "nothing".to_owned()
    } else {
        assert_eq!(names, ["f"]);
        let file = disk.open("f", OpenMode::Read).await.unwrap();
        let bytes = read_full(&file, 0, file.size_bytes().await.unwrap()).await.unwrap();
        let blocks = bytes.chunks(512).map(|block| {
            assert!(block.iter().all(|byte| *byte == block[0]), "torn within 512 bytes");
            if block[0] == 0 { '.' } else { char::from(block[0]) }
        });
        blocks.collect()
    };
    observations.add((env.node(), found));
    if names.is_empty() {
        let file = disk.open("f", OpenMode::Create).await.unwrap();
        disk.sync_dir("").await.unwrap();
        file.append(vec![b'A'; 512].into()).await.unwrap();
        file.sync().await.unwrap();
        file.append(vec![b'B'; 12_288 - 512].into()).await.unwrap();
        env.clock().sleep(Duration::from_secs(1) - env.clock().monotonic()).await;
        env.mark(Mark { name: marks::WRITTEN, subject: "" });
    }
}

/// Returns what each boot of nodes a, b and c finds; `disk` configures their disks.
fn found_by(seed: u64, disk: &DiskSpec, plan: FaultPlan) -> Vec<(NodeId, String)> {
    observe_run(seed, 60_000, plan, |world, observations| {
        for name in ["a", "b", "c"] {
            node(world, NodeSpec { disk: disk.clone(), ..NodeSpec::named(name) }, &observations, writer);
        }
    })
}

/// Returns what a's second boot finds.
fn left_to_a(seed: u64, plan: FaultPlan) -> String {
    let mut found = found_by(seed, &DiskSpec::default(), plan);
    assert_eq!(found.len(), 4, "three boots, and the one after the kill");
    let (node, found) = found.pop().unwrap();
    assert_eq!(node, NodeId(1));
    found
}

const BLOCKS: usize = 12_288 / 512;

fn everything() -> String {
    format!("A{}", "B".repeat(BLOCKS - 1))
}

#[test]
fn a_kill_may_override_the_crash_policy() {
    let keeping = |seed, keeps| {
        let kill = kill(Kill { restart_after_ms: Some(1_000), keeps, ..Kill::default() });
        left_to_a(seed, at(30_000, kill))
    };
    let drawn: BTreeSet<_> = (0..40).map(|seed| keeping(seed, Some(CrashPolicy::Drawn))).collect();
    assert!(drawn.len() > 5 && drawn.contains("A") && drawn.contains(&everything()), "{drawn:?}");
    for seed in 0..10 {
        assert_eq!(keeping(seed, Some(CrashPolicy::Nothing)), "A");
        assert_eq!(keeping(seed, Some(CrashPolicy::Everything)), everything());
        assert_eq!(keeping(seed, None), keeping(seed, Some(CrashPolicy::Drawn)), "the disk's own policy");
    }
}

#[test]
fn without_a_kill_no_node_boots_again() {
    let found = found_by(1, &DiskSpec::default(), none());
    assert!(found.len() == 3 && found.iter().all(|(_, found)| found == "nothing"), "{found:?}");
}

/// Returns the lengths of the file at a's second boot, over many seeds.
fn torn_lengths(tear_bytes: Option<u32>) -> BTreeSet<usize> {
    let length = |seed| {
        let kill = Kill { restart_after_ms: Some(1_000), tear_bytes, ..Kill::default() };
        let found = left_to_a(seed, at(30_000, self::kill(kill)));
        assert!(found.starts_with('A'), "synced bytes survive");
        found.len() * 512
    };
    (0..100).map(length).collect()
}

#[test]
fn an_append_is_torn_at_512_bytes() {
    for tear_bytes in [Some(512), None] {
        let lengths = torn_lengths(tear_bytes);
        assert!(lengths.first() == Some(&512) && lengths.last() == Some(&12_288), "{lengths:?}");
        assert!(lengths.iter().any(|len| len % 4_096 != 0 && *len > 512), "{lengths:?}");
    }
}

#[test]
fn an_append_is_torn_at_4_kib_if_the_kill_requests_it() {
    assert_eq!(torn_lengths(Some(4_096)), BTreeSet::from([512, 4_096, 8_192, 12_288]));
}

#[test]
fn each_disk_of_a_power_loss_uses_its_own_policy_unless_overridden() {
    let boots_after = |seed, keeps| {
        let power = power_loss(&["a", "b"], 1_000, keeps);
        let found = found_by(seed, &DiskSpec::default(), at(30_000, power));
        let again: Vec<_> = found[3..].iter().map(|(node, _)| node.0).collect();
        assert_eq!(
            BTreeSet::from_iter(again.clone()),
            BTreeSet::from([1, 2]),
            "c keeps its power: {again:?}"
        );
        let of = |node| found[3..].iter().find(|(of, _)| *of == NodeId(node)).unwrap().1.clone();
        (of(1), of(2))
    };
    let drawn: BTreeSet<_> = (0..40).map(|seed| boots_after(seed, None)).collect();
    assert!(drawn.iter().filter(|(a, b)| a != b).count() > 10, "{drawn:?}");
    for seed in 0..5 {
        assert_eq!(boots_after(seed, Some(CrashPolicy::Nothing)), ("A".to_owned(), "A".to_owned()));
        assert_eq!(boots_after(seed, Some(CrashPolicy::Everything)), (everything(), everything()));
    }
}

#[test]
fn a_new_disk_is_empty_even_if_the_old_one_was_synced() {
    let kept = DiskSpec { crash_policy: CrashPolicy::Everything, ..DiskSpec::default() };
    let found = |plan: FaultPlan| -> Vec<String> {
        found_by(1, &kept, plan).into_iter().skip(3).map(|(_, found)| found).collect()
    };
    assert_eq!(found(none()), [""; 0]);
    assert_eq!(found(at(30_000, killed(Some(1_000)))), [everything()], "a kill does not replace the disk");
    assert_eq!(found(at(30_000, new_disk(1_000))), ["nothing"]);
    assert_eq!(found(at(30_000, new_disk(600_000))), [""; 0], "not back yet");
    assert_eq!(found(at(30_000, new_disk(600_000)).ending_at(40_000)), ["nothing"]);
    // Data written to the new disk survives.
    assert_eq!(
        found(at(30_000, new_disk(1_000)).with(at_ms(40_000), killed(Some(1_000)))),
        ["nothing", &everything()]
    );
    let while_down = at(30_000, killed(Some(5_000))).with(at_ms(31_000), new_disk(1_000));
    assert_eq!(found(while_down), ["nothing"], "a node that is down gets a new disk too");
}
