//! How the log's thread takes a snapshot: what comes after what, and what becomes of a failure.

use std::collections::BTreeSet;
use std::io;

use kora_engine::Host as _;
use kora_log::Manifest;
use kora_log::writer::Start;
use kora_mesh::Trouble;

use super::snapshotting::SnapshotMessage;
use super::writing::{RETRY_US, Writing};

/// A snapshot under way.
pub(super) struct Saving {
    pub(super) number: u64,
    /// Where its log begins.
    pub(super) start: Start,
    pub(super) stage: SaveStage,
    pub(super) began_us: u64,
    /// What the workers had changed when it began.
    pub(super) changes: u64,
    /// Values that were on their way when the last shard was captured, and are in no shard's part.
    pub(super) awaited: BTreeSet<u64>,
    /// It is the last one before the server stops: it began after all connections had ended.
    pub(super) is_last: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SaveStage {
    /// Every worker is to write down what it changes, before the first captures anything.
    Opening,
    /// The shards are being captured.
    Capturing,
    /// So long is the file; values that were on their way are waited for, since then.
    Landing { bytes: u64, since_us: u64 },
    /// So long is the file, and the log has to be safe up to this stamp.
    Completing { bytes: u64, until: u64 },
    /// No worker is to write down any more what it changes.
    Closing { bytes: u64, until: u64 },
}

impl Writing {
    /// Begins a snapshot if a client, the settings or a failure want one.
    pub(super) fn save_if_due(&mut self, now_us: u64) {
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
            awaited: BTreeSet::new(),
            is_last: self.last_save.is_some(),
        });
        self.tell_phase(0);
    }

    pub(super) fn go_on_saving(&mut self, now_us: u64) {
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
            SaveStage::Landing { bytes, since_us } => self.wait_for_values(bytes, since_us, now_us),
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

    /// A value that left a shard before that was captured, and came to one that had been, is in the log only: where it left may
    /// be told before the snapshot's log begins, so where it arrived has to be told in it.
    fn wait_for_values(&mut self, bytes: u64, since_us: u64, now_us: u64) {
        let Some(saving) = &mut self.saving else { return };
        saving.awaited.retain(|number| self.in_flight.contains(number));
        if saving.awaited.is_empty() {
            let until = self.parts.durability.stamps.last();
            self.set_stage(SaveStage::Completing { bytes, until });
        } else if now_us.saturating_sub(since_us) > LANDING_US_MAX {
            // Not to be waited for again: the next snapshot has what became of them.
            for number in std::mem::take(&mut saving.awaited) {
                self.in_flight.remove(&number);
            }
            self.fail_save(&io::Error::other("a RENAME between shards has not ended"));
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

    pub(super) fn fail_save(&mut self, error: &io::Error) {
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
}

/// How long a value may be on its way to another shard while a snapshot waits for it: a vector that is inserted into a large
/// collection waits for its slices.
const LANDING_US_MAX: u64 = 10_000_000;

/// When a snapshot is tried again that the settings want.
const SAVE_RETRY_US: u64 = 30_000_000;

/// A log shorter than this is not worth a snapshot of its own; Redis's `auto-aof-rewrite-min-size`.
const LOG_BYTES_MIN: u64 = 64 << 20;
