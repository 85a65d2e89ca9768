//! A store with its fault interceptor and a client in a world of their own: the effect of each condition, and its
//! end.

use super::*;
use bytes::Bytes;
use latent_engine::sim::{Condition, Fault, FaultAction, NodeSpec, SimEnv, Trigger, WorldSpec, run_fork};
use latent_pipeline::access::AccessPolicy;
use latent_pipeline::objects;
use latent_ports::NetErrorKind;
use latent_storekit::object_store::{ObjectError, ObjectStore, StoreError, StoreRetryPolicy};
use std::time::Duration;

const STORE: NodeId = NodeId(1);
const HOUR_MS: u64 = 3_600_000;
const ALWAYS: u64 = 1_000_000;

/// Runs `script` on a client of the store, with these conditions (node, name, level) active for the first hour.
fn with_store<T: Send + 'static, F>(
    conditions: &[(&str, &str, u64)],
    script: impl Fn(SimEnv, World) -> F + Send + Sync + 'static,
) -> T
where
    F: Future<Output = T> + Send + 'static,
{
    let run = async move |world: World| {
        let start = world.start().0;
        for (node, name, level) in conditions {
            let (node, name) = ((*node).to_owned(), (*name).to_owned());
            let condition = Condition { node, name, level: *level, for_ms: Some(HOUR_MS) };
            // A fault finds its node only after the node was added.
            world.arm(Fault {
                trigger: Trigger::AtMs(start + 2_000),
                action: FaultAction::Condition(condition),
            });
        }
        let of_store = world.clone();
        let store = world.add_node(NodeSpec::named("dc-1"), move |env: SimEnv| {
            let production = std::iter::empty();
            let door = StoreFaultInterceptor::new(
                of_store.clone(),
                STORE,
                StoreKind::Backups,
                production,
                Arc::default(),
            );
            objects::serve(env, AccessPolicy::allow_all(), door)
        });
        assert_eq!(store, STORE);
        world.sleep(Duration::from_secs(1)).await;
        let done: Arc<Mutex<Option<T>>> = Arc::default();
        let (told, script, of_client) = (done.clone(), Arc::new(script), world.clone());
        world.add_node(NodeSpec::named("client"), move |env| {
            let (told, script, world) = (told.clone(), script.clone(), of_client.clone());
            async move {
                world.sleep(Duration::from_secs(2)).await;
                let output = script(env, world).await;
                *lock(&told) = Some(output);
            }
        });
        loop {
            world.sleep(Duration::from_secs(1)).await;
            if let Some(output) = lock(&done).take() {
                return output;
            }
        }
    };
    run_fork(WorldSpec::seeded(5), run).output
}

fn client(env: &SimEnv) -> ObjectStore<SimEnv> {
    ObjectStore::new(env.clone(), STORE, Duration::from_secs(10))
}

fn kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Object { error: ObjectError::Unavailable(_), .. } => "unavailable",
        StoreError::Object { error: ObjectError::Throttled { retry_after_ms: 1_000..=5_000 }, .. } => {
            "throttled"
        }
        StoreError::Object { error: ObjectError::Denied, .. } => "denied",
        StoreError::Net(error) if error.kind == NetErrorKind::Timeout => "no answer",
        other => panic!("{other}"),
    }
}

/// Makes 200 puts of distinct objects and 200 reads; returns the number of failures by kind.
async fn puts_and_heads(env: SimEnv) -> [BTreeMap<&'static str, u32>; 2] {
    let store = client(&env);
    let mut failed = [BTreeMap::new(), BTreeMap::new()];
    for n in 0..200 {
        if let Err(error) = store.put(&format!("o/{n}"), Bytes::from(format!("object {n}"))).await {
            *failed[0].entry(kind(&error)).or_default() += 1;
        }
        if let Err(error) = store.head("o/0").await {
            *failed[1].entry(kind(&error)).or_default() += 1;
        }
    }
    failed
}

#[test]
fn without_a_condition_nothing_fails_and_pages_are_whole() {
    let (failed, page) = with_store(&[], async |env, _| {
        (puts_and_heads(env.clone()).await, client(&env).list_page("", "").await.unwrap())
    });
    assert_eq!(failed, [BTreeMap::new(), BTreeMap::new()]);
    assert_eq!((page.0.len(), page.1), (200, false));
}

#[test]
fn a_share_of_calls_fails_including_repetitions_of_one_call() {
    for (name, expected) in [("store.unavailable", "unavailable"), ("store.throttled", "throttled")] {
        let failed = with_store(&[("dc-1", name, 300_000)], async |env, _| puts_and_heads(env).await);
        for of in failed {
            assert_eq!(of.keys().collect::<Vec<_>>(), [&expected], "{name}");
            assert!((40..=80).contains(&of[expected]), "{name}: 60 of 200 are to be expected: {of:?}");
        }
    }
}

#[test]
fn a_condition_of_another_store_or_an_expired_one_has_no_effect() {
    let elsewhere = [("client", "store.unavailable", ALWAYS)];
    assert_eq!(with_store(&elsewhere, async |env, _| puts_and_heads(env).await)[0].len(), 0);
    let failed = with_store(&[("dc-1", "store.unavailable", ALWAYS)], async |env, world| {
        let first = client(&env).head("o").await.is_err();
        world.sleep(Duration::from_millis(HOUR_MS)).await;
        (first, client(&env).head("o").await.is_err())
    });
    assert_eq!(failed, (true, false));
}

#[test]
fn failed_calls_have_no_effect() {
    for name in ["store.unavailable", "store.throttled", "store.uploads-broken"] {
        let there = with_store(&[("dc-1", name, ALWAYS)], async |env, world| {
            let put = client(&env).put("o", Bytes::from_static(b"bytes")).await;
            world.sleep(Duration::from_millis(HOUR_MS)).await;
            (put.is_err(), client(&env).head("o").await.unwrap())
        });
        assert_eq!(there, (true, None), "{name}");
    }
}

#[test]
fn a_put_with_a_lost_answer_takes_effect_and_reads_are_not_affected() {
    let (put, read) = with_store(&[("dc-1", "store.answers-lost", ALWAYS)], async |env, _| {
        let put = client(&env).put("o", Bytes::from_static(b"bytes")).await;
        (kind(&put.unwrap_err()), client(&env).get("o").await.unwrap())
    });
    assert_eq!((put, read.as_ref()), ("no answer", b"bytes".as_slice()));
}

/// Returns the lengths of the uploads on the store's disk.
fn uploads(world: &World) -> Vec<usize> {
    let image = world.disk_image(STORE);
    let under = image.files().filter(|(path, _)| path.starts_with("incoming/"));
    under.map(|(_, file)| file.chunks().iter().map(Bytes::len).sum()).collect()
}

#[test]
fn a_broken_upload_leaves_half_of_its_bytes_until_the_store_reboots() {
    let broken = [("dc-1", "store.uploads-broken", ALWAYS)];
    let left = with_store(&broken, async |env, world| {
        assert!(client(&env).put("o", Bytes::from_static(b"0123456789")).await.is_err());
        let left = uploads(&world);
        world.restart(STORE);
        world.sleep(Duration::from_secs(1)).await;
        (left, uploads(&world))
    });
    assert_eq!(left, (vec![5], vec![]));
}

#[test]
fn short_pages_are_short_and_the_whole_listing_is_complete() {
    let (page, all) = with_store(&[("dc-1", "store.short-pages", 3)], async |env, _| {
        let store = client(&env);
        for n in 0..10 {
            store.put(&format!("o/{n}"), Bytes::new()).await.unwrap();
        }
        (store.list_page("", "").await.unwrap(), store.list("").await.unwrap())
    });
    assert_eq!((page.0.len(), page.1, all.len()), (3, true, 10));
}

#[test]
fn expired_credentials_deny_all_calls_of_their_node_only() {
    let answers = [("client", "credentials.expired", 0), ("other", "credentials.expired", 0)];
    for (conditions, expected) in [(&answers[..1], Some("denied")), (&answers[1..], None)] {
        let failed = with_store(conditions, async |env, _| {
            let store = client(&env).with_retries(StoreRetryPolicy::LONG);
            let put = store.put("o", Bytes::new()).await.err();
            (put.as_ref().map(kind), store.list("").await.err().as_ref().map(kind))
        });
        assert_eq!(failed, (expected, expected));
    }
}

#[test]
fn a_patient_client_succeeds_where_an_impatient_one_fails() {
    let bad = [
        ("dc-1", "store.unavailable", 300_000),
        ("dc-1", "store.throttled", 200_000),
        ("dc-1", "store.uploads-broken", 200_000),
        ("dc-1", "store.answers-lost", 50_000),
        ("dc-1", "store.short-pages", 7),
    ];
    let (impatient, patient, all) = with_store(&bad, async |env, _| {
        let (mut failed, patient) = (0, client(&env).with_retries(StoreRetryPolicy::LONG));
        for n in 0..50 {
            let (key, body) = (format!("o/{n}"), Bytes::from(format!("object {n}")));
            failed += u32::from(client(&env).put_verified(&key, body.clone()).await.is_err());
            patient.put_verified(&key, body).await.unwrap();
        }
        (failed, patient.list("o/").await.unwrap().len(), patient.get("o/49").await.unwrap())
    });
    assert!(impatient > 20, "{impatient} of 50");
    assert_eq!((patient, all.as_ref()), (50, b"object 49".as_slice()));
}
