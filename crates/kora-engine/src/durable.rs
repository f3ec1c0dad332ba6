//! What an engine has to do with the disk: it hands over what was changed and captured, and makes true again what is read.
//!
//! It knows no files. The server takes the frames of the log and the pieces of snapshots, and hands back records when
//! the server starts.

use kora_log::order::Chunk;
use kora_log::record::records;
use kora_log::snapshot::PieceKind;
use kora_mesh::Trouble;

use crate::command::Command;
use crate::command::SaveWish;
use crate::command::table::DataAccess;
use crate::command::table::Parsed;
use crate::engine::Engine;
use crate::error::ClientError;
use crate::reply_queue::Encoded;
use crate::reply_queues::ReplyQueueId;
use crate::setup::Setup;
use crate::shard::{ReplayFault, Shard};

/// What an engine remembers of it.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    /// The data is being loaded.
    pub(crate) is_loading: bool,
    /// The snapshot that shards are captured for; 0 if there is none.
    capture: u64,
    /// It was said that all of them are.
    is_captured: bool,
    /// A client wants a snapshot.
    pub(crate) wish: Option<SaveWish>,
    /// Whether the client who stops the server wants a snapshot first, if it has said so.
    pub(crate) last_save_wish: Option<bool>,
}

/// What an engine's shards hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Strings and hashes, also such as have expired and were not removed.
    pub keys: u64,
    /// Vectors, the same.
    pub vectors: u64,
    /// Collections that exist, on all shards of the server.
    pub collections: u64,
}

/// A shard, and what it wrote for a snapshot.
pub type CapturedPiece = (u32, PieceKind, Vec<u8>);

impl Engine {
    /// Looks what is to be done, and begins it.
    pub(crate) fn look_at_phase(&mut self) {
        let phase = self.setup.durability.look(self.worker.index());
        self.durable.is_loading = phase.is_loading;
        for shard in &mut self.shards {
            let observers = shard.keyspace_mut().observers_mut();
            observers.set_journal(phase.is_journal_on);
            observers.set_loading(phase.is_loading);
        }
        if phase.capture != self.durable.capture {
            self.durable.capture = phase.capture;
            self.durable.is_captured = false;
            self.shards
                .iter_mut()
                .for_each(|shard| shard.set_capture(phase.capture != 0));
        }
    }

    /// Hands over the frames that are complete, shard by shard, in the order in which they became true there.
    pub fn hand_over(&mut self, take: &mut dyn FnMut(usize, Chunk)) {
        let mut changes = 0;
        for shard in &mut self.shards {
            changes += shard.keyspace().sequence().0;
            let chunk = shard.keyspace_mut().observers_mut().take_chunk();
            if !chunk.marks.is_empty() {
                take(shard.id().index(), chunk);
            }
        }
        self.setup.durability.changes[self.worker.index()].set(changes);
    }

    /// Hands over what was written for a snapshot: pieces, and nothing once after the last. What is not taken comes back and
    /// is tried again.
    pub fn hand_over_pieces(
        &mut self,
        take: &mut dyn FnMut(u64, Option<CapturedPiece>) -> Result<(), Option<CapturedPiece>>,
    ) {
        let number = self.durable.capture;
        if number == 0 || self.durable.is_captured {
            return;
        }
        let mut is_done = true;
        for shard in &mut self.shards {
            let id = u32::from(shard.id().0);
            let Some(capture) = shard.capture_mut() else { continue };
            if let Some((kind, piece)) = capture.take()
                && let Err(back) = take(number, Some((id, kind, piece)))
            {
                back.into_iter()
                    .for_each(|(_, kind, piece)| capture.put_back((kind, piece)));
            }
            is_done &= capture.is_done();
        }
        if is_done {
            self.durable.is_captured = take(number, None).is_ok();
        }
    }

    /// Numbers of values that left a shard for another one, or have arrived, since this was asked last. What tells of them is in
    /// the frames that were handed over.
    pub fn take_transfers(&mut self) -> Vec<u64> {
        self.shards.iter_mut().flat_map(Shard::take_transfers).collect()
    }

    /// A snapshot that a client wants, once.
    pub fn take_save_wish(&mut self) -> Option<SaveWish> {
        self.durable.wish.take()
    }

    /// Whether the client who stops the server wants a snapshot first, if it has said so; once.
    pub fn take_last_save_wish(&mut self) -> Option<bool> {
        self.durable.last_save_wish.take()
    }

    /// Makes records of one of its shards true, at a time in milliseconds of Unix time.
    ///
    /// # Errors
    /// If they say what no server has written. Some of them may have been made true.
    pub fn replay(&mut self, shard: u32, bytes: &[u8], now_ms: u64) -> Result<(), ReplayFault> {
        let shard = self.shard_of_number(shard)?;
        for record in records(bytes) {
            let record = record.map_err(|what| ReplayFault { what: what.to_string() })?;
            shard.replay(&record, now_ms)?;
        }
        Ok(())
    }

    /// Reads a piece of the index of one of its shards, at a time in milliseconds of Unix time.
    ///
    /// # Errors
    /// If it is none that a server has written.
    pub fn replay_index(&mut self, shard: u32, piece: &[u8], now_ms: u64) -> Result<(), ReplayFault> {
        // Its files are no longer than this, and so no index is larger in them.
        let bytes_max = self.setup.durability.load_bytes.get();
        self.shard_of_number(shard)?.replay_index(piece, bytes_max, now_ms)
    }

    /// What its shards hold.
    pub fn holdings(&self) -> Holdings {
        Holdings {
            keys: self.shards.iter().map(|shard| shard.key_counts().keys).sum(),
            vectors: self.shards.iter().map(|shard| shard.live() as u64).sum(),
            collections: self.setup.catalog.len() as u64,
        }
    }

    /// Whether some index that was begun is not whole.
    pub fn lacks_pieces(&self) -> bool {
        self.shards.iter().any(Shard::lacks_pieces)
    }

    /// Numbers of the values from other shards that have arrived here.
    pub fn take_landed(&mut self) -> Vec<u64> {
        self.shards.iter_mut().flat_map(Shard::take_landed).collect()
    }

    /// All was read, and these values have arrived where they went, in ascending order. What has not goes back.
    pub fn end_replay(&mut self, landed: &[u64], now_ms: u64) {
        self.look_at_phase();
        self.shards
            .iter_mut()
            .for_each(|shard| shard.end_replay(landed, now_ms));
    }

    /// Whether the shard's part of a snapshot can be gone on with.
    pub(crate) fn has_capture_work(&self) -> bool {
        self.shards.iter().any(Shard::has_capture_work)
    }

    /// Whether commands that write are refused because the disk fails.
    pub fn refuses_writes(&self) -> bool {
        self.setup.durability.trouble().is_some()
    }

    /// The error that clients get for commands that write while the disk fails.
    pub fn refusal_of_writes(&self) -> Option<String> {
        refusal_of_writes(&self.setup).map(|error| error.to_string())
    }

    /// What was encoded for a connection so far.
    pub fn encoded(&mut self, id: ReplyQueueId) -> Encoded {
        self.reply_queues.get(id).encoded
    }

    /// Refuses a command that may not be done as things are: while the data is loaded, and writes while the disk fails.
    pub(crate) fn gate(&self, parsed: &mut Parsed) {
        let trouble = self.setup.durability.trouble();
        if !self.durable.is_loading && trouble.is_none() {
            return;
        }
        let error = if self.durable.is_loading {
            (!parsed.entry.other_flags.contains(&"loading")).then_some(ClientError::Loading)
        } else {
            let is_write = parsed.entry.access == DataAccess::Write;
            is_write.then(|| refusal_of_writes(&self.setup)).flatten()
        };
        if let Some(error) = error {
            parsed.command = Command::Refused(error);
        }
    }

    fn shard_of_number(&mut self, number: u32) -> Result<&mut Shard, ReplayFault> {
        let found = self.shards.iter_mut().find(|shard| u32::from(shard.id().0) == number);
        found.ok_or_else(|| ReplayFault {
            what: format!("shard {number} is not here"),
        })
    }
}

/// Why nothing may be written, if the disk fails.
pub(crate) fn refusal_of_writes(setup: &Setup) -> Option<ClientError> {
    setup.durability.trouble().map(|trouble| match trouble {
        Trouble::Full => ClientError::LogFails("No space left on device"),
        Trouble::Write => ClientError::LogFails("Input/output error"),
        Trouble::Sync => ClientError::LogFails("Input/output error, and a snapshot is not safe yet"),
        Trouble::Snapshot => ClientError::SnapshotFails,
    })
}
