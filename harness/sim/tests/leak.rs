//! Runs leave no memory behind: after each run on a fresh thread, exactly as much memory is allocated as before.
//!
//! This is the only test of this binary, because it counts the allocations of the whole process.

use latent_ports::{Clock, Disk, Env, File, Mark, Message, Net, NodeId, OpenMode};
use latent_sim::{
    Fault, FaultAction, Kill, NodeSpec, Observer, OpKind, Pause, Record, SimEnv, Trigger, World, WorldSpec,
    run_fork,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

mod marks {
    latent_ports::marks! {
        /// A call was answered.
        KNOWN = "known";
        /// A call was not answered.
        UNKNOWN = "unknown";
    }
}

struct CountingAllocator;

static HELD_BYTES: AtomicI64 = AtomicI64::new(0);

fn count(bytes: usize, sign: i64) {
    HELD_BYTES.fetch_add(sign * i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::SeqCst);
}

#[expect(unsafe_code, reason = "an allocator that counts, and leaves the rest to the system's")]
// SAFETY: every request is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

struct ClockCheckObserver(World);

impl Observer for ClockCheckObserver {
    fn on_record(&mut self, record: &Record<'_>, _: &World) {
        assert!(self.0.now_ns() >= record.time_ns);
    }
}

/// A node that uses every port at once when the world ends.
async fn busy(env: SimEnv) {
    let disk = env.disk();
    let file = disk.open("f", OpenMode::Create).await.expect("open");
    let peer = NodeId(env.node().0 % 3 + 1);
    for index in 0..4_u32 {
        let env = env.clone();
        env.clone().spawn(async move {
            loop {
                let message =
                    Message { head: index.to_le_bytes().to_vec().into(), body: vec![1; 500].into() };
                let known = env.net().call(peer, message, Duration::from_secs(9)).await.is_ok();
                env.mark(Mark { name: if known { marks::KNOWN } else { marks::UNKNOWN }, subject: "" });
                env.clock().sleep(Duration::from_millis(env.draw("sleep", u128::from(index)) % 20)).await;
            }
        });
    }
    let clock = env.clock().clone();
    let handler = move |request: latent_ports::Request| {
        let (file, clock) = (file.clone(), clock.clone());
        async move {
            if request.message.head.first() == Some(&3) {
                clock.sleep(Duration::from_secs(3_600)).await;
            }
            file.append(request.message.body).await.expect("append");
            file.sync().await.expect("sync");
            Message::default()
        }
    };
    env.net().serve(10, handler).await;
}

fn run(seed: u64) -> u64 {
    let finished = run_fork(WorldSpec { keep_log: true, ..WorldSpec::seeded(seed) }, async |world: World| {
        world.observe(Box::new(ClockCheckObserver(world.clone())));
        let trigger = Trigger::NthOp {
            node: "n2".into(),
            op: OpKind::Sync,
            path_prefix: String::new(),
            n: 10,
            after_ms: 0,
        };
        let action = FaultAction::Kill(Kill {
            node: "n2".into(),
            restart_after_ms: Some(50),
            keeps: None,
            tear_bytes: None,
        });
        world.arm(Fault { trigger, action });
        let pause = FaultAction::Pause(Pause { node: "n3".into(), for_ms: 3_600_000 });
        world.arm(Fault { trigger: Trigger::AtMs(world.start().0 + 400), action: pause });
        for node in 1..=3 {
            // The boot closure holds the world, as a careless caller's may.
            let held = world.clone();
            world.add_node(NodeSpec::named(format!("n{node}")), move |env| {
                assert!(held.is_up(env.node()));
                busy(env)
            });
        }
        world.sleep(Duration::from_secs(1)).await;
    });
    finished.record_count
}

#[test]
fn a_run_leaves_no_memory_behind() {
    for seed in 0..3 {
        assert!(run(seed) > 1_000);
    }
    let mut held = Vec::new();
    for seed in 3..13 {
        run(seed);
        held.push(HELD_BYTES.load(Ordering::SeqCst));
    }
    let first = held[0];
    assert!(held.iter().all(|bytes| (bytes - first).abs() < 1_024), "bytes held after each run: {held:?}");
}
