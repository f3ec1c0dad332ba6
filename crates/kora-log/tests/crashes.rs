//! A disk that forgets, and one whose calls fail: what was safe is there, and what is there is a beginning of what was written.

mod world;

use kora_log::block::BlockBuilder;
use kora_log::frame::Frame;
use kora_log::loader::{Item, Loaded, Loader};
use kora_log::manifest::Manifest;
use kora_log::record::records;
use kora_log::simulated::{Fault, SimulatedDisk};
use kora_log::snapshot::{PieceKind, SnapshotWriter};
use kora_log::writer::Writer;
use world::{World, numbers, wish};

#[test]
fn what_was_safe_is_there_after_a_crash_and_after_the_next() {
    for seed in 0..2_000 {
        let disk = SimulatedDisk::new();
        let mut random = numbers(seed);
        let mut story = Story::begin(&disk);
        for crash in 0..4 {
            story.go_on(&disk, &mut random);
            disk.crash(&mut random);
            story.come_back(&disk, &format!("seed {seed}, crash {crash}"));
        }
    }
}

#[test]
fn any_call_may_fail() {
    for seed in 0..60 {
        for fault in [Fault::Error, Fault::Short, Fault::Full] {
            let calls = {
                let disk = SimulatedDisk::new();
                Story::begin(&disk).go_on(&disk, &mut numbers(seed));
                disk.calls()
            };
            for call in BEGIN_CALLS..calls {
                let disk = SimulatedDisk::new();
                let mut random = numbers(seed);
                let mut story = Story::begin(&disk);
                assert_eq!(disk.calls(), BEGIN_CALLS);
                disk.fail(call, fault);
                story.go_on(&disk, &mut random);
                disk.crash(&mut random);
                story.come_back(&disk, &format!("seed {seed}, {fault:?} at call {call}"));
                story.go_on(&disk, &mut random);
                disk.crash(&mut random);
                story.come_back(&disk, &format!("seed {seed}, {fault:?} at call {call}, again"));
            }
        }
    }
}

/// Calls that `Story::begin` makes: the manifest's and the first segment's.
const BEGIN_CALLS: u64 = 10;

/// What happened, and what of it must be there.
struct Story {
    world: World,
    /// The world after each frame, from the first on that may be lost: the stamp is in front.
    history: Vec<(u64, World)>,
    writer: Writer<SimulatedDisk>,
    manifest: Manifest,
    next_snapshot: u64,
    runs: u64,
}

impl Story {
    fn begin(disk: &SimulatedDisk) -> Story {
        let manifest = Manifest {
            shards: 1,
            first_segment: 1,
            first_stamp: 1,
            ..Manifest::default()
        };
        manifest.publish(disk).expect("a new disk works");
        let mut writer = Writer::new(disk.clone(), 1, 1, 1, 77);
        writer.begin_segment(false).expect("a new disk works");
        Story {
            world: World::default(),
            history: vec![(0, World::default())],
            writer,
            manifest,
            next_snapshot: 1,
            runs: 0,
        }
    }

    fn go_on(&mut self, disk: &SimulatedDisk, random: &mut impl FnMut() -> u64) {
        for _ in 0..random() % 12 {
            match random() % 8 {
                0..5 => self.write(random),
                5..7 => drop(self.writer.sync()),
                _ => self.snapshot(disk, random),
            }
            // As the server does: a sync that failed ends in a snapshot, and until that one counts nothing new is written.
            while self.writer.is_distrusted() {
                self.snapshot(disk, random);
            }
        }
    }

    fn write(&mut self, random: &mut impl FnMut() -> u64) {
        let mut block = BlockBuilder::new();
        let (mut world, mut history) = (self.world.clone(), Vec::new());
        for place in 0..1 + random() % 3 {
            let mut out = Vec::new();
            for _ in 0..1 + random() % 30 {
                world.execute(&wish(random), &mut out);
            }
            let stamp = self.writer.next_stamp() + place;
            block.push(Frame {
                stamp,
                shard: 0,
                records: &out,
            });
            history.push((stamp, world.clone()));
        }
        // A failed write is tried again: memory has it already.
        if self.writer.write(&mut block).is_err() {
            self.writer.write(&mut block).expect("one call fails");
        }
        self.world = world;
        self.history.extend(history);
    }

    fn snapshot(&mut self, disk: &SimulatedDisk, random: &mut impl FnMut() -> u64) {
        let Ok(start) = self.writer.begin_segment(self.writer.is_distrusted()) else {
            return;
        };
        let number = self.next_snapshot;
        self.next_snapshot += 1;
        let Some(snapshot_bytes) = self.capture(disk, number, random) else {
            return;
        };
        if self.writer.is_distrusted() || self.writer.sync().is_err() {
            return;
        }
        let manifest = Manifest {
            snapshot: number,
            snapshot_bytes,
            first_segment: start.segment,
            first_stamp: start.stamp,
            until_stamp: self.writer.next_stamp() - 1,
            ..self.manifest
        };
        if manifest.publish(disk).is_ok() {
            self.manifest = manifest;
            drop(manifest.remove_others(disk));
        }
    }

    fn capture(&mut self, disk: &SimulatedDisk, number: u64, random: &mut impl FnMut() -> u64) -> Option<u64> {
        let mut snapshot = SnapshotWriter::begin(disk.clone(), number, 1, 5).ok()?;
        let mut out = Vec::new();
        for generation in &self.world.collections {
            kora_log::Record::Create {
                generation: *generation,
                collection: b"c",
                schema: b"s",
                deadline: Default::default(),
            }
            .encode(&mut out);
        }
        snapshot.piece(0, PieceKind::Records, &out).ok()?;
        if random().is_multiple_of(2) && !self.writer.is_distrusted() {
            self.write(random);
        }
        out.clear();
        for (key, entry) in &self.world.keys {
            world::put_entry(&mut out, key, entry);
        }
        for ((generation, name), (components, deadline)) in &self.world.vectors {
            let vector: Vec<f32> = kora_log::record::components(components).collect();
            kora_log::record::encode_vector(&mut out, (*generation, b"c"), name, &vector, *deadline);
        }
        snapshot.piece(0, PieceKind::Records, &out).ok()?;
        snapshot.finish().ok()
    }

    fn come_back(&mut self, disk: &SimulatedDisk, when: &str) {
        let durable = self.writer.durable();
        let (world, loaded) = load(disk);
        let last = loaded.next_stamp - 1;
        assert!(last >= durable, "{when}: {last} is there, {durable} was safe");
        let wanted = self.history.iter().find(|(stamp, _)| *stamp == last);
        let wanted = &wanted
            .unwrap_or_else(|| panic!("{when}: stamp {last} was never drawn"))
            .1;
        assert_eq!(world, wanted.clone().seen(), "{when}: after frame {last}");
        self.world = wanted.clone();
        self.history.retain(|(stamp, _)| *stamp <= last);
        self.manifest = loaded.manifest;
        self.next_snapshot = loaded.next_snapshot;
        self.runs += 1;
        let random = 77 + self.runs;
        self.writer = Writer::new(disk.clone(), 1, loaded.next_segment, loaded.next_stamp, random);
        self.writer.begin_segment(false).expect("the disk works");
    }
}

fn load(disk: &SimulatedDisk) -> (World, Loaded) {
    let manifest = Manifest::read(disk).expect("it is whole").expect("it is there");
    let mut loader = Loader::open(disk.clone(), manifest).expect("its files are there");
    let mut world = World::default();
    while let Some(item) = loader.next_item().unwrap_or_else(|error| panic!("{error}")) {
        match item {
            Item::Piece { body, .. } => records(&body).for_each(|record| world.apply(&record.expect("we wrote it"))),
            Item::Passed => {}
            Item::Block(block) => block
                .frames()
                .flat_map(|frame| records(frame.records))
                .for_each(|record| world.apply(&record.expect("we wrote it"))),
        }
    }
    let loaded = loader.loaded().expect("it can be listed");
    loader.settle(&loaded).expect("it can be cut");
    (world.seen(), loaded)
}

/// Each byte changed and each length cut of a log and a snapshot that were closed: refused, or the same.
#[test]
fn every_byte_counts() {
    let disk = SimulatedDisk::new();
    let mut random = numbers(3);
    let mut story = Story::begin(&disk);
    for _ in 0..6 {
        story.write(&mut random);
    }
    story.snapshot(&disk, &mut random);
    for _ in 0..6 {
        story.write(&mut random);
        story.writer.sync().expect("the disk works");
    }
    story.writer.close().expect("the disk works");
    let wanted = story.world.clone().seen();
    assert_eq!(load(&disk.copy()).0, wanted);
    let mut refused = 0;
    for name in ["MANIFEST", "snapshot-000001.kora", "log-000002.kora"] {
        let bytes = disk.bytes(name).expect("it is there");
        assert!(bytes.len() > 60, "{name}");
        let changed = (0..bytes.len()).flat_map(|at| {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            [flipped, bytes[..at].to_vec()]
        });
        for (place, changed) in changed.enumerate() {
            let copy = disk.copy();
            copy.put(name, &changed);
            match try_load(&copy) {
                Err(message) => {
                    assert!(message.contains(name), "{message}");
                    refused += 1;
                }
                // A log that ends sooner is what a crash leaves.
                Ok((found, loaded)) if loaded.tail.is_some() || place % 2 == 1 => {
                    let last = loaded.next_stamp - 1;
                    let then = story.history.iter().find(|(stamp, _)| *stamp == last).expect("it was");
                    assert_eq!(found, then.1.clone().seen(), "{name} {place}");
                    assert!(name.starts_with("log"), "{name} {place}");
                    assert!(place % 2 == 1 || found == wanted, "{name}: flip {place} changed data");
                }
                Ok((found, _)) => assert_eq!(found, wanted, "{name} {place}"),
            }
        }
    }
    assert!(refused > 1_000);
}

/// The same without the block that closes a segment: then the end may be a tail, and is cut with a message.
#[test]
fn without_an_end_damage_to_the_last_block_is_a_tail() {
    let disk = SimulatedDisk::new();
    let mut random = numbers(9);
    let mut story = Story::begin(&disk);
    for _ in 0..4 {
        story.write(&mut random);
        story.writer.sync().expect("the disk works");
    }
    let bytes = disk.bytes("log-000001.kora").expect("it is there");
    let (mut cut, mut refused) = (0, 0);
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        let copy = disk.copy();
        copy.put("log-000001.kora", &flipped);
        match try_load(&copy) {
            Err(_) => refused += 1,
            Ok((found, loaded)) => {
                let last = loaded.next_stamp - 1;
                let then = story.history.iter().find(|(stamp, _)| *stamp == last).expect("it was");
                assert_eq!(found, then.1.clone().seen(), "flip at {at}");
                assert!(loaded.tail.is_some(), "flip at {at}");
                assert!(last >= 1, "all but the last block was known to be safe");
                cut += 1;
            }
        }
    }
    assert!(cut > 40 && refused > cut, "{cut} cut, {refused} refused");
}

fn try_load(disk: &SimulatedDisk) -> Result<(World, Loaded), String> {
    let manifest = Manifest::read(disk)
        .map_err(|error| error.to_string())?
        .ok_or("no manifest")?;
    let mut loader = Loader::open(disk.clone(), manifest).map_err(|error| error.to_string())?;
    let mut world = World::default();
    while let Some(item) = loader.next_item().map_err(|error| error.to_string())? {
        let (file, offset) = loader.position();
        let mut apply = |bytes: &[u8]| {
            records(bytes).try_for_each(|record| {
                world.apply(&record.map_err(|what| format!("{file} at {offset}: {what}"))?);
                Ok::<(), String>(())
            })
        };
        match item {
            Item::Piece { body, .. } => apply(&body)?,
            Item::Passed => {}
            Item::Block(block) => block.frames().try_for_each(|frame| apply(frame.records))?,
        }
    }
    Ok((world.seen(), loader.loaded().map_err(|error| error.to_string())?))
}
