//! Latent sector errors: a block of a file that cannot be read.

use super::{BLOCK, LEN, latent_sector, unreadable_blocks, varied};
use crate::support::script::{durable, of, ready, run};
use latent_ports::{Disk, DiskErrorKind, Env, File, OpenMode, read_full};
use latent_sim::{CrashPolicy, DiskImage, NodeSpec, SimEnv, World, WorldSpec, run_fork};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

async fn latent(env: SimEnv) -> Vec<u64> {
    let file = durable(env.disk(), "d", varied(LEN)).await;
    durable(env.disk(), "other", varied(LEN)).await;
    ready(&env);
    let bad = unreadable_blocks(&file).await;
    if let [block] = bad[..] {
        let start = block * BLOCK;
        let end = LEN.min(start + BLOCK);
        // Exactly the reads that overlap the block fail.
        assert!(file.read_at(0, LEN).await.is_err() && file.read_at(end - 1, 1).await.is_err());
        assert_eq!(read_full(&file, 0, start).await.unwrap(), varied(LEN).slice(..start as usize));
        assert_eq!(read_full(&file, end, LEN).await.unwrap(), varied(LEN).slice(end as usize..));
        // The block stays unreadable after a rename.
        env.disk().rename("d", "e").await.unwrap();
        env.disk().sync_dir("").await.unwrap();
        let renamed = env.disk().open("e", OpenMode::Read).await.unwrap();
        assert_eq!(unreadable_blocks(&renamed).await, bad);
        // A partial write of the block would have to read the rest.
        assert_eq!(file.write_at(start + 1, of(b'P', 2)).await.unwrap_err().kind, DiskErrorKind::Io);
    }
    bad
}

#[test]
fn a_latent_sector_makes_one_block_unreadable_across_crashes_and_forks() {
    let mut hit = BTreeSet::new();
    for pick in 0..40 {
        let ran = run(1, &[latent_sector("d", pick)], CrashPolicy::Drawn, latent);
        let [block] = ran.output[..] else { panic!("{:?}", ran.output) };
        let range = block * BLOCK..LEN.min((block + 1) * BLOCK);
        for image in [&ran.seen, &ran.left] {
            let file = image.file("e").unwrap();
            assert_eq!(file.unreadable(), std::slice::from_ref(&range));
            assert_eq!(file.bytes(), varied(LEN), "an image includes unreadable bytes");
        }
        assert!(ran.left.file("other").unwrap().unreadable().is_empty());
        assert_eq!(boot_from(ran.left, "e"), [block], "a node that boots from the image cannot read it");
        hit.insert(block);
    }
    assert_eq!(hit.len(), 5, "any block may be hit");
    let ran = run(1, &[], CrashPolicy::Drawn, latent);
    assert_eq!(ran.output, [0; 0]);
    assert!(ran.left.files().all(|(_, file)| file.unreadable().is_empty()));
}

/// Returns the blocks of a file that a node of another world cannot read.
fn boot_from(image: DiskImage, path: &'static str) -> Vec<u64> {
    let bad = Arc::new(Mutex::new(Vec::new()));
    let slot = bad.clone();
    run_fork(WorldSpec::seeded(2), async move |world: World| {
        let spec = NodeSpec { image: Some(image), ..NodeSpec::named("fork") };
        world.add_node(spec, move |env: SimEnv| {
            let slot = slot.clone();
            async move {
                let file = env.disk().open(path, OpenMode::Read).await.unwrap();
                let bad = unreadable_blocks(&file).await;
                *slot.lock().unwrap() = bad;
            }
        });
        world.sleep(Duration::from_secs(1)).await;
    });
    Arc::into_inner(bad).unwrap().into_inner().unwrap()
}

#[test]
fn a_latent_sector_is_repaired_by_overwrite_truncation_or_removal() {
    let overwritten = async |env: SimEnv| {
        let file = durable(env.disk(), "d", varied(LEN)).await;
        ready(&env);
        let bad = unreadable_blocks(&file).await;
        file.write_at(bad[0] * BLOCK, of(b'W', BLOCK as usize)).await.unwrap();
        assert_eq!(unreadable_blocks(&file).await, [0; 0]);
        file.sync().await.unwrap();
        bad
    };
    let ran = run(1, &[latent_sector("d", 3)], CrashPolicy::Nothing, overwritten);
    assert!(ran.left.file("d").unwrap().unreadable().is_empty());
    let ran = run(1, &[latent_sector("d", 3)], CrashPolicy::Nothing, async |env: SimEnv| {
        let file = durable(env.disk(), "d", varied(LEN)).await;
        ready(&env);
        let bad = unreadable_blocks(&file).await;
        file.write_at(bad[0] * BLOCK, of(b'W', BLOCK as usize)).await.unwrap();
    });
    assert_eq!(ran.left.file("d").unwrap().unreadable().len(), 1, "a lost overwrite repairs nothing");
    let truncated = async |env: SimEnv| {
        let file = durable(env.disk(), "d", varied(LEN)).await;
        ready(&env);
        let bad = unreadable_blocks(&file).await;
        file.truncate(bad[0] * BLOCK).await.unwrap();
        file.truncate(LEN).await.unwrap();
        assert_eq!(unreadable_blocks(&file).await, [0; 0]);
        env.disk().remove("d").await.unwrap();
        let file = durable(env.disk(), "d", varied(LEN)).await;
        unreadable_blocks(&file).await
    };
    assert_eq!(run(1, &[latent_sector("d", 3)], CrashPolicy::Drawn, truncated).output, [0; 0]);
}

#[test]
fn an_additional_file_changes_the_corrupted_block_only_to_one_of_its_own() {
    let without = async |env: SimEnv| {
        for path in ["a", "b", "c"] {
            durable(env.disk(), path, varied(10 * BLOCK)).await;
        }
        ready(&env);
    };
    let with = async |env: SimEnv| {
        durable(env.disk(), "aa", varied(10 * BLOCK)).await;
        for path in ["a", "b", "c"] {
            durable(env.disk(), path, varied(10 * BLOCK)).await;
        }
        ready(&env);
    };
    let bad = |image: &DiskImage| -> Vec<_> {
        image
            .files()
            .map(|(path, file)| (path.to_owned(), file.unreadable()))
            .filter(|bad| !bad.1.is_empty())
            .collect()
    };
    let mut moved = 0;
    for pick in 0..60 {
        let faults = [latent_sector("", pick)];
        let [with, without] =
            [run(1, &faults, CrashPolicy::Nothing, with), run(1, &faults, CrashPolicy::Nothing, without)]
                .map(|ran| bad(&ran.left));
        if with != without {
            assert_eq!(with[0].0, "aa");
            moved += 1;
        }
    }
    assert!((5..30).contains(&moved), "{moved} of 60: a quarter of the bytes are new");
}
