//! The scripts that the server knows, and what runs of scripts and functions: shared by all workers.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use kora_mesh::{CopyOnWriteMap, Decision, Gauge, Latest};
use kora_script::{Program, Run, Script};

use crate::limits::{EVALUATED_SCRIPTS_MAX, LOADED_SCRIPT_BYTES_MAX, RUNNING_WORD_BYTES_MAX, RUNNING_WORDS_MAX};
use crate::router::ShardId;

/// What all workers know of scripts.
pub struct Scripts {
    /// By the SHA-1 of their texts.
    known: CopyOnWriteMap<Known>,
    /// One for each shard.
    running: Box<[RunningScript]>,
}

#[derive(Clone)]
struct Known {
    script: Arc<Script>,
    /// SCRIPT LOAD said it, not EVAL: it stays until SCRIPT FLUSH.
    is_loaded: bool,
}

/// The script or the function that has a shard to itself, for others who look.
struct RunningScript {
    /// When its command was taken from its connection, in milliseconds of Unix time; 0 if none runs for longer than a slice.
    since_ms: Gauge,
    has_written: Gauge,
    is_killed: Gauge,
    /// What is called, if it is a function.
    function: Latest<Option<Arc<RunningFunction>>>,
    is_function: Gauge,
}

/// A function that runs for longer than a slice.
#[derive(Debug)]
pub(crate) struct RunningFunction {
    pub(crate) name: Bytes,
    /// The first words of its command, each cut off.
    pub(crate) words: Vec<Bytes>,
    /// When its command was taken from its connection, in milliseconds of Unix time.
    pub(crate) since_ms: u64,
}

impl RunningFunction {
    /// `None` of a script.
    pub(crate) fn of(run: &Run, command: &'static str, since_ms: u64) -> Option<RunningFunction> {
        let Program::Function { name, .. } = &run.program else {
            return None;
        };
        let count = Bytes::from(run.keys.len().to_string());
        let head = [Bytes::from_static(command.as_bytes()), name.clone(), count];
        let words = head
            .iter()
            .chain(&run.keys)
            .chain(&run.arguments)
            .take(RUNNING_WORDS_MAX);
        let cut = |word: &Bytes| Bytes::copy_from_slice(&word[..word.len().min(RUNNING_WORD_BYTES_MAX)]);
        Some(RunningFunction {
            name: name.clone(),
            words: words.map(cut).collect(),
            since_ms,
        })
    }
}

/// What SCRIPT KILL or FUNCTION KILL has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kill {
    /// At least one will end.
    Told,
    /// None runs for that long.
    NotBusy,
    /// All of them have written something.
    Unkillable,
    /// All that run are of the other kind.
    OtherKind,
}

impl Scripts {
    /// None is known and none runs.
    pub fn new(shards: usize, hash_seed: u64) -> Scripts {
        let idle = || RunningScript {
            since_ms: Gauge::new(0),
            has_written: Gauge::new(0),
            is_killed: Gauge::new(0),
            function: Latest::new(None),
            is_function: Gauge::new(0),
        };
        Scripts {
            known: CopyOnWriteMap::new(hash_seed),
            running: (0..shards).map(|_| idle()).collect(),
        }
    }

    pub(crate) fn find(&self, sha: &[u8]) -> Option<Arc<Script>> {
        let sha = sha.to_ascii_lowercase();
        self.known
            .inspect(&sha, |known| known.map(|known| Arc::clone(&known.script)))
    }

    /// A script by its text, which EVAL brings: from then on EVALSHA finds it.
    pub(crate) fn evaluated(&self, text: Bytes) -> Result<Arc<Script>, String> {
        let script = Script::new(text)?;
        if let Some(known) = self.find(script.sha.as_bytes()) {
            return Ok(known);
        }
        script.check()?;
        if self.known.len() >= EVALUATED_SCRIPTS_MAX + self.loaded().0 {
            self.forget(|known| !known.is_loaded);
        }
        Ok(self.remember(script, false))
    }

    /// SCRIPT LOAD; answers its name.
    pub(crate) fn load(&self, text: Bytes) -> Result<String, String> {
        let script = Script::new(text)?;
        script.check()?;
        if self.loaded().1 + script.text.len() > LOADED_SCRIPT_BYTES_MAX {
            return Err(format!(
                "ERR the server knows scripts of {LOADED_SCRIPT_BYTES_MAX} bytes, as many as it may: SCRIPT FLUSH forgets them"
            ));
        }
        Ok(self.remember(script, true).sha.clone())
    }

    /// SCRIPT FLUSH.
    pub(crate) fn flush(&self) {
        self.forget(|_| true);
    }

    fn remember(&self, script: Script, is_loaded: bool) -> Arc<Script> {
        let script = Arc::new(script);
        let known = Known {
            script: Arc::clone(&script),
            is_loaded,
        };
        self.known.decide(script.sha.as_bytes(), |stood| match stood {
            Some(stood) if stood.is_loaded || !is_loaded => Decision::Keep,
            _ => Decision::Publish(known.clone()),
        });
        script
    }

    fn forget(&self, which: impl Fn(&Known) -> bool) {
        (0..self.known.bucket_count()).for_each(|bucket| self.known.withdraw_where(bucket, &which));
    }

    /// How many were loaded, and their bytes. For what happens once for each script.
    fn loaded(&self) -> (usize, usize) {
        if self.known.is_empty() {
            return (0, 0);
        }
        let buckets = (0..self.known.bucket_count()).map(|bucket| self.known.bucket(bucket));
        buckets.fold((0, 0), |(count, bytes), bucket| {
            let loaded = bucket.iter().filter(|(_, known)| known.is_loaded);
            loaded.fold((count, bytes), |(count, bytes), (_, known)| {
                (count + 1, bytes + known.script.text.len())
            })
        })
    }

    /// Scripts known, for INFO.
    pub(crate) fn count(&self) -> usize {
        self.known.len()
    }

    /// A shard's script runs for longer than a slice; it may have written something.
    pub(crate) fn note_running(&self, shard: ShardId, since_ms: u64, has_written: bool) {
        let running = &self.running[shard.index()];
        running.has_written.set(u64::from(has_written));
        running.since_ms.set(since_ms.max(1));
    }

    /// What runs there is this function.
    pub(crate) fn note_function(&self, shard: ShardId, function: RunningFunction) {
        let running = &self.running[shard.index()];
        let function = Some(Arc::new(function));
        let Ok(()) = running.function.replace(|_| Ok::<_, Infallible>(function));
        running.is_function.set(1);
    }

    /// It has ended.
    pub(crate) fn note_ended(&self, shard: ShardId) {
        let running = &self.running[shard.index()];
        running.since_ms.set(0);
        running.is_killed.set(0);
        if running.is_function.get() != 0 {
            let Ok(()) = running.function.replace(|_| Ok::<_, Infallible>(None));
            running.is_function.set(0);
        }
    }

    /// The function that has run for longest, of those that run for longer than a slice.
    pub(crate) fn longest_function(&self) -> Option<Arc<RunningFunction>> {
        let functions = self.running.iter().filter(|running| running.is_function.get() != 0);
        let functions = functions.filter_map(|running| (*running.function.get()).clone());
        functions.min_by_key(|function| function.since_ms)
    }

    pub(crate) fn is_killed(&self, shard: ShardId) -> bool {
        self.running[shard.index()].is_killed.get() != 0
    }

    /// What others are told if the shard's script has run for so long that they are.
    pub(crate) fn busy(&self, shard: ShardId, now_ms: u64, threshold_ms: u64) -> Option<&'static str> {
        self.running[shard.index()].busy(now_ms, threshold_ms)
    }

    /// The same of any shard.
    pub(crate) fn any_busy(&self, now_ms: u64, threshold_ms: u64) -> Option<&'static str> {
        self.running
            .iter()
            .find_map(|running| running.busy(now_ms, threshold_ms))
    }

    /// Tells all scripts to end, or all functions, that have run for so long and have written nothing.
    pub(crate) fn kill(&self, functions: bool, now_ms: u64, threshold_ms: u64) -> Kill {
        let busy = self
            .running
            .iter()
            .filter(|running| running.is_busy(now_ms, threshold_ms));
        let mut found = Kill::NotBusy;
        for running in busy {
            if (running.is_function.get() != 0) != functions {
                found = if found == Kill::NotBusy { Kill::OtherKind } else { found };
            } else if running.has_written.get() != 0 {
                found = if found == Kill::Told { found } else { Kill::Unkillable };
            } else {
                running.is_killed.set(1);
                found = Kill::Told;
            }
        }
        found
    }
}

impl RunningScript {
    fn is_busy(&self, now_ms: u64, threshold_ms: u64) -> bool {
        let since_ms = self.since_ms.get();
        since_ms != 0 && now_ms.saturating_sub(since_ms) >= threshold_ms
    }

    fn busy(&self, now_ms: u64, threshold_ms: u64) -> Option<&'static str> {
        let text = match self.is_function.get() {
            0 => BUSY_SCRIPT,
            _ => BUSY_FUNCTION,
        };
        self.is_busy(now_ms, threshold_ms).then_some(text)
    }
}

pub(crate) const BUSY_SCRIPT: &str =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";

pub(crate) const BUSY_FUNCTION: &str =
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
