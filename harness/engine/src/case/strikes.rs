//! Records which operations the faults of a run struck, in which phase of a job.
//!
//! The phase of a node is the last mark that it reached since it booted, for [`PHASE`]; then it is [`IDLE`]. It shows what
//! a node was working on without knowing its jobs.
//!
//! A fault of a process strikes the operation that triggers it, or else the last one of its node. Any other fault strikes the
//! first operation of its nodes after it began, and each operation of theirs that fails with an error of the disk. Not
//! covered: a rule's further effects that leave no error, such as a second short read.
//!
//! Like every observer it takes no virtual time and makes no draw.

use latent_ports::{DiskErrorKind, DiskOp, NodeId};
use latent_sim::{Event, FaultAction, Observer, OpKind, Record, WORLD_NODE, World};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Number of strikes by phase, operation and name of the fault. An operation that no fault struck has an empty map.
pub(crate) type Strikes = BTreeMap<String, BTreeMap<OpKind, BTreeMap<String, u64>>>;

/// Adds the strikes of another run.
pub(crate) fn add(strikes: &mut Strikes, others: &Strikes) {
    for (phase, ops) in others {
        let of_phase = strikes.entry(phase.clone()).or_default();
        for (op, faults) in ops {
            let of_op = of_phase.entry(*op).or_default();
            for (fault, times) in faults {
                let total = of_op.entry(fault.clone()).or_default();
                *total = total.saturating_add(*times);
            }
        }
    }
}

/// Time after a mark that belongs to its phase.
const PHASE: Duration = Duration::from_secs(600);
/// Phase of a node from its boot to its first mark.
const BOOT: &str = "boot";
/// Phase of a node that has reached no mark for a while.
const IDLE: &str = "idle";

/// Number of strikes by phase and operation, and by name of the fault.
type StrikeCounts = BTreeMap<(&'static str, OpKind), BTreeMap<&'static str, u64>>;

/// Strikes shared by the observer in the world and the reporter.
#[derive(Clone, Default)]
pub(super) struct StrikeRecorder {
    strikes: Arc<Mutex<StrikeCounts>>,
}

impl StrikeRecorder {
    /// Observes a run until the faults end, in nanoseconds since its start.
    pub(super) fn observer(&self, until_ns: u64) -> Box<dyn Observer> {
        Box::new(StrikeObserver { recorder: self.clone(), until_ns, nodes: Vec::new() })
    }

    /// Returns what was recorded.
    pub(super) fn strikes(&self) -> Strikes {
        let mut strikes = Strikes::new();
        for ((phase, op), faults) in &*self.strikes.lock().unwrap_or_else(PoisonError::into_inner) {
            let faults = faults.iter().map(|(fault, times)| ((*fault).to_owned(), *times)).collect();
            strikes.entry((*phase).to_owned()).or_default().insert(*op, faults);
        }
        strikes
    }
}

/// What is known of one node.
#[derive(Clone, Default)]
struct NodePhase {
    mark: Option<&'static str>,
    since_ns: u64,
    last_op: Option<OpKind>,
    /// Operations that are recorded already in the present phase, as bits.
    seen_ops: u32,
    /// Faults that strike the next operation.
    pending: Vec<&'static str>,
    /// Active faults that make operations of the disk fail.
    failing: Vec<&'static str>,
}

impl NodePhase {
    fn enter(&mut self, mark: Option<&'static str>, now_ns: u64) {
        (self.mark, self.since_ns, self.seen_ops) = (mark, now_ns, 0);
    }

    fn phase(&mut self, now_ns: u64) -> &'static str {
        if now_ns.saturating_sub(self.since_ns) > PHASE.as_nanos() as u64 && self.mark != Some(IDLE) {
            self.enter(Some(IDLE), self.since_ns);
        }
        self.mark.unwrap_or(BOOT)
    }
}

struct StrikeObserver {
    recorder: StrikeRecorder,
    until_ns: u64,
    nodes: Vec<NodePhase>,
}

impl StrikeObserver {
    fn node(&mut self, node: NodeId) -> &mut NodePhase {
        let index = usize::from(node.0);
        if index >= self.nodes.len() {
            self.nodes.resize(index + 1, NodePhase::default());
        }
        &mut self.nodes[index]
    }

    fn record(&self, phase: &'static str, op: OpKind, faults: &[&'static str]) {
        let mut strikes = self.recorder.strikes.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = strikes.entry((phase, op)).or_default();
        faults.iter().for_each(|fault| *counts.entry(fault).or_default() += 1);
    }

    fn operation(&mut self, node: NodeId, op: OpKind, has_disk_error: bool, now_ns: u64) {
        let node = self.node(node);
        let phase = node.phase(now_ns);
        node.last_op = Some(op);
        let bit = 1 << (op as u32);
        if node.seen_ops & bit != 0 && node.pending.is_empty() && !has_disk_error {
            return;
        }
        node.seen_ops |= bit;
        let mut faults = std::mem::take(&mut node.pending);
        if has_disk_error {
            for failing in &node.failing {
                if !faults.contains(failing) {
                    faults.push(failing);
                }
            }
        }
        self.record(phase, op, &faults);
    }

    fn begin(&mut self, action: &FaultAction, world: &World, now_ns: u64) {
        for name in action.nodes() {
            let Some(node) = world.node_named(name) else { continue };
            let node = self.node(node);
            if !action.is_process_fault() {
                node.pending.push(action.name());
                if fails_operations(action) {
                    node.failing.push(action.name());
                }
            } else if let Some(op) = world.triggering_op(name).or(node.last_op) {
                let phase = node.phase(now_ns);
                self.record(phase, op, &[action.name()]);
            }
        }
    }

    fn end(&mut self, action: &FaultAction, world: &World) {
        for node in action.nodes().into_iter().filter_map(|name| world.node_named(name)) {
            let failing = &mut self.node(node).failing;
            if let Some(index) = failing.iter().position(|name| *name == action.name()) {
                failing.remove(index);
            }
        }
    }
}

impl Observer for StrikeObserver {
    fn on_record(&mut self, record: &Record<'_>, world: &World) {
        let (node, now_ns) = (record.node, record.time_ns);
        if now_ns > self.until_ns {
            return;
        }
        match record.event {
            Event::Fault { action, ends: false } => self.begin(action, world, now_ns),
            Event::Fault { action, ends: true } => self.end(action, world),
            _ if node == WORLD_NODE => {}
            Event::Boot => self.node(node).enter(None, now_ns),
            Event::Mark { name, .. } => self.node(node).enter(Some(name.name()), now_ns),
            Event::Disk { op, outcome, .. } => {
                let is_error = matches!(outcome, Err(DiskErrorKind::Io | DiskErrorKind::NoSpace));
                self.operation(node, kind_of(op), is_error, now_ns);
            }
            Event::Send { .. } => self.operation(node, OpKind::Send, false, now_ns),
            Event::Receive { .. } => self.operation(node, OpKind::Receive, false, now_ns),
            Event::Answer { .. } => self.operation(node, OpKind::Answer, false, now_ns),
            _ => {}
        }
    }
}

/// Whether operations of the disk fail because of the action. An unreadable block stays unreadable.
fn fails_operations(action: &FaultAction) -> bool {
    matches!(
        action,
        FaultAction::DiskError(_)
            | FaultAction::SyncFailure(_)
            | FaultAction::DiskFull(_)
            | FaultAction::LatentSector(_)
    )
}

/// Returns the kind of a disk operation. The trace does not say whether an open created the file.
fn kind_of(op: DiskOp) -> OpKind {
    match op {
        DiskOp::Open => OpKind::Open,
        DiskOp::Append => OpKind::Append,
        DiskOp::WriteAt => OpKind::WriteAt,
        DiskOp::Truncate => OpKind::Truncate,
        DiskOp::Read => OpKind::Read,
        DiskOp::Sync => OpKind::Sync,
        DiskOp::Len => OpKind::Len,
        DiskOp::CreateDir => OpKind::CreateDir,
        DiskOp::RemoveDir => OpKind::RemoveDir,
        DiskOp::Rename => OpKind::Rename,
        DiskOp::Remove => OpKind::Remove,
        DiskOp::List => OpKind::List,
        DiskOp::SyncDir => OpKind::SyncDir,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latent_ports::{Clock, Disk, Env, File, Mark, OpenMode};
    use latent_sim::{DiskError, Fault, Kill, NodeSpec, PowerLoss, SimEnv, Trigger, WorldSpec, run_world};

    mod marks {
        latent_ports::marks! {
            /// The log is open.
            LOG_OPENED = "log.opened";
        }
    }

    /// Appends and syncs once a minute after the mark.
    async fn log(env: SimEnv) {
        let file = env.disk().open("log", OpenMode::Create).await.unwrap();
        env.mark(Mark { name: marks::LOG_OPENED, subject: "" });
        loop {
            env.clock().sleep(Duration::from_secs(60)).await;
            let _ = file.append(vec![1].into()).await;
            let _ = file.sync().await;
        }
    }

    /// Syncs once, a minute after its start.
    async fn other(env: SimEnv) {
        env.clock().sleep(Duration::from_secs(60)).await;
        let _ = env.disk().sync_dir("").await;
        std::future::pending::<()>().await;
    }

    fn struck(trigger: Trigger, action: FaultAction) -> Vec<String> {
        let recorder = StrikeRecorder::default();
        let strikes = recorder.clone();
        run_world(WorldSpec::seeded(1), async |world: World| {
            world.observe(recorder.observer(3_600_000_000_000));
            world.arm(Fault { trigger, action: action.clone() });
            world.add_node(NodeSpec::named("log"), log);
            if action.nodes().contains(&"other") {
                world.add_node(NodeSpec::named("other"), other);
            }
            world.sleep(Duration::from_secs(1_200)).await;
        });
        let strikes = strikes.strikes();
        let all =
            strikes.iter().flat_map(|(phase, ops)| ops.iter().map(move |(op, faults)| (phase, op, faults)));
        all.map(|(phase, op, faults)| format!("{phase} {op:?} {faults:?}")).collect()
    }

    fn nth(op: OpKind, n: u64) -> Trigger {
        Trigger::NthOp { node: "log".into(), op, path_prefix: String::new(), n, after_ms: 0 }
    }

    fn failing(times: u32) -> FaultAction {
        let (node, path_prefix) = ("log".to_owned(), String::new());
        FaultAction::DiskError(DiskError {
            node,
            op: OpKind::Sync,
            path_prefix,
            times: Some(times),
            for_ms: None,
        })
    }

    #[test]
    fn a_crash_strikes_the_operation_after_which_it_takes_effect() {
        let kill = Kill { node: "log".into(), ..Kill::default() };
        let expected =
            ["boot Open {}", "log.opened Append {}", r#"log.opened Sync {"kill": 1}"#].map(str::to_owned);
        assert_eq!(struck(nth(OpKind::Sync, 2), FaultAction::Kill(kill)), expected);
    }

    #[test]
    fn a_power_loss_strikes_the_operation_of_one_node_and_the_last_one_of_the_others() {
        let nodes = vec!["log".to_owned(), "other".to_owned()];
        let action = FaultAction::PowerLoss(PowerLoss { nodes, ..PowerLoss::default() });
        let found = struck(nth(OpKind::Append, 5), action);
        assert!(found.contains(&r#"log.opened Append {"power_loss": 1}"#.to_owned()), "{found:?}");
        assert!(found.contains(&r#"boot SyncDir {"power_loss": 1}"#.to_owned()), "{found:?}");
    }

    #[test]
    fn an_error_strikes_each_operation_that_fails_with_it() {
        let found = struck(nth(OpKind::Sync, 2), failing(3));
        assert!(found.contains(&r#"log.opened Sync {"disk_error": 3}"#.to_owned()), "{found:?}");
    }

    #[test]
    fn a_node_that_reaches_no_mark_for_ten_minutes_is_idle() {
        let found = struck(nth(OpKind::Sync, 15), failing(1));
        assert!(found.contains(&r#"idle Sync {"disk_error": 1}"#.to_owned()), "{found:?}");
        assert!(found.contains(&"log.opened Sync {}".to_owned()), "{found:?}");
    }
}
