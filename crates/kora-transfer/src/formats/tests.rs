//! Files that are damaged: every reader ends with rows and errors, and never worse.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::*;
use crate::row::{Content, Schema, Vector};

/// A file of this test alone, removed at its end.
pub(super) struct TemporaryFile(pub(super) PathBuf);

impl TemporaryFile {
    pub(super) fn new(name: &str) -> Self {
        let name = format!("kora-transfer-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

pub(super) fn file_to_read(path: &Path, format: Format, keys: Option<PathBuf>) -> FileToRead {
    FileToRead {
        path: path.to_owned(),
        format,
        naming: Naming {
            collection: Some("c".into()),
            colon: None,
        },
        keys,
        attributes: AttributeChoice::Refuse,
        members: MemberNames::default(),
    }
}

/// Good rows and bad rows; `None` if the file is refused at some place.
pub(super) fn read(file: &FileToRead) -> Option<(Vec<Row>, usize)> {
    let mut source = file.open(Position::default()).ok()?;
    let (mut rows, mut bad) = (Vec::new(), 0);
    let mut last = None;
    while let Some(taken) = source.next_row().ok()? {
        assert!(last <= Some(taken.position), "places ascend");
        last = Some(taken.position);
        match taken.row {
            Ok(row) => rows.push(row),
            Err(reason) => {
                assert!(!reason.is_empty());
                bad += 1;
            }
        }
        assert!(rows.len() + bad < 10_000, "it ends");
    }
    Some((rows, bad))
}

pub(super) fn vectors(count: usize) -> Vec<Row> {
    let row = |number: usize| Row {
        key: format!("c:{number}").into_bytes(),
        content: Content::Vector(Vector {
            components: vec![number as f32, -0.5],
            attributes: Some(format!("{{\"n\":{number}}}").into_bytes()),
        }),
        expires_at_ms: (number % 2 == 1).then_some(1 << 42),
    };
    (0..count).map(row).collect()
}

pub(super) fn collection() -> Row {
    Row {
        key: b"c".to_vec(),
        content: Content::Collection(Schema {
            dimension: 2,
            metric: Some("L2".into()),
            ..Schema::default()
        }),
        expires_at_ms: None,
    }
}

pub(super) fn write(path: &Path, format: Format, rows: &[Row]) {
    let mut sink = create(path, format, None).unwrap();
    for row in rows {
        assert!(sink.write(row).is_ok());
    }
    sink.finish().unwrap();
}

/// Each byte changed in two ways, and each length cut.
pub(super) fn survives_damage(file: &FileToRead, damaged_path: &Path) {
    let bytes = fs::read(damaged_path).unwrap();
    let whole = read(file).unwrap();
    let mut refused = 0;
    let mut look = || match read(file) {
        None => refused += 1,
        Some((rows, bad)) => {
            let most = whole.0.len() + whole.1 + 2;
            assert!(rows.len() + bad <= most, "no rows come from nowhere");
        }
    };
    // In its place: to write the whole file anew each time takes many times as long.
    let damaged = fs::OpenOptions::new().write(true).open(damaged_path).unwrap();
    for (at, byte) in bytes.iter().enumerate() {
        for changed in [byte ^ 1 << (at % 8), 0xff] {
            damaged.write_all_at(&[changed], at as u64).unwrap();
            look();
        }
        damaged.write_all_at(&[*byte], at as u64).unwrap();
    }
    for length in (0..bytes.len()).rev() {
        damaged.set_len(length as u64).unwrap();
        look();
    }
    assert!(
        refused > 0 || matches!(file.format, Format::JsonLines),
        "some damage is seen"
    );
}

#[test]
fn lines_survive_any_damage() {
    let path = TemporaryFile::new("damage.jsonl");
    let mut rows = vec![collection()];
    rows.extend(vectors(3));
    write(&path.0, Format::JsonLines, &rows);
    let file = file_to_read(&path.0, Format::JsonLines, None);
    assert_eq!(read(&file), Some((rows, 0)));
    survives_damage(&file, &path.0);
}

#[test]
fn an_array_and_its_keys_survive_any_damage() {
    let (path, keys) = (
        TemporaryFile::new("damage.npy"),
        TemporaryFile::new("damage.keys.jsonl"),
    );
    let mut rows = vec![collection()];
    rows.extend(vectors(3));
    write(&path.0, Format::Npy, &rows);
    let file = file_to_read(&path.0, Format::Npy, Some(keys.0.clone()));
    assert_eq!(read(&file), Some((rows, 0)));
    let good = fs::read(&path.0).unwrap();
    survives_damage(&file, &path.0);
    fs::write(&path.0, good).unwrap();
    survives_damage(&file, &keys.0);
}

#[test]
fn vectors_survive_any_damage() {
    for (format, row) in [
        (
            Format::Fvecs,
            [2u32.to_le_bytes().as_slice(), &1f32.to_le_bytes(), &2f32.to_le_bytes()].concat(),
        ),
        (Format::Bvecs, [3u32.to_le_bytes().as_slice(), &[1, 2, 3]].concat()),
    ] {
        let path = TemporaryFile::new(&format!("damage-{format:?}"));
        fs::write(&path.0, row.repeat(3)).unwrap();
        let file = file_to_read(&path.0, format, None);
        assert_eq!(read(&file).unwrap().0.len(), 3);
        survives_damage(&file, &path.0);
    }
}

#[test]
fn words_survive_any_damage() {
    let path = TemporaryFile::new("damage.txt");
    fs::write(&path.0, "the 0.1 -2 3e-3\n. . 1 2 3\nä 1 1 1\n").unwrap();
    let file = file_to_read(&path.0, Format::VectorText, None);
    assert_eq!(read(&file).unwrap().0.len(), 3);
    survives_damage(&file, &path.0);
}

#[test]
fn keys_in_an_array_survive_any_damage() {
    let (path, keys) = (TemporaryFile::new("keyed.npy"), TemporaryFile::new("keys.npy"));
    write(&path.0, Format::Npy, &vectors(2));
    let _ = fs::remove_file(path.0.with_extension("keys.jsonl"));
    for (descr, items) in [
        ("<U2", b"a\0\0\0\0\0\0\0\xe4\0\0\0b\0\0\0".as_slice()),
        ("|S3", b"a\0\0bcd"),
        ("<i8", &[1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]),
    ] {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2,), }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(items);
        fs::write(&keys.0, &bytes).unwrap();
        let file = file_to_read(&path.0, Format::Npy, Some(keys.0.clone()));
        assert_eq!(read(&file).unwrap().0.len(), 2, "{descr}");
        survives_damage(&file, &keys.0);
    }
}

#[test]
fn reading_goes_on_at_any_place() {
    let (path, keys) = (TemporaryFile::new("again.npy"), TemporaryFile::new("again.keys.jsonl"));
    write(&path.0, Format::Npy, &vectors(5));
    let file = file_to_read(&path.0, Format::Npy, Some(keys.0.clone()));
    let mut source = file.open(Position::default()).unwrap();
    for taken in 0..5 {
        let position = source.position();
        let mut again = file.open(position).unwrap();
        let left: Vec<_> = std::iter::from_fn(|| again.next_row().unwrap())
            .map(|taken| taken.row.unwrap())
            .collect();
        assert_eq!(left, vectors(5)[taken..]);
        source.next_row().unwrap();
    }
}
