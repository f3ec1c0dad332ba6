//! What a client is sent unasked: messages of the channels that it subscribes to.

use bytes::{Buf, Bytes, BytesMut};

use super::{Presence, ReplyQueue};

/// Bytes of a push, or of a part of one, that wait to be written.
pub(super) struct Piece {
    /// It is written when all replies before the one with this sequence have been. The pieces of one push have the same, so
    /// that no reply comes in between.
    after: u32,
    bytes: Bytes,
}

impl ReplyQueue {
    /// Sends bytes of whole pushes behind all that is owed to the client now, or right behind a reply that it still waits for.
    pub(crate) fn push(&mut self, pieces: &[Bytes], behind: Option<u32>) {
        if self.presence != Presence::Here {
            return;
        }
        let end = self.head.wrapping_add(self.slots.len() as u32);
        let after = behind.map_or(end, |sequence| sequence.wrapping_add(1));
        let distance = |after: u32| after.wrapping_sub(self.head).cast_signed();
        let is_later = |piece: &&Piece| distance(piece.after) > distance(after);
        let place = self.pushes.len() - self.pushes.iter().rev().take_while(is_later).count();
        for bytes in pieces.iter().rev() {
            self.account.add(piece_bytes(bytes));
            self.pushed_bytes += piece_bytes(bytes);
            let bytes = bytes.clone();
            self.pushes.insert(place, Piece { after, bytes });
        }
        self.wake_if_head_ready();
    }

    /// Bytes of pushes that wait to be written, as they are charged.
    pub(crate) fn pushed_bytes(&self) -> usize {
        self.pushed_bytes
    }

    /// True if a push is to be written before the next reply.
    pub(super) fn is_push_next(&self) -> bool {
        let is_due = |piece: &Piece| piece.after.wrapping_sub(self.head).cast_signed() <= 0;
        self.leaving.is_none() && self.pushes.front().is_some_and(is_due)
    }

    /// Writes the first piece, or so much of it that `out` grows to `end`.
    pub(super) fn write_push(&mut self, end: usize, out: &mut BytesMut) {
        let Some(piece) = self.pushes.front_mut() else { return };
        let before = piece_bytes(&piece.bytes);
        let part = piece.bytes.len().min(end - out.len());
        out.extend_from_slice(&piece.bytes[..part]);
        piece.bytes.advance(part);
        let mut left = piece_bytes(&piece.bytes);
        if piece.bytes.is_empty() {
            left = 0;
            self.pushes.pop_front();
        }
        self.account.remove(before - left);
        self.pushed_bytes -= before - left;
    }

    /// Forgets what will not be read.
    pub(super) fn forget_pushes(&mut self) {
        let bytes = self.pushes.iter().map(|piece| piece_bytes(&piece.bytes)).sum();
        self.account.remove(bytes);
        self.pushed_bytes = 0;
        self.pushes.clear();
    }
}

/// What a piece is charged with, as if it had its bytes to itself.
fn piece_bytes(bytes: &Bytes) -> usize {
    bytes.len() + size_of::<Piece>()
}
