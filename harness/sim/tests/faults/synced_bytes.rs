//! No fault changes synced bytes, except those whose purpose it is: under random operations, and every fault except
//! corruption, a byte that a successful sync made durable keeps its value until it is overwritten.
//!
//! The model is independent of the simulator. Per byte of each file it knows whether a sync made it durable, and what
//! was written since. It is cautious: it forgets everything that a failed sync or a crash leaves unclear.

use latent_ports::{Disk, DiskErrorKind, Env, File, OpenMode, read_full};
use latent_sim::{
    CrashPolicy, DiskError, DiskFull, DiskImage, Fault, FaultAction, GarbageTails, Kill, NodeSpec, OpKind,
    ReadsAfterFailedSync, ShortRead, SimEnv, SimFile, SlowDisk, SyncFailure, Trigger, World, WorldSpec,
    run_fork,
};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const FILES: [&str; 2] = ["f", "g"];
const NODE: &str = "node";

#[derive(Clone, Debug)]
enum FuzzStep {
    Append(usize, usize),
    WriteAt(usize, u64, usize),
    Truncate(usize, u64),
    Sync(usize),
    Read(usize, u64, u64),
    InjectFault(FaultAction),
}

fn fault() -> impl Strategy<Value = FaultAction> {
    let node = || NODE.to_owned();
    let prefix = || prop::sample::select(vec!["", "f", "g"]).prop_map(str::to_owned);
    let op = prop::sample::select(vec![
        OpKind::Append,
        OpKind::WriteAt,
        OpKind::Truncate,
        OpKind::Read,
        OpKind::Sync,
        OpKind::Disk,
    ]);
    let for_ms = || prop::option::of(1_u64..30);
    let shows = prop::sample::select(vec![ReadsAfterFailedSync::Old, ReadsAfterFailedSync::New]);
    let keeps = prop::sample::select(vec![
        None,
        Some(CrashPolicy::Drawn),
        Some(CrashPolicy::Nothing),
        Some(CrashPolicy::Everything),
    ]);
    let tear = prop::sample::select(vec![None, Some(512), Some(4_096)]);
    prop_oneof![
        2 => (op, prefix(), 1_u32..3, for_ms()).prop_map(move |(op, path_prefix, times, for_ms)| {
            FaultAction::DiskError(DiskError { node: node(), op, path_prefix, times: Some(times), for_ms })
        }),
        4 => (prefix(), 1_u32..3, shows).prop_map(move |(path_prefix, times, shows)| {
            FaultAction::SyncFailure(SyncFailure { node: node(), path_prefix, times, shows })
        }),
        2 => (0_u64..3_000, 1_u64..30).prop_map(move |(room_bytes, for_ms)| {
            FaultAction::DiskFull(DiskFull { node: node(), room_bytes, for_ms: Some(for_ms) })
        }),
        1 => (1_u32..10, for_ms()).prop_map(move |(times, for_ms)| {
            FaultAction::SlowDisk(SlowDisk { node: node(), times, for_ms })
        }),
        2 => (prefix(), 1_u32..4).prop_map(move |(path_prefix, times)| {
            FaultAction::ShortRead(ShortRead { node: node(), path_prefix, times })
        }),
        1 => for_ms().prop_map(move |for_ms| FaultAction::GarbageTails(GarbageTails { node: node(), for_ms })),
        6 => (keeps, tear).prop_map(move |(keeps, tear_bytes)| {
            FaultAction::Kill(Kill { node: node(), restart_after_ms: Some(1), keeps, tear_bytes })
        }),
    ]
}

fn step() -> impl Strategy<Value = FuzzStep> {
    let file = || 0..FILES.len();
    let len = || 1_usize..6_000;
    prop_oneof![
        5 => (file(), len()).prop_map(|(file, len)| FuzzStep::Append(file, len)),
        3 => (file(), 0_u64..9_000, len()).prop_map(|(file, offset, len)| FuzzStep::WriteAt(file, offset, len)),
        1 => (file(), 0_u64..9_000).prop_map(|(file, len)| FuzzStep::Truncate(file, len)),
        5 => file().prop_map(FuzzStep::Sync),
        3 => (file(), 0_u64..9_000, 0_u64..9_000).prop_map(|(file, at, len)| FuzzStep::Read(file, at, len)),
        5 => fault().prop_map(FuzzStep::InjectFault),
    ]
}

/// Knowledge about one byte.
#[derive(Clone, Copy, Debug, Default)]
struct ModelByte {
    durable: Option<u8>,
    written: Option<u8>,
}

/// Knowledge about a file: as many bytes as reads see.
#[derive(Debug, Default)]
struct SyncedModel {
    bytes: Vec<ModelByte>,
}

impl SyncedModel {
    fn write(&mut self, from: usize, data: &[u8]) {
        let zeros = from.saturating_sub(self.bytes.len());
        let from = from - zeros;
        let end = from + zeros + data.len();
        self.bytes.resize(self.bytes.len().max(end), ModelByte::default());
        let written = std::iter::repeat_n(&0, zeros).chain(data);
        for (byte, written) in self.bytes[from..].iter_mut().zip(written) {
            *byte = ModelByte { durable: None, written: Some(*written) };
        }
    }

    /// Forgets these bytes: their values are unknown.
    fn forget(&mut self, from: usize, len: usize) {
        let end = self.bytes.len().min(from + len);
        self.bytes[from.min(end)..end].fill(ModelByte::default());
    }

    fn truncate(&mut self, len: usize) {
        let grows_by = len.saturating_sub(self.bytes.len());
        self.bytes.truncate(len);
        self.write(self.bytes.len(), &vec![0; grows_by]);
    }

    fn synced(&mut self) {
        for byte in self.bytes.iter_mut().filter(|byte| byte.written.is_some()) {
            *byte = ModelByte { durable: byte.written, written: None };
        }
    }

    /// Forgets un-synced bytes, and all bytes past the known ones.
    fn forget_unsynced(&mut self, len_bytes: u64) {
        self.bytes.iter_mut().for_each(|byte| byte.written = None);
        self.bytes.resize(usize::try_from(len_bytes).unwrap(), ModelByte::default());
    }

    fn known(&self) -> usize {
        self.bytes.iter().filter(|byte| byte.durable.is_some()).count()
    }

    /// Asserts that every synced byte has its value, both in the visible and in the durable image.
    fn check(&self, path: &str, seen: &DiskImage, durable: &DiskImage, after: &str) {
        for (what, image) in [("reads", seen), ("the device", durable)] {
            let found = image.read(path).unwrap();
            for (at, byte) in self.bytes.iter().enumerate() {
                let Some(value) = byte.durable else { continue };
                let here = found.get(at);
                assert_eq!(here, Some(&value), "byte {at} of '{path}', in {what}, after {after}");
            }
        }
        assert_eq!(seen.file(path).unwrap().len_bytes(), self.bytes.len() as u64, "'{path}' after {after}");
    }
}

struct FuzzBench {
    world: World,
    node: latent_ports::NodeId,
    env: Arc<Mutex<Option<SimEnv>>>,
    files: [SyncedModel; 2],
    /// Number of synced bytes checked, over all steps: guards against a vacuous property.
    checked: usize,
}

impl FuzzBench {
    async fn new(world: World) -> FuzzBench {
        let env = Arc::new(Mutex::new(None));
        let slot = env.clone();
        let node = world.add_node(NodeSpec::named(NODE), move |env: SimEnv| {
            let slot = slot.clone();
            async move {
                if env.incarnation() == 0 {
                    for path in FILES {
                        env.disk().open(path, OpenMode::Create).await.unwrap();
                    }
                    env.disk().sync_dir("").await.unwrap();
                }
                *slot.lock().unwrap() = Some(env);
            }
        });
        world.sleep(Duration::from_secs(1)).await;
        FuzzBench { world, node, env, files: Default::default(), checked: 0 }
    }

    async fn open(&self, file: usize) -> Option<SimFile> {
        let env = self.env.lock().unwrap().clone().unwrap();
        // A rule for any disk operation may apply to this one.
        env.disk().open(FILES[file], OpenMode::ReadWrite).await.ok()
    }

    async fn inject(&mut self, action: &FaultAction) {
        let trigger = Trigger::AtMs(self.world.now().0);
        if let FaultAction::Kill(_) = action {
            *self.env.lock().unwrap() = None;
        }
        self.world.arm(Fault { trigger, action: action.clone() });
        self.world.sleep(Duration::from_millis(5)).await;
        if let FaultAction::Kill(_) = action {
            self.forget_unsynced();
        }
    }

    fn forget_unsynced(&mut self) {
        let image = self.world.disk_image(self.node);
        for (path, model) in FILES.into_iter().zip(&mut self.files) {
            model.forget_unsynced(image.file(path).unwrap().len_bytes());
        }
    }

    async fn step(&mut self, step: &FuzzStep, fill: u8) {
        match *step {
            FuzzStep::InjectFault(ref action) => self.inject(action).await,
            FuzzStep::Append(file, len) => self.write(file, None, vec![fill; len]).await,
            FuzzStep::WriteAt(file, offset, len) => self.write(file, Some(offset), vec![fill; len]).await,
            FuzzStep::Truncate(file, len) => {
                let Some(open) = self.open(file).await else { return };
                if open.truncate(len).await.is_ok() {
                    self.files[file].truncate(usize::try_from(len).unwrap());
                }
            }
            FuzzStep::Sync(file) => {
                let Some(open) = self.open(file).await else { return };
                match open.sync().await {
                    Ok(()) => self.files[file].synced(),
                    Err(_) => self.forget_unsynced(),
                }
            }
            FuzzStep::Read(file, at, len) => {
                let Some(open) = self.open(file).await else { return };
                if let Ok(read) = read_full(&open, at, len).await {
                    let seen = self.world.disk_image(self.node).read(FILES[file]).unwrap();
                    let from = seen.len().min(usize::try_from(at).unwrap());
                    let to = seen.len().min(from + usize::try_from(len).unwrap());
                    assert_eq!(read, seen.slice(from..to));
                }
            }
        }
    }

    async fn write(&mut self, file: usize, at: Option<u64>, data: Vec<u8>) {
        let Some(open) = self.open(file).await else { return };
        let model = &mut self.files[file];
        let from = at.map_or(model.bytes.len(), |at| usize::try_from(at).unwrap());
        let done = match at {
            None => open.append(data.clone().into()).await.map(|offset| assert_eq!(offset as usize, from)),
            Some(at) => open.write_at(at, data.clone().into()).await,
        };
        match done.map_err(|error| error.kind) {
            Ok(()) => model.write(from, &data),
            Err(DiskErrorKind::Io) => {}
            Err(error) => {
                assert_eq!(error, DiskErrorKind::NoSpace);
                let len_bytes = self.world.disk_image(self.node).file(FILES[file]).unwrap().len_bytes();
                model.bytes.resize(usize::try_from(len_bytes).unwrap(), ModelByte::default());
                model.forget(from, data.len());
            }
        }
    }

    fn check(&mut self, after: &str) {
        let (seen, durable) = (self.world.disk_image(self.node), self.world.durable_image(self.node));
        for (path, model) in FILES.into_iter().zip(&self.files) {
            model.check(path, &seen, &durable, after);
            self.checked += model.known();
        }
    }
}

/// Returns the number of synced bytes that were checked.
fn check_all(seed: u64, steps: Vec<FuzzStep>) -> usize {
    let finished = run_fork(WorldSpec::seeded(seed), async move |world: World| {
        let mut bench = FuzzBench::new(world).await;
        for (index, step) in steps.iter().enumerate() {
            bench.step(step, u8::try_from(index % 250).unwrap() + 1).await;
            bench.check(&format!("step {index}, {step:?}"));
        }
        bench.checked
    });
    finished.output
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_fault_except_corruption_changes_synced_bytes(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        check_all(seed, steps);
    }
}

#[test]
fn the_property_is_not_vacuous() {
    let lost = || {
        FaultAction::SyncFailure(SyncFailure {
            node: NODE.into(),
            path_prefix: String::new(),
            times: 1,
            shows: ReadsAfterFailedSync::New,
        })
    };
    let kill = FaultAction::Kill(Kill { node: NODE.into(), restart_after_ms: Some(1), ..Kill::default() });
    let steps = vec![
        FuzzStep::Append(0, 100),
        FuzzStep::Sync(0),
        FuzzStep::InjectFault(lost()),
        FuzzStep::Append(0, 100),
        FuzzStep::Sync(0),
        FuzzStep::Append(0, 100),
        FuzzStep::Sync(0),
        FuzzStep::InjectFault(kill),
    ];
    // 100 known from the second step on, 200 from the last sync on.
    assert_eq!(check_all(1, steps), 5 * 100 + 2 * 200);
}

#[test]
fn a_truncation_whose_sync_failed_does_not_bring_back_old_bytes() {
    let failure = SyncFailure {
        node: NODE.into(),
        path_prefix: String::new(),
        times: 1,
        shows: ReadsAfterFailedSync::New,
    };
    let steps = vec![
        FuzzStep::Append(0, 20),
        FuzzStep::Sync(0),
        FuzzStep::InjectFault(FaultAction::SyncFailure(failure)),
        FuzzStep::Truncate(0, 0),
        FuzzStep::Sync(0),
        FuzzStep::Truncate(0, 3),
        FuzzStep::Sync(0),
    ];
    assert_eq!(check_all(1, steps), 2 * 20 + 3);
}
