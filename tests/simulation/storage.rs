//! The disk below a world: a log that is written and synced when chance wills, snapshots, and what is left of both after a
//! crash.
//!
//! It does what the threads in `kora-server/src/persistence/` do, with the same writers and readers of `kora-log`, one step at a
//! time: a crash may come between any two. Commands are under `appendfsync always`: a reply leaves when what it tells of
//! is safe.

use std::collections::BTreeSet;

use kora_engine::Engine;
use kora_log::loader::{Item, Loader};
use kora_log::record::{Record, records};
use kora_log::simulated::SimulatedDisk;
use kora_log::snapshot::{PieceKind, SnapshotWriter};
use kora_log::{Log, Manifest, Writer};
use kora_mesh::{Durability, Phase};
use kora_tests::random::Random;

/// The disk, and what writes to it.
pub(crate) struct Storage {
    pub(crate) disk: SimulatedDisk,
    shards: u32,
    log: Log<SimulatedDisk>,
    manifest: Manifest,
    next_snapshot: u64,
    saving: Option<Saving>,
    /// Values on their way from one shard to another.
    in_flight: BTreeSet<u64>,
    /// Snapshots that were completed.
    pub(crate) saved: usize,
}

struct Saving {
    number: u64,
    start: kora_log::writer::Start,
    stage: Stage,
    /// Workers that have not handed over everything.
    workers_left: usize,
}

enum Stage {
    /// Every worker is to have seen that it writes down what it changes.
    Opening,
    Capturing(SnapshotWriter<SimulatedDisk>),
    /// So long is the file; values that were on their way are waited for.
    Landing(u64, BTreeSet<u64>),
    /// So long is the file, and the log has to be safe up to this stamp.
    Completing(u64, u64),
}

impl Storage {
    /// Loads what a disk holds into engines that are empty, and begins to write behind it.
    ///
    /// # Panics
    /// If it can't be loaded.
    pub(crate) fn open(disk: SimulatedDisk, engines: &mut [&mut Engine], durability: &Durability, at: Now) -> Storage {
        let shards = at.shards;
        let found = Manifest::read(&disk).expect("the manifest is whole");
        let manifest = found.filter(|manifest| !manifest.is_empty()).unwrap_or_else(|| {
            let empty = Manifest::empty(shards);
            empty.publish(&disk).expect("the disk works");
            empty
        });
        durability.set_phase(Phase {
            is_loading: true,
            ..Phase::default()
        });
        let mut load = Load {
            engines,
            now_ms: at.unix_ms,
        };
        let mut first = Loader::open_for_records(disk.clone(), manifest).expect("its files are there");
        durability.load_bytes.set(first.progress().1);
        load.collections(&mut first);
        let mut loader = Loader::open(disk.clone(), manifest).expect("its files are there");
        load.everything(&mut loader);
        let loaded = loader.loaded().expect("it can be listed");
        loader.settle(&loaded).expect("the disk works");
        durability.stamps.go_on_from(loaded.next_stamp);
        durability.transfers.go_on_from(loaded.next_stamp);
        durability.durable.set(loaded.next_stamp - 1);
        let mut writer = Writer::new(disk.clone(), shards, loaded.next_segment, loaded.next_stamp, at.random);
        writer.begin_segment(false).expect("the disk works");
        let manifest = Manifest {
            last_segment: 0,
            ..manifest
        };
        manifest.publish(&disk).expect("the disk works");
        load.end(durability);
        Storage {
            disk,
            shards,
            log: Log::new(writer, shards as usize),
            manifest,
            next_snapshot: loaded.next_snapshot,
            saving: None,
            in_flight: BTreeSet::new(),
            saved: 0,
        }
    }

    /// Takes what an engine has changed and captured.
    pub(crate) fn take_from(&mut self, engine: &mut Engine) {
        engine.hand_over(&mut |shard, chunk| self.log.push(shard, chunk));
        for number in engine.take_transfers() {
            if !self.in_flight.insert(number) {
                self.in_flight.remove(&number);
            }
        }
        engine.hand_over_pieces(&mut |number, piece| {
            let Some(saving) = self.saving.as_mut().filter(|saving| saving.number == number) else {
                return Ok(());
            };
            let Stage::Capturing(writer) = &mut saving.stage else {
                return Ok(());
            };
            match piece {
                Some((shard, kind, piece)) => writer.piece(shard, kind, &piece).expect("the disk works"),
                None => saving.workers_left -= 1,
            }
            Ok(())
        });
    }

    /// Whether something was handed over that is not safe.
    pub(crate) fn is_behind(&self) -> bool {
        self.log.waiting_bytes() > 0 || self.log.is_behind()
    }

    /// Writes what is there, and with that does not make it safe.
    pub(crate) fn write(&mut self) {
        self.log.write().expect("the disk works");
    }

    /// Makes safe what was written.
    pub(crate) fn sync(&mut self, durability: &Durability) {
        durability.durable.set(self.log.sync().expect("the disk works"));
    }

    pub(crate) fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    /// Begins a snapshot.
    pub(crate) fn begin_save(&mut self, workers: usize, durability: &Durability) {
        self.write();
        let start = self.log.begin_segment(false).expect("the disk works");
        durability.durable.set(self.log.writer().durable());
        self.saving = Some(Saving {
            number: self.next_snapshot,
            start,
            stage: Stage::Opening,
            workers_left: workers,
        });
        self.next_snapshot += 1;
        durability.set_phase(journal_on(0));
    }

    /// The next step of the snapshot under way, if it can be taken.
    pub(crate) fn go_on_saving(&mut self, durability: &Durability, at: Now) {
        let Some(mut saving) = self.saving.take() else { return };
        saving.stage = match saving.stage {
            Stage::Opening if durability.is_seen_by_all() => {
                let writer = SnapshotWriter::begin(self.disk.clone(), saving.number, self.shards, at.random);
                durability.set_phase(journal_on(saving.number));
                Stage::Capturing(writer.expect("the disk works"))
            }
            Stage::Capturing(writer) if saving.workers_left == 0 => {
                let bytes = writer.finish().expect("the disk works");
                durability.set_phase(journal_on(0));
                Stage::Landing(bytes, self.in_flight.clone())
            }
            Stage::Landing(bytes, mut awaited) => {
                awaited.retain(|number| self.in_flight.contains(number));
                match awaited.is_empty() {
                    true => Stage::Completing(bytes, durability.stamps.last()),
                    false => Stage::Landing(bytes, awaited),
                }
            }
            Stage::Completing(bytes, until) if self.log.writer().next_stamp() > until => {
                self.sync(durability);
                let (number, start) = (saving.number, saving.start);
                return self.publish(number, start, bytes, (until, at.unix_ms));
            }
            waiting => waiting,
        };
        self.saving = Some(saving);
    }

    fn publish(&mut self, number: u64, start: kora_log::writer::Start, bytes: u64, (until, saved_ms): (u64, u64)) {
        let manifest = Manifest {
            shards: self.shards,
            snapshot: number,
            snapshot_bytes: bytes,
            saved_ms,
            first_segment: start.segment,
            last_segment: 0,
            first_stamp: start.stamp,
            until_stamp: until,
        };
        manifest.publish(&self.disk).expect("the disk works");
        self.manifest = manifest;
        self.manifest.remove_others(&self.disk).expect("the disk works");
        self.saved += 1;
    }
}

/// What storage has to know of its world.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    pub(crate) shards: u32,
    pub(crate) unix_ms: u64,
    /// What the ids of files are made of.
    pub(crate) random: u64,
}

/// The power goes; what was not safe is there, or not, or in part, as chance wills.
pub(crate) fn crash(disk: &SimulatedDisk, random: &mut Random) {
    disk.crash(|| random.any());
}

/// Engines that are being loaded.
struct Load<'a, 'b> {
    engines: &'a mut [&'b mut Engine],
    now_ms: u64,
}

impl Load<'_, '_> {
    /// Makes the collections that a snapshot has, before anything that belongs to one.
    fn collections(&mut self, loader: &mut Loader<SimulatedDisk>) {
        loop {
            let (shard, body) = match loader.next_item().unwrap_or_else(|error| panic!("{error}")) {
                Some(Item::Piece { shard, body, .. }) => (shard, body),
                Some(Item::Passed) => continue,
                Some(Item::Block(_)) | None => return,
            };
            let mut creations = Vec::new();
            for record in records(&body) {
                if let Ok(record @ Record::Create { .. }) = record {
                    record.encode(&mut creations);
                }
            }
            self.records(shard, &creations);
        }
    }

    fn everything(&mut self, loader: &mut Loader<SimulatedDisk>) {
        while let Some(item) = loader.next_item().unwrap_or_else(|error| panic!("{error}")) {
            match item {
                Item::Passed => {}
                Item::Piece {
                    shard,
                    kind: PieceKind::Index,
                    body,
                } => {
                    let now_ms = self.now_ms;
                    let replayed = self.engine_of(shard).replay_index(shard, &body, now_ms);
                    replayed.unwrap_or_else(|fault| panic!("{fault}"));
                }
                Item::Piece { shard, body, .. } => self.records(shard, &body),
                Item::Block(block) => block
                    .frames()
                    .for_each(|frame| self.records(frame.shard, frame.records)),
            }
        }
    }

    fn records(&mut self, shard: u32, bytes: &[u8]) {
        let now_ms = self.now_ms;
        let replayed = self.engine_of(shard).replay(shard, bytes, now_ms);
        replayed.unwrap_or_else(|fault| panic!("{fault}"));
    }

    /// Settles what was on its way between shards; that is written down.
    fn end(&mut self, durability: &Durability) {
        durability.set_phase(Phase {
            is_loading: true,
            ..journal_on(0)
        });
        let mut landed = Vec::new();
        for engine in self.engines.iter_mut() {
            assert!(!engine.lacks_pieces(), "an index is not whole");
            landed.extend(engine.take_landed());
        }
        landed.sort_unstable();
        for engine in self.engines.iter_mut() {
            engine.end_replay(&landed, self.now_ms);
        }
        durability.set_phase(journal_on(0));
    }

    /// Shards lie with workers as they do in the server.
    fn engine_of(&mut self, shard: u32) -> &mut Engine {
        let worker = shard as usize % self.engines.len();
        self.engines[worker]
    }
}

fn journal_on(capture: u64) -> Phase {
    Phase {
        is_loading: false,
        is_journal_on: true,
        capture,
    }
}
