//! The thread that writes the log and decides about snapshots.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use kora_engine::{Host as _, SaveWish};
use kora_log::{Log, Manifest, Writer};
use kora_mesh::{Doorbell, Durability, Phase, Trouble};

use super::saving::{SaveStage, Saving};
use super::snapshotting::SnapshotMessage;
use super::{Message, Policy};
use crate::config::{AppendFsync, SavePoints};
use crate::disk::Directory;
use crate::host::Process;

/// The thread's state.
pub(super) struct Writing {
    pub(super) log: Log<Directory>,
    /// Which files count.
    pub(super) manifest: Manifest,
    pub(super) next_snapshot: u64,
    pub(super) policy: Policy,
    pub(super) parts: WritingParts,
    pub(super) saving: Option<Saving>,
    /// Another snapshot is wanted when the one under way is complete.
    pub(super) is_save_wanted: bool,
    /// Values on their way from one shard to another, by the numbers of their transfers. Invariant: those of which one end was
    /// told, which are not in flight for longer than a command takes.
    pub(super) in_flight: BTreeSet<u64>,
    /// Who waits for the last snapshot before the server stops.
    pub(super) last_save: Option<SyncSender<bool>>,
    /// What the client who stops the server has said.
    last_wish: Option<bool>,
    /// When the log was last synced, and when writing or saving is tried again after a failure, in microseconds.
    synced_us: u64,
    /// How long the last sync took, in microseconds, and how many frames it made safe.
    sync_us: u64,
    group: u64,
    /// Bytes of records that were handed over so far.
    pushed_bytes: u64,
    write_again_us: u64,
    pub(super) save_again_us: u64,
}

/// What came in at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Nothing,
    Some,
    /// All workers have stopped.
    Stop,
}

/// What the thread shares with others.
pub(super) struct WritingParts {
    pub(super) inbox: Receiver<Message>,
    pub(super) pieces: SyncSender<SnapshotMessage>,
    pub(super) durability: Arc<Durability>,
    pub(super) bells: Vec<Arc<Doorbell>>,
    pub(super) host: Process,
}

impl Writing {
    pub(super) fn new(
        writer: Writer<Directory>,
        manifest: Manifest,
        next_snapshot: u64,
        policy: Policy,
        shards: usize,
        parts: WritingParts,
    ) -> Writing {
        let told = &parts.durability.told;
        told.saved_changes.set(parts.durability.changes());
        if manifest.snapshot == 0 {
            told.saved_s.set(parts.host.unix_us() / 1_000_000);
        }
        Writing {
            log: Log::new(writer, shards),
            manifest,
            next_snapshot,
            policy,
            parts,
            saving: None,
            is_save_wanted: false,
            in_flight: BTreeSet::new(),
            last_save: None,
            last_wish: None,
            synced_us: 0,
            sync_us: 0,
            group: 0,
            pushed_bytes: 0,
            write_again_us: 0,
            save_again_us: 0,
        }
    }

    /// Runs until all workers have stopped.
    pub(super) fn run(mut self) {
        loop {
            let patience = if self.saving.is_some() { SOON } else { PATIENCE };
            // Some of them came while the last sync was under way: then their clients are several.
            let came_before = self.parts.inbox.try_recv().ok();
            let is_group = came_before.is_some() || self.group > 1;
            let first = match came_before.map_or_else(|| self.parts.inbox.recv_timeout(patience), Ok) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Message::Stop),
            };
            let has_frames = matches!(first, Some(Message::Frames { .. }));
            if has_frames && !self.is_awaited() {
                std::thread::sleep(GATHERING);
            }
            if self.take_all(first) == Taken::Stop || (has_frames && is_group && self.gather_group() == Taken::Stop) {
                return self.finish();
            }
            let now_us = self.parts.host.now_us();
            self.write(now_us);
            self.go_on_saving(now_us);
            self.save_if_due(now_us);
        }
    }

    /// Whether replies wait for what is written.
    fn is_awaited(&self) -> bool {
        let durability = &self.parts.durability;
        self.policy.live.persistence.get().fsync == AppendFsync::Always
            || durability.sync_wanted.get() > durability.durable.get()
    }

    /// Takes in this message and all that have come.
    fn take_all(&mut self, first: Option<Message>) -> Taken {
        let mut taken = 0;
        let mut next = first.or_else(|| self.parts.inbox.try_recv().ok());
        while let Some(message) = next {
            if matches!(message, Message::Stop) {
                return Taken::Stop;
            }
            self.take(message);
            taken += 1;
            next = (taken < MESSAGES_PER_ROUND)
                .then(|| self.parts.inbox.try_recv().ok())
                .flatten();
        }
        if taken == 0 { Taken::Nothing } else { Taken::Some }
    }

    /// Where replies of several clients wait for a sync: waits while more of their clients' next commands
    /// come, so that one sync serves all of them. Without that two groups of clients take turns, each of which waits for the
    /// sync of the other before its own.
    fn gather_group(&mut self) -> Taken {
        if !self.is_awaited() {
            return Taken::Nothing;
        }
        let gathering = Duration::from_micros(self.sync_us / 2).min(GATHERING);
        let steps = gathering.as_micros() / GATHERING_STEP.as_micros();
        for _ in 0..steps {
            std::thread::sleep(GATHERING_STEP);
            match self.take_all(None) {
                Taken::Some => {}
                other => return other,
            }
        }
        Taken::Some
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Frames { shard, chunk } => {
                self.pushed_bytes += chunk.records.len() as u64;
                self.log.push(shard, chunk);
            }
            Message::Transfers(numbers) => {
                for number in numbers {
                    // The other end of it was told already, by a worker that was quicker.
                    if !self.in_flight.insert(number) {
                        self.in_flight.remove(&number);
                    }
                }
            }
            Message::Save(wish) => {
                let is_first = self.saving.is_none();
                self.is_save_wanted |= is_first || matches!(wish, SaveWish::Scheduled | SaveWish::Rewrite);
                self.save_again_us = 0;
            }
            Message::Captured { number, outcome } => {
                if let Some(saving) = self.saving.as_mut().filter(|saving| saving.number == number) {
                    match outcome {
                        Ok(bytes) => {
                            let since_us = self.parts.host.now_us();
                            saving.awaited.clone_from(&self.in_flight);
                            saving.stage = SaveStage::Landing { bytes, since_us };
                            self.tell_phase(0);
                        }
                        Err(error) => self.fail_save(&error),
                    }
                }
            }
            Message::LastWish(wish) => self.last_wish = Some(wish),
            Message::LastSave { done } => {
                let is_wanted = self
                    .last_wish
                    .unwrap_or(!self.save_points().is_empty() && !self.policy.is_log_on);
                let has_news = self.parts.durability.changes() != self.parts.durability.told.saved_changes.get();
                if is_wanted && (has_news || self.last_wish == Some(true)) {
                    self.last_save = Some(done);
                    self.is_save_wanted = true;
                    self.save_again_us = 0;
                } else {
                    // The acceptor's thread waits for it.
                    let _ = done.send(true);
                }
            }
            Message::Stop => {}
        }
    }

    /// Writes what is there, and syncs it if that is due.
    fn write(&mut self, now_us: u64) {
        let has_segment = self.log.writer().segment().is_some();
        if now_us < self.write_again_us || !(has_segment || self.policy.is_log_on) {
            return;
        }
        let begun = match self.log.writer().is_distrusted() {
            true => self.log.begin_segment(true).map(drop),
            // The disk was full when the server started, or when the manifest was to be written.
            false if self.policy.is_log_on && !(has_segment && self.manifest.is_open()) => {
                begin_log(self.log.writer_mut(), &mut self.manifest)
            }
            false => Ok(()),
        };
        match begun.and_then(|()| self.log.write()) {
            Ok(()) => self.tell_recovery(),
            Err(error) => {
                let trouble = if is_full(&error) { Trouble::Full } else { Trouble::Write };
                self.tell_trouble(trouble, &error);
                self.write_again_us = now_us + RETRY_US;
            }
        }
        let is_due = match self.policy.live.persistence.get().fsync {
            AppendFsync::Always => true,
            AppendFsync::Everysec => now_us.saturating_sub(self.synced_us) >= SYNC_EVERY_US,
            AppendFsync::No => {
                let durability = &self.parts.durability;
                durability.sync_wanted.get() > durability.durable.get()
            }
        };
        if is_due && self.log.is_behind() {
            self.sync();
        }
        let told = &self.parts.durability.told;
        told.log_bytes.set(self.log.writer().segment_bytes());
        let waiting_bytes = self.log.waiting_bytes() as u64;
        told.waiting_bytes.set(waiting_bytes);
        self.parts
            .durability
            .written_bytes
            .set(self.pushed_bytes.saturating_sub(waiting_bytes));
        told.blocks.set(self.log.blocks());
    }

    /// Makes safe what was written. False if that failed.
    pub(super) fn sync(&mut self) -> bool {
        let start_us = self.parts.host.now_us();
        let outcome = self.log.sync();
        let end_us = self.parts.host.now_us();
        self.synced_us = end_us;
        self.sync_us = end_us - start_us;
        let told = &self.parts.durability.told;
        told.syncs.set(told.syncs.get() + 1);
        told.sync_us_max.set(told.sync_us_max.get().max(end_us - start_us));
        match outcome {
            Ok(durable) => {
                self.group = durable.saturating_sub(self.parts.durability.durable.get());
                self.parts.durability.durable.set(durable);
                self.ring_bells();
                true
            }
            Err(error) => {
                // What is on disk of this segment is not known: only a snapshot makes everything safe again.
                self.tell_trouble(Trouble::Sync, &error);
                self.is_save_wanted = true;
                self.save_again_us = 0;
                false
            }
        }
    }

    pub(super) fn tell_trouble(&self, trouble: Trouble, error: &io::Error) {
        if self.parts.durability.trouble() != Some(trouble) {
            tracing::error!(%error, "the log can't be written: commands that write are refused until it can");
        }
        self.parts.durability.trouble.set(trouble as u64);
        self.ring_bells();
    }

    /// Writing succeeds.
    fn tell_recovery(&self) {
        if matches!(self.parts.durability.trouble(), Some(Trouble::Full | Trouble::Write)) {
            self.end_trouble();
        }
    }

    pub(super) fn end_trouble(&self) {
        tracing::info!("the disk can be written again");
        self.parts.durability.trouble.set(0);
        self.ring_bells();
    }

    pub(super) fn save_points(&self) -> SavePoints {
        self.policy.live.persistence.get().save.clone()
    }

    /// Tells the workers what to do from now on.
    pub(super) fn tell_phase(&self, capture: u64) {
        let is_closing = matches!(
            self.saving,
            Some(Saving {
                stage: SaveStage::Closing { .. },
                ..
            })
        );
        self.parts.durability.set_phase(Phase {
            is_loading: false,
            is_journal_on: self.policy.is_log_on || (self.saving.is_some() && !is_closing),
            capture,
        });
        self.ring_bells();
    }

    /// Lets the workers look at what has changed.
    fn ring_bells(&self) {
        for bell in &self.parts.bells {
            bell.ring();
        }
    }

    /// All workers have stopped: everything that they changed is here.
    fn finish(mut self) {
        if !self.policy.is_log_on {
            return;
        }
        match self.log.close() {
            Ok(()) => self.parts.durability.durable.set(self.log.writer().durable()),
            Err(error) => tracing::error!(%error, "the last of the log could not be written"),
        }
    }
}

/// Begins the log that is on for good, as far as that is not done: its first segment, and the manifest that lets it count.
pub(super) fn begin_log(writer: &mut Writer<Directory>, manifest: &mut Manifest) -> io::Result<()> {
    if writer.segment().is_none() {
        writer.begin_segment(false)?;
    }
    let open = Manifest {
        last_segment: 0,
        ..*manifest
    };
    open.publish(writer.disk())?;
    *manifest = open;
    Ok(())
}

/// Whether there is no space left.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// How long records gather before they are written, where no reply waits for them: a worker that hands over records while
/// this thread sleeps so does not have to wake it, and one write serves many turns. A kill of the process loses no more than what
/// came within this time, which is far below the second that `everysec` may lose.
const GATHERING: Duration = Duration::from_millis(1);

/// How long the thread waits each time for more of a group of clients that share a sync; all times together half as long as the
/// last sync took, and [`GATHERING`] at most: a disk that was slow once makes no later reply wait.
const GATHERING_STEP: Duration = Duration::from_micros(100);

/// How long the thread waits for news before it looks whether something is due.
const PATIENCE: Duration = Duration::from_millis(50);

/// The same while a snapshot is under way, whose steps are not all told.
const SOON: Duration = Duration::from_millis(2);

/// Messages taken in before what they brought is written: some milliseconds of a busy server.
const MESSAGES_PER_ROUND: usize = 1_024;

/// Under `everysec`.
const SYNC_EVERY_US: u64 = 1_000_000;

/// When writing is tried again.
pub(super) const RETRY_US: u64 = 100_000;
