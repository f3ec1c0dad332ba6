use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;

/// A name, what it hashes to, and a value.
#[derive(Debug, Clone, PartialEq)]
struct TestEntry {
    hash: u32,
    name: u32,
    value: u32,
}

impl Hashed for TestEntry {
    fn hash(&self) -> u32 {
        self.hash
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Insert or replace these names, each with its own value.
    Insert(u32, u32),
    /// Remove these names, whether they are there or not.
    Remove(u32, u32),
    /// Scan all from a prefix on.
    Scan {
        from: u32,
        wanted: usize,
    },
    Random(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_u32..30_000, 0_u32..6_000).prop_map(|(from, count)| Step::Insert(from, count)),
        3 => (0_u32..30_000, 0_u32..9_000).prop_map(|(from, count)| Step::Remove(from, count)),
        2 => (any::<u32>(), 1_usize..3_000).prop_map(|(from, wanted)| Step::Scan { from, wanted }),
        1 => any::<u64>().prop_map(Step::Random),
    ];
    proptest::collection::vec(step, 1..40)
}

/// How many bits of a hash differ from name to name: with few, hashes collide and segments grow deep.
fn table_hash(name: u32, bits: u32) -> u32 {
    let spread = hash(7, &name.to_le_bytes());
    if bits == 32 { spread } else { spread >> (32 - bits) << 5 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_table_agrees_with_a_hash_map(steps in steps(), hash_bits in prop_oneof![Just(32_u32), 1_u32..14], bits in 1_u32..=32) {
        let mut table = SegmentTable::new();
        let mut twin: HashMap<u32, u32> = HashMap::new();
        let mut fresh = 0;
        for step in steps {
            match step {
                Step::Insert(from, count) => for name in from..from + count {
                    fresh += 1;
                    let hash = table_hash(name, hash_bits);
                    match table.find_mut(hash, |entry: &TestEntry| entry.name == name) {
                        Some(entry) => {
                            prop_assert_eq!(twin.insert(name, fresh), Some(entry.value));
                            entry.value = fresh;
                        }
                        None => {
                            prop_assert_eq!(twin.insert(name, fresh), None);
                            table.insert_new(TestEntry { hash, name, value: fresh });
                        }
                    }
                },
                Step::Remove(from, count) => for name in from..from + count {
                    let gone = table.remove(table_hash(name, hash_bits), |entry| entry.name == name);
                    prop_assert_eq!(gone.map(|entry| entry.value), twin.remove(&name));
                },
                Step::Scan { from, wanted } => scan_agrees(&table, &twin, (from >> (32 - bits), bits), wanted, hash_bits)?,
                Step::Random(state) => {
                    let some = table.random(random(state));
                    prop_assert_eq!(some.is_none(), twin.is_empty());
                    prop_assert!(some.is_none_or(|entry| twin[&entry.name] == entry.value));
                }
            }
            check(&table);
            prop_assert_eq!(table.len(), twin.len());
        }
        for (&name, &value) in &twin {
            let found = table.find(table_hash(name, hash_bits), |entry| entry.name == name);
            prop_assert_eq!(found.map(|entry| entry.value), Some(value));
        }
        prop_assert_eq!(table.iter().count(), twin.len());
    }
}

/// A scan to the end meets each entry once, in the order of prefixes, and as many at once as were wanted.
fn scan_agrees(
    table: &SegmentTable<TestEntry>,
    twin: &HashMap<u32, u32>,
    (from, bits): (u32, u32),
    wanted: usize,
    hash_bits: u32,
) -> Result<(), TestCaseError> {
    let prefix = |name: u32| table_hash(name, hash_bits) >> (32 - bits);
    let mut sharing: BTreeMap<u32, usize> = BTreeMap::new();
    twin.keys()
        .map(|name| prefix(*name))
        .filter(|prefix| *prefix >= from)
        .for_each(|prefix| *sharing.entry(prefix).or_default() += 1);
    let (mut next, mut met, mut before) = (Some(from), Vec::new(), from);
    while let Some(from) = next {
        let (entries, after) = table.scan(from, bits, wanted);
        prop_assert!(after.is_none_or(|after| after > from), "it gets on");
        let prefixes: Vec<u32> = entries.iter().map(|entry| entry.hash >> (32 - bits)).collect();
        prop_assert!(prefixes.is_sorted() && prefixes.first().is_none_or(|first| *first >= before));
        if let Some(last) = prefixes.last() {
            let without_last = prefixes.iter().filter(|prefix| *prefix < last).count();
            prop_assert!(without_last < wanted, "no prefix too many");
            prop_assert_eq!(
                prefixes.len() - without_last,
                sharing[last],
                "the last prefix is complete"
            );
        }
        before = after.unwrap_or(before);
        met.extend(entries.iter().map(|entry| entry.name));
        next = after;
    }
    met.sort_unstable();
    let mut wanted: Vec<u32> = twin.keys().copied().filter(|name| prefix(*name) >= from).collect();
    wanted.sort_unstable();
    prop_assert_eq!(met, wanted);
    Ok(())
}

/// What the fields' comments promise.
fn check<E: Hashed>(table: &SegmentTable<E>) {
    assert_eq!(table.directory.len(), 1 << table.depth);
    let deepest = table.segments.iter().filter(|segment| segment.depth == table.depth);
    assert_eq!(deepest.count(), table.deepest);
    assert!(table.deepest > 0);
    let len: usize = table.segments.iter().map(|segment| segment.entries.len()).sum();
    assert_eq!(len, table.len);
    let bytes: usize = table
        .segments
        .iter()
        .map(|segment| segment.entries.allocation_size())
        .sum();
    assert_eq!(bytes, table.entry_bytes);
    for (place, index) in table.directory.iter().enumerate() {
        let segment = &table.segments[*index as usize];
        let prefix = (place as u64) << (32 - table.depth);
        let kept = !0_u64 << (32 - segment.depth);
        assert_eq!(prefix & kept, u64::from(segment.prefix), "place {place}");
    }
    for segment in &table.segments {
        let kept = !0_u64 << (32 - segment.depth);
        let alike = |entry: &E| u64::from(entry.hash()) & kept == u64::from(segment.prefix);
        assert!(segment.entries.iter().all(alike));
        assert!(segment.entries.len() <= SEGMENT_ENTRIES_MAX || segment.depth == DEPTH_MAX);
    }
}

fn random(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        // splitmix64
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

fn entry(name: u32) -> TestEntry {
    let hash = hash(7, &name.to_le_bytes());
    TestEntry { hash, name, value: 0 }
}

fn filled(count: u32) -> SegmentTable<TestEntry> {
    let mut table = SegmentTable::new();
    (0..count).for_each(|name| table.insert_new(entry(name)));
    table
}

#[test]
fn a_scan_meets_every_entry_that_stays_while_the_table_splits_and_merges() {
    let mut table = filled(20_000);
    let (mut next, mut met, mut steps) = (Some(0), Vec::new(), 0);
    let (mut most, mut least) = (0, usize::MAX);
    while let Some(from) = next {
        let (entries, after) = table.scan(from, 20, 100);
        met.extend(entries.iter().map(|entry| entry.name).filter(|name| *name < 2_000));
        next = after;
        // The first 2,000 stay. The others go, and many more come and go.
        let others = 20_000 + steps * 1_000;
        match steps {
            0..8 => (others..others + 1_000).for_each(|name| table.insert_new(entry(name))),
            8..36 => {
                for name in 2_000 + (steps - 8) * 1_000..3_000 + (steps - 8) * 1_000 {
                    table.remove(hash(7, &name.to_le_bytes()), |entry| entry.name == name);
                }
            }
            _ => {}
        }
        most = most.max(table.segments.len());
        least = least.min(table.segments.len());
        steps += 1;
    }
    assert!(
        most > 16 && least * 2 < most && steps > 40,
        "{most} segments, {least}, {steps} steps"
    );
    met.sort_unstable();
    assert_eq!(met, (0..2_000).collect::<Vec<u32>>(), "each once");
}

#[test]
fn a_table_that_was_emptied_is_as_small_as_a_new_one() {
    let mut table = filled(300_000);
    assert!(table.segments.len() > 128);
    let full = table.bytes();
    for name in 0..300_000_u32 {
        let gone = table.remove(hash(7, &name.to_le_bytes()), |entry| entry.name == name);
        assert_eq!(gone, Some(entry(name)));
        if name % 10_000 == 0 {
            check(&table);
        }
    }
    check(&table);
    assert_eq!((table.len(), table.segments.len(), table.directory.len()), (0, 1, 1));
    let left = table.bytes();
    assert!(left < full / 100, "{left} bytes of {full}");
}

#[test]
fn hashes_that_are_all_alike_make_a_segment_grow_and_nothing_is_lost() {
    let mut table = SegmentTable::new();
    for name in 0..5_000 {
        table.insert_new(TestEntry {
            hash: 0xDEAD_BEEF,
            name,
            value: name,
        });
    }
    check(&table);
    assert!((0..5_000).all(|name| table.find(0xDEAD_BEEF, |entry| entry.name == name).is_some()));
    let (met, next) = table.scan(0, 32, 10);
    assert_eq!(met.len(), 5_000);
    let (met, next) = table.scan(next.expect("there are hashes behind it"), 32, 10);
    assert_eq!((met.len(), next.is_none()), (0, true));
}

#[test]
fn a_scan_of_a_table_that_became_sparse_gets_on_and_ends() {
    // Every segment but the last is emptied one entry short of being merged with its buddy.
    let mut table = filled(100_000);
    let mut left: HashMap<u32, usize> = HashMap::new();
    let segments: Vec<(u32, u32)> = table.iter().map(|entry| (entry.name, entry.hash >> 24)).collect();
    for (name, segment) in segments {
        let kept = left.entry(segment).or_default();
        if *kept < 40 {
            *kept += 1;
        } else {
            table.remove(hash(7, &name.to_le_bytes()), |entry| entry.name == name);
        }
    }
    let (mut next, mut met) = (Some(0), 0);
    while let Some(from) = next {
        let (entries, after) = table.scan(from, 32, 1_000_000);
        met += entries.len();
        next = after;
    }
    assert_eq!(met, table.len());
}

#[test]
fn every_entry_is_met_by_chance_about_as_often() {
    let table = filled(4_000);
    assert!(table.segments.len() > 2);
    let mut random = random(11);
    let mut met: HashMap<u32, u32> = HashMap::new();
    for _ in 0..400_000 {
        *met.entry(table.random(&mut random).expect("there are entries").name)
            .or_default() += 1;
    }
    assert_eq!(met.len(), 4_000, "all of them");
    // 100 on average. Segments differ by a tenth in how full they are, and chance adds its own.
    let (least, most) = (met.values().min(), met.values().max());
    assert!(least > Some(&40) && most < Some(&190), "{least:?} to {most:?} times");
}

#[test]
fn a_table_is_dismantled_in_steps() {
    let mut table = filled(10_000);
    let segments = table.segments.len();
    assert!(segments > 4);
    let mut names = Vec::new();
    while let Some(entries) = table.dismantle() {
        assert!((1..=DISMANTLED_MAX).contains(&entries.len()));
        names.extend(entries.into_iter().map(|entry| entry.name));
        assert_eq!(table.len(), 10_000 - names.len());
        let held: usize = table
            .segments
            .iter()
            .map(|segment| segment.entries.allocation_size())
            .sum();
        assert_eq!(table.entry_bytes, held);
    }
    assert_eq!(table.len(), 0);
    names.sort_unstable();
    assert_eq!(names, (0..10_000).collect::<Vec<u32>>());
}
