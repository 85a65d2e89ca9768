//! Bit rot: flipped bits of a file.

use super::{BLOCK, LEN, bit_rot, varied};
use crate::support::script::{durable, of, ready, run};
use latent_ports::{Clock, Disk, Env, File, OpenMode, read_full};
use latent_sim::{CrashPolicy, Fault, NodeSpec, SimEnv, Trigger, World, WorldSpec, run_fork};
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn bit_rot_flips_the_given_number_of_nearby_bits_of_one_file_durably() {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "d", varied(LEN)).await;
        durable(env.disk(), "other", varied(LEN)).await;
        ready(&env);
        read_full(&file, 0, LEN).await.unwrap()
    };
    let mut places = BTreeSet::new();
    for (pick, bits) in (0..30).zip([1, 2, 8, 100].into_iter().cycle()) {
        let ran = run(1, &[bit_rot("d", pick, bits)], CrashPolicy::Drawn, script);
        assert_eq!(ran.left.read("d").unwrap(), ran.output, "reads return the durable bytes");
        assert_eq!(ran.left.read("other").unwrap(), varied(LEN));
        let good = varied(LEN);
        let flipped: Vec<(usize, u32)> = (0..LEN as usize)
            .map(|at| (at, (good[at] ^ ran.output[at]).count_ones()))
            .filter(|(_, bits)| *bits > 0)
            .collect();
        assert_eq!(flipped.iter().map(|(_, bits)| bits).sum::<u32>(), bits);
        assert!(flipped.last().unwrap().0 - flipped[0].0 < 64);
        places.insert(flipped[0].0);
    }
    assert!(places.len() > 25, "{places:?}");
    assert_eq!(run(1, &[], CrashPolicy::Drawn, script).output, varied(LEN));
}

#[test]
fn bit_rot_does_not_affect_other_disks_or_older_images() {
    let finished = run_fork(WorldSpec::seeded(1), async |world: World| {
        let body = varied(LEN);
        let boot = move |env: SimEnv| {
            let body = body.clone();
            async move {
                durable(env.disk(), "d", body.clone()).await;
                env.clock().sleep(Duration::from_secs(10)).await;
                // Copies of the good and of the rotten bytes, in separate buffers.
                let rotten =
                    env.disk().open("d", OpenMode::Read).await.unwrap().read_at(0, LEN).await.unwrap();
                durable(env.disk(), "good again", body.to_vec().into()).await;
                durable(env.disk(), "rotten again", rotten.to_vec().into()).await;
            }
        };
        let nodes = ["node", "peer"].map(|name| world.add_node(NodeSpec::named(name), boot.clone()));
        world.sleep(Duration::from_secs(5)).await;
        let before = world.disk_image(nodes[0]);
        world.arm(Fault { trigger: Trigger::AtMs(world.now().0), action: bit_rot("d", 1, 1) });
        world.sleep(Duration::from_secs(10)).await;
        (before, nodes.map(|node| world.durable_image(node)))
    });
    let (before, [node, peer]) = finished.output;
    assert_eq!(before.read("d").unwrap(), varied(LEN));
    assert_ne!(node.read("d").unwrap(), varied(LEN));
    assert_eq!(node.read("rotten again"), node.read("d"));
    assert_eq!(node.read("good again").unwrap(), varied(LEN));
    for path in ["d", "good again", "rotten again"] {
        assert_eq!(peer.read(path).unwrap(), varied(LEN), "{path}");
    }
}

#[test]
fn an_unsynced_overwrite_hides_bit_rot_and_repairs_it_when_synced() {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "d", varied(BLOCK)).await;
        file.write_at(0, of(b'W', BLOCK as usize)).await.unwrap();
        ready(&env);
        file.read_at(0, BLOCK).await.unwrap()
    };
    let ran = run(1, &[bit_rot("d", 1, 1)], CrashPolicy::Nothing, script);
    assert_eq!(ran.output, of(b'W', BLOCK as usize));
    assert_ne!(ran.left.read("d").unwrap(), varied(BLOCK), "the rotten block was below it");
    let ran = run(1, &[bit_rot("d", 1, 1)], CrashPolicy::Everything, script);
    assert_eq!(ran.left.read("d").unwrap(), of(b'W', BLOCK as usize));
}
