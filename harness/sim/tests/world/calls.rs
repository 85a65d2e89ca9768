//! Calls between nodes: how they end.

use crate::store::{SECOND, store, text};
use bytes::Bytes;
use latent_ports::{Clock, Env, Mark, Net, NetErrorKind, NodeId};
use latent_sim::{LatencyTail, LinkSpec, NodeSpec, SimEnv, World, WorldSpec, run_world};
use std::sync::{Arc, Mutex};

mod marks {
    latent_ports::marks! {
        /// A call was answered.
        ANSWERED = "answered";
        /// A server refused a call.
        OVERLOADED = "overloaded";
        /// A call failed in another way.
        OTHER = "other";
        /// A call was answered.
        OK = "ok";
        /// A call was not answered.
        LOST = "lost";
    }
}

/// Calls `to` once and returns the outcome and the duration in milliseconds.
async fn call_once(world: &World, to: NodeId) -> (Result<Bytes, NetErrorKind>, u64) {
    let result = Arc::new(Mutex::new(None));
    let slot = result.clone();
    let name = format!("caller {}", world.nodes().len());
    world.add_node(NodeSpec::named(name), move |env: SimEnv| {
        let slot = slot.clone();
        async move {
            let began = env.clock().monotonic();
            let answer = env.net().call(to, text("?"), 5 * SECOND).await;
            let took_ms = u64::try_from((env.clock().monotonic() - began).as_millis()).unwrap();
            *slot.lock().unwrap() = Some((answer.map(|m| m.head).map_err(|error| error.kind), took_ms));
        }
    });
    world.sleep(10 * SECOND).await;
    let result = result.lock().unwrap().take();
    result.expect("a call ends")
}

#[test]
fn calls_end_as_the_port_specifies() {
    run_world(WorldSpec::seeded(1), async |world| {
        let steady = LinkSpec {
            latency_us: (10_000, 10_000),
            tail: LatencyTail { one_in: 0, multiplier: 1 },
            ..LinkSpec::default()
        };
        world.set_default_link(steady);
        let echo = async |env: SimEnv| env.net().clone().serve(1, async |request| request.message).await;
        let server = world.add_node(NodeSpec::named("server"), echo);
        assert_eq!(call_once(&world, server).await, (Ok("?".into()), 20));
        let mute = world.add_node(NodeSpec::named("mute"), async |_| ());
        assert_eq!(call_once(&world, mute).await, (Err(NetErrorKind::Refused), 20));
        world.kill(server);
        assert_eq!(call_once(&world, server).await, (Err(NetErrorKind::Refused), 20));
        world.restart(server);
        let next = NodeId(u16::try_from(world.nodes().len()).unwrap() + 1);
        world.cut_link(next, server);
        assert_eq!(call_once(&world, server).await, (Err(NetErrorKind::Timeout), 5_000));
        let next = NodeId(next.0 + 1);
        world.cut_link(server, next);
        assert_eq!(call_once(&world, server).await, (Err(NetErrorKind::Timeout), 5_000));
        world.restore_link(server, next);
        assert_eq!(call_once(&world, server).await, (Ok("?".into()), 20));
        world.set_default_link(LinkSpec { loss_ppm: 1_000_000, ..steady });
        assert_eq!(call_once(&world, server).await, (Err(NetErrorKind::Timeout), 5_000));
        world.set_default_link(LinkSpec { bandwidth_bytes_per_s: Some(1), ..steady });
        assert_eq!(call_once(&world, server).await, (Ok("?".into()), 2_020));
    });
}

#[test]
fn a_server_at_its_limit_reports_overload() {
    run_world(WorldSpec::seeded(1), async |world| {
        let server = world.add_node(NodeSpec::named("server"), async |env: SimEnv| {
            let clock = env.clock().clone();
            let handler = move |request: latent_ports::Request| {
                let clock = clock.clone();
                async move {
                    clock.sleep(SECOND).await;
                    request.message
                }
            };
            env.net().serve(3, handler).await;
        });
        for index in 0..5 {
            world.add_node(NodeSpec::named(format!("c{index}")), move |env: SimEnv| async move {
                env.clock().sleep(SECOND).await;
                let name = match env.net().call(server, text("?"), 5 * SECOND).await {
                    Ok(_) => marks::ANSWERED,
                    Err(error) if error.kind == NetErrorKind::Overloaded => marks::OVERLOADED,
                    Err(_) => marks::OTHER,
                };
                env.mark(Mark { name, subject: "" });
            });
        }
        world.sleep(20 * SECOND).await;
        assert_eq!(world.marks(), [(marks::ANSWERED.name(), 3), (marks::OVERLOADED.name(), 2)].into());
    });
}

#[test]
fn a_retry_of_a_lost_message_may_arrive() {
    run_world(WorldSpec::seeded(1), async |world| {
        world.set_default_link(LinkSpec { loss_ppm: 300_000, ..LinkSpec::default() });
        let server = world.add_node(NodeSpec::named("store"), store);
        world.add_node(NodeSpec::named("client"), move |env: SimEnv| async move {
            for _ in 0..200 {
                let name = if env.net().call(server, text("same"), SECOND).await.is_ok() {
                    marks::OK
                } else {
                    marks::LOST
                };
                env.mark(Mark { name, subject: "" });
            }
        });
        world.sleep(1_000 * SECOND).await;
        // Both messages must arrive: 49%.
        let ok = world.marks()[marks::OK.name()];
        assert!((70..130).contains(&ok), "{ok} of 200");
    });
}
