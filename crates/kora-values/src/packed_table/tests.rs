use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::segment_table::hash;

/// What a table holds, kept in the simplest way.
type Twin = BTreeMap<Vec<u8>, (u8, Vec<u8>, Option<u64>)>;

#[derive(Clone, Debug)]
enum Step {
    Set {
        name: u32,
        tag: u8,
        body: usize,
        outside: Option<u64>,
    },
    Remove {
        name: u32,
    },
    RemoveMany {
        from: u32,
    },
}

fn name_of(number: u32) -> Vec<u8> {
    // Some names are long, and a few so long that their records have chunks to themselves.
    let len = match number % 50 {
        0 => 3000,
        1 => 9000,
        2 => 300,
        _ => number as usize % 13,
    };
    let mut name = number.to_le_bytes().to_vec();
    name.resize(4 + len, b'n');
    name
}

fn body_of(number: u32, len: usize) -> Vec<u8> {
    (0..len).map(|place| (place as u32 ^ number) as u8).collect()
}

fn set(table: &mut PackedTable<u64>, name: &[u8], tag: u8, body: &[u8], outside: Option<u64>) {
    let hash = hash(7, name);
    let (front, back) = body.split_at(body.len() / 3);
    let content = Content {
        tag,
        body: [front, back],
        outside,
    };
    match table.find_name(hash, name) {
        Some(position) => {
            let before = table.get(position).outside.copied();
            assert_eq!(table.replace(position, name, content), before);
        }
        None => table.insert_new(hash, name, 5, content),
    }
}

fn remove(table: &mut PackedTable<u64>, name: &[u8]) -> Option<Option<u64>> {
    let position = table.find_name(hash(7, name), name)?;
    Some(table.remove(position))
}

fn assert_agrees(table: &PackedTable<u64>, twin: &Twin) {
    table.assert_sound();
    assert_eq!(table.len(), twin.len());
    for (name, (tag, body, outside)) in twin {
        let position = table.find_name(hash(7, name), name).expect("it is there");
        let record = table.get(position);
        assert_eq!((record.name, record.tag, record.body), (&name[..], *tag, &body[..]));
        assert_eq!(record.outside.copied(), *outside);
    }
    let mut met: Vec<Vec<u8>> = table.iter().map(|record| record.name.to_vec()).collect();
    met.sort();
    assert!(met.iter().eq(twin.keys()), "each record once");
}

fn step() -> impl Strategy<Value = Step> {
    let body = prop_oneof![8 => 0..40_usize, 2 => 100..500_usize, 1 => 600..700_usize];
    let set = (
        0..4000_u32,
        0..128_u8,
        body,
        proptest::option::weighted(0.2, any::<u64>()),
    );
    prop_oneof![
        6 => set.prop_map(|(name, tag, body, outside)| Step::Set { name, tag, body, outside }),
        2 => (0..4000_u32).prop_map(|name| Step::Remove { name }),
        1 => (0..4000_u32).prop_map(|from| Step::RemoveMany { from }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_table_agrees_with_a_map(steps in proptest::collection::vec(step(), 1..1500)) {
        let (mut table, mut twin) = (PackedTable::new(), Twin::new());
        for step in steps {
            match step {
                Step::Set { name, tag, body, outside } => {
                    // One step sets some, so that segments split.
                    for number in name..name + 8 {
                        let (name, body) = (name_of(number), body_of(number, body));
                        set(&mut table, &name, tag, &body, outside);
                        twin.insert(name, (tag, body, outside));
                    }
                }
                Step::Remove { name } => {
                    let name = name_of(name);
                    prop_assert_eq!(remove(&mut table, &name), twin.remove(&name).map(|held| held.2));
                }
                Step::RemoveMany { from } => {
                    for number in from..from + 20 {
                        let name = name_of(number);
                        prop_assert_eq!(remove(&mut table, &name), twin.remove(&name).map(|held| held.2));
                    }
                }
            }
        }
        assert_agrees(&table, &twin);
    }
}

#[test]
fn a_table_grows_splits_shrinks_and_merges() {
    let (mut table, mut twin) = (PackedTable::new(), Twin::new());
    for number in 0..20_000 {
        let (name, body) = (name_of(number), body_of(number, number as usize % 60));
        set(&mut table, &name, 3, &body, None);
        twin.insert(name, (3, body, None));
    }
    assert_agrees(&table, &twin);
    let many = table.directory.segments().len();
    assert!(many > 20_000 / SEGMENT_RECORDS_MAX, "{many} segments");
    for number in 0..19_990 {
        let name = name_of(number);
        assert_eq!(remove(&mut table, &name), twin.remove(&name).map(|held| held.2));
    }
    assert_agrees(&table, &twin);
    assert!(table.directory.segments().len() < 4, "they merge");
    for number in 19_990..20_000 {
        remove(&mut table, &name_of(number));
    }
    assert!(table.bytes() < 8192, "{} bytes for nothing", table.bytes());
}

#[test]
fn records_that_change_their_size_again_and_again_do_not_take_more_and_more() {
    let mut table = PackedTable::new();
    let mut size = 0;
    for round in 0..200_u32 {
        for number in 0..3000_u32 {
            let name = number.to_le_bytes();
            size = (size * 31 + 17) % 97;
            set(&mut table, &name, 0, &body_of(round, size), None);
        }
        let live: usize = table
            .iter()
            .map(|record| 3 + record.name.len() + record.body.len())
            .sum();
        let held = table.bytes() - table.directory.bytes();
        assert!(
            held < live * 3 / 2 + 3000 * 18 + 8 * 1024,
            "{held} held for {live} in round {round}"
        );
    }
    table.assert_sound();
}

#[test]
fn a_small_record_takes_little_at_any_number_of_them() {
    let mut table: PackedTable<u64> = PackedTable::new();
    let mut state = 1_u64;
    for number in 1..=200_000_u32 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let content = Content {
            tag: 1,
            body: [&[0; 8], &[]],
            outside: None,
        };
        let name = format!("{number:010}");
        table.insert_new(hash(7, name.as_bytes()), name.as_bytes(), 0, content);
        if number >= 10_000 && number % 5_000 == 0 {
            let each = table.bytes() / number as usize;
            // 10 + 8 bytes, and a head of 3.
            assert!((33..43).contains(&each), "{each} bytes each of {number}");
        }
    }
}

#[test]
fn a_scan_meets_every_record_that_stays_while_the_table_changes() {
    let mut table = PackedTable::new();
    (0..3000).for_each(|number| set(&mut table, &name_of(number), 0, b"", None));
    let (mut next, mut met, mut added) = (Some(0), Vec::new(), 3000);
    while let Some(from) = next {
        let (records, after) = table.scan(from, 20, 10);
        assert!(records.len() < 30, "few share a prefix");
        assert!(after.is_none_or(|after| after > from), "each scan gets on");
        assert!(records.is_sorted_by_key(|record| record.hash));
        met.extend(records.iter().map(|record| record.name.to_vec()));
        next = after;
        (added..added + 40).for_each(|number| set(&mut table, &name_of(number), 0, b"", None));
        (added - 30..added).filter(|number| *number >= 3000).for_each(|number| {
            remove(&mut table, &name_of(number));
        });
        added += 40;
    }
    let mut counts = BTreeMap::new();
    met.into_iter().for_each(|name| *counts.entry(name).or_insert(0) += 1);
    assert!(
        (0..3000).all(|number| counts.get(&name_of(number)) == Some(&1)),
        "each once"
    );
}

#[test]
fn few_bits_bring_all_that_share_a_prefix() {
    let mut table = PackedTable::new();
    (0..5000_u32).for_each(|number| set(&mut table, &number.to_le_bytes(), 0, b"", None));
    for bits in [1, 3, 9, 12, 32] {
        let (mut next, mut met) = (Some(0), 0);
        while let Some(from) = next {
            let (records, after) = table.scan(from, bits, 100);
            let end = after.map_or(1 << 32, |after| u64::from(after) << (32 - bits));
            assert!(
                records
                    .iter()
                    .all(|record| u64::from(record.hash) < end && record.hash >= from << (32 - bits))
            );
            met += records.len();
            next = after;
        }
        assert_eq!(met, 5000, "{bits} bits");
    }
    assert!(table.scan(2, 1, 10).0.is_empty());
}

#[test]
fn equal_hashes_are_told_apart_by_their_names() {
    let mut table: PackedTable<u64> = PackedTable::new();
    for number in 0..3000_u32 {
        let content = Content {
            tag: 0,
            body: [&number.to_le_bytes(), &[]],
            outside: None,
        };
        table.insert_new(0xFFFF_FFFF, &number.to_le_bytes(), 0, content);
    }
    table.assert_sound();
    for number in 0..3000_u32 {
        let position = table
            .find_name(0xFFFF_FFFF, &number.to_le_bytes())
            .expect("it is there");
        assert_eq!(table.get(position).body, number.to_le_bytes());
        table.remove(position);
    }
    assert!(table.is_empty());
}

#[test]
fn every_record_is_drawn_about_as_often_as_another() {
    let mut table = PackedTable::new();
    (0..2500_u32).for_each(|number| set(&mut table, &number.to_le_bytes(), 0, b"", None));
    let (mut counts, mut state) = (vec![0_u32; 2500], 1_u64);
    for _ in 0..250_000 {
        let drawn = table.random(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        });
        let name = drawn.expect("there are some").name;
        counts[u32::from_le_bytes(name.try_into().expect("four bytes")) as usize] += 1;
    }
    let (least, most) = (counts.iter().min(), counts.iter().max());
    assert!(
        least >= Some(&30) && most <= Some(&250),
        "{least:?} to {most:?} of 100 expected"
    );
}

#[test]
fn a_table_is_dismantled_in_steps() {
    let mut table = PackedTable::new();
    (0..10_000).for_each(|number| set(&mut table, &name_of(number), 0, b"body", (number % 2 == 0).then_some(1)));
    let (mut steps, mut outside) = (0, 0);
    while let Some(taken) = table.dismantle() {
        assert!(taken.len() <= DISMANTLED_MAX);
        outside += taken.len();
        steps += 1;
    }
    assert_eq!((outside, table.len(), table.bytes), (5000, 0, 0));
    assert!(steps > 5000 / DISMANTLED_MAX, "{steps} steps");
}

#[test]
fn what_is_needed_no_more_comes_back_when_segments_are_compacted() {
    let mut table: PackedTable<()> = PackedTable::new();
    let content = || Content {
        tag: 0,
        body: [&[7; 40][..], &[]],
        outside: None,
    };
    let hash = |number: u32| number.wrapping_mul(0x9E37_79B9);
    (0..20_000_u32).for_each(|number| table.insert_new(hash(number), &number.to_le_bytes(), number, content()));
    for number in (0..20_000_u32).step_by(6) {
        let position = table.find_name(hash(number), &number.to_le_bytes());
        table.remove(position.expect("it was added"));
    }
    let (bytes, dead) = (table.bytes(), table.dead_bytes());
    assert!(dead > 3_000 * 40, "{dead}");
    while table.compact_some(32) {}
    table.assert_sound();
    assert_eq!(table.dead_bytes(), 0);
    assert!(table.bytes() + dead / 2 < bytes, "{} of {bytes} left", table.bytes());
}

#[test]
fn a_sample_has_as_many_records_as_are_wanted_each_about_as_often() {
    let mut table: PackedTable<()> = PackedTable::new();
    let content = || Content {
        tag: 0,
        body: [&[], &[]],
        outside: None,
    };
    let mut sampled = 0;
    table.sample(7, 5, |_, _| sampled += 1);
    assert_eq!(sampled, 0);
    let hash = |number: u32| number.wrapping_mul(0x9E37_79B9) ^ number.rotate_left(13);
    (0..5_000_u32).for_each(|number| table.insert_new(hash(number), &number.to_le_bytes(), number, content()));
    let mut times = vec![0; 5_000];
    let mut random = 5_u64;
    for _ in 0..40_000 {
        random = random
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(0x1405_7B7E_F767_814F);
        let mut wanted = 0;
        table.sample(random, 5, |_, used| {
            times[used as usize] += 1;
            wanted += 1;
        });
        assert_eq!(wanted, 5);
    }
    assert!(times.iter().filter(|times| **times > 0).count() > 4_990);
    assert!(times.iter().all(|times| *times < 400), "forty on average");
}
