//! `docs/files.md` against what is written.

use crate::block::{self, BlockBuilder};
use crate::frame::Frame;
use crate::record::Kind;
use crate::segment::{self, SegmentHeader};
use crate::simulated::SimulatedDisk;
use crate::snapshot::{self, PieceKind, SnapshotWriter};
use crate::{Disk, DiskFile, Manifest, manifest};

/// A row of a table: where a field begins, how long it is, and what it is.
struct Field {
    offset: usize,
    bytes: usize,
    name: String,
}

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/files.md");
    std::fs::read_to_string(path).expect("the page is there")
}

/// The rows of the first table behind a heading, in cells.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let page = page();
    let (_, section) = page.split_once(&format!("## {heading}\n")).expect("a heading");
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    rows.skip(2)
        .map(|row| {
            row.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect()
}

/// The fields of a structure: each begins where the one before ends, and all together are so long.
fn fields(heading: &str, length: usize) -> Vec<Field> {
    let mut end = 0;
    let fields: Vec<Field> = rows(heading)
        .into_iter()
        .map(|cells| {
            let field = Field {
                offset: cells[0].parse().expect("an offset"),
                bytes: cells[1].parse().expect("a length"),
                name: cells[2].clone(),
            };
            assert_eq!(field.offset, end, "{heading}: {}", field.name);
            end += field.bytes;
            field
        })
        .collect();
    assert_eq!(end, length, "{heading}");
    fields
}

/// Every field but checksums, whose beginning is named here, holds this.
fn assert_fields(heading: &str, bytes: &[u8], length: usize, expected: &[(&str, u64)]) {
    let mut named = 0;
    for field in fields(heading, length) {
        let held = &bytes[field.offset..field.offset + field.bytes];
        if let Some(magic) = field.name.strip_prefix("magic: `") {
            let magic = magic.split('`').next().unwrap_or_default();
            assert!(held.starts_with(magic.as_bytes()), "{heading}: {magic}");
            continue;
        }
        if field.name.starts_with("checksum") {
            continue;
        }
        let mut number = [0; 8];
        number[..held.len()].copy_from_slice(held);
        let (_, value) = expected
            .iter()
            .find(|(name, _)| field.name.starts_with(name))
            .unwrap_or_else(|| panic!("{heading}: {} is not looked at", field.name));
        assert_eq!(u64::from_le_bytes(number), *value, "{heading}: {}", field.name);
        named += 1;
    }
    assert_eq!(named, expected.len(), "{heading}: as many fields");
}

fn content(disk: &SimulatedDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).expect("it was written");
    let mut bytes = vec![0; file.length().expect("nothing fails") as usize];
    file.read_at(0, &mut bytes).expect("nothing fails");
    bytes
}

#[test]
fn a_manifest_is_as_the_page_says() {
    let written = Manifest {
        shards: 2,
        snapshot: 3,
        snapshot_bytes: 4,
        saved_ms: 5,
        first_segment: 6,
        last_segment: 7,
        first_stamp: 8,
        until_stamp: 9,
    };
    let disk = SimulatedDisk::new();
    written.publish(&disk).expect("nothing fails");
    let expected = [
        ("version", 1),
        ("shards", 2),
        ("number of the snapshot", 3),
        ("bytes of", 4),
        ("when", 5),
        ("first segment", 6),
        ("last segment", 7),
        ("first stamp", 8),
        ("until stamp", 9),
    ];
    assert_fields("Manifest", &content(&disk, manifest::NAME), manifest::BYTES, &expected);
}

#[test]
fn a_segment_and_its_blocks_are_as_the_page_says() {
    let header = SegmentHeader {
        number: 12,
        id: 99,
        first_stamp: 1_000,
        shards: 4,
        is_detached: true,
    };
    let expected = [
        ("version", 1),
        ("shards", 4),
        ("detached", 1),
        ("number", 12),
        ("id", 99),
        ("first stamp", 1_000),
    ];
    assert_fields("Segment", &header.encode(), segment::HEADER_BYTES, &expected);

    let mut builder = BlockBuilder::new();
    for stamp in [1_000, 1_001] {
        builder.push(Frame {
            stamp,
            shard: 3,
            records: b"abc",
        });
    }
    // A shard, a length, and three bytes of records, twice.
    let expected = [("length", 10), ("first stamp", 1_000), ("durable", 998), ("frames", 2)];
    let bytes = builder.seal(99, 1_000, 998);
    assert_fields("Block", bytes, block::HEAD_BYTES, &expected);
    assert_eq!(&bytes[block::HEAD_BYTES..], b"\x03\x03abc\x03\x03abc");
}

#[test]
fn a_snapshot_and_its_pieces_are_as_the_page_says() {
    let disk = SimulatedDisk::new();
    let mut writer = SnapshotWriter::begin(disk.clone(), 7, 2, 5).expect("nothing fails");
    writer.piece(1, PieceKind::Index, b"body").expect("nothing fails");
    writer.finish().expect("nothing fails");
    let bytes = content(&disk, "snapshot-000007.kora");
    let mut id = [0; 8];
    id.copy_from_slice(&bytes[24..32]);
    let expected = [
        ("version", 1),
        ("shards", 2),
        ("number", 7),
        ("id", u64::from_le_bytes(id)),
    ];
    assert_fields("Snapshot", &bytes, snapshot::HEADER_BYTES, &expected);

    let (piece, rest) = bytes[snapshot::HEADER_BYTES..].split_at(snapshot::PIECE_HEAD_BYTES);
    let expected = [("length", 4), ("shard", 1), ("kind: 1 records, 2 index, 3 end", 2)];
    assert_fields("Piece", piece, snapshot::PIECE_HEAD_BYTES, &expected);
    assert_eq!(&rest[..4], b"body");
    let expected = [("length", 1), ("shard", 0), ("kind: 1 records, 2 index, 3 end", 3)];
    assert_fields("Piece", &rest[4..], snapshot::PIECE_HEAD_BYTES, &expected);
}

#[test]
fn the_page_lists_every_kind_of_record() {
    let listed: Vec<(String, String)> = rows("Record")
        .into_iter()
        .map(|cells| (cells[0].clone(), cells[1].clone()))
        .collect();
    let known = Kind::ALL.map(|kind| ((kind as u8).to_string(), format!("{kind:?}")));
    assert_eq!(listed, known);
}
