//! Misdirected and lost writes.

use super::{BLOCK, count, lost_write, misdirected, write_twice};
use crate::support::script::{durable, of, ready, run};
use latent_ports::{Env, File, read_full};
use latent_sim::{CrashPolicy, SimEnv};
use std::collections::BTreeSet;

#[test]
fn a_misdirected_write_overwrites_another_block_instead_of_its_own() {
    let mut victims = BTreeSet::new();
    for pick in 0..30 {
        let left = run(1, &[misdirected("f", pick)], CrashPolicy::Nothing, write_twice).left;
        let f = left.read("f").unwrap();
        assert!(f[..BLOCK as usize].iter().all(|byte| *byte == b'F'), "its own location keeps the old bytes");
        let came_down = count(&left, b'1');
        let hit = [("bystander", 3 * BLOCK), ("f", 2 * BLOCK), ("g", 610)].iter().find(|(path, len)| {
            let bytes = left.read(path).unwrap();
            assert_eq!(bytes.len() as u64, *len, "no length changes");
            bytes.contains(&b'1')
        });
        let (victim, _) = hit.expect("another place was overwritten");
        // At that instant, ten bytes of `g` were durable.
        assert_eq!(came_down, if *victim == "g" { 10 } else { BLOCK as usize });
        victims.insert(*victim);
        assert_eq!(count(&left, b'2'), 600, "only the next write is misdirected");
    }
    assert_eq!(victims, BTreeSet::from(["bystander", "f", "g"]));
    let left = run(1, &[], CrashPolicy::Nothing, write_twice).left;
    assert_eq!((count(&left, b'1'), count(&left, b'B')), (BLOCK as usize, 3 * BLOCK as usize));
}

#[test]
fn a_misdirected_append_extends_its_file_with_zeros() {
    let ran = run(1, &[misdirected("g", 1)], CrashPolicy::Nothing, write_twice);
    let g = [of(b'G', 10), of(0, 600)].concat();
    assert_eq!(ran.seen.read("g").unwrap(), g);
    assert_eq!(ran.left.read("g").unwrap(), g);
    assert_eq!(count(&ran.left, b'2'), 600);
    let left = run(1, &[], CrashPolicy::Nothing, write_twice).left;
    assert_eq!(left.read("g").unwrap(), [of(b'G', 10), of(b'2', 600)].concat());
}

#[test]
fn a_lost_write_is_visible_and_synced_and_missing_after_the_next_crash() {
    let script = async |env: SimEnv| {
        let file = durable(env.disk(), "f", of(b'O', 4)).await;
        ready(&env);
        file.append(of(b'1', 2)).await.unwrap();
        file.write_at(0, of(b'2', 2)).await.unwrap();
        file.append(of(b'3', 2)).await.unwrap();
        file.sync().await.unwrap();
        read_full(&file, 0, 99).await.unwrap()
    };
    for keeps in [CrashPolicy::Nothing, CrashPolicy::Drawn, CrashPolicy::Everything] {
        for (times, left) in
            [(0, "22OO1133"), (1, "22OO\0\x0033"), (2, "OOOO\0\x0033"), (3, "OOOO"), (9, "OOOO")]
        {
            let ran = run(1, &[lost_write("f", times)], keeps, script);
            assert_eq!(ran.output, "22OO1133");
            assert_eq!(ran.left.read("f").unwrap(), left, "{times} lost, {keeps:?}");
        }
    }
    assert_eq!(
        run(1, &[lost_write("elsewhere", 9)], CrashPolicy::Nothing, script).left.read("f").unwrap(),
        "22OO1133"
    );
}
