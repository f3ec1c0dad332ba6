//! What a connection has still to send.

use std::collections::VecDeque;
use std::io;

use bytes::{Buf, BytesMut};
use rustix::io::Errno;
use rustix::net::SendFlags;
use tokio::net::TcpStream;

/// Encoded replies, in chunks.
///
/// In one buffer a client that takes its replies late would cost a multiple of them: the buffer doubles when it is full,
/// and what has been taken at its front makes room only when it is more than half.
///
/// Invariant: no chunk is empty but the last.
#[derive(Default)]
pub(crate) struct Output {
    chunks: VecDeque<BytesMut>,
}

impl Output {
    /// Where the next replies go. A little of them at a time: a chunk may grow beyond its size.
    pub(crate) fn room(&mut self) -> &mut BytesMut {
        if self.chunks.back().is_none_or(|chunk| chunk.len() >= CHUNK_BYTES) {
            self.chunks.push_back(BytesMut::new());
        }
        self.chunks.back_mut().expect("there is one now")
    }

    pub(crate) fn len(&self) -> usize {
        self.chunks.iter().map(BytesMut::len).sum()
    }

    /// Forgets what is behind the first `length` bytes.
    pub(crate) fn truncate(&mut self, mut length: usize) {
        for chunk in &mut self.chunks {
            chunk.truncate(length);
            length -= chunk.len();
        }
        while self.chunks.len() > 1 && self.chunks.back().is_some_and(BytesMut::is_empty) {
            self.chunks.pop_back();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.front().is_none_or(BytesMut::is_empty)
    }

    /// Memory held, or twice what is in it, whichever is more. A chunk that is full doubles, and counts as if it had: counted
    /// only then, it would be too late to stop reading.
    pub(crate) fn bytes_held(&self) -> usize {
        self.chunks
            .iter()
            .map(|chunk| chunk.capacity().max(2 * chunk.len()))
            .sum()
    }

    /// Sends what the socket takes; how many bytes that were.
    pub(crate) fn write_to(&mut self, stream: &TcpStream) -> io::Result<usize> {
        let mut taken = 0;
        while let Some(chunk) = self.chunks.front_mut() {
            while !chunk.is_empty() {
                match stream.try_write(chunk) {
                    Ok(written) => {
                        taken += written;
                        chunk.advance(written);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(taken),
                    Err(error) => return Err(error),
                }
            }
            if self.chunks.len() == 1 && self.chunks[0].capacity() <= BYTES_KEPT {
                return Ok(taken);
            }
            self.chunks.pop_front();
        }
        Ok(taken)
    }
}

impl Output {
    /// Sends what the kernel takes, whether or not it has said that it takes any; how many bytes that were.
    pub(crate) fn press_to(&mut self, stream: &TcpStream) -> io::Result<usize> {
        let Some(chunk) = self.chunks.front_mut() else {
            return Ok(0);
        };
        match rustix::net::send(stream, chunk, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(written) => {
                chunk.advance(written);
                if chunk.is_empty() && self.chunks.len() > 1 {
                    self.chunks.pop_front();
                }
                Ok(written)
            }
            Err(Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

/// Where a new chunk is begun.
const CHUNK_BYTES: usize = 64 * 1024;

/// A chunk larger than this is not kept once it is empty.
const BYTES_KEPT: usize = 64 * 1024;
