use super::*;
use arbitrary::Unstructured;
use latent_ports::MarkName;
use latent_sim::{BitRot, Fault, FaultAction, FaultOutcome, LostWrite, RemoveDirectory, Trigger, keyed_draw};
use std::collections::{BTreeMap, BTreeSet};

const DAY_MS: i64 = 86_400_000;

latent_ports::marks! {
    /// A job of the store has begun.
    STORE_JOB_BEGUN = "store.job-begun";
}

/// A store of three replicas behind a gateway, for a week.
struct Store {
    roles: Vec<Role>,
    conditions: Option<Conditions>,
}

impl Store {
    fn new() -> Store {
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let replicas = Role {
            path_prefixes: named(&["log/", "table/"]),
            damaged_paths: named(&["table/"]),
            is_disk_replaceable: true,
            ..Role::of(named(&["replica-1", "replica-2", "replica-3"]))
        };
        let gateway = Role { may_duplicate: false, ..Role::of(named(&["gateway"])) };
        Store { roles: vec![gateway, replicas], conditions: None }
    }
}

impl FaultTargets for Store {
    fn roles(&self) -> &[Role] {
        &self.roles
    }

    fn data_role(&self) -> usize {
        1
    }

    fn window(&self) -> RunWindow {
        RunWindow {
            start_ms: 0,
            first_ms: 1_000,
            last_ms: 7 * DAY_MS,
            last_damage_ms: 5 * DAY_MS,
            longest_ms: DAY_MS.unsigned_abs(),
        }
    }

    fn marks(&self) -> &[MarkName] {
        ALL
    }

    fn conditions(&self) -> Option<&Conditions> {
        self.conditions.as_ref()
    }
}

fn budget(max: u16) -> Budget {
    let nodes = Store::new().roles[1].nodes.clone();
    let groups = vec![BudgetGroup { what: "replicas", nodes, max }];
    Budget { groups, repaired_after_ms: 2 * DAY_MS }
}

fn profile(count: i64, kinds: &[FaultKind]) -> Profile {
    Profile { count: (count, count), kinds: kinds.to_vec() }
}

/// Faults of many seeds.
fn drawn(profile: &Profile) -> Vec<Fault> {
    (0..60).flat_map(|seed| draw(&Store::new(), profile, &budget(1), seed)).collect()
}

#[test]
fn every_kind_with_targets_occurs_and_no_other() {
    let met: BTreeSet<&str> =
        drawn(&profile(40, FaultKind::ALL)).iter().map(|fault| fault.action.name()).collect();
    // Slow and lossy links are one action. The store has no conditions, and no directory may be removed.
    assert_eq!(met.len(), FaultKind::ALL.len() - 3, "{met:?}");
    assert!(!met.contains("condition") && !met.contains("remove_directory"), "{met:?}");
}

#[test]
fn a_run_enables_a_subset_of_the_kinds() {
    let mut always: BTreeSet<FaultKind> = FaultKind::ALL.iter().copied().collect();
    for seed in 0..60 {
        let enabled = enabled_kinds(FaultKind::ALL, seed);
        assert!(!enabled.is_empty());
        always.retain(|kind| enabled.contains(kind));
    }
    assert_eq!(always, BTreeSet::new());
    assert_eq!(enabled_kinds(&[FaultKind::Crash], 1), [FaultKind::Crash], "at least one");
}

#[test]
fn a_kind_that_is_left_out_changes_no_fault_of_the_others() {
    let both = [FaultKind::Pause, FaultKind::ClockStep];
    let seed = (0..).find(|seed| enabled_kinds(&both, *seed).len() == 2).expect("a quarter of the seeds");
    let of = |kinds: &[FaultKind], count| {
        let faults = draw(&Store::new(), &profile(count, kinds), &budget(1), seed);
        faults.into_iter().filter(|fault| fault.action.name() == "pause").collect::<Vec<_>>()
    };
    let alone = of(&[FaultKind::Pause], 4);
    assert_eq!(alone.len(), 4);
    assert_eq!(of(&both, 8), alone);
}

#[test]
fn faults_strike_within_their_window_at_nodes_and_paths_that_exist() {
    let window = Store::new().window();
    let mut prefixes = BTreeSet::new();
    for fault in drawn(&profile(30, FaultKind::ALL)) {
        let (from_ms, to_ms) = if damages(&fault.action).is_some() {
            (window.first_ms, window.last_damage_ms)
        } else {
            (window.first_ms, window.last_ms)
        };
        match &fault.trigger {
            Trigger::AtMs(at_ms) => assert!((from_ms..=to_ms).contains(at_ms), "{fault:?}"),
            Trigger::NthOp { path_prefix, n, .. } => {
                prefixes.insert(path_prefix.clone());
                assert!((1..=60).contains(n), "{fault:?}");
            }
            Trigger::Mark { name, .. } => assert_eq!(*name, STORE_JOB_BEGUN.name()),
            Trigger::At(_) => panic!("{fault:?}"),
        }
    }
    assert_eq!(prefixes.into_iter().collect::<Vec<_>>(), ["", "log/", "table/"]);
}

#[test]
fn half_of_the_crashes_strike_an_operation_or_a_mark_and_some_come_in_pairs() {
    let faults = drawn(&profile(20, &[FaultKind::Crash]));
    let narrow = faults.iter().filter(|fault| !matches!(fault.trigger, Trigger::AtMs(_))).count();
    assert!(narrow * 5 >= faults.len() * 2, "{narrow} of {}", faults.len());
    let seconds = faults.len() - 60 * 20;
    assert!((200..=600).contains(&seconds), "a third of 1,200 crashes have a second fault: {seconds}");
}

#[test]
fn half_of_the_faults_strike_the_nodes_that_hold_the_data() {
    let mut by_node: BTreeMap<String, u32> = BTreeMap::new();
    for fault in drawn(&profile(30, &[FaultKind::Pause])) {
        if let FaultAction::Pause(pause) = fault.action {
            *by_node.entry(pause.node).or_default() += 1;
        }
    }
    // Half of the draws are replicas, and half of the others.
    let share = f64::from(by_node["gateway"]) / f64::from(by_node.values().sum::<u32>());
    assert!((0.2..0.3).contains(&share), "{by_node:?}");
}

#[test]
fn only_nodes_without_connections_see_duplicates() {
    for fault in drawn(&profile(30, &[FaultKind::SlowLink])) {
        if let FaultAction::DegradeLink(link) = fault.action {
            assert!(link.from != "gateway" || link.duplicate_ppm == Some(0), "{link:?}");
        }
    }
}

#[test]
fn no_duration_exceeds_the_longest() {
    let longest = Store::new().window().longest_ms;
    for fault in drawn(&profile(30, &[FaultKind::Isolate, FaultKind::ClockStep])) {
        match fault.action {
            FaultAction::Isolate(isolate) => assert!(isolate.for_ms.unwrap() <= longest),
            FaultAction::ClockStep(step) => assert!(step.for_ms.unwrap() <= longest),
            _ => {}
        }
    }
}

#[test]
fn conditions_and_directories_are_those_of_the_system() {
    struct WithConditions(Store);
    impl FaultTargets for WithConditions {
        fn roles(&self) -> &[Role] {
            self.0.roles()
        }
        fn window(&self) -> RunWindow {
            self.0.window()
        }
        fn conditions(&self) -> Option<&Conditions> {
            self.0.conditions()
        }
        fn has_removable_directories(&self) -> bool {
            true
        }
        fn removed_directory(&self, draws: PartDraws<'_>, _: i64) -> Option<RemoveDirectory> {
            let path = draws.pick(3, &["log", "table"]).to_owned();
            Some(RemoveDirectory { node: "replica-1".into(), path })
        }
    }
    let range = ConditionRange { name: "gateway.overloaded", levels: 3..=5 };
    let conditions = Conditions { nodes: vec!["gateway".into()], kinds: vec![range] };
    let store = WithConditions(Store { conditions: Some(conditions), ..Store::new() });
    let kinds = [FaultKind::Condition, FaultKind::RemovedDirectory];
    let mut levels = BTreeSet::new();
    let mut paths = BTreeSet::new();
    for seed in 0..40 {
        for fault in draw(&store, &profile(10, &kinds), &budget(3), seed) {
            match fault.action {
                FaultAction::Condition(condition) => {
                    assert_eq!((&*condition.node, &*condition.name), ("gateway", "gateway.overloaded"));
                    levels.insert(condition.level);
                }
                FaultAction::RemoveDirectory(removed) => {
                    paths.insert(removed.path);
                }
                _ => {}
            }
        }
    }
    assert_eq!(levels.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), ["log", "table"]);
}

fn rot(node: &str, day: i64) -> Fault {
    let action =
        FaultAction::BitRot(BitRot { node: node.into(), path_prefix: String::new(), pick: 1, bits: 1 });
    Fault { trigger: Trigger::AtMs(day * DAY_MS), action }
}

#[test]
fn an_excess_names_the_nodes_and_the_time() {
    let window = Store::new().window();
    let excess = |faults: &[Fault]| excesses(faults.iter(), &window, &budget(1));
    assert_eq!(excess(&[rot("replica-1", 1), rot("replica-1", 2), rot("gateway", 1)]), []);
    let expected = BudgetExcess {
        at_ms: 2 * DAY_MS,
        what: "replicas",
        nodes: vec!["replica-1".into(), "replica-2".into()],
        max: 1,
    };
    assert_eq!(excess(&[rot("replica-1", 1), rot("replica-2", 2)]), [expected]);
    assert_eq!(excess(&[rot("replica-1", 1), rot("replica-2", 4)]), [], "the first is repaired");
}

#[test]
fn a_lost_write_counts_to_the_end_because_only_a_boot_shows_it() {
    let lost = LostWrite { node: "replica-1".into(), path_prefix: String::new(), times: 1 };
    let lost = Fault { trigger: Trigger::AtMs(DAY_MS), action: FaultAction::LostWrite(lost) };
    let found = excesses([lost, rot("replica-2", 5)].iter(), &Store::new().window(), &budget(1));
    assert_eq!(found.len(), 1);
}

#[test]
fn drawn_faults_use_the_budget_and_stay_within_it() {
    let kinds = [FaultKind::BitRot, FaultKind::NewDisk, FaultKind::LostWrite];
    let mut uses_all = 0;
    for seed in 0..40 {
        let faults = draw(&Store::new(), &profile(30, &kinds), &budget(2), seed);
        assert_eq!(excesses(faults.iter(), &Store::new().window(), &budget(2)), [], "seed {seed}");
        uses_all += usize::from(!excesses(faults.iter(), &Store::new().window(), &budget(1)).is_empty());
    }
    assert!(uses_all >= 10, "{uses_all} of 40 runs damage two replicas at once");
}

#[test]
fn damage_is_drawn_only_where_it_can_be_repaired() {
    let short = RunWindow { last_damage_ms: 1_000, ..Store::new().window() };
    assert!(!FaultKind::BitRot.has_time(&short) && FaultKind::Crash.has_time(&short));
    assert!(FaultKind::BitRot.has_time(&Store::new().window()));
}

#[test]
fn faults_that_struck_are_those_with_a_time() {
    let outcome = |triggered_at| FaultOutcome {
        fault: rot("replica-1", 9),
        triggered_at,
        ended_at: None,
        is_exhausted: false,
        match_count: 0,
        unknown_nodes: Vec::new(),
    };
    let struck = struck(&[outcome(None), outcome(Some(latent_ports::UnixMs(7)))]);
    assert_eq!(struck, [Fault { trigger: Trigger::AtMs(7), ..rot("replica-1", 9) }]);
}

#[test]
fn bytes_draw_faults_within_the_budget_and_none_from_nothing() {
    let from =
        |bytes: &[u8]| draw_from_bytes(&Store::new(), &budget(1), &mut Unstructured::new(bytes)).unwrap();
    assert_eq!(from(&[]), []);
    let mut met = BTreeSet::new();
    for seed in 0..200 {
        let bytes: Vec<u8> = (0..4_000_u128).map(|at| keyed_draw(seed, "nemesis.test", at) as u8).collect();
        let faults = from(&bytes);
        assert_eq!(excesses(faults.iter(), &Store::new().window(), &budget(1)), []);
        met.extend(faults.iter().map(|fault| fault.action.name()));
    }
    assert!(met.len() >= FaultKind::ALL.len() - 3, "{met:?}");
}

#[test]
fn each_operation_is_struck_by_one_seed() {
    let n = |seed| match crash_at_each_operation("replica-1", 3, seed).trigger {
        Trigger::NthOp { n, .. } => n,
        other => panic!("{other:?}"),
    };
    assert_eq!([1, 2, 3, 4].map(n), [1, 2, 3, 1]);
}
