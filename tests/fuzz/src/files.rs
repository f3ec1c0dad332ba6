//! What is kept on disk, on any bytes.
//!
//! The first byte chooses what the rest is:
//!
//! 0. Records, as they stand in a frame. What is read is written again as the same bytes.
//! 1. A manifest, as it stands in its file.
//! 2. A segment behind a manifest that is right. What can't be read is refused; what is read is bounded by the file.
//! 3. A snapshot, the same.
//! 4. Changes of a small index as it is written, each of three bytes: where (two bytes) and what. What is read is a sound index,
//!    which answers and takes more.
//!
//! Checksums keep a fuzzer out of what stands behind them: so records and indexes are read without one.

use std::sync::OnceLock;

use kora_log::record::records;
use kora_log::simulated::SimulatedDisk;
use kora_log::{Disk, DiskFile, Loader, Manifest};
use kora_vector::{Index, IndexLoading, LoadFault, Metric, Parameters, Step, Storage, Work};

/// Panics if something of that does not hold.
pub fn check(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    match choice {
        0 => check_records(bytes),
        1 => drop(Manifest::read(&disk_with(&[("MANIFEST", bytes)]))),
        2 => load("log-000002.kora", bytes, 0),
        3 => load("snapshot-000001.kora", bytes, 1),
        _ => check_index(bytes),
    }
}

fn check_records(bytes: &[u8]) {
    let mut again = Vec::new();
    for record in records(bytes) {
        let Ok(record) = record else { return };
        record.encode(&mut again);
    }
    assert_eq!(again, bytes, "there is one spelling");
}

fn load(name: &str, bytes: &[u8], snapshot: u64) {
    let manifest = Manifest {
        snapshot,
        snapshot_bytes: if snapshot > 0 { bytes.len() as u64 } else { 0 },
        last_segment: if snapshot > 0 { 1 } else { 0 },
        ..Manifest::empty(1)
    };
    let Ok(mut loader) = Loader::open(disk_with(&[(name, bytes)]), manifest) else {
        return;
    };
    let mut items = 0;
    while let Ok(Some(_)) = loader.next_item() {
        items += 1;
        assert!(items <= bytes.len(), "each takes a byte at least");
    }
}

fn disk_with(files: &[(&str, &[u8])]) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    for (name, bytes) in files {
        let mut file = disk.create(name).expect("nothing fails");
        let mut rest = *bytes;
        while !rest.is_empty() {
            let written = file.append(rest).expect("nothing fails");
            rest = &rest[written..];
        }
    }
    disk
}

fn check_index(changes: &[u8]) {
    static WRITTEN: OnceLock<[Written; 3]> = OnceLock::new();
    let written = WRITTEN.get_or_init(|| [Storage::F32, Storage::F16, Storage::Q16].map(Written::of));
    let Some((choice, changes)) = changes.split_first() else {
        return;
    };
    let mut written = written[usize::from(*choice) % 3].clone();
    for change in changes.chunks_exact(3).take(CHANGES_MAX) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
        let lengths = [written.head.len(), written.nodes.len(), written.rows.len()];
        let place = place % lengths.iter().sum::<usize>();
        match place {
            at if at < lengths[0] => written.head[at] = change[2],
            at if at < lengths[0] + lengths[1] => written.nodes[at - lengths[0]] = change[2],
            at => written.rows[at - lengths[0] - lengths[1]] = change[2],
        }
    }
    let Ok(mut index) = written.read() else { return };
    assert_eq!(index.check(), Ok(()));
    let hits = index.search(&[0.5; DIMENSION], 3, 10);
    assert!(hits.iter().all(|hit| hit.distance.is_finite()));
    for number in 0..20 {
        let slot = index.insert(&vector(1_000 + number));
        if number % 2 == 0 {
            index.remove(slot);
        }
        while index.has_upkeep() {
            let _ = index.tend(&mut Work::new(10_000));
        }
        assert_eq!(index.check(), Ok(()));
    }
}

#[derive(Clone)]
struct Written {
    parameters: Parameters,
    head: Vec<u8>,
    nodes: Vec<u8>,
    rows: Vec<u8>,
}

impl Written {
    fn of(storage: Storage) -> Written {
        let parameters = Parameters {
            dimension: DIMENSION,
            metric: Metric::Cosine,
            m: 3,
            ef_construction: 8,
            storage,
            seed: 1,
        };
        let mut index = Index::with_graph_from(parameters, 1);
        let slots: Vec<_> = (0..40).map(|number| index.insert(&vector(number))).collect();
        slots.iter().step_by(9).for_each(|slot| index.remove(*slot));
        let (mut head, mut nodes, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        while index.prepare_capture(&mut Work::unlimited()) != Step::Done(true) {}
        let mut capture = index.begin_capture(&mut head);
        while index.capture_links(&mut capture, 1 << 20, &mut nodes) == Step::More {}
        while index.capture_rows(&mut capture, 1 << 20, &mut rows) == Step::More {}
        index.end_capture();
        Written {
            parameters,
            head,
            nodes,
            rows,
        }
    }

    fn read(&self) -> Result<Index, LoadFault> {
        let bytes = self.head.len() + self.nodes.len() + self.rows.len();
        let mut loading = IndexLoading::begin(self.parameters, 1, &self.head, bytes as u64)?;
        loading.nodes(&self.nodes)?;
        loading.rows(&self.rows)?;
        loading.end()
    }
}

/// A vector of its number.
fn vector(number: u64) -> [f32; DIMENSION] {
    let component = |place: u64| {
        let mixed = (number * 8 + place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    [0, 1, 2, 3].map(component)
}

const DIMENSION: usize = 4;

/// Changes of one input. More only make what no longer can be read.
const CHANGES_MAX: usize = 8;
