//! Disk errors and full disks: each observed through the ports, and the same work without it.

use crate::support::script::{NODE, durable, kind, of, ready, run};
use crate::support::ticker::{self, SECOND, at_s, nth, tick_with};
use bytes::Bytes;
use latent_ports::{Clock, Disk, DiskErrorKind, Env, File, Mark, OpenMode};
use latent_sim::{
    CrashPolicy, DiskError, DiskFull, Fault, FaultAction, NodeSpec, OpKind, SimEnv, Trigger, World,
    WorldSpec, run_fork, run_world,
};
use std::time::Duration;

mod marks {
    latent_ports::marks! {
        /// A script is complete.
        DONE = "done";
    }
}

fn disk_error(op: OpKind, times: Option<u32>, for_ms: Option<u64>) -> FaultAction {
    FaultAction::DiskError(DiskError { node: NODE.into(), op, path_prefix: "f".into(), times, for_ms })
}

/// Appends once a second for ten seconds, and ten times more after the end of faults; returns the indexes of the
/// appends that failed.
async fn append_each_second(env: SimEnv) -> Vec<u32> {
    let file = durable(env.disk(), "f", Bytes::new()).await;
    let other = durable(env.disk(), "other", Bytes::new()).await;
    ready(&env);
    let mut failed = Vec::new();
    for second in 0..10 {
        match kind(file.append(of(b'A', 1)).await) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error, DiskErrorKind::Io);
                failed.push(second);
            }
        }
        other.append(of(b'B', 1)).await.unwrap();
        env.clock().sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(file.size_bytes().await.unwrap(), 10 - failed.len() as u64, "failed appends have no effect");
    failed
}

#[test]
fn a_disk_error_is_limited_by_count_duration_path_and_kind() {
    let failed = |times, for_ms| {
        let faults = [disk_error(OpKind::Append, times, for_ms)];
        let ran = run(1, &faults, CrashPolicy::Nothing, append_each_second);
        assert!(ran.faults[0].triggered_at.is_some());
        ran.output
    };
    assert_eq!(failed(Some(1), None), [0]);
    assert_eq!(failed(Some(3), None), [0, 1, 2]);
    assert_eq!(failed(None, Some(4_500)), [0, 1, 2, 3, 4]);
    assert_eq!(failed(Some(7), Some(4_500)), [0, 1, 2, 3, 4], "the first limit ends it");
    assert_eq!(failed(None, None), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(failed(Some(0), None), [0; 0]);
    assert_eq!(run(1, &[], CrashPolicy::Nothing, append_each_second).output, [0; 0]);
}

#[test]
fn an_unlimited_disk_error_ends_with_the_end_of_faults() {
    let finished = run_fork(WorldSpec::seeded(1), async |world: World| {
        let trigger = Trigger::AtMs(world.start().0);
        world.arm(Fault { trigger, action: disk_error(OpKind::Any, None, None) });
        let node = world.add_node(NodeSpec::named(NODE), async |env: SimEnv| {
            loop {
                env.clock().sleep(Duration::from_secs(1)).await;
                drop(env.disk().create_dir("f").await);
            }
        });
        world.sleep(Duration::from_secs(10)).await;
        let before = world.disk_image(node).directories().count();
        world.end_faults();
        world.sleep(Duration::from_secs(10)).await;
        (before, world.disk_image(node).directories().count())
    });
    assert_eq!(finished.output, (0, 1));
}

#[test]
fn a_disk_error_fails_the_next_operations_of_its_kind_and_changes_nothing() {
    for op in [OpKind::Append, OpKind::Sync] {
        let action = FaultAction::DiskError(DiskError {
            node: "node".into(),
            op,
            path_prefix: "ticks".into(),
            times: Some(3),
            for_ms: None,
        });
        let finished = tick_with(|world| vec![Fault { trigger: at_s(world, 5), action }]);
        assert_eq!(finished.mark_counts[ticker::marks::FAILED_TICK.name()], 3, "{op:?}");
        let lost = if op == OpKind::Append { 3 } else { 0 };
        assert_eq!(finished.output, finished.mark_counts[ticker::marks::TICK.name()] + 3 - lost);
    }
    // The error affects the operation that triggers it.
    let action = FaultAction::DiskError(DiskError {
        node: "node".into(),
        op: OpKind::Append,
        path_prefix: String::new(),
        times: Some(1),
        for_ms: None,
    });
    let finished = tick_with(|_| vec![Fault { trigger: nth(OpKind::Append, "", 4), action }]);
    let first_failure = finished
        .log_lines
        .iter()
        .position(|line| line.text.starts_with("Append") && line.text.ends_with("Io"));
    let before = &finished.log_lines[..first_failure.unwrap()];
    assert_eq!(before.iter().filter(|line| line.text.starts_with("Append")).count(), 3, "the fourth fails");
}

#[test]
fn every_kind_of_error_names_its_operation_and_path() {
    let finished = tick_with(|_| {
        let action = FaultAction::DiskError(DiskError {
            node: "node".into(),
            op: OpKind::Create,
            path_prefix: String::new(),
            times: Some(1),
            for_ms: None,
        });
        vec![Fault { trigger: nth(OpKind::Create, "never", 1), action }]
    });
    assert_eq!(finished.fault_outcomes[0].match_count, 0);
    run_world(WorldSpec::seeded(1), async |world| {
        world.arm(Fault {
            trigger: at_s(&world, 0),
            action: FaultAction::DiskError(DiskError {
                node: "node".into(),
                op: OpKind::Any,
                path_prefix: "a".into(),
                times: Some(1),
                for_ms: None,
            }),
        });
        world.add_node(NodeSpec::named("node"), async |env: SimEnv| {
            env.clock().sleep(SECOND).await;
            let error = env.disk().create_dir("a").await.unwrap_err();
            assert_eq!(error.kind, DiskErrorKind::Io);
            assert_eq!(error.to_string(), "CreateDir of 'a': input/output error");
            env.disk().create_dir("a").await.unwrap();
            env.mark(Mark { name: marks::DONE, subject: "" });
        });
        world.sleep(2 * SECOND).await;
        assert_eq!(world.marks()[marks::DONE.name()], 1);
    });
}

#[test]
fn a_write_to_a_filling_disk_keeps_the_prefix_that_fits() {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "f", of(b'O', 100)).await;
        ready(&env);
        let first = kind(file.append(of(b'A', 20)).await);
        let second = kind(file.append(of(b'B', 20)).await);
        let name = kind(env.disk().open("g", OpenMode::Create).await.map(|_| ()));
        // Existing bytes can be overwritten, and freed space is usable again.
        file.write_at(0, of(b'C', 100)).await.unwrap();
        file.truncate(90).await.unwrap();
        file.append(of(b'D', 5)).await.unwrap();
        env.clock().sleep(Duration::from_secs(2)).await;
        (first, second, name, kind(file.append(of(b'E', 100)).await))
    };
    let full = DiskFull { node: NODE.into(), room_bytes: 30, for_ms: Some(1_000) };
    let ran = run(1, &[FaultAction::DiskFull(full.clone())], CrashPolicy::Everything, script);
    let no_space = DiskErrorKind::NoSpace;
    assert_eq!(ran.output, (Ok(100), Err(no_space), Err(no_space), Ok(95)));
    let ran = run(1, &[], CrashPolicy::Everything, script);
    assert_eq!(ran.output, (Ok(100), Ok(120), Ok(()), Ok(95)));
    // The write is cut short; the prefix is visible and durable.
    let cut = async |env: SimEnv| {
        let file = durable(env.disk(), "f", of(b'O', 2)).await;
        ready(&env);
        drop(file.append(Bytes::from_static(b"prefix that fits, and the rest")).await);
        file.sync().await.unwrap();
    };
    let full = DiskFull { room_bytes: 16, ..full };
    let ran = run(1, &[FaultAction::DiskFull(full)], CrashPolicy::Nothing, cut);
    assert_eq!(ran.left.read("f").unwrap(), "OOprefix that fits");
}

#[test]
fn a_full_disk_rejects_writes_until_space_is_free() {
    let action = FaultAction::DiskFull(DiskFull { room_bytes: 0, node: "node".into(), for_ms: Some(2_000) });
    let finished = tick_with(|world| vec![Fault { trigger: at_s(world, 5), action }]);
    assert!(
        (17..21).contains(&finished.mark_counts[ticker::marks::FAILED_TICK.name()]),
        "{}",
        finished.mark_counts[ticker::marks::FAILED_TICK.name()]
    );
    assert_eq!(finished.output, finished.mark_counts[ticker::marks::TICK.name()]);
    let no_space = finished.log_lines.iter().filter(|line| line.text.ends_with("NoSpace")).count();
    assert_eq!(no_space as u64, finished.mark_counts[ticker::marks::FAILED_TICK.name()]);
}
