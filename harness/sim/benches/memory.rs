//! Memory of nodes, files and appends, in bytes each. `cargo bench -p latent-sim --bench memory`.

use bytes::Bytes;
use latent_ports::{Disk, Env, File, OpenMode};
use latent_sim::{NodeSpec, SimEnv, World, WorldSpec, run_fork};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

struct CountingAllocator;

static HELD_BYTES: AtomicI64 = AtomicI64::new(0);

#[expect(unsafe_code, reason = "an allocator that counts, and leaves the rest to the system's")]
// SAFETY: every request is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD_BYTES.fetch_add(i64::try_from(layout.size()).unwrap_or(0), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD_BYTES.fetch_sub(i64::try_from(layout.size()).unwrap_or(0), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Writes `files` files of `appends` appends each, all durable at the end if `synced`.
async fn write(env: SimEnv, files: u32, appends: u32, synced: bool) {
    let body = Bytes::from(vec![1; 200]);
    for file in 0..files {
        let file = env.disk().open(&format!("segment-{file:08}"), OpenMode::Create).await.expect("open");
        for _ in 0..appends {
            file.append(body.clone()).await.expect("room");
        }
        if synced {
            file.sync().await.expect("no faults");
        }
    }
    if synced {
        env.disk().sync_dir("").await.expect("no faults");
    }
}

/// Returns the bytes held by a world in which each of `nodes` nodes made those writes, and by images of all disks.
fn held(nodes: u32, files: u32, appends: u32, synced: bool) -> (i64, i64) {
    let finished = run_fork(WorldSpec::seeded(1), async move |world: World| {
        let before = HELD_BYTES.load(Ordering::Relaxed);
        let add = |node| {
            world.add_node(NodeSpec::named(format!("n{node}")), move |env| write(env, files, appends, synced))
        };
        let ids: Vec<_> = (0..nodes).map(add).collect();
        world.sleep(Duration::from_secs(3_600)).await;
        let written = HELD_BYTES.load(Ordering::Relaxed);
        let images: Vec<_> = ids.iter().map(|id| world.disk_image(*id)).collect();
        let imaged = HELD_BYTES.load(Ordering::Relaxed);
        drop(images);
        (written - before, imaged - written)
    });
    finished.output
}

fn main() {
    let each = |bytes: i64, count: i64| bytes / count;
    let (node, _) = held(1_000, 0, 0, true);
    let (file, image) = held(1, 10_000, 0, true);
    let (unsynced_file, _) = held(1, 10_000, 0, false);
    let (append, _) = held(1, 1, 100_000, true);
    let (unsynced_append, _) = held(1, 1, 100_000, false);
    let lines = [
        ("a node", each(node, 1_000)),
        ("an empty file", each(file, 10_000)),
        ("an empty file, its name un-synced", each(unsynced_file, 10_000)),
        ("a file in an image", each(image, 10_000)),
        ("an append of shared bytes", each(append, 100_000)),
        ("an append of shared bytes, un-synced", each(unsynced_append, 100_000)),
    ];
    let mut out = std::io::stdout();
    for (what, bytes) in lines {
        _ = writeln!(out, "{bytes:>6} bytes for {what}");
    }
}
