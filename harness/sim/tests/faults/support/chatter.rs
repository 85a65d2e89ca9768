//! Two nodes that call each other ten times a second, and the counts of calls and answers.

use super::ticker::SECOND;
use latent_ports::{Clock, Env, Mark, MarkName, Message, Net, NodeId};
use latent_sim::{Fault, LatencyTail, LinkSpec, NodeSpec, SimEnv, World, WorldOutcome, WorldSpec, run_fork};

mod marks {
    latent_ports::marks! {
        /// A call of a was answered.
        A_HEARD = "a heard";
        /// A call of a was not answered.
        A_LOST = "a lost";
        /// A call has arrived at a.
        A_ASKED = "a asked";
        /// A call of b was answered.
        B_HEARD = "b heard";
        /// A call of b was not answered.
        B_LOST = "b lost";
        /// A call has arrived at b.
        B_ASKED = "b asked";
    }
}

/// Runs two nodes that call each other every 100 ms for 10 s, under faults; marks count calls and answers.
pub fn chatter_with(faults: impl FnOnce(&World) -> Vec<Fault> + Send) -> WorldOutcome<()> {
    async fn chat(env: SimEnv, peer: NodeId, [heard, lost, asked]: [MarkName; 3]) {
        let (caller, marker) = (env.clone(), env.clone());
        env.spawn(async move {
            loop {
                caller.clock().sleep(SECOND / 10).await;
                let answer = caller.net().call(peer, Message::default(), SECOND / 20).await;
                caller.mark(Mark { name: if answer.is_ok() { heard } else { lost }, subject: "" });
            }
        });
        env.net()
            .serve(8, move |request| {
                marker.mark(Mark { name: asked, subject: "" });
                async move { request.message }
            })
            .await;
    }
    run_fork(WorldSpec::seeded(1), async move |world: World| {
        world.set_default_link(LinkSpec {
            tail: LatencyTail { one_in: 0, multiplier: 1 },
            ..LinkSpec::default()
        });
        faults(&world).into_iter().for_each(|fault| world.arm(fault));
        world.add_node(NodeSpec::named("a"), |env| {
            chat(env, NodeId(2), [marks::A_HEARD, marks::A_LOST, marks::A_ASKED])
        });
        world.add_node(NodeSpec::named("b"), |env| {
            chat(env, NodeId(1), [marks::B_HEARD, marks::B_LOST, marks::B_ASKED])
        });
        world.sleep(10 * SECOND).await;
    })
}

/// Returns how often nodes a and b reached the marks `name`.
pub fn both(finished: &WorldOutcome<()>, name: &str) -> (u64, u64) {
    let count = |node: &str| {
        let found = finished.mark_counts.iter().find(|(mark, _)| **mark == format!("{node} {name}"));
        found.map_or(0, |(_, count)| *count)
    };
    (count("a"), count("b"))
}
