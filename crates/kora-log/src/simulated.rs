//! A disk in memory that forgets what was not synced, for simulations.
//!
//! A crash keeps what was synced. Of what was written since, it keeps by chance all, nothing, a beginning, or single sectors
//! out of order; of changes of names since the directory was synced, a beginning. Any call can be made to fail by its
//! number.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use crate::disk::{Disk, DiskFile};

/// The disk. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    state: Rc<RefCell<State>>,
}

/// An open file of it.
#[derive(Debug)]
pub struct SimulatedFile {
    state: Rc<RefCell<State>>,
    inode: usize,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO. A sync that fails so forgets what it was to make safe, as Linux does.
    Error,
    /// A write takes only a part.
    Short,
    /// ENOSPC, after a part of a write was taken.
    Full,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    /// Names as they are on the disk itself.
    safe_names: BTreeMap<String, usize>,
    /// Changes of names since the directory was synced, in their order.
    changes: Vec<(String, Option<usize>)>,
    calls: u64,
    faults: Vec<(u64, Fault)>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    safe: Vec<u8>,
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new() -> SimulatedDisk {
        SimulatedDisk::default()
    }

    /// Lets the call with this number fail, counted from 0 over all calls that change something.
    pub fn fail(&self, call: u64, fault: Fault) {
        self.state.borrow_mut().faults.push((call, fault));
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.state.borrow().calls
    }

    /// The power goes, and comes again: what is left of unsynced writes follows from `random`.
    pub fn crash(&self, mut random: impl FnMut() -> u64) {
        let mut state = self.state.borrow_mut();
        let kept = match state.changes.len() as u64 {
            0 => 0,
            changes => random() % (changes + 1),
        };
        let changes: Vec<_> = state.changes.drain(..).take(kept as usize).collect();
        for (name, inode) in changes {
            match inode {
                Some(inode) => drop(state.safe_names.insert(name, inode)),
                None => drop(state.safe_names.remove(&name)),
            }
        }
        state.names = state.safe_names.clone();
        for inode in &mut state.inodes {
            inode.forget(&mut random);
        }
        state.faults.clear();
    }

    /// The bytes of a file; none if there is none of this name.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state.borrow();
        state.names.get(name).map(|&inode| state.inodes[inode].bytes.clone())
    }

    /// Puts a file there, safely.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state.borrow_mut();
        let inode = state.inodes.len();
        state.inodes.push(Inode {
            bytes: bytes.to_vec(),
            safe: bytes.to_vec(),
        });
        state.names.insert(name.to_owned(), inode);
        state.safe_names.insert(name.to_owned(), inode);
    }

    /// An independent disk with the same files, all safe.
    pub fn copy(&self) -> SimulatedDisk {
        let copy = SimulatedDisk::new();
        let state = self.state.borrow();
        for (name, &inode) in &state.names {
            copy.put(name, &state.inodes[inode].bytes);
        }
        copy
    }
}

impl State {
    /// Counts a call, and says how it is to fail.
    fn count(&mut self) -> Option<Fault> {
        let call = self.calls;
        self.calls += 1;
        let place = self.faults.iter().position(|(number, _)| *number == call)?;
        Some(self.faults.swap_remove(place).1)
    }

    fn check(&mut self) -> io::Result<()> {
        match self.count() {
            None => Ok(()),
            Some(fault) => Err(fault.error()),
        }
    }

    fn name(&mut self, name: &str, inode: Option<usize>) {
        match inode {
            Some(inode) => drop(self.names.insert(name.to_owned(), inode)),
            None => drop(self.names.remove(name)),
        }
        self.changes.push((name.to_owned(), inode));
    }
}

impl Inode {
    fn forget(&mut self, random: &mut impl FnMut() -> u64) {
        match random() % 4 {
            0 => self.safe.clone_from(&self.bytes),
            1 => {}
            2 if self.bytes.starts_with(&self.safe) => {
                let unsynced = self.bytes.len() - self.safe.len();
                let kept = self.safe.len() + random() as usize % (unsynced + 1);
                self.safe = self.bytes[..kept].to_vec();
            }
            _ => {
                // The length was written, and of the sectors some.
                let mut kept = self.safe.clone();
                kept.resize(self.bytes.len(), 0);
                let synced = self.safe.len().min(self.bytes.len());
                let mut start = synced;
                while start < self.bytes.len() {
                    let end = (start / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES).min(self.bytes.len());
                    if random().is_multiple_of(2) {
                        kept[start..end].copy_from_slice(&self.bytes[start..end]);
                    }
                    start = end;
                }
                self.safe = kept;
            }
        }
        self.bytes.clone_from(&self.safe);
    }
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Fault::Error => io::Error::other("simulated input/output error"),
            Fault::Short | Fault::Full => io::ErrorKind::StorageFull.into(),
        }
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut state = self.state.borrow_mut();
        state.check()?;
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.name(name, Some(inode));
        let state = Rc::clone(&self.state);
        Ok(SimulatedFile { state, inode })
    }

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let found = self.state.borrow().names.get(name).copied();
        let inode = found.ok_or(io::ErrorKind::NotFound)?;
        let state = Rc::clone(&self.state);
        Ok(SimulatedFile { state, inode })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.check()?;
        let inode = state.names.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        state.name(to, Some(inode));
        state.name(from, None);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.check()?;
        state.name(name, None);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.borrow().names.keys().cloned().collect())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.check()?;
        state.safe_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        let fault = state.count();
        let file = &mut state.inodes[self.inode].bytes;
        match fault {
            Some(Fault::Error) => Err(Fault::Error.error()),
            Some(Fault::Short) => {
                let taken = bytes.len().div_ceil(2);
                file.extend_from_slice(&bytes[..taken]);
                Ok(taken)
            }
            Some(Fault::Full) => {
                file.extend_from_slice(&bytes[..bytes.len() / 2]);
                Err(Fault::Full.error())
            }
            None => {
                file.extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let fault = state.count();
        let inode = &mut state.inodes[self.inode];
        if let Some(fault) = fault {
            return Err(fault.error());
        }
        inode.safe.clone_from(&inode.bytes);
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.check()?;
        let inode = &mut state.inodes[self.inode];
        inode.bytes.truncate(length as usize);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.state.borrow().inodes[self.inode].bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.state.borrow();
        let bytes = &state.inodes[self.inode].bytes;
        let start = (offset as usize).min(bytes.len());
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }
}

/// What a disk writes whole.
const SECTOR_BYTES: usize = 512;
