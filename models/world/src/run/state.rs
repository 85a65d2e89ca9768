//! State of a run besides its judge: the world, its nodes, and what observers and actors record.

use super::drill_triggers::DrillTriggers;
use super::expectations::{ledger_settings, oracle_zones};
use super::findings::DrillFindings;
use crate::actors::clients;
use crate::actors::operator::{self, OperatorState};
use crate::cluster::node_env::MarkPolicy;
use crate::cluster::node_ids::NodeIds;
use crate::cluster::topology::{ClusterBuilder, ClusterRegistry, DiskImages};
use crate::judge::durability_sampler::DurabilitySampler;
use crate::judge::inputs::{FinalObservations, JudgeInputs, OperatorProgress};
use crate::judge::removal_watcher::RemovalWatcher;
use crate::judge::tee_sampler::TeeSampler;
use crate::mutex::lock;
use crate::observe::alarm_calls::{self, AlarmCalls};
use crate::observe::client_state::ClientState;
use crate::observe::disk_activity::{self, DiskActivity};
use crate::observe::fault_log::{self, FaultLog};
use crate::observe::observed_reads::{self, ObservedReads};
use crate::plan::WorldPlan;
use crate::plan::streams::send_window_ms;
use crate::scenario::{OperatorAction, TeeFailurePolicy, WorldConfig};
use latent_engine::sim::{NodeSpec, SimEnv, World};
use latent_engine::{PhaseReporter, Scenario};
use latent_oracle::invariants::l4_recovery::UnfinishedRecovery;
use latent_oracle::{Ledger, ProjectDay};
use latent_pipeline::alarms::Alarm;
use latent_ports::Env;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// State of a run from the first boot to the verdict.
pub(crate) struct RunState<'a> {
    pub(super) plan: &'a WorldPlan,
    pub(super) scenario: &'a Scenario<WorldConfig>,
    pub(crate) world: World,
    pub(super) progress: PhaseReporter,
    pub(super) cluster_registry: Arc<ClusterRegistry>,
    pub(super) marks: MarkPolicy,
    pub(crate) nodes: NodeIds,
    pub(super) operator_state: Arc<Mutex<OperatorState>>,
    pub(super) client_state: Arc<ClientState>,
    pub(super) durability_sampler: Arc<Mutex<DurabilitySampler>>,
    /// `None`: no tee, or one whose failures let requests through.
    pub(super) tee_sampler: Option<Arc<Mutex<TeeSampler>>>,
    pub(super) disk_activity: Arc<Mutex<DiskActivity>>,
    pub(super) removal_watcher: Arc<Mutex<RemovalWatcher>>,
    pub(super) fault_log: Arc<Mutex<FaultLog>>,
    pub(super) observed_reads: Arc<Mutex<ObservedReads>>,
    alarm_calls: Arc<Mutex<AlarmCalls>>,
    pub(super) drill_triggers: DrillTriggers,
    pub(super) drills: Vec<DrillFindings>,
    pub(super) drill_marks: BTreeMap<String, u64>,
}

impl<'a> RunState<'a> {
    /// Adds observers, nodes and clients to the world.
    pub fn new(
        plan: &'a WorldPlan,
        scenario: &'a Scenario<WorldConfig>,
        world: World,
        progress: PhaseReporter,
        marks: MarkPolicy,
    ) -> RunState<'a> {
        let cluster_registry = Arc::new(ClusterRegistry::default());
        let operator_state: Arc<Mutex<OperatorState>> = Arc::default();
        let disk_activity = disk_activity::attach(&world);
        let drill_triggers = DrillTriggers::attach(&world, &plan.drills);
        let fault_log = fault_log::attach(&world);
        let observed_reads = observed_reads::attach(&world);
        let images = DiskImages::new();
        let builder = ClusterBuilder {
            world: &world,
            scenario,
            plan,
            cluster_registry: &cluster_registry,
            images: &images,
            marks,
            drill: false,
        };
        let reaction = scenario.config.operator.as_ref().map(|operator| operator.reaction.0);
        let has_recovery_tasks =
            plan.operations.iter().any(|it| matches!(it.action, OperatorAction::Recover(_)));
        let (world_of, operator_registry, task_state) =
            (world.clone(), cluster_registry.clone(), operator_state.clone());
        let nodes = builder.build(move |env| {
            let cluster_registry = operator_registry.clone();
            let node = env.node();
            let boot = move || cluster_registry.boot(node);
            operator::run(env, world_of.clone(), boot, task_state.clone(), reaction, has_recovery_tasks)
        });
        let alarm_calls = alarm_calls::attach(&world, nodes.operator);
        let client_state =
            ClientState::new(Ledger::new(ledger_settings(&world, &nodes, scenario), oracle_zones(plan)));
        let min_disks = u32::from(scenario.config.topology.ack_copies);
        let durability_sampler =
            DurabilitySampler::new(world.clone(), nodes.disks.clone(), min_disks, fault_log.clone());
        let durability_sampler = Arc::new(Mutex::new(durability_sampler));
        let removal_watcher =
            RemovalWatcher::attach(&world, nodes.disks.clone(), nodes.ingest.clone(), fault_log.clone());
        let tee = scenario.config.protection.tee.as_ref();
        let tee_sampler = tee.filter(|tee| tee.on_failure == TeeFailurePolicy::Reject).map(|_| {
            let clock_skew_ms = lock(&client_state.ledger).config().clock_skew_ms;
            let tee_nodes = (nodes.edges.clone(), nodes.tee_store);
            Arc::new(Mutex::new(TeeSampler::new(world.clone(), tee_nodes, clock_skew_ms, fault_log.clone())))
        });
        let (of_disks, of_tee) = (durability_sampler.clone(), tee_sampler.clone());
        *lock(&client_state.on_acknowledged) = Some(Box::new(move |answer| {
            lock(&of_disks).acknowledged(answer.request, &answer.accepted);
            if let Some(tee) = &of_tee {
                lock(tee).acknowledged(answer);
            }
        }));
        let sends_ms = send_window_ms(scenario);
        let (clients_state, edges, clients_plan, world_of) =
            (client_state.clone(), nodes.edges.clone(), plan.clone(), world.clone());
        world.add_node(NodeSpec::named("clients"), move |env: SimEnv| {
            clients::start(&env, &world_of, &clients_plan, &clients_state, &edges, sends_ms.clone());
            std::future::ready(())
        });
        RunState {
            plan,
            scenario,
            world,
            progress,
            cluster_registry,
            marks,
            nodes,
            operator_state,
            client_state,
            durability_sampler,
            tee_sampler,
            disk_activity,
            removal_watcher,
            fault_log,
            observed_reads,
            alarm_calls,
            drill_triggers,
            drills: Vec::new(),
            drill_marks: BTreeMap::new(),
        }
    }

    /// Returns the inputs of the judge of this run.
    pub fn judge_inputs(&self) -> JudgeInputs<'_> {
        JudgeInputs {
            scenario: self.scenario,
            operations: &self.plan.operations,
            world: &self.world,
            client_state: self.client_state.clone(),
            fault_log: self.fault_log.clone(),
            observed_reads: self.observed_reads.clone(),
            alarm_calls: self.alarm_calls.clone(),
            operator_state: self.operator_state.clone(),
            removal_watcher: self.removal_watcher.clone(),
            store_log: self.cluster_registry.store_log.clone(),
        }
    }

    /// Returns the progress of the recoveries that the operator started.
    pub fn operator_progress(&self) -> OperatorProgress {
        let operator_state = lock(&self.operator_state);
        let node = self.nodes.operator.map(|node| self.world.node_name(node).to_string()).unwrap_or_default();
        let unfinished = operator_state.recovery_log.unfinished_ms();
        OperatorProgress {
            started: operator_state.started,
            is_recovering: operator_state.recovery_log.is_active(),
            unfinished: unfinished.map(|at_ms| UnfinishedRecovery { node: node.clone(), at_ms }).collect(),
        }
    }

    /// Returns what is complete after healing.
    pub fn final_observations(&self) -> FinalObservations {
        FinalObservations { operator: self.operator_progress(), alarmed: self.days_with_differing_copies() }
    }

    /// Returns the days for which anti-entropy reported differing copies since the end of faults.
    fn days_with_differing_copies(&self) -> BTreeSet<ProjectDay> {
        let Some(ended_ms) = lock(&self.fault_log).faults_ended_ms else { return BTreeSet::new() };
        let operator_state = lock(&self.operator_state);
        let alarms = operator_state.alarms.iter().filter(|(at_ms, _)| *at_ms >= ended_ms);
        let project_day = |(_, alarm): &(i64, Alarm)| match alarm {
            Alarm::CopiesDiffer { project, day } => Some(ProjectDay { project: *project, day: day.0 }),
            _ => None,
        };
        alarms.filter_map(project_day).collect()
    }
}
