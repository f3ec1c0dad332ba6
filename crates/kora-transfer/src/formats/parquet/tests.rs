//! Files of other writers, files that this one wrote, and files that are damaged.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::formats::tests::{TemporaryFile, collection, file_to_read, read, survives_damage, vectors, write};
use crate::formats::{AttributeChoice, FileToRead, Format, RowSink as _, Unwritten, create};
use crate::row::{Content, Row};
use crate::source::Position;

use super::ParquetWriter;

/// `fixtures/write.py` wrote them.
const FIXTURES: [&str; 11] = [
    "snappy",
    "zstd-checked",
    "gzip",
    "version-2",
    "plain",
    "encodings",
    "halves",
    "doubles",
    "fixed-size",
    "polars",
    "duckdb",
];

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    folder.join(format!("{name}.parquet"))
}

fn to_read(path: &Path, choice: &str) -> FileToRead {
    FileToRead {
        attributes: choice.parse().unwrap(),
        ..file_to_read(path, Format::Parquet, None)
    }
}

/// Key, components and attributes of a good row, or what is wrong with it.
type RowRead = Result<(String, Vec<f32>, String), String>;

fn rows(file: &FileToRead, from: Position) -> Vec<RowRead> {
    let mut source = file.open(from).unwrap();
    let row = |row: Row| {
        let Content::Vector(vector) = row.content else { panic!() };
        let attributes = String::from_utf8(vector.attributes.unwrap()).unwrap();
        (String::from_utf8(row.key).unwrap(), vector.components, attributes)
    };
    std::iter::from_fn(|| source.next_row().unwrap())
        .map(|taken| taken.row.map(row))
        .collect()
}

fn refusal(file: &FileToRead) -> String {
    file.open(Position::default())
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

#[test]
fn every_writer_is_read() {
    let vector = |key: &str, components: &[f32], attributes: &str| {
        Ok((format!("c:{key}"), components.to_vec(), attributes.to_owned()))
    };
    let expected = [
        vector(
            "a",
            &[1.0, -0.5],
            r#"{"title":"x","year":1999,"rating":0.5,"good":true,"tags":["p","q"]}"#,
        ),
        Err("the vector is null".to_owned()),
        Err("component 1 of the vector is no finite number".to_owned()),
        Err("1 components of the vector are null".to_owned()),
        vector(
            "ä",
            &[0.25, 4.0],
            r#"{"title":"\"quoted\"","year":-5,"rating":1e+300,"good":false,"tags":["q"]}"#,
        ),
    ];
    for name in FIXTURES {
        let path = fixture(name);
        assert_eq!(rows(&to_read(&path, "all"), Position::default()), expected, "{name}");
        for rows_before in 0..=5 {
            let from = Position {
                rows: rows_before,
                offset: 0,
            };
            let left = rows(&to_read(&path, "all"), from);
            assert_eq!(left, expected[rows_before as usize..], "{name}");
        }
        let some = rows(&to_read(&path, "year,good"), Position::default());
        assert_eq!(
            some[0],
            vector("a", &[1.0, -0.5], r#"{"year":1999,"good":true}"#),
            "{name}"
        );
        let none = rows(&to_read(&path, "none"), Position::default());
        assert_eq!(none[4], vector("ä", &[0.25, 4.0], ""), "{name}");
    }
}

#[test]
fn every_writer_survives_any_damage() {
    for name in ["snappy", "version-2", "encodings", "polars"] {
        let path = TemporaryFile::new(&format!("damage-{name}.parquet"));
        fs::copy(fixture(name), &path.0).unwrap();
        survives_damage(&to_read(&path.0, "all"), &path.0);
    }
}

#[test]
fn what_is_written_is_read() {
    let path = TemporaryFile::new("round.parquet");
    let mut all = vec![collection()];
    all.extend(vectors(100));
    let file = file_to_read(&path.0, Format::Parquet, None);
    for (page_bytes, group_bytes) in [(1 << 20, 64 << 20), (40, 500), (1, 1)] {
        let mut writer = ParquetWriter::create(&path.0).unwrap();
        (writer.page_bytes, writer.group_bytes) = (page_bytes, group_bytes);
        for row in &all {
            assert!(writer.write(row).is_ok());
        }
        writer.finish().unwrap();
        assert!(read(&file) == Some((all.clone(), 0)));
        let mut source = file.open(Position::default()).unwrap();
        for taken in 0..=100 {
            let mut again = file.open(source.position()).unwrap();
            let left: Vec<_> = std::iter::from_fn(|| again.next_row().unwrap())
                .map(|taken| taken.row.unwrap())
                .collect();
            // The collection comes where no row was taken yet.
            let first = if taken <= 1 { 0 } else { taken };
            assert!(left == all[first..], "{taken} taken");
            source.next_row().unwrap();
        }
        fs::remove_file(&path.0).unwrap();
    }
}

/// The columns have checksums: a changed bit before the footer is seen, or it was without meaning.
#[test]
fn no_damage_to_what_is_written_makes_other_rows() {
    let path = TemporaryFile::new("damage-own.parquet");
    write(&path.0, Format::Parquet, &vectors(3));
    let file = file_to_read(&path.0, Format::Parquet, None);
    let bytes = fs::read(&path.0).unwrap();
    let tail = bytes.len() - 8;
    let footer = u32::from_le_bytes(bytes[tail..tail + 4].try_into().unwrap()) as usize;
    let damaged = fs::OpenOptions::new().write(true).open(&path.0).unwrap();
    let mut seen = 0;
    for (at, byte) in bytes[..tail - footer].iter().enumerate() {
        for bit in 0..8 {
            damaged.write_all_at(&[byte ^ 1 << bit], at as u64).unwrap();
            match read(&file) {
                None => seen += 1,
                Some(found) => assert_eq!(found, (vectors(3), 0), "byte {at}, bit {bit}"),
            }
        }
        damaged.write_all_at(&[*byte], at as u64).unwrap();
    }
    assert!(seen > 6 * (tail - footer), "most damage is seen");
}

/// `fixtures/export.parquet` is what pyarrow, Polars and DuckDB were seen to read.
#[test]
fn an_export_is_what_other_readers_read() {
    let path = TemporaryFile::new("export.parquet");
    let mut all = vec![collection()];
    all.extend(vectors(5));
    write(&path.0, Format::Parquet, &all);
    assert_eq!(fs::read(&path.0).unwrap(), fs::read(fixture("export")).unwrap());
}

#[test]
fn what_parquet_cannot_hold_is_refused() {
    let path = TemporaryFile::new("refused.parquet");
    let mut sink = create(&path.0, Format::Parquet, None).unwrap();
    let row = |key: &[u8], content| Row {
        key: key.to_vec(),
        content,
        expires_at_ms: None,
    };
    let vector = vectors(1).remove(0).content;
    for (row, reason) in [
        (row(b"a", Content::String(Vec::new())), "vectors only"),
        (row(b"a", Content::SetDeadline), "jsonl and npy hold vector sets"),
        (row(b"c:\xff", vector), "the key is not UTF-8"),
    ] {
        match sink.write(&row) {
            Err(Unwritten::Row(text)) => assert!(text.contains(reason), "{text}"),
            _ => panic!("{reason}"),
        }
    }
    assert!(create(&path.0, Format::Parquet, Some(&[])).is_err());
}

#[test]
fn columns_that_do_not_fit_are_named() {
    let path = fixture("snappy");
    let refused = |change: &dyn Fn(&mut FileToRead)| {
        let mut file = to_read(&path, "none");
        change(&mut file);
        refusal(&file)
    };
    for (error, reason) in [
        (
            refused(&|file| file.attributes = AttributeChoice::Refuse),
            "`title`, `year`, `rating`, `good`, `tags` are neither the key nor the vector; --attributes",
        ),
        (
            refused(&|file| file.attributes = AttributeChoice::These(vec!["yaer".into()])),
            "there is no column `yaer`",
        ),
        (
            refused(&|file| file.members.id = "name".into()),
            "there is no column `key` or `name`; --id names it; there is `id`, `vector`",
        ),
        (
            refused(&|file| file.members.vector = "v".into()),
            "there is no column `v`; --vector names it",
        ),
        (
            refused(&|file| file.members.vector = "title".into()),
            "the column `title` has Bytes values, which do not fit",
        ),
        (
            refused(&|file| file.members.id = "tags".into()),
            "the column `tags` has lists of Bytes values",
        ),
        (refused(&|file| file.naming.collection = None), "--collection"),
    ] {
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn what_is_no_parquet_file_is_refused() {
    let path = TemporaryFile::new("none.parquet");
    let footer_of = |length: u32| [b"PAR1".as_slice(), &length.to_le_bytes(), b"PAR1"].concat();
    for (bytes, reason) in [
        (Vec::new(), "too short"),
        (b"PAR1PAR1".to_vec(), "more than 64 MiB"),
        (b"just a text of some length".to_vec(), "no Parquet file"),
        (b"PAR1\0\0\0\0PARE".to_vec(), "encrypted"),
        (footer_of(u32::MAX), "more than 64 MiB"),
        (footer_of(9), "longer than the file"),
        (footer_of(0), "damaged"),
    ] {
        fs::write(&path.0, &bytes).unwrap();
        let error = refusal(&to_read(&path.0, "none"));
        assert!(error.contains(reason), "{error}");
    }
}
