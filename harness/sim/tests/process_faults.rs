//! What befalls processes: each fault as the process, its disk and its peers see it, and the same work without it.
//! Kills and pauses at operations and marks are in `faults`, what crashes leave of un-synced writes in `crash`.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::Bytes;
use latent_ports::{Clock, Disk, Env, File, Message, Net, NodeId, OpenMode};
use latent_sim::{
    Action, Anchor, CrashKeeps, CrashLoop, Fault, Kill, NewDisk, NodeSpec, Pause, PowerLoss, SimEnv, World,
    WorldSpec, run_fork,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A boot: when (true seconds since the start), and what the process found on its disk.
type Boots = Arc<Mutex<Vec<(String, u64, u64)>>>;

/// Notes its boot and how much of `log` it finds, appends and syncs a byte a second, and leaves 2,048 bytes un-synced.
async fn work(env: SimEnv, name: &'static str, world: World, boots: Boots) {
    let file = env.disk().open("log", OpenMode::Create).await.unwrap();
    let found_bytes = file.size_bytes().await.unwrap();
    let at_s = world.now().since(world.start()).as_secs();
    boots.lock().unwrap().push((name.to_owned(), at_s, found_bytes));
    env.disk().sync_dir("").await.unwrap();
    file.truncate(found_bytes.min(1_000)).await.unwrap();
    file.append(Bytes::from_static(b".")).await.unwrap();
    file.sync().await.unwrap();
    file.append(Bytes::from(vec![b'x'; 2_048])).await.unwrap();
    env.clock().sleep(1_000 * SECOND).await;
}

/// Two nodes of one rack under a fault at 10 s; faults are over at 100 s.
fn boots_under(action: Option<Action>) -> Vec<(String, u64, u64)> {
    let run = async move |world: World| {
        let boots: Boots = Arc::default();
        if let Some(action) = action {
            world.arm(Fault { anchor: Anchor::AtMs(world.start().0 + 10_000), action });
        }
        for name in ["a", "b"] {
            let (boots, world_of) = (boots.clone(), world.clone());
            world
                .add_node(NodeSpec::named(name), move |env| work(env, name, world_of.clone(), boots.clone()));
        }
        world.sleep(100 * SECOND).await;
        world.end_faults();
        world.sleep(10 * SECOND).await;
        boots.lock().unwrap().clone()
    };
    run_fork(WorldSpec::seeded(3), run).output
}

fn of(boots: &[(String, u64, u64)], node: &str) -> Vec<(u64, u64)> {
    boots.iter().filter(|(name, ..)| name == node).map(|(_, at_s, found)| (*at_s, *found)).collect()
}

fn kill(restart_after_ms: Option<u64>, keeps: Option<CrashKeeps>, tear_bytes: Option<u32>) -> Option<Action> {
    Some(Action::Kill(Kill { node: "a".into(), restart_after_ms, keeps, tear_bytes }))
}

#[test]
fn without_faults_every_node_boots_once_with_an_empty_disk() {
    let boots = boots_under(None);
    assert_eq!((of(&boots, "a"), of(&boots, "b")), (vec![(0, 0)], vec![(0, 0)]));
}

#[test]
fn a_kill_ends_in_a_restart_after_its_time_or_when_faults_are_over() {
    let boots = boots_under(kill(Some(5_000), Some(CrashKeeps::Nothing), None));
    assert_eq!((of(&boots, "a"), of(&boots, "b")), (vec![(0, 0), (15, 1)], vec![(0, 0)]));
    let boots = boots_under(kill(None, Some(CrashKeeps::Everything), None));
    assert_eq!(of(&boots, "a"), [(0, 0), (100, 2_049)]);
}

#[test]
fn an_unsynced_append_is_torn_at_512_bytes_or_at_4_kib() {
    // What survives of [1, 2049): whole blocks from the file's start, by the file's own offsets.
    let (mut small, mut large) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for seed in 0..40 {
        for (tear_bytes, lengths) in [(512, &mut small), (4_096, &mut large)] {
            let run = async move |world: World| {
                let boots: Boots = Arc::default();
                let (to, world_of) = (boots.clone(), world.clone());
                let action = Action::Kill(Kill {
                    node: "a".into(),
                    restart_after_ms: Some(1_000),
                    keeps: Some(CrashKeeps::Drawn),
                    tear_bytes: Some(tear_bytes),
                });
                world.arm(Fault { anchor: Anchor::AtMs(world.start().0 + 10_000), action });
                world.add_node(NodeSpec::named("a"), move |env| work(env, "a", world_of.clone(), to.clone()));
                world.sleep(20 * SECOND).await;
                boots.lock().unwrap()[1].2
            };
            lengths.insert(run_fork(WorldSpec::seeded(seed), run).output);
        }
    }
    assert!(
        small.len() > 2 && small.iter().all(|len| [1, 512, 1_024, 1_536, 2_048, 2_049].contains(len)),
        "{small:?}"
    );
    assert_eq!(large.into_iter().collect::<Vec<_>>(), [1, 2_049]);
}

#[test]
fn a_crash_loop_dies_as_often_as_it_says() {
    let action = Action::CrashLoop(CrashLoop { node: "a".into(), times: 3, up_ms: 2_000, down_ms: 4_000 });
    let boots = boots_under(Some(action));
    let at_s: Vec<u64> = of(&boots, "a").iter().map(|(at_s, _)| *at_s).collect();
    assert_eq!(at_s, [0, 14, 20, 26]);
    assert_eq!(of(&boots, "b").len(), 1);
}

#[test]
fn a_power_loss_takes_all_its_nodes_at_once_and_brings_them_back_together() {
    let nodes = vec!["a".to_owned(), "b".to_owned()];
    let power = PowerLoss { nodes, restart_after_ms: 30_000, keeps: Some(CrashKeeps::Nothing) };
    let boots = boots_under(Some(Action::PowerLoss(power)));
    assert_eq!((of(&boots, "a"), of(&boots, "b")), (vec![(0, 0), (40, 1)], vec![(0, 0), (40, 1)]));
}

#[test]
fn a_new_disk_is_empty() {
    let boots = boots_under(Some(Action::NewDisk(NewDisk { node: "a".into(), restart_after_ms: 7_000 })));
    assert_eq!((of(&boots, "a"), of(&boots, "b")), (vec![(0, 0), (17, 0)], vec![(0, 0)]));
}

/// Takes a lease of 5 s at node 1 and believes in it: at second 8 it writes under it if its own clock says that it may.
async fn holder(env: SimEnv, wrote: Arc<Mutex<Vec<&'static str>>>, name: &'static str, starts_s: u32) {
    env.clock().sleep(starts_s * SECOND).await;
    let ask = || Message { head: Bytes::from_static(name.as_bytes()), body: Bytes::new() };
    let Ok(answer) = env.net().call(NodeId(1), ask(), SECOND).await else { return };
    if answer.head != "granted" {
        return;
    }
    let granted = env.clock().monotonic();
    env.clock().sleep(SECOND).await;
    // The check, and right behind it the write: a pause between the two is what fencing tokens are for.
    if env.clock().monotonic() - granted < 5 * SECOND {
        wrote.lock().unwrap().push(name);
    }
}

/// Grants the lease to whoever asks first, and again 5 s later.
async fn grantor(env: SimEnv) {
    let until: Mutex<Duration> = Mutex::default();
    let clock = env.clock().clone();
    env.net()
        .serve(8, move |_| {
            let (now, mut until) = (clock.monotonic(), until.lock().unwrap());
            let head = match now >= *until {
                true => {
                    *until = now + 5 * SECOND;
                    "granted"
                }
                false => "held",
            };
            std::future::ready(Message { head: Bytes::from_static(head.as_bytes()), body: Bytes::new() })
        })
        .await;
}

fn who_wrote(pause: Option<u64>) -> Vec<&'static str> {
    let run = async move |world: World| {
        let wrote: Arc<Mutex<Vec<&'static str>>> = Arc::default();
        if let Some(for_ms) = pause {
            let action = Action::Pause(Pause { node: "first".into(), for_ms });
            world.arm(Fault { anchor: Anchor::AtMs(world.start().0 + 1_500), action });
        }
        world.add_node(NodeSpec::named("grantor"), grantor);
        for (name, starts_s) in [("first", 1), ("second", 7)] {
            let to = wrote.clone();
            world.add_node(NodeSpec::named(name), move |env| holder(env, to.clone(), name, starts_s));
        }
        world.sleep(60 * SECOND).await;
        wrote.lock().unwrap().clone()
    };
    run_fork(WorldSpec::seeded(5), run).output
}

#[test]
fn a_zombie_wakes_after_its_lease_has_passed_on_and_its_own_clock_tells_it_so() {
    assert_eq!(who_wrote(None), ["first", "second"]);
    assert_eq!(who_wrote(Some(2_000)), ["first", "second"], "late, and within the lease");
    // The monotonic clock goes on while the process stands still: whoever looks is told, whoever looked before is not.
    assert_eq!(who_wrote(Some(20_000)), ["second"]);
}
