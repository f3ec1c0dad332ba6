use proptest::prelude::*;

use super::*;

const BYTES_MAX: usize = 100_000;

#[derive(Clone, Debug)]
enum Change {
    Set(Vec<u8>),
    /// The bytes are a request's.
    Keep(Vec<u8>),
    /// It is written elsewhere, from the place on.
    Write(usize, Vec<u8>),
    Append(Vec<u8>),
    SetRange(usize, Vec<u8>),
    Increment(i64),
    Range(i64, i64),
    /// A reply holds it from here to the end.
    Lend,
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>().prop_map(|integer| integer.to_string().into_bytes()),
        "[0-9+-]{0,3}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..80),
        (any::<u8>(), 16_000_usize..17_000).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let place = prop_oneof![-40_i64..40, -20_000_i64..20_000, any::<i64>()];
    let offset = prop_oneof![0_usize..50, 0_usize..40_000, Just(BYTES_MAX), Just(usize::MAX)];
    prop_oneof![
        bytes().prop_map(Change::Set),
        bytes().prop_map(Change::Keep),
        (0_usize..40_000, bytes()).prop_map(|(offset, part)| Change::Write(offset, part)),
        bytes().prop_map(Change::Append),
        (offset, bytes()).prop_map(|(offset, part)| Change::SetRange(offset, part)),
        prop_oneof![-10_i64..10, any::<i64>()].prop_map(Change::Increment),
        (place.clone(), place).prop_map(|(start, end)| Change::Range(start, end)),
        Just(Change::Lend),
    ]
}

proptest! {
    #[test]
    fn a_string_agrees_with_a_vector_of_bytes(changes in proptest::collection::vec(change(), 1..40)) {
        let mut value = StringValue::new(b"");
        let mut twin: Vec<u8> = Vec::new();
        let mut lent: Vec<(Bytes, Vec<u8>)> = Vec::new();
        for change in changes {
            match change {
                Change::Set(bytes) => {
                    value = StringValue::new(&bytes);
                    twin = bytes;
                }
                Change::Keep(bytes) => {
                    value = StringValue::keep(bytes.clone().into());
                    twin = bytes;
                }
                Change::Write(offset, part) => {
                    let (len, end) = (twin.len(), offset + part.len());
                    let work = value.view().write_work(offset, part.len());
                    prop_assert!(work >= end.saturating_sub(len.min(offset)) && work <= len + end);
                    twin.resize(len.max(end), 0);
                    twin.splice(offset..end, part.iter().copied());
                    value = StringValue::changed(twin.clone());
                }
                Change::Append(tail) => {
                    let fits = twin.len() + tail.len() <= BYTES_MAX;
                    if fits { twin.extend_from_slice(&tail) }
                    prop_assert_eq!(value.append(&tail, BYTES_MAX), if fits { Ok(twin.len()) } else { Err(ValueError::TooLong) });
                }
                Change::SetRange(offset, part) => {
                    let end = offset.saturating_add(part.len());
                    let fits = part.is_empty() || end <= BYTES_MAX;
                    if fits && !part.is_empty() {
                        twin.resize(twin.len().max(end), 0);
                        twin.splice(offset..end, part.iter().copied());
                    }
                    let found = value.set_range(offset, &part, BYTES_MAX);
                    prop_assert_eq!(found, if fits { Ok(twin.len()) } else { Err(ValueError::TooLong) });
                }
                Change::Increment(by) => {
                    let now = integer::parse(&twin).ok_or(ValueError::NotAnInteger);
                    let sum = now.and_then(|now| now.checked_add(by).ok_or(ValueError::IntegerOverflow));
                    if let Ok(sum) = sum { twin = sum.to_string().into_bytes() }
                    prop_assert_eq!(value.increment(by), sum);
                }
                Change::Range(start, end) => {
                    let len = twin.len() as i128;
                    let place = |place: i64| if place < 0 { i128::from(place) + len } else { i128::from(place) };
                    let picked: Vec<u8> = (0..len)
                        .filter(|at| (place(start)..=place(end).max(0)).contains(at))
                        .map(|at| twin[at as usize])
                        .collect();
                    // Redis refuses what is the wrong way around before it moves both to the first byte.
                    let picked = if start < 0 && end < 0 && start > end { Vec::new() } else { picked };
                    prop_assert_eq!(value.view().range(start, end).to_vec(), picked);
                }
                Change::Lend => lent.push((value.view().to_bytes(), twin.clone())),
            }
            prop_assert_eq!(value.view().to_bytes(), twin.clone());
            prop_assert_eq!(value.len(), twin.len());
            prop_assert!(value.heap_bytes() + 22 >= twin.len() && value.heap_bytes() <= 3 * BYTES_MAX);
            let mut buffer = [0; 8];
            if let Some((packing, bytes)) = value.view().pack(&mut buffer) {
                let unpacked = StringRef::unpack(packing, bytes);
                prop_assert_eq!(unpacked.to_bytes(), twin.clone());
                prop_assert_eq!(unpacked.encoding(), value.view().encoding());
                prop_assert_eq!(unpacked.to_value().view().encoding(), value.view().encoding());
            } else {
                prop_assert!(twin.len() >= SHARED_BYTES_MIN);
            }
        }
        for (bytes, twin) in lent {
            prop_assert_eq!(bytes.to_vec(), twin, "a reply is not changed any more");
        }
    }
}

#[test]
fn the_encoding_is_what_redis_says() {
    let long = vec![b'x'; 44];
    let longer = vec![b'x'; 45];
    for (bytes, encoding) in [
        (&b"12"[..], "int"),
        (b"-9223372036854775808", "int"),
        (b"012", "embstr"),
        (b"", "embstr"),
        (&long, "embstr"),
        (&longer, "raw"),
    ] {
        assert_eq!(StringValue::new(bytes).view().encoding().to_string(), encoding);
    }
    let mut value = StringValue::new(b"1");
    value.append(b"2", 10).expect("it is short");
    assert_eq!(value.view().encoding(), StringEncoding::Raw, "it was changed in place");
    value.increment(1).expect("12 is a number");
    assert_eq!(value.view().encoding(), StringEncoding::Int);
    value.increment_float(b"1").expect("13 is a number");
    assert_eq!(
        value.view().encoding(),
        StringEncoding::Embstr,
        "a float's text is none of an integer"
    );
    value.append(b"", 10).expect("it is short");
    assert_eq!(
        value.view().encoding(),
        StringEncoding::Raw,
        "even when nothing was added"
    );
}

#[test]
fn a_string_too_long_stays_as_it_is() {
    let mut value = StringValue::new(b"12345");
    assert_eq!(value.append(b"67", 6), Err(ValueError::TooLong));
    assert_eq!(value.set_range(5, b"67", 6), Err(ValueError::TooLong));
    assert_eq!(value.set_range(usize::MAX, b"67", 6), Err(ValueError::TooLong));
    assert_eq!(value.set_range(usize::MAX, b"", 6), Ok(5), "nothing is written");
    assert_eq!(value.view().to_bytes(), "12345");
    assert_eq!(value.view().encoding(), StringEncoding::Int);
}

#[test]
fn a_string_grown_a_byte_at_a_time_moves_seldom() {
    let mut value = StringValue::new(b"");
    let (mut moves, mut held) = (0, 0);
    for _ in 0..1_000_000 {
        value.append(b"x", usize::MAX).expect("there is no limit");
        moves += usize::from(value.heap_bytes() != held);
        held = value.heap_bytes();
    }
    assert!(moves < 30, "{moves}");
}

#[test]
fn what_is_no_float_is_told_from_what_is_too_much() {
    let mut value = StringValue::new(b"3.0e3");
    assert_eq!(value.increment_float(b"200"), Ok("3200".to_owned()));
    assert_eq!(value.increment_float(b"a"), Err(ValueError::NotAFloat));
    assert_eq!(value.increment_float(b"-inf"), Err(ValueError::FloatOverflow));
    assert_eq!(value.increment_float(b"nan"), Err(ValueError::NotAFloat));
    assert_eq!(value.view().to_bytes(), "3200");
    assert_eq!(
        StringValue::new(b"inf").increment_float(b"1"),
        Err(ValueError::FloatOverflow)
    );
    assert_eq!(StringValue::new(b"x").increment_float(b"1"), Err(ValueError::NotAFloat));
}

#[test]
fn an_integer_is_packed_into_as_few_bytes_as_it_takes() {
    for (integer, length) in [
        (0, 1),
        (-1, 1),
        (127, 1),
        (128, 2),
        (-128, 1),
        (-129, 2),
        (8_388_607, 3),
        (8_388_608, 4),
        (i64::MAX, 8),
        (i64::MIN, 8),
    ] {
        let (value, mut buffer) = (StringValue::of_integer(integer), [0; 8]);
        let (packing, bytes) = value.view().pack(&mut buffer).expect("it is short");
        assert_eq!((packing, bytes.len()), (StringPacking::Integer, length), "{integer}");
        let unpacked = StringRef::unpack(packing, bytes);
        assert_eq!(unpacked.bytes(&mut Digits::new()), integer.to_string().as_bytes());
    }
}
