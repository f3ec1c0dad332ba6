use std::collections::BTreeMap;

use kora_values::FieldValue;
use proptest::prelude::*;

use super::*;

#[test]
fn a_table_agrees_with_a_map_of_keys_and_times() {
    let mut table = KeyTable::new(7);
    let mut twin: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    let mut state = 88_172_645_463_325_252_u64;
    let (mut now_ms, mut moved) = (0, 0);
    for step in 0..60_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let key = format!("key {}", state % 5_000).into_bytes();
        let hash = table.hash(&key);
        // Few different times, so that many expire at once.
        let deadline_ms = if state & 1 << 41 == 0 {
            NEVER_MS
        } else {
            now_ms + 1 + state % 50
        };
        match (state >> 50) % 4 {
            0 => {
                let removed = table.take(hash, &key).map(|(moved, changed)| {
                    changed.forget();
                    moved.deadline_ms
                });
                assert_eq!(removed, twin.remove(&key), "at step {step}");
            }
            1 => {
                table.set_expiry(hash, &key, deadline_ms).forget();
                twin.entry(key).and_modify(|time| *time = deadline_ms);
            }
            2 if !twin.contains_key(&key) => {
                let value = Value::String(StringValue::of_integer(step));
                table
                    .insert_new(hash, &key, MovedValue { value, deadline_ms }, now_ms)
                    .forget();
                twin.insert(key, deadline_ms);
            }
            _ => {
                now_ms += 1;
                loop {
                    match table.look_at_due(now_ms) {
                        Due::Nothing => break,
                        Due::Later(changed) => {
                            changed.forget();
                            moved += 1;
                        }
                        Due::Expired(key, _, changed) => {
                            changed.forget();
                            assert!(twin.remove(&key[..]).is_some_and(|time| time <= now_ms));
                        }
                    }
                }
                assert!(twin.values().all(|time| *time > now_ms), "all that was due is gone");
            }
        }
        assert_eq!(table.len(), twin.len());
    }
    table.assert_sound();
    assert!(
        table.expiring() > 10 && table.len() > 1000 && moved > 10,
        "{moved} moved"
    );
    for (key, deadline_ms) in &twin {
        let hash = table.hash(key);
        assert_eq!(table.find(hash, key).map(KeyEntry::deadline_ms), Some(*deadline_ms));
    }
}

#[test]
fn a_table_is_dismantled_in_steps() {
    let mut table = KeyTable::new(7);
    for index in 0..10_000_u32 {
        let key = index.to_le_bytes();
        // Some lie in the table, others outside of it.
        let text = vec![7; 400 + index as usize % 2 * 400];
        let (hash, value) = (table.hash(&key), Value::String(StringValue::new(&text)));
        let deadline_ms = 5 + u64::from(index);
        table
            .insert_new(hash, &key, MovedValue { value, deadline_ms }, 0)
            .forget();
    }
    let (mut steps, mut buried) = (0, 0);
    while table.dismantle(|_| buried += 1) {
        steps += 1;
    }
    assert!(steps > 10, "{steps}");
    assert_eq!(buried, 5_000);
    assert_eq!((table.len(), table.heap_bytes), (0, 0));
}

/// What a key holds, kept in the simplest way.
#[derive(Clone, PartialEq, Debug)]
enum Plain {
    String(Vec<u8>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
}

#[derive(Clone, Debug)]
enum Step {
    Set(usize, Option<u64>),
    SetInteger(i64),
    Append(usize),
    Increment(i64),
    SetField(u8, usize),
    RemoveField(u8),
    Expire(u64),
    Persist,
    Take,
    Remove,
}

fn step() -> impl Strategy<Value = (u8, Step)> {
    let len = || prop_oneof![5 => 0..40_usize, 3 => 200..700_usize, 1 => 5_000..20_000_usize];
    let deadline = proptest::option::of(1_000..2_000_u64);
    let step = prop_oneof![
        4 => (len(), deadline).prop_map(|(len, deadline_ms)| Step::Set(len, deadline_ms)),
        2 => any::<i64>().prop_map(Step::SetInteger),
        3 => len().prop_map(Step::Append),
        2 => (-300..300_i64).prop_map(Step::Increment),
        8 => (any::<u8>(), 0..66_usize).prop_map(|(field, len)| Step::SetField(field % 30, len)),
        3 => any::<u8>().prop_map(|field| Step::RemoveField(field % 30)),
        2 => (1_000..2_000_u64).prop_map(Step::Expire),
        1 => Just(Step::Persist),
        1 => Just(Step::Take),
        1 => Just(Step::Remove),
    ];
    (0..12_u8, step)
}

/// Does a step to both.
fn act(table: &mut KeyTable, twin: &mut BTreeMap<Vec<u8>, (Plain, u64)>, key: &[u8], step: Step) {
    let hash = table.hash(key);
    let place = ResolvedKey { key, hash, now_ms: 0 };
    let put = |table: &mut KeyTable, value: Value, deadline_ms: Option<u64>| {
        match table.replace(hash, key, value, deadline_ms, 0) {
            Ok((_, changed)) => changed.forget(),
            Err(value) => {
                let deadline_ms = deadline_ms.unwrap_or(NEVER_MS);
                table
                    .insert_new(hash, key, MovedValue { value, deadline_ms }, 0)
                    .forget()
            }
        };
    };
    match step {
        Step::Set(len, deadline_ms) => {
            put(table, Value::String(StringValue::new(&vec![b'v'; len])), deadline_ms);
            let before_ms = twin.get(key).map_or(NEVER_MS, |held| held.1);
            let held = (Plain::String(vec![b'v'; len]), deadline_ms.unwrap_or(before_ms));
            twin.insert(key.to_vec(), held);
        }
        Step::SetInteger(integer) => {
            put(table, Value::String(StringValue::of_integer(integer)), Some(NEVER_MS));
            twin.insert(
                key.to_vec(),
                (Plain::String(integer.to_string().into_bytes()), NEVER_MS),
            );
        }
        Step::Append(len) => {
            let edited = table.edit(place, |value| {
                if let Value::String(string) = value {
                    string.append(&vec![b'a'; len], usize::MAX).expect("there is no limit");
                }
            });
            edited.into_iter().for_each(|((), changed)| forget(changed));
            if let Some((Plain::String(bytes), _)) = twin.get_mut(key) {
                bytes.resize(bytes.len() + len, b'a');
            }
        }
        Step::Increment(by) => {
            let edited = table.edit(place, |value| match value {
                Value::String(string) => string.increment(by).ok(),
                Value::Hash(_) => None,
            });
            let sum = edited.and_then(|(sum, changed)| (changed.forget(), sum).1);
            if let (Some(sum), Some((held, _))) = (sum, twin.get_mut(key)) {
                *held = Plain::String(sum.to_string().into_bytes());
            }
        }
        Step::SetField(field, len) => {
            let value = vec![field; len];
            if table.find(hash, key).is_none() {
                put(table, Value::Hash(Box::new(HashValue::new(7))), Some(NEVER_MS));
                twin.insert(key.to_vec(), (Plain::Hash(BTreeMap::new()), NEVER_MS));
            }
            let edited = table.edit(place, |held| match held {
                Value::Hash(hash) => {
                    hash.set(&[field], &value);
                }
                Value::String(_) => {}
            });
            edited.expect("it is there").1.forget();
            if let Some((Plain::Hash(fields), _)) = twin.get_mut(key) {
                fields.insert(vec![field], value);
            }
        }
        Step::RemoveField(field) => {
            let edited = table.edit(place, |held| match held {
                Value::Hash(hash) => {
                    hash.remove(&[field]);
                }
                Value::String(_) => {}
            });
            edited.into_iter().for_each(|((), changed)| forget(changed));
            if let Some((Plain::Hash(fields), _)) = twin.get_mut(key) {
                fields.remove(&[field][..]);
            }
        }
        Step::Expire(_) | Step::Persist => {
            let deadline_ms = if let Step::Expire(at_ms) = step {
                at_ms
            } else {
                NEVER_MS
            };
            table.set_expiry(hash, key, deadline_ms).forget();
            twin.entry(key.to_vec()).and_modify(|held| held.1 = deadline_ms);
        }
        Step::Take => {
            let taken = table
                .take(hash, key)
                .map(|(moved, changed)| (changed.forget(), moved).1);
            let taken = taken.map(|moved| (plain(moved.value.view()), moved.deadline_ms));
            assert_eq!(taken, twin.remove(key));
        }
        Step::Remove => {
            let is_gone = table.remove(hash, key).map(|(_, changed)| changed.forget()).is_some();
            assert_eq!(is_gone, twin.remove(key).is_some());
        }
    }
}

fn forget(changed: Changed) {
    changed.forget();
}

fn plain(value: ValueRef<'_>) -> Plain {
    match value {
        ValueRef::String(string) => Plain::String(string.to_bytes().to_vec()),
        ValueRef::Hash(hash) => {
            let fields = hash.scan(0, usize::MAX).0.into_iter();
            let own = |(field, value): (&[u8], FieldValue<'_>)| (field.to_vec(), value.bytes().to_vec());
            Plain::Hash(fields.map(own).collect())
        }
    }
}

proptest! {
    #[test]
    fn a_table_agrees_with_plain_values(steps in proptest::collection::vec(step(), 1..400)) {
        let (mut table, mut twin, mut counted) = (KeyTable::new(7), BTreeMap::new(), 0);
        for (number, step) in steps {
            // A key long enough that little fits behind it, and others.
            let key = vec![number; if number == 0 { 500 } else { 3 + usize::from(number) }];
            act(&mut table, &mut twin, &key, step);
            counted = counted.max(table.bytes());
            let found = table.find(table.hash(&key), &key).map(|entry| (plain(entry.value()), entry.deadline_ms()));
            prop_assert_eq!(found.as_ref(), twin.get(&key));
        }
        table.assert_sound();
        let held: BTreeMap<Vec<u8>, (Plain, u64)> = table
            .iter()
            .map(|entry| (entry.key().to_vec(), (plain(entry.value()), entry.deadline_ms())))
            .collect();
        prop_assert_eq!(held, twin);
        let due: Vec<(u64, Vec<u8>)> = std::iter::from_fn(|| loop {
            match table.look_at_due(NEVER_MS - 1) {
                Due::Nothing => return None,
                Due::Later(changed) => {
                    changed.forget();
                }
                Due::Expired(key, _, changed) => { changed.forget(); return Some((0, key.to_vec())) }
            }
        }).collect();
        prop_assert!(due.len() <= 12 && counted < 10_000_000);
    }
}

#[test]
fn a_hash_that_has_become_small_lies_in_the_table_again() {
    let mut table = KeyTable::new(7);
    let place = ResolvedKey {
        key: b"k",
        hash: table.hash(b"k"),
        now_ms: 0,
    };
    let moved = MovedValue::forever(Value::Hash(Box::new(HashValue::new(7))));
    table.insert_new(place.hash, place.key, moved, 0).forget();
    let mut edit = |edit: &mut dyn FnMut(&mut HashValue)| {
        let edited = table.edit(place, |value| {
            if let Value::Hash(hash) = value {
                edit(hash)
            }
        });
        edited.expect("it is there").1.forget();
        table.heap_bytes
    };
    let many = edit(&mut |hash| (0..60).for_each(|field: u8| assert!(hash.set(&[field], &[0; 20]))));
    assert!(many > 60 * 23, "{many} bytes outside");
    let few = edit(&mut |hash| (2..60).for_each(|field: u8| assert!(hash.remove(&[field]))));
    assert_eq!(few, 0);
    table.assert_sound();
}
