//! Durability under any operations and any crash: data that was synced and not touched since survives, to the byte,
//! under its name; a durable removal is not undone.
//!
//! The model is independent of the simulator: per name, whether its directory was synced since the name last changed;
//! per file, the offset below which no un-synced operation reached.

use bytes::Bytes;
use latent_ports::{Disk, Env, File, OpenMode};
use latent_sim::{CrashPolicy, DiskImage, NodeSpec, SimDisk, SimEnv, World, WorldSpec, run_fork};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DIRS: [&str; 2] = ["d", "e"];

#[derive(Clone, Debug)]
enum ModelOp {
    Create(&'static str),
    Append(&'static str, usize),
    WriteAt(&'static str, u64, usize),
    Truncate(&'static str, u64),
    Sync(&'static str),
    Rename(&'static str, &'static str),
    Remove(&'static str),
    SyncDir(&'static str),
}

fn op() -> impl Strategy<Value = ModelOp> {
    let name = || prop::sample::select(vec!["d/a", "d/b", "d/c", "e/a", "e/b"]);
    let len = || 1_usize..1_500;
    prop_oneof![
        4 => name().prop_map(ModelOp::Create),
        4 => (name(), len()).prop_map(|(name, len)| ModelOp::Append(name, len)),
        2 => (name(), 0_u64..2_000, len()).prop_map(|(name, offset, len)| ModelOp::WriteAt(name, offset, len)),
        1 => (name(), 0_u64..2_000).prop_map(|(name, len)| ModelOp::Truncate(name, len)),
        3 => name().prop_map(ModelOp::Sync),
        3 => (name(), name()).prop_map(|(from, to)| ModelOp::Rename(from, to)),
        2 => name().prop_map(ModelOp::Remove),
        3 => prop::sample::select(DIRS.to_vec()).prop_map(ModelOp::SyncDir),
    ]
}

/// A file: its contents, and the offset below which they are durable and untouched.
#[derive(Clone, Debug, Default)]
struct FileModel {
    bytes: Vec<u8>,
    safe_below: usize,
}

/// Names: the file of each, and whether that is durable.
#[derive(Default)]
struct DurabilityModel {
    files: Vec<FileModel>,
    names: BTreeMap<&'static str, (Option<usize>, bool)>,
}

impl DurabilityModel {
    fn file(&self, name: &str) -> Option<usize> {
        self.names.get(name).and_then(|(file, _)| *file)
    }

    fn put(&mut self, name: &'static str, file: Option<usize>) {
        self.names.insert(name, (file, false));
    }

    fn write(&mut self, file: usize, offset: usize, data: &[u8]) {
        let file = &mut self.files[file];
        // The gap below a write past the end is new too.
        file.safe_below = file.safe_below.min(offset).min(file.bytes.len());
        file.bytes.resize(file.bytes.len().max(offset + data.len()), 0);
        file.bytes[offset..offset + data.len()].copy_from_slice(data);
    }

    async fn apply(&mut self, disk: &SimDisk, op: &ModelOp, fill: u8) {
        let open = async |name| disk.open(name, OpenMode::ReadWrite).await.unwrap();
        match *op {
            ModelOp::Create(name) => {
                disk.open(name, OpenMode::Create).await.unwrap();
                if self.file(name).is_none() {
                    self.files.push(FileModel::default());
                    self.put(name, Some(self.files.len() - 1));
                }
            }
            ModelOp::Remove(name) => {
                let removed = disk.remove(name).await;
                assert_eq!(removed.is_ok(), self.file(name).is_some());
                if removed.is_ok() {
                    self.put(name, None);
                }
            }
            ModelOp::Rename(from, to) => {
                let renamed = disk.rename(from, to).await;
                assert_eq!(renamed.is_ok(), self.file(from).is_some());
                if renamed.is_ok() && from != to {
                    self.put(to, self.file(from));
                    self.put(from, None);
                }
            }
            ModelOp::SyncDir(dir) => {
                disk.sync_dir(dir).await.unwrap();
                for (_, (_, safe)) in self.names.iter_mut().filter(|(name, _)| name.starts_with(dir)) {
                    *safe = true;
                }
            }
            ModelOp::Append(name, _)
            | ModelOp::WriteAt(name, ..)
            | ModelOp::Truncate(name, _)
            | ModelOp::Sync(name) => {
                if let Some(file) = self.file(name) {
                    self.apply_to_file(&open(name).await, file, op, fill).await;
                }
            }
        }
    }

    async fn apply_to_file<F: File>(&mut self, open: &F, file: usize, op: &ModelOp, fill: u8) {
        match *op {
            ModelOp::Append(_, len) => {
                let offset = open.append(vec![fill; len].into()).await.unwrap();
                assert_eq!(offset, self.files[file].bytes.len() as u64);
                self.write(file, offset as usize, &vec![fill; len]);
            }
            ModelOp::WriteAt(_, offset, len) => {
                open.write_at(offset, Bytes::from(vec![fill; len])).await.unwrap();
                self.write(file, offset as usize, &vec![fill; len]);
            }
            ModelOp::Truncate(_, len) => {
                open.truncate(len).await.unwrap();
                let file = &mut self.files[file];
                file.safe_below = file.safe_below.min(len as usize).min(file.bytes.len());
                file.bytes.resize(len as usize, 0);
            }
            _ => {
                open.sync().await.unwrap();
                self.files[file].safe_below = self.files[file].bytes.len();
            }
        }
    }

    /// Asserts what must hold on the disk after any crash.
    fn check(&self, image: &DiskImage) {
        for (name, (file, safe)) in &self.names {
            if !safe {
                continue;
            }
            let found = image.read(name);
            match file.map(|file| &self.files[file]) {
                None => assert!(found.is_none(), "'{name}' was durably removed and came back"),
                Some(file) => {
                    let found = found.unwrap_or_else(|| panic!("'{name}' was durable and is gone"));
                    let safe = &file.bytes[..file.safe_below];
                    assert_eq!(found.get(..file.safe_below), Some(safe), "'{name}' lost durable bytes");
                    if file.safe_below == file.bytes.len() {
                        assert!(found.len() >= file.bytes.len());
                    }
                }
            }
        }
    }
}

/// Returns the model, and three images: the durable one, the visible one, and the one after the crash.
fn crash(seed: u64, ops: Vec<ModelOp>, keeps: CrashPolicy) -> (DurabilityModel, [DiskImage; 3]) {
    let model = Arc::new(Mutex::new(None));
    let slot = model.clone();
    let finished = run_fork(WorldSpec::seeded(seed), async move |world: World| {
        let node = world.add_node(NodeSpec::named("node"), move |env: SimEnv| {
            let (ops, slot) = (ops.clone(), slot.clone());
            async move {
                for dir in DIRS {
                    env.disk().create_dir(dir).await.unwrap();
                }
                env.disk().sync_dir("").await.unwrap();
                let mut model = DurabilityModel::default();
                for (index, op) in ops.iter().enumerate() {
                    model.apply(env.disk(), op, u8::try_from(index % 250).unwrap() + 1).await;
                }
                *slot.lock().unwrap() = Some(model);
            }
        });
        world.sleep(Duration::from_secs(10)).await;
        let (durable, view) = (world.durable_image(node), world.disk_image(node));
        let below = world.durable_image_under(node, DIRS.into_iter());
        let is_below = |path: &str| DIRS.iter().any(|dir| path.starts_with(&format!("{dir}/")));
        let mut expected = contents(&durable).0;
        expected.retain(|(path, _)| is_below(path));
        assert_eq!(contents(&below).0, expected);
        world.kill_with_policy(node, keeps);
        [durable, view, world.disk_image(node)]
    });
    let model = model.lock().unwrap().take();
    (model.unwrap(), finished.output)
}

/// Returns files with their bytes, and directories.
fn contents(image: &DiskImage) -> (Vec<(String, Bytes)>, Vec<String>) {
    let files = image.files().map(|(path, file)| (path.to_owned(), file.bytes())).collect();
    (files, image.directories().map(str::to_owned).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn synced_data_survives_any_crash(seed in any::<u64>(), ops in prop::collection::vec(op(), 1..40)) {
        let (model, [_, _, left]) = crash(seed, ops, CrashPolicy::Drawn);
        model.check(&left);
    }

    #[test]
    fn crash_policy_nothing_leaves_the_durable_image_and_everything_the_visible_one(
        ops in prop::collection::vec(op(), 1..40),
    ) {
        let (model, [durable, _, left]) = crash(1, ops.clone(), CrashPolicy::Nothing);
        prop_assert_eq!(contents(&left), contents(&durable));
        model.check(&left);
        let (model, [_, view, left]) = crash(1, ops, CrashPolicy::Everything);
        prop_assert_eq!(contents(&left), contents(&view));
        model.check(&left);
    }
}
