//! Permissions of the object store, from the callers' side.

use bytes::Bytes;
use futures_util::future::join;
use latent_pipeline::access::{AccessPolicy, InjectedResult, Interceptor, Permission};
use latent_pipeline::objects;
use latent_ports::NodeId;
use latent_sim::{
    Fault, FaultAction, NodeSpec, RemoveDirectory, SimEnv, Trigger, World, WorldSpec, run_fork,
};
use latent_storekit::object_store::{ObjectError, ObjectRequest, ObjectStore, StoreError};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const STORE: NodeId = NodeId(1);
/// Has all permissions.
const OWNER: NodeId = NodeId(2);
/// Runs the test script.
const CALLER: NodeId = NodeId(3);
const EVERYTHING: [Permission; 4] =
    [Permission::Read, Permission::Put, Permission::Overwrite, Permission::Delete];

type Shared<T> = Arc<Mutex<T>>;

/// Interceptor that records changes and their authors.
#[derive(Clone, Default)]
struct ChangeLog(Shared<Vec<(NodeId, Permission, String)>>);

impl Interceptor for ChangeLog {
    fn intercept(&self, _: NodeId, _: &ObjectRequest, _: &Bytes) -> InjectedResult {
        InjectedResult::Normal
    }

    fn object_changed(&self, from: NodeId, permission: Permission, key: &str) {
        self.0.lock().unwrap().push((from, permission, key.to_owned()));
    }
}

/// Runs `script` on a node that has only `granted`, at a store that holds `old`. Returns its result and the changes
/// that the store reported for it.
fn with_granted<T: Send + 'static, F>(
    granted: &[Permission],
    script: impl Fn(ObjectStore<SimEnv>) -> F + Send + Sync + 'static,
) -> (T, Vec<(Permission, String)>)
where
    F: Future<Output = T> + Send + 'static,
{
    let access = AccessPolicy::deny_all()
        .grant(OWNER, &BTreeSet::from(EVERYTHING))
        .grant(CALLER, &granted.iter().copied().collect());
    let main = async move |world: World| {
        let watched = ChangeLog::default();
        let door = watched.clone();
        world
            .add_node(NodeSpec::named("store"), move |env| objects::serve(env, access.clone(), door.clone()));
        world.sleep(Duration::from_secs(1)).await;
        let store = |env| ObjectStore::new(env, STORE, Duration::from_secs(10));
        world.add_node(NodeSpec::named("owner"), move |env: SimEnv| async move {
            store(env).put("old", Bytes::from_static(b"old bytes")).await.unwrap();
        });
        world.sleep(Duration::from_secs(1)).await;
        let done: Shared<Option<T>> = Arc::default();
        let (told, script) = (done.clone(), Arc::new(script));
        let caller = world.add_node(NodeSpec::named("caller"), move |env| {
            let (told, script) = (told.clone(), script.clone());
            async move {
                let output = script(store(env)).await;
                *told.lock().unwrap() = Some(output);
            }
        });
        assert_eq!(caller, CALLER);
        world.sleep(Duration::from_secs(60)).await;
        let output = done.lock().unwrap().take().unwrap();
        let by_caller = watched.0.lock().unwrap().clone().into_iter().filter(|(from, ..)| *from == CALLER);
        (output, by_caller.map(|(_, permission, key)| (permission, key)).collect())
    };
    run_fork(WorldSpec::seeded(3), main).output
}

fn is_denied<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> bool {
    match outcome {
        Ok(_) => false,
        Err(StoreError::Object { error: ObjectError::Denied, .. }) => true,
        Err(other) => panic!("{other}"),
    }
}

/// Whether read, listing, length, put, overwrite and delete are denied.
async fn tries(store: ObjectStore<SimEnv>) -> [bool; 6] {
    [
        is_denied(store.get("old").await),
        is_denied(store.list("").await),
        is_denied(store.head("old").await),
        is_denied(store.put("new", Bytes::from_static(b"new bytes")).await),
        is_denied(store.put("old", Bytes::from_static(b"other bytes")).await),
        is_denied(store.delete("old").await),
    ]
}

#[test]
fn each_permission_allows_one_operation() {
    let old = |permission| vec![(permission, "old".to_owned())];
    let table = [
        (vec![], [true; 6], vec![]),
        (vec![Permission::Read], [false, false, false, true, true, true], vec![]),
        (
            vec![Permission::Put],
            [true, true, true, false, true, true],
            vec![(Permission::Put, "new".to_owned())],
        ),
        (vec![Permission::Overwrite], [true, true, true, true, false, true], old(Permission::Overwrite)),
        (vec![Permission::Delete], [true, true, true, true, true, false], old(Permission::Delete)),
    ];
    for (granted, denied, changed) in table {
        assert_eq!(with_granted(&granted, tries), (denied, changed), "{granted:?}");
    }
    assert_eq!(with_granted(&EVERYTHING, tries).0, [false; 6]);
}

#[test]
fn putting_equal_bytes_is_not_an_overwrite() {
    let (again, _) = with_granted(&[Permission::Put], async |store| {
        store.put("old", Bytes::from_static(b"old bytes")).await
    });
    assert_eq!(again, Ok(()));
}

#[test]
fn concurrent_puts_of_a_new_key_do_not_overwrite_each_other() {
    let (kept, changed) = with_granted(&[Permission::Read, Permission::Put], async |store| {
        let (one, other) = (Bytes::from(vec![1; 4_000]), Bytes::from(vec![2; 4_000]));
        let done = join(store.put("new", one.clone()), store.put("new", other.clone())).await;
        let kept = store.get("new").await.unwrap();
        match done {
            (Ok(()), second) => is_denied(second) && kept == one,
            (first, Ok(())) => is_denied(first) && kept == other,
            neither => panic!("{neither:?}"),
        }
    });
    assert!(kept && changed.len() == 1, "{changed:?}");
}

#[test]
fn removing_a_missing_object_changes_nothing() {
    let (gone, changed) = with_granted(&[Permission::Delete], async |store| store.delete("never").await);
    assert_eq!((gone, changed), (Ok(()), vec![]));
}

/// Found by a generated week: a store without objects whose top directory was removed took no object any more.
#[test]
fn a_store_whose_directories_were_removed_under_it_takes_objects_again() {
    for path in ["objects", "incoming"] {
        for is_empty in [true, false] {
            let main = async move |world: World| {
                world.add_node(NodeSpec::named("store"), objects::run);
                world.sleep(Duration::from_secs(1)).await;
                let put = async |name: &'static str| {
                    let done: Shared<Option<Result<Bytes, StoreError>>> = Arc::default();
                    let told = done.clone();
                    world.add_node(NodeSpec::named(name), move |env: SimEnv| {
                        let told = told.clone();
                        async move {
                            let store = ObjectStore::new(env, STORE, Duration::from_secs(10));
                            let key = format!("segments/{name}");
                            let outcome = match store.put(&key, Bytes::from_static(b"bytes")).await {
                                Ok(()) => store.get(&key).await,
                                Err(error) => Err(error),
                            };
                            *told.lock().unwrap() = Some(outcome);
                        }
                    });
                    world.sleep(Duration::from_secs(60)).await;
                    done.lock().unwrap().take().unwrap()
                };
                if !is_empty {
                    put("first").await.unwrap();
                }
                let removed = RemoveDirectory { node: "store".into(), path: path.to_owned() };
                world.arm(Fault { trigger: Trigger::AtMs(0), action: FaultAction::RemoveDirectory(removed) });
                world.sleep(Duration::from_secs(1)).await;
                assert_eq!(put("second").await, Ok(Bytes::from_static(b"bytes")), "{path}");
            };
            run_fork(WorldSpec::seeded(4), main);
        }
    }
}
