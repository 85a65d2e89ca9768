//! Names after a crash: renames, moves, removals, and directories.

use super::{blocks, create, durable, outcomes, set};
use latent_ports::{Disk, Env, File};
use latent_sim::{SimDisk, SimEnv};

#[test]
fn a_name_and_its_bytes_survive_independently() {
    // Neither is synced.
    let seen = outcomes(async |env: SimEnv| {
        create(env.disk(), "f").await.append(blocks(b'A', 1)).await.unwrap();
    });
    assert_eq!(seen, set(&["", "f:", "f:A"]));
    // Bytes synced, name not: the classic mistake.
    let seen = outcomes(async |env: SimEnv| {
        let file = create(env.disk(), "f").await;
        file.append(blocks(b'A', 1)).await.unwrap();
        file.sync().await.unwrap();
    });
    assert_eq!(seen, set(&["", "f:A"]));
    // Name synced, bytes not.
    let seen = outcomes(async |env: SimEnv| {
        create(env.disk(), "f").await.append(blocks(b'A', 1)).await.unwrap();
        env.disk().sync_dir("").await.unwrap();
    });
    assert_eq!(seen, set(&["f:", "f:A"]));
}

#[test]
fn a_rename_over_a_file_leaves_the_old_or_the_new_file_never_none() {
    let seen = outcomes(async |env: SimEnv| {
        durable(env.disk(), "f", blocks(b'A', 1)).await;
        durable(env.disk(), "f.new", blocks(b'B', 1)).await;
        env.disk().rename("f.new", "f").await.unwrap();
    });
    assert_eq!(seen, set(&["f.new:B f:A", "f:B"]));
    let seen = outcomes(async |env: SimEnv| {
        durable(env.disk(), "f", blocks(b'A', 1)).await;
        durable(env.disk(), "f.new", blocks(b'B', 1)).await;
        env.disk().rename("f.new", "f").await.unwrap();
        env.disk().sync_dir("").await.unwrap();
    });
    assert_eq!(seen, set(&["f:B"]));
}

#[test]
fn a_rename_of_unsynced_bytes_may_leave_an_empty_file() {
    let seen = outcomes(async |env: SimEnv| {
        durable(env.disk(), "f", blocks(b'A', 1)).await;
        create(env.disk(), "f.new").await.append(blocks(b'B', 1)).await.unwrap();
        env.disk().rename("f.new", "f").await.unwrap();
    });
    assert_eq!(seen, set(&["f:A", "f.new: f:A", "f.new:B f:A", "f:", "f:B"]));
}

#[test]
fn a_file_moved_between_directories_may_be_in_both_never_in_none() {
    async fn prepare(disk: &SimDisk) {
        for dir in ["a", "b"] {
            disk.create_dir(dir).await.unwrap();
        }
        disk.sync_dir("").await.unwrap();
        durable(disk, "a/f", blocks(b'A', 1)).await;
        disk.rename("a/f", "b/g").await.unwrap();
    }
    let seen = outcomes(async |env: SimEnv| prepare(env.disk()).await);
    assert_eq!(seen, set(&["a/ a/f:A b/", "a/ a/f:A b/ b/g:A", "a/ b/ b/g:A"]));
    let seen = outcomes(async |env: SimEnv| {
        prepare(env.disk()).await;
        env.disk().sync_dir("b").await.unwrap();
    });
    assert_eq!(seen, set(&["a/ a/f:A b/ b/g:A", "a/ b/ b/g:A"]));
    let seen = outcomes(async |env: SimEnv| {
        prepare(env.disk()).await;
        env.disk().sync_dir("a").await.unwrap();
    });
    assert_eq!(seen, set(&["a/ b/ b/g:A"]));
}

#[test]
fn a_moved_directory_is_in_exactly_one_place() {
    let seen = outcomes(async |env: SimEnv| {
        let disk = env.disk();
        for dir in ["a", "b", "a/d"] {
            disk.create_dir(dir).await.unwrap();
        }
        disk.sync_dir("").await.unwrap();
        disk.sync_dir("a").await.unwrap();
        durable(disk, "a/d/f", blocks(b'A', 1)).await;
        disk.rename("a/d", "b/d").await.unwrap();
    });
    assert_eq!(seen, set(&["a/ a/d/ a/d/f:A b/", "a/ b/ b/d/ b/d/f:A"]));
}

#[test]
fn removals_may_be_undone_until_their_directory_is_synced() {
    let seen = outcomes(async |env: SimEnv| {
        durable(env.disk(), "f", blocks(b'A', 1)).await;
        durable(env.disk(), "g", blocks(b'B', 1)).await;
        env.disk().remove("f").await.unwrap();
        env.disk().sync_dir("").await.unwrap();
        env.disk().remove("g").await.unwrap();
    });
    assert_eq!(seen, set(&["", "g:B"]));
}

#[test]
fn a_directory_is_removed_only_after_its_contents() {
    let seen = outcomes(async |env: SimEnv| {
        let disk = env.disk();
        for dir in ["a", "b"] {
            disk.create_dir(dir).await.unwrap();
        }
        disk.sync_dir("").await.unwrap();
        durable(disk, "a/f", blocks(b'A', 1)).await;
        disk.rename("a/f", "b/f").await.unwrap();
        disk.remove_dir("a").await.unwrap();
        disk.sync_dir("").await.unwrap();
    });
    // Syncing the root includes the removal of a, and all changes that it requires.
    assert_eq!(seen, set(&["b/ b/f:A"]));
}

#[test]
fn a_recreated_name_passes_through_its_states_in_order() {
    let seen = outcomes(async |env: SimEnv| {
        durable(env.disk(), "f", blocks(b'A', 1)).await;
        env.disk().remove("f").await.unwrap();
        let file = create(env.disk(), "f").await;
        file.append(blocks(b'B', 1)).await.unwrap();
        file.sync().await.unwrap();
    });
    assert_eq!(seen, set(&["f:A", "", "f:B"]));
}

#[test]
fn files_in_an_unsynced_directory_may_vanish_with_it() {
    let seen = outcomes(async |env: SimEnv| {
        env.disk().create_dir("d").await.unwrap();
        durable(env.disk(), "d/f", blocks(b'A', 1)).await;
    });
    assert_eq!(seen, set(&["", "d/ d/f:A"]));
}

#[test]
fn an_open_unlinked_file_exists_until_the_process_dies() {
    let seen = outcomes(async |env: SimEnv| {
        let file = durable(env.disk(), "f", blocks(b'A', 1)).await;
        env.disk().remove("f").await.unwrap();
        env.disk().sync_dir("").await.unwrap();
        file.append(blocks(b'B', 1)).await.unwrap();
        file.sync().await.unwrap();
        assert_eq!(file.read_at(0, 4_096).await.unwrap().len(), 1_024);
    });
    assert_eq!(seen, set(&[""]));
}
