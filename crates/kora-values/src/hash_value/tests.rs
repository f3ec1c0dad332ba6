mod deadlines;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Change {
    Set(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    Increment(Vec<u8>, i64),
    IncrementFloat(Vec<u8>, i32),
    /// Many fields at once, as HSET may.
    Fill(u16, u16),
    Empty(u16, u16),
    Scan(usize),
    Sample(usize, u64),
    Random(u64),
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0_u16..900).prop_map(|number| number.to_string().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..3),
        (any::<u8>(), 60_usize..70).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        3 => "[0-9]{1,3}[.]?[0-9]{1,3}".prop_map(String::into_bytes),
        3 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => (any::<u8>(), 60_usize..70).prop_map(|(byte, count)| vec![byte; count]),
        1 => (any::<u8>(), 16_000_usize..17_000).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => (field(), value()).prop_map(|(field, value)| Change::Set(field, value)),
        6 => field().prop_map(Change::Remove),
        2 => (field(), any::<i64>()).prop_map(|(field, by)| Change::Increment(field, by)),
        2 => (field(), any::<i32>()).prop_map(|(field, by)| Change::IncrementFloat(field, by)),
        1 => (0_u16..900, 0_u16..600).prop_map(|(from, count)| Change::Fill(from, count)),
        1 => (0_u16..900, 0_u16..600).prop_map(|(from, count)| Change::Empty(from, count)),
        1 => (1_usize..300).prop_map(Change::Scan),
        1 => (0_usize..900, any::<u64>()).prop_map(|(count, seed)| Change::Sample(count, seed)),
        1 => any::<u64>().prop_map(Change::Random),
    ]
}

/// A hash as anybody would write it: fields in the order they came, looked for one by one.
#[derive(Default)]
struct Twin {
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    is_large: bool,
}

impl Twin {
    fn get(&self, field: &[u8]) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|(name, _)| name == field)
            .map(|(_, value)| value.as_slice())
    }

    fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.is_large |= field.len() > SMALL_BYTES_MAX || value.len() > SMALL_BYTES_MAX;
        let place = self.fields.iter().position(|(name, _)| name == field);
        match place {
            Some(place) => self.fields[place].1 = value.to_vec(),
            None => self.fields.push((field.to_vec(), value.to_vec())),
        }
        self.is_large |= self.fields.len() > SMALL_FIELDS_MAX;
        place.is_none()
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        let before = self.fields.len();
        self.fields.retain(|(name, _)| name != field);
        self.fields.len() < before
    }

    fn increment(&mut self, field: &[u8], by: i64) -> Result<i64, ValueError> {
        let now = self.get(field).map_or(Some(0), integer::parse);
        let sum = now.ok_or(ValueError::FieldNotAnInteger)?.checked_add(by);
        let sum = sum.ok_or(ValueError::IntegerOverflow)?;
        self.set(field, sum.to_string().as_bytes());
        Ok(sum)
    }

    fn sorted(&self) -> BTreeMap<&[u8], &[u8]> {
        self.fields
            .iter()
            .map(|(field, value)| (field.as_slice(), value.as_slice()))
            .collect()
    }
}

proptest! {
    #[test]
    fn a_hash_agrees_with_a_list_of_pairs(changes in proptest::collection::vec(change(), 1..60)) {
        let mut hash = HashValue::new(7);
        let mut twin = Twin::default();
        for change in changes {
            match change {
                Change::Set(field, value) => prop_assert_eq!(hash.set(&field, &value), twin.set(&field, &value)),
                Change::Remove(field) => prop_assert_eq!(hash.remove(&field), twin.remove(&field)),
                Change::Increment(field, by) => prop_assert_eq!(hash.increment(&field, by), twin.increment(&field, by)),
                Change::IncrementFloat(field, by) => {
                    let by = LongDouble::parse(by.to_string().as_bytes()).expect("an integer is a float");
                    let now = twin.get(&field).map_or(Some(LongDouble::ZERO), LongDouble::parse);
                    let sum = now.map_or(Err(ValueError::FieldNotAFloat), |now| Ok(now.add(by).expect("they are small").print()));
                    if let Ok(sum) = &sum { twin.set(&field, sum.as_bytes()); }
                    prop_assert_eq!(hash.increment_float(&field, by), sum);
                }
                Change::Fill(from, count) => for number in from..from + count {
                    let text = number.to_string().into_bytes();
                    prop_assert_eq!(hash.set(&text, &text), twin.set(&text, &text));
                },
                Change::Empty(from, count) => for number in from..from + count {
                    let text = number.to_string().into_bytes();
                    prop_assert_eq!(hash.remove(&text), twin.remove(&text));
                },
                Change::Scan(wanted) => scan_agrees(&hash, &twin, wanted)?,
                Change::Sample(count, seed) => {
                    let drawn = sample(&hash, count, seed);
                    prop_assert_eq!(drawn.len(), count.min(twin.fields.len()));
                    let different: BTreeSet<&[u8]> = drawn.iter().map(|(field, _)| *field).collect();
                    prop_assert_eq!(different.len(), drawn.len());
                    for (field, value) in drawn {
                        prop_assert_eq!(twin.get(field), Some(value.bytes()));
                    }
                }
                Change::Random(seed) => {
                    let some = hash.view().random(random(seed)).map(|(field, value)| (field, Some(value.bytes())));
                    prop_assert_eq!(some, some.map(|(field, _)| (field, twin.get(field))));
                    prop_assert_eq!(some.is_none(), twin.fields.is_empty());
                }
            }
            prop_assert_eq!((hash.len(), hash.is_empty()), (twin.fields.len(), twin.fields.is_empty()));
            let encoding = if twin.is_large { HashEncoding::Hashtable } else { HashEncoding::Listpack };
            prop_assert_eq!(hash.view().encoding(), encoding);
            prop_assert_eq!(hash.view().pack().is_none(), twin.is_large);
            if let Some((packing, bytes)) = hash.view().pack() {
                let mut loaded = HashValue::new(1);
                loaded.load(packing, bytes);
                prop_assert_eq!(loaded.view().pack(), Some((packing, bytes)));
                prop_assert_eq!(HashRef::unpack(1, packing, bytes).len(), twin.fields.len());
            }
        }
        for (field, value) in &twin.fields {
            prop_assert_eq!(hash.get(field).map(FieldValue::to_bytes), Some(Bytes::copy_from_slice(value)));
        }
        scan_agrees(&hash, &twin, 100)?;
        check(&hash);
    }
}

/// All fields once, and in the order they came while the hash is small.
fn scan_agrees(hash: &HashValue, twin: &Twin, wanted: usize) -> Result<(), TestCaseError> {
    let (mut met, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let (fields, after) = hash.view().scan(from, wanted);
        prop_assert!(fields.len() <= wanted || !twin.is_large);
        prop_assert!(after.is_none_or(|after| after > from && after >> 32 == 0));
        met.extend(fields.iter().map(|(field, value)| (*field, value.bytes())));
        next = after;
    }
    if twin.is_large {
        prop_assert_eq!(met.len(), twin.fields.len());
        prop_assert_eq!(met.into_iter().collect::<BTreeMap<_, _>>(), twin.sorted());
    } else {
        let fields: Vec<(&[u8], &[u8])> = twin
            .fields
            .iter()
            .map(|(field, value)| (&field[..], &value[..]))
            .collect();
        prop_assert_eq!(met, fields);
    }
    Ok(())
}

/// What it says it holds is what its fields take.
fn check(hash: &HashValue) {
    let (fields, next) = hash.view().scan(0, usize::MAX);
    assert!(next.is_none() || hash.len() > 10_000);
    let content: usize = fields
        .iter()
        .map(|(field, value)| field.len() + value.bytes().len())
        .sum();
    let (least, most) = match hash.form {
        Form::Small(_) | Form::Timed(_) => (content + 2 * fields.len(), 4 * content + 1_000),
        Form::Large(_) => (content + 24 * fields.len(), content + 500 * fields.len() + 200_000),
    };
    assert!(
        (least..=most).contains(&hash.bytes()),
        "{least} {} {most}",
        hash.bytes()
    );
}

fn sample(hash: &HashValue, count: usize, seed: u64) -> Vec<Field<'_>> {
    let mut sample = Sample::new(hash.view(), count);
    let mut random = random(seed);
    let mut drawn = Vec::new();
    while sample.left() > 0 {
        drawn.extend(sample.draw(hash.view(), 100, &mut random));
    }
    drawn
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

fn filled(count: usize) -> HashValue {
    let mut hash = HashValue::new(7);
    for number in 0..count {
        hash.set(number.to_string().as_bytes(), b"value");
    }
    hash
}

#[test]
fn a_hash_becomes_a_table_where_redis_says_and_stays_one() {
    let mut hash = filled(512);
    assert_eq!(hash.view().encoding().to_string(), "listpack");
    hash.set(b"one more", b"");
    assert_eq!(hash.view().encoding().to_string(), "hashtable");
    for number in 0..512 {
        assert!(hash.remove(number.to_string().as_bytes()));
    }
    assert_eq!((hash.len(), hash.view().encoding()), (1, HashEncoding::Hashtable));
    assert_eq!(
        hash.view().empty_like().view().encoding(),
        HashEncoding::Hashtable,
        "a copy is of the same form"
    );
    let long = [b'x'; 65];
    for (field, value) in [(&long[..], &b"v"[..]), (b"f", &long)] {
        let mut hash = filled(1);
        hash.set(&field[..field.len().min(64)], &value[..value.len().min(64)]);
        assert_eq!(hash.view().encoding(), HashEncoding::Listpack);
        hash.set(field, value);
        assert_eq!(hash.view().encoding(), HashEncoding::Hashtable);
    }
    let mut hash = filled(1);
    hash.expect(513, 1);
    assert_eq!(
        (hash.view().encoding(), hash.len()),
        (HashEncoding::Hashtable, 1),
        "as soon as it is to become large"
    );
}

#[test]
fn every_field_is_drawn_about_as_often() {
    // By chance from a small and a large hash, few of many and many of few.
    for (len, count) in [(10, 4), (3_000, 100), (3_000, 1_500), (3_000, 2_999)] {
        let hash = filled(len);
        let rounds = 300_000 / count;
        let mut met: BTreeMap<&[u8], usize> = BTreeMap::new();
        for round in 0..rounds {
            let drawn = sample(&hash, count, round as u64);
            assert_eq!(drawn.len(), count);
            for (field, _) in drawn {
                *met.entry(field).or_default() += 1;
            }
        }
        let expected = rounds * count / len;
        let (least, most) = (met.values().min(), met.values().max());
        assert_eq!(met.len(), len);
        assert!(
            least > Some(&(expected / 3)) && most < Some(&(expected * 3)),
            "{expected}: {least:?} to {most:?}"
        );
    }
}

#[test]
fn a_sample_of_a_hash_that_shrinks_comes_to_an_end() {
    let mut hash = filled(5_000);
    let mut sample = Sample::new(hash.view(), 1_000);
    let drawn = sample.draw(hash.view(), 10, random(1)).len();
    assert!(drawn > 0 && sample.left() == 1_000 - drawn);
    for number in 0..5_000 {
        hash.remove(number.to_string().as_bytes());
    }
    let rest = sample.draw(hash.view(), 10, random(1)).len();
    assert_eq!((rest, sample.left()), (0, 0));
}

#[test]
fn a_hash_is_dismantled_in_steps_and_holds_less_after_each() {
    let mut hash = filled(10_000);
    let (mut steps, mut held) = (0, hash.bytes());
    while hash.dismantle() {
        assert!(hash.bytes() < held);
        held = hash.bytes();
        steps += 1;
    }
    assert!(steps > 4 && hash.is_empty());
    let mut small = filled(3);
    assert!(small.dismantle() && !small.dismantle());
}

#[test]
fn what_is_no_number_stays_what_it_is() {
    let mut hash = HashValue::new(7);
    hash.set(b"f", b"1x");
    let one = LongDouble::parse(b"1").expect("it is one");
    assert_eq!(hash.increment(b"f", 1), Err(ValueError::FieldNotAnInteger));
    assert_eq!(hash.increment_float(b"f", one), Err(ValueError::FieldNotAFloat));
    hash.set(b"f", b"9223372036854775807");
    assert_eq!(hash.increment(b"f", 1), Err(ValueError::IntegerOverflow));
    hash.set(b"f", b"inf");
    assert_eq!(hash.increment_float(b"f", one), Err(ValueError::FloatOverflow));
    assert_eq!(hash.get(b"f").map(FieldValue::bytes), Some(&b"inf"[..]));
    assert_eq!(hash.increment_float(b"new", one), Ok("1".to_owned()));
}
