//! Deadlines of fields, against a list of triples.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Change {
    /// None keeps what was there.
    Set(Vec<u8>, Vec<u8>, Option<u64>),
    Kept(Vec<u8>, Vec<u8>),
    Deadline(Vec<u8>, u64),
    Increment(Vec<u8>, i64),
    Remove(Vec<u8>),
    /// Many fields with one deadline.
    Fill(u16, u16, u64),
    /// What is due by then goes, the first first.
    Expire(u64),
    Copy(usize),
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0_u16..40).prop_map(|number| number.to_string().into_bytes()),
        1 => (any::<u8>(), 62_usize..66).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0_u16..2_000).prop_map(|number| number.to_string().into_bytes()),
        2 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => (any::<u8>(), 62_usize..66).prop_map(|(byte, count)| vec![byte; count]),
        1 => (any::<u8>(), 16_380_usize..16_390).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

fn deadline() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 1_000_u64..1_020,
        1 => any::<u64>(),
        2 => Just(NEVER_MS),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (field(), value(), proptest::option::of(deadline())).prop_map(|(field, value, at)| Change::Set(field, value, at)),
        1 => (field(), value()).prop_map(|(field, value)| Change::Kept(field, value)),
        8 => (field(), deadline()).prop_map(|(field, at)| Change::Deadline(field, at)),
        2 => (field(), -9_i64..9).prop_map(|(field, by)| Change::Increment(field, by)),
        4 => field().prop_map(Change::Remove),
        1 => (0_u16..900, 0_u16..600, deadline()).prop_map(|(from, count, at)| Change::Fill(from, count, at)),
        2 => (995_u64..1_025).prop_map(Change::Expire),
        1 => (1_usize..300).prop_map(Change::Copy),
    ]
}

type Triple = (Vec<u8>, Vec<u8>, u64);

/// Fields in the order in which Redis has them while there are few: by deadline, a new one before those of the same deadline,
/// and at the end those without one, as they came.
#[derive(Default)]
struct Twin {
    fields: Vec<Triple>,
    /// None until the first deadline was given.
    is_timed: bool,
    is_large: bool,
}

impl Twin {
    fn place(&self, field: &[u8]) -> Option<usize> {
        self.fields.iter().position(|(name, ..)| name == field)
    }

    fn insert(&mut self, triple: Triple) {
        let place = match triple.2 {
            NEVER_MS => None,
            at => self.fields.iter().position(|(.., other)| *other >= at),
        };
        self.fields.insert(place.unwrap_or(self.fields.len()), triple);
    }

    fn set(&mut self, field: &[u8], value: &[u8], deadline_ms: Option<u64>) -> bool {
        self.is_large |= field.len() > SMALL_BYTES_MAX || value.len() > SMALL_BYTES_MAX;
        self.is_timed |= deadline_ms.is_some_and(|at| at != NEVER_MS);
        let place = self.place(field);
        let old = place.map(|place| self.fields[place].2);
        let at = deadline_ms.or(old).unwrap_or(NEVER_MS);
        match place {
            Some(place) if deadline_ms.is_none() || (at == NEVER_MS && old == Some(NEVER_MS)) => {
                self.fields[place].1 = value.to_vec();
            }
            _ => {
                self.remove(field);
                self.insert((field.to_vec(), value.to_vec(), at));
            }
        }
        self.is_large |= self.fields.len() > SMALL_FIELDS_MAX;
        place.is_none()
    }

    fn set_deadline(&mut self, field: &[u8], at: u64) -> Option<u64> {
        self.is_timed |= at != NEVER_MS;
        let place = self.place(field)?;
        let old = self.fields[place].2;
        if old != NEVER_MS || at != NEVER_MS {
            let (name, value, _) = self.fields.remove(place);
            self.insert((name, value, at));
        }
        Some(old)
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        let place = self.place(field);
        place.map(|place| self.fields.remove(place)).is_some()
    }

    fn first_ms(&self) -> u64 {
        self.fields.iter().map(|(.., at)| *at).min().unwrap_or(NEVER_MS)
    }
}

proptest! {
    #[test]
    fn deadlines_agree_with_a_list_of_triples(changes in proptest::collection::vec(change(), 1..60)) {
        let mut hash = HashValue::new(7);
        let mut twin = Twin::default();
        for change in changes {
            match change {
                Change::Set(field, value, at) => {
                    prop_assert_eq!(hash.set_with(&field, &value, at), twin.set(&field, &value, at));
                }
                Change::Kept(field, value) => {
                    let kept = hash.set_kept(&field, Bytes::from(value.clone()));
                    prop_assert_eq!(kept, twin.set(&field, &value, Some(NEVER_MS)));
                }
                Change::Deadline(field, at) => {
                    prop_assert_eq!(hash.set_deadline(&field, at), twin.set_deadline(&field, at));
                }
                Change::Increment(field, by) => {
                    if let Ok(sum) = hash.increment(&field, by) {
                        twin.set(&field, sum.to_string().as_bytes(), None);
                    }
                }
                Change::Remove(field) => prop_assert_eq!(hash.remove(&field), twin.remove(&field)),
                Change::Fill(from, count, at) => for number in from..from + count {
                    let text = number.to_string().into_bytes();
                    prop_assert_eq!(hash.set_with(&text, &text, Some(at)), twin.set(&text, &text, Some(at)));
                },
                Change::Expire(now) => {
                    let is_all_due = !twin.fields.is_empty() && twin.first_ms() <= now
                        && twin.fields.iter().all(|(.., at)| *at <= now);
                    prop_assert_eq!(hash.view().first_deadline_ms() <= now && hash.view().is_all_due(now), is_all_due);
                    while hash.view().first_deadline_ms() <= now {
                        let first = hash.view().first_due().map(<[u8]>::to_vec);
                        let first = first.expect("a field has the first deadline");
                        prop_assert_eq!(hash.deadline_ms(&first), Some(twin.first_ms()));
                        prop_assert!(hash.remove(&first) && twin.remove(&first));
                    }
                    prop_assert!(twin.first_ms() > now);
                }
                Change::Copy(wanted) => hash = copy(&hash, wanted),
            }
            prop_assert_eq!((hash.len(), hash.is_empty()), (twin.fields.len(), twin.fields.is_empty()));
            prop_assert_eq!(hash.view().first_deadline_ms(), twin.first_ms());
            prop_assert_eq!(hash.view().first_due().is_some(), twin.first_ms() != NEVER_MS);
            let encoding = match (twin.is_large, twin.is_timed) {
                (true, _) => HashEncoding::Hashtable,
                (false, true) => HashEncoding::ListpackEx,
                (false, false) => HashEncoding::Listpack,
            };
            prop_assert_eq!(hash.view().encoding(), encoding);
            if let Some((packing, bytes)) = hash.view().pack() {
                let mut loaded = HashValue::new(1);
                loaded.load(packing, bytes);
                prop_assert_eq!(loaded.view().pack(), Some((packing, bytes)));
                prop_assert_eq!(HashRef::unpack(1, packing, bytes).first_deadline_ms(), twin.first_ms());
            }
            agrees(&hash, &twin)?;
        }
        let mut held = hash.bytes();
        while hash.dismantle() {
            prop_assert!(hash.bytes() <= held);
            held = hash.bytes();
        }
        prop_assert!(hash.is_empty());
    }
}

/// A copy, made in steps.
fn copy(hash: &HashValue, wanted: usize) -> HashValue {
    let mut copy = hash.view().empty_like();
    let mut next = Some(0);
    while let Some(from) = next {
        next = copy.copy_some(hash.view(), from, wanted).1;
    }
    copy
}

fn agrees(hash: &HashValue, twin: &Twin) -> Result<(), TestCaseError> {
    let (fields, _) = hash.view().scan_timed(0, usize::MAX);
    let met = fields
        .into_iter()
        .map(|((field, value), at)| (field.to_vec(), value.bytes().to_vec(), at));
    if !twin.is_large {
        prop_assert_eq!(met.collect::<Vec<Triple>>(), twin.fields.clone());
        return Ok(());
    }
    let sorted = |triples: Vec<Triple>| -> BTreeMap<Vec<u8>, (Vec<u8>, u64)> {
        triples
            .into_iter()
            .map(|(field, value, at)| (field, (value, at)))
            .collect()
    };
    prop_assert_eq!(sorted(met.collect()), sorted(twin.fields.clone()));
    for (field, value, at) in &twin.fields {
        prop_assert_eq!(hash.get(field).map(FieldValue::bytes), Some(&value[..]));
        prop_assert_eq!(hash.deadline_ms(field), Some(*at));
    }
    Ok(())
}

#[test]
fn fields_without_deadlines_cost_what_they_did() {
    let mut plain = filled(600);
    let before = plain.bytes();
    assert_eq!(plain.set_deadline(b"7", 1_000), Some(NEVER_MS));
    assert_eq!(plain.set_deadline(b"8", 1_000), Some(NEVER_MS));
    let timed = plain.bytes();
    assert!(timed > before && timed < before + 500, "{before} {timed}");
    assert_eq!(plain.set_deadline(b"7", NEVER_MS), Some(1_000));
    assert!(plain.remove(b"8"));
    plain.set(b"8", b"value");
    assert_eq!(plain.bytes(), before);
}

#[test]
fn a_small_hash_stays_of_its_form_when_its_deadlines_have_gone() {
    let mut hash = filled(3);
    assert_eq!(hash.set_deadline(b"9", NEVER_MS), None);
    assert_eq!(hash.view().encoding().to_string(), "listpack");
    hash.set_deadline(b"9", 1_000);
    assert_eq!(hash.view().encoding().to_string(), "listpackex");
    hash.set_deadline(b"1", 1_000);
    hash.set_deadline(b"1", NEVER_MS);
    assert_eq!(hash.view().encoding().to_string(), "listpackex");
    assert_eq!(hash.view().first_deadline_ms(), NEVER_MS);
}

#[test]
fn fields_with_equal_hashes_and_deadlines_are_both_found() {
    let mut met: BTreeMap<u32, u64> = BTreeMap::new();
    // Of 2³² hashes two are equal among some hundred thousand.
    let equal = (0_u64..).find_map(|number| {
        let other = met.insert(crate::segment_table::hash(7, &number.to_le_bytes()), number);
        other.map(|other| [other.to_le_bytes(), number.to_le_bytes()])
    });
    let equal = equal.expect("there are more numbers than hashes");
    let mut hash = filled(600);
    for field in equal {
        hash.set_with(&field, b"value", Some(1_000));
    }
    for left in [1, 0] {
        let first = hash.view().first_due().expect("one is left").to_vec();
        assert!(equal.iter().any(|field| field[..] == first));
        hash.remove(&first);
        let first_ms = if left == 0 { NEVER_MS } else { 1_000 };
        assert_eq!(hash.view().first_deadline_ms(), first_ms);
    }
    for field in equal {
        hash.set_with(&field, b"value", Some(1_000));
    }
    hash.set_deadline(&equal[0], 2_000);
    assert_eq!(hash.view().first_due(), Some(&equal[1][..]));
    hash.set_deadline(&equal[1], 2_000);
    assert_eq!(hash.view().first_deadline_ms(), 2_000);
    assert!(!hash.view().is_all_due(2_000));
}
