//! The thread that writes the log and decides about snapshots.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use kora_engine::{Host as _, SaveWish};
use kora_log::writer::Start;
use kora_log::{Log, Manifest, Writer};
use kora_mesh::{Doorbell, Durability, Phase, Trouble};
use tokio::sync::watch;

use super::snapshotting::SnapshotMessage;
use super::{Message, Policy, Settled};
use crate::config::{AppendFsync, SavePoints};
use crate::disk::Directory;
use crate::host::Process;

/// The thread's state.
pub(super) struct Writing {
    log: Log<Directory>,
    /// Which files count.
    manifest: Manifest,
    next_snapshot: u64,
    policy: Policy,
    parts: WritingParts,
    saving: Option<Saving>,
    /// Another snapshot is wanted when the one under way is complete.
    is_save_wanted: bool,
    /// Who waits for the last snapshot before the server stops.
    last_save: Option<SyncSender<bool>>,
    /// What the client who stops the server has said.
    last_wish: Option<bool>,
    /// When the log was last synced, and when writing or saving is tried again after a failure, in microseconds.
    synced_us: u64,
    /// Bytes of records that were handed over so far.
    pushed_bytes: u64,
    write_again_us: u64,
    save_again_us: u64,
}

/// What the thread shares with others.
pub(super) struct WritingParts {
    pub(super) inbox: Receiver<Message>,
    pub(super) pieces: SyncSender<SnapshotMessage>,
    pub(super) settled: watch::Sender<Settled>,
    pub(super) durability: Arc<Durability>,
    pub(super) bells: Vec<Arc<Doorbell>>,
    pub(super) host: Process,
}

/// A snapshot under way.
struct Saving {
    number: u64,
    /// Where its log begins.
    start: Start,
    stage: SaveStage,
    began_us: u64,
    /// What the workers had changed when it began.
    changes: u64,
    /// It is the last one before the server stops: it began after all connections had ended.
    is_last: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SaveStage {
    /// Every worker is to write down what it changes, before the first captures anything.
    Opening,
    /// The shards are being captured.
    Capturing,
    /// So long is the file, and the log has to be safe up to this stamp.
    Completing { bytes: u64, until: u64 },
    /// No worker is to write down any more what it changes.
    Closing { bytes: u64, until: u64 },
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
            last_save: None,
            last_wish: None,
            synced_us: 0,
            pushed_bytes: 0,
            write_again_us: 0,
            save_again_us: 0,
        }
    }

    /// Runs until all workers have stopped.
    pub(super) fn run(mut self) {
        loop {
            let patience = if self.saving.is_some() { SOON } else { PATIENCE };
            let mut message = match self.parts.inbox.recv_timeout(patience) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Message::Stop),
            };
            for _ in 0..MESSAGES_PER_ROUND {
                let Some(next) = message else { break };
                if matches!(next, Message::Stop) {
                    return self.finish();
                }
                self.take(next);
                message = self.parts.inbox.try_recv().ok();
            }
            // One that was taken out behind the last of the round.
            match message {
                Some(Message::Stop) => return self.finish(),
                Some(next) => self.take(next),
                None => {}
            }
            let now_us = self.parts.host.now_us();
            self.write(now_us);
            self.go_on_saving(now_us);
            self.save_if_due(now_us);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Frames { shard, chunk } => {
                self.pushed_bytes += chunk.records.len() as u64;
                self.log.push(shard, chunk);
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
                            let until = self.parts.durability.stamps.last();
                            saving.stage = SaveStage::Completing { bytes, until };
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
        if now_us < self.write_again_us || self.log.writer().segment().is_none() {
            return;
        }
        let written = match self.log.writer().is_distrusted() {
            true => self.log.begin_segment(true).map(drop),
            false => Ok(()),
        };
        match written.and_then(|()| self.log.write()) {
            Ok(()) => self.tell_recovery(),
            Err(error) => {
                let trouble = match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::Full,
                    _ => Trouble::Write,
                };
                self.tell_trouble(trouble, &error);
                self.write_again_us = now_us + RETRY_US;
            }
        }
        let is_due = match self.policy.live.persistence.get().fsync {
            AppendFsync::Always => true,
            AppendFsync::Everysec => now_us.saturating_sub(self.synced_us) >= SYNC_EVERY_US,
            AppendFsync::No => false,
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
    fn sync(&mut self) -> bool {
        let start_us = self.parts.host.now_us();
        let outcome = self.log.sync();
        let end_us = self.parts.host.now_us();
        self.synced_us = end_us;
        let told = &self.parts.durability.told;
        told.syncs.set(told.syncs.get() + 1);
        told.sync_us_max.set(told.sync_us_max.get().max(end_us - start_us));
        match outcome {
            Ok(durable) => {
                self.parts.durability.durable.set(durable);
                let is_failing = self.is_log_failing();
                self.parts.settled.send_replace(Settled { durable, is_failing });
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

    fn tell_trouble(&self, trouble: Trouble, error: &io::Error) {
        if self.parts.durability.trouble() != Some(trouble) {
            tracing::error!(%error, "the log can't be written: commands that write are refused until it can");
        }
        self.parts.durability.trouble.set(trouble as u64);
        let durable = self.parts.durability.durable.get();
        self.parts.settled.send_replace(Settled {
            durable,
            is_failing: true,
        });
    }

    /// Whether the log itself can't be written; a snapshot that failed is no reason not to send replies.
    fn is_log_failing(&self) -> bool {
        matches!(
            self.parts.durability.trouble(),
            Some(Trouble::Full | Trouble::Write | Trouble::Sync)
        )
    }

    /// Writing succeeds.
    fn tell_recovery(&self) {
        if matches!(self.parts.durability.trouble(), Some(Trouble::Full | Trouble::Write)) {
            self.end_trouble();
        }
    }

    fn end_trouble(&self) {
        tracing::info!("the disk can be written again");
        self.parts.durability.trouble.set(0);
        let durable = self.parts.durability.durable.get();
        self.parts.settled.send_replace(Settled {
            durable,
            is_failing: false,
        });
    }

    fn save_points(&self) -> SavePoints {
        self.policy.live.persistence.get().save.clone()
    }

    /// Begins a snapshot if a client, the settings or a failure want one.
    fn save_if_due(&mut self, now_us: u64) {
        if self.saving.is_some() || now_us < self.save_again_us {
            return;
        }
        let durability = &self.parts.durability;
        let changes = durability.changes().saturating_sub(durability.told.saved_changes.get());
        let since_s = (self.parts.host.unix_us() / 1_000_000).saturating_sub(durability.told.saved_s.get());
        let is_log_large = self.policy.is_log_on
            && durability.told.log_bytes.get() > LOG_BYTES_MIN.max(durability.told.snapshot_bytes.get());
        if self.is_save_wanted || self.save_points().is_due(since_s, changes) || is_log_large {
            self.begin_save(now_us);
        }
    }

    fn begin_save(&mut self, now_us: u64) {
        self.is_save_wanted = false;
        let is_detached = !self.policy.is_log_on || self.log.writer().is_distrusted();
        let written = if is_detached { Ok(()) } else { self.log.write() };
        let start = match written.and_then(|()| self.log.begin_segment(is_detached)) {
            Ok(start) => start,
            Err(error) => {
                if self.log.writer().is_distrusted() && !is_detached {
                    self.tell_trouble(Trouble::Sync, &error);
                }
                return self.fail_save(&error);
            }
        };
        let told = &self.parts.durability.told;
        told.saving_since_s.set(self.parts.host.unix_us() / 1_000_000);
        let number = self.next_snapshot;
        self.next_snapshot += 1;
        self.saving = Some(Saving {
            number,
            start,
            stage: SaveStage::Opening,
            began_us: now_us,
            changes: self.parts.durability.changes(),
            is_last: self.last_save.is_some(),
        });
        self.tell_phase(0);
    }

    fn go_on_saving(&mut self, now_us: u64) {
        let Some(Saving { number, stage, .. }) = self.saving else {
            return;
        };
        // A worker that could not hand over a piece tries again.
        for bell in &self.parts.bells {
            bell.ring();
        }
        let is_seen = self.parts.durability.is_seen_by_all();
        match stage {
            SaveStage::Opening if is_seen => {
                let workers = self.parts.bells.len();
                if self
                    .parts
                    .pieces
                    .send(SnapshotMessage::Begin { number, workers })
                    .is_err()
                {
                    return self.fail_save(&io::Error::other("the thread for snapshots has ended"));
                }
                self.set_stage(SaveStage::Capturing);
                self.tell_phase(number);
            }
            SaveStage::Completing { bytes, until }
                if self.log.writer().next_stamp() > until && !self.log.writer().is_distrusted() =>
            {
                if !self.sync() {
                    return self.fail_save(&io::Error::other("the log could not be synced"));
                }
                if self.policy.is_log_on {
                    return self.publish(bytes, until, 0, now_us);
                }
                self.set_stage(SaveStage::Closing { bytes, until });
                self.tell_phase(0);
            }
            SaveStage::Closing { bytes, until } => {
                let are_all_here = self.log.writer().next_stamp() > self.parts.durability.stamps.last();
                if is_seen && are_all_here {
                    let last = self.log.writer().segment().unwrap_or(0);
                    match self.log.close() {
                        Ok(()) => self.publish(bytes, until, last, now_us),
                        Err(error) => self.fail_save(&error),
                    }
                }
            }
            SaveStage::Opening | SaveStage::Capturing | SaveStage::Completing { .. } => {}
        }
    }

    fn set_stage(&mut self, stage: SaveStage) {
        if let Some(saving) = &mut self.saving {
            saving.stage = stage;
        }
    }

    /// The snapshot is complete, and the log is safe as far as it needs: from here on they count.
    fn publish(&mut self, bytes: u64, until: u64, last_segment: u64, now_us: u64) {
        let Some(saving) = &self.saving else { return };
        let saved_ms = self.parts.host.unix_us() / 1000;
        let manifest = Manifest {
            shards: self.manifest.shards,
            snapshot: saving.number,
            snapshot_bytes: bytes,
            saved_ms,
            first_segment: saving.start.segment,
            last_segment,
            first_stamp: saving.start.stamp,
            until_stamp: until,
        };
        if let Err(error) = manifest.publish(self.log.writer().disk()) {
            return self.fail_save(&error);
        }
        self.manifest = manifest;
        if let Err(error) = manifest.remove_others(self.log.writer().disk()) {
            tracing::warn!(%error, "older files could not be removed; the next snapshot tries again");
        }
        let took_us = now_us.saturating_sub(saving.began_us);
        let told = &self.parts.durability.told;
        told.saved_s.set(saved_ms / 1000);
        told.saved_changes.set(saving.changes);
        told.save_took_s.set(took_us / 1_000_000 + 1);
        told.snapshot_bytes.set(bytes);
        told.log_bytes.set(self.log.writer().segment_bytes());
        told.saves.set(told.saves.get() + 1);
        told.save_failed.set(0);
        tracing::info!(number = saving.number, bytes, ms = took_us / 1000, "snapshot saved");
        if matches!(self.parts.durability.trouble(), Some(Trouble::Sync | Trouble::Snapshot)) {
            self.end_trouble();
        }
        self.end_save(true);
    }

    fn fail_save(&mut self, error: &io::Error) {
        tracing::error!(%error, "the snapshot could not be saved");
        // Its thread may have given it up before.
        let _ = self.parts.pieces.try_send(SnapshotMessage::Abandon);
        self.parts.durability.told.save_failed.set(1);
        self.save_again_us = self.parts.host.now_us() + SAVE_RETRY_US;
        if self.parts.durability.trouble() == Some(Trouble::Sync) {
            self.is_save_wanted = true;
            self.save_again_us = self.parts.host.now_us() + RETRY_US;
        } else if self.parts.durability.trouble().is_none() && !self.save_points().is_empty() {
            self.parts.durability.trouble.set(Trouble::Snapshot as u64);
            // Writes are refused until one succeeds, so no save point would become due by changes.
            self.is_save_wanted = true;
        }
        self.end_save(false);
    }

    fn end_save(&mut self, is_saved: bool) {
        let is_last = self
            .saving
            .take()
            .map_or(self.last_save.is_some(), |saving| saving.is_last);
        let told = &self.parts.durability.told;
        // In this order: a SAVE that finds none under way counts from here.
        told.saves_ended.set(told.saves_ended.get() + 1);
        told.saving_since_s.set(0);
        self.tell_phase(0);
        match self.last_save.take() {
            Some(done) if is_last => {
                // The server may have been told to stop at once.
                let _ = done.send(is_saved);
            }
            // This one began too early: another one follows, without the pause after a failure.
            Some(done) => {
                self.last_save = Some(done);
                self.save_again_us = 0;
            }
            None => {}
        }
    }

    /// Tells the workers what to do from now on.
    fn tell_phase(&self, capture: u64) {
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

/// How long the thread waits for news before it looks whether something is due.
const PATIENCE: Duration = Duration::from_millis(50);

/// The same while a snapshot is under way, whose steps are not all told.
const SOON: Duration = Duration::from_millis(2);

/// Messages taken in before what they brought is written: some milliseconds of a busy server.
const MESSAGES_PER_ROUND: usize = 1_024;

/// Under `everysec`.
const SYNC_EVERY_US: u64 = 1_000_000;

/// When writing is tried again.
const RETRY_US: u64 = 100_000;

/// When a snapshot is tried again that the settings want.
const SAVE_RETRY_US: u64 = 30_000_000;

/// A log shorter than this is not worth a snapshot of its own; Redis's `auto-aof-rewrite-min-size`.
const LOG_BYTES_MIN: u64 = 64 << 20;
