//! The log as its thread sees it: frames come in from the workers, and go out in order.

use std::io;

use crate::block::BlockBuilder;
use crate::disk::Disk;
use crate::order::{Chunk, Order};
use crate::writer::{Start, Writer};

/// The log: what waits to be written, and the file it goes to.
///
/// Nothing is lost by an error: what could not be written waits, and is tried again by the next [`Log::write`].
pub struct Log<D: Disk> {
    writer: Writer<D>,
    order: Order,
    /// Frames that were taken from `order` and are not written.
    block: BlockBuilder,
    blocks: u64,
}

impl<D: Disk> Log<D> {
    /// A log behind this writer, of frames from so many sources.
    pub fn new(writer: Writer<D>, sources: usize) -> Log<D> {
        let order = Order::new(sources, writer.next_stamp());
        Log {
            writer,
            order,
            block: BlockBuilder::new(),
            blocks: 0,
        }
    }

    /// Takes in what a source hands over, behind all that it handed over before.
    pub fn push(&mut self, source: usize, chunk: Chunk) {
        self.order.push(source, chunk);
    }

    /// Writes all that is there in order. It is not safe before [`Log::sync`].
    ///
    /// # Errors
    /// As the disk says.
    pub fn write(&mut self) -> io::Result<()> {
        loop {
            if self.block.is_empty() {
                self.order.fill(&mut self.block);
            }
            if self.block.is_empty() {
                return Ok(());
            }
            self.writer.write(&mut self.block)?;
            self.block.clear();
            self.blocks += 1;
        }
    }

    /// Makes safe what was written; says up to which stamp everything is.
    ///
    /// # Errors
    /// As the disk says: then the segment is not trusted any more, and [`Log::begin_segment`] has to begin a detached one.
    pub fn sync(&mut self) -> io::Result<u64> {
        self.writer.sync()
    }

    /// Begins a segment; see [`Writer::begin_segment`].
    ///
    /// # Errors
    /// As the disk says.
    pub fn begin_segment(&mut self, is_detached: bool) -> io::Result<Start> {
        self.writer.begin_segment(is_detached)
    }

    /// Ends the segment; see [`Writer::close`].
    ///
    /// # Errors
    /// As the disk says.
    pub fn close(&mut self) -> io::Result<()> {
        self.write()?;
        self.writer.close()
    }

    /// Bytes that were handed over and are not written.
    pub fn waiting_bytes(&self) -> usize {
        self.order.waiting_bytes() + if self.block.is_empty() { 0 } else { self.block.len() }
    }

    /// Whether something was written that is not safe.
    pub fn is_behind(&self) -> bool {
        self.writer.durable() + 1 < self.writer.next_stamp()
    }

    /// Blocks written so far.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The same, to begin a segment.
    pub fn writer_mut(&mut self) -> &mut Writer<D> {
        &mut self.writer
    }

    /// The file that is written to.
    pub fn writer(&self) -> &Writer<D> {
        &self.writer
    }
}
