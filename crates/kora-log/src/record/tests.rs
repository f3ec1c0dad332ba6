use proptest::prelude::*;

use super::*;

/// A record of every kind, made of these parts.
pub(crate) fn every_kind<'a>(key: &'a [u8], text: &'a [u8], number: u64, list: &'a [u8]) -> Vec<Record<'a>> {
    let deadline = if number.is_multiple_of(3) {
        Deadline::Never
    } else {
        Deadline::At(number / 2)
    };
    let (generation, collection, name) = (number, key, text);
    let mut pairs = list;
    let fields = List::take(&mut pairs, 2).expect("made below");
    let mut singles = list;
    let names = List::take(&mut singles, 1).expect("made below");
    let fields_due = FieldDeadlines::take(&mut &FIELDS_DUE[..]).expect("it is written as it is read");
    let mut triples = list;
    let functions = List::take(&mut triples, 3).expect("made below");
    vec![
        Record::Set {
            key,
            value: text,
            deadline,
        },
        Record::Hash { key, deadline },
        Record::Fields { key, fields },
        Record::FieldsGone { key, names },
        Record::Patch {
            key,
            offset: number,
            bytes: text,
        },
        Record::Deadline { key, deadline },
        Record::Gone {
            key,
            cause: Cause::Moved(number),
        },
        Record::Vector {
            generation,
            collection,
            name,
            components: &[1, 2, 3, 4, 0, 0, 128, 63],
            deadline,
        },
        Record::VectorDeadline {
            generation,
            collection,
            name,
            deadline,
        },
        Record::Attributes {
            generation,
            collection,
            name,
            text,
        },
        Record::VectorGone {
            generation,
            collection,
            name,
            cause: Cause::Evicted,
        },
        Record::Create {
            generation,
            collection,
            schema: text,
            deadline,
        },
        Record::CollectionDeadline {
            generation,
            collection,
            deadline,
        },
        Record::Drop {
            generation,
            collection,
            cause: Cause::Expired,
        },
        Record::Alias {
            name: key,
            collection: text,
        },
        Record::Flush { generation },
        Record::Landed { transfer: number },
        Record::PartGone {
            generation,
            collection,
            cause: Cause::Dropped,
        },
        Record::FlushDatabase {
            generation,
            database: number,
        },
        Record::FieldDeadlines {
            key,
            fields: fields_due,
        },
        Record::Library {
            name: key,
            code: text,
            functions,
        },
        Record::LibraryGone { name: key },
    ]
}

/// Two fields: `f`, which is due at 8 ms, and one without a name, which never is.
const FIELDS_DUE: [u8; 8] = [2, 1, b'f', 1, 9, 0, 1, 0];

fn list_of(texts: &[Vec<u8>]) -> Vec<u8> {
    let mut list = Vec::new();
    put_integer(&mut list, texts.len() as u64);
    // Three times, so that it can be read as pairs and as triples.
    for text in texts.iter().chain(texts).chain(texts) {
        put_bytes(&mut list, text);
    }
    list
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(
        key: Vec<u8>,
        text: Vec<u8>,
        number in 0..u64::MAX / 2,
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..5),
    ) {
        let list = list_of(&texts);
        let wanted = every_kind(&key, &text, number, &list);
        prop_assert_eq!(wanted.len(), Kind::ALL.len());
        let mut out = Vec::new();
        wanted.iter().for_each(|record| record.encode(&mut out));
        let found: Result<Vec<Record<'_>>, Malformed> = records(&out).collect();
        prop_assert_eq!(found, Ok(wanted));
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
        for record in records(&bytes).flatten() {
            let mut again = Vec::new();
            record.encode(&mut again);
            let mut rest = &again[..];
            prop_assert_eq!(Record::decode(&mut rest), Ok(record));
        }
    }
}

#[test]
fn the_writers_of_parts_say_the_same_as_the_record() {
    let mut out = Vec::new();
    encode_fields(&mut out, b"k", 1, |out| {
        put_text(out, b"f");
        put_text(out, b"v");
    });
    encode_fields_gone(&mut out, b"k", [&b"f"[..], b"g"].into_iter());
    encode_vector(&mut out, (7, b"c"), b"n", &[1.0, -2.5], Deadline::At(9));
    let due = [(&b"f"[..], Deadline::At(8)), (b"", Deadline::Never)];
    encode_field_deadlines(&mut out, b"k", due.into_iter());
    let found: Vec<Record<'_>> = records(&out).map(|record| record.expect("we wrote it")).collect();
    let texts: Vec<Vec<&[u8]>> = found
        .iter()
        .map(|record| match record {
            Record::Fields { fields: list, .. } | Record::FieldsGone { names: list, .. } => list.iter().collect(),
            Record::Vector { components, .. } => vec![*components],
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(texts[0], [b"f", b"v"]);
    assert_eq!(texts[1], [b"f", b"g"]);
    assert_eq!(components(texts[2][0]).collect::<Vec<_>>(), [1.0, -2.5]);
    let Record::FieldDeadlines { fields, .. } = found[3] else {
        panic!("it is of when fields are due");
    };
    assert!(fields.iter().eq(due));
    assert!(out.ends_with(&FIELDS_DUE));
    for malformed in [&[1, 1, b'f', 2, 9, 0][..], &[1, 1, b'f', 0], &[1, 1, b'f']] {
        assert!(FieldDeadlines::take(&mut &malformed[..]).is_err(), "{malformed:?}");
    }
}
