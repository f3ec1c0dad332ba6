//! The world as an engine sees it: a clock, and what the kernel says about the process.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::returning::COLLECT_FREED;
use kora_engine::{CpuTime, Host};
use rustix::time::{ClockId, clock_gettime};

/// This process on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    /// What the clock showed when it began.
    start_us: u64,
}

impl Process {
    /// Its clock starts here.
    pub(crate) fn new() -> Process {
        Process {
            start_us: clock_us(ClockId::Monotonic),
        }
    }
}

impl Host for Process {
    fn now_us(&self) -> u64 {
        clock_us(ClockId::Monotonic).saturating_sub(self.start_us)
    }

    fn unix_us(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
    }

    fn resident_bytes(&self) -> u64 {
        // /proc/self/statm: total and resident pages first.
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: u64 = statm
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse().ok())
            .unwrap_or(0);
        pages * PAGE_BYTES
    }

    fn release_memory(&self) {
        COLLECT_FREED.get().into_iter().for_each(|collect| collect());
    }

    fn thread_cpu_us(&self) -> u64 {
        clock_us(ClockId::ThreadCPUTime)
    }

    fn cpu_us(&self) -> CpuTime {
        // /proc/self/stat: the name in parentheses may hold anything, so fields are counted behind it. utime and stime
        // are the 12th and 13th from there.
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let behind_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks = |field| -> u64 {
            behind_name
                .split(' ')
                .nth(field)
                .and_then(|ticks| ticks.parse().ok())
                .unwrap_or(0)
                * TICK_US
        };
        CpuTime {
            user_us: ticks(12),
            system_us: ticks(13),
        }
    }
}

/// What a clock of the kernel's shows. Read for every command; std's `Instant` takes a seventh longer (90 and 78 ns here).
fn clock_us(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000
}

/// The kernel's page on the machines we run on (x86-64, and arm64 as distributions configure it).
const PAGE_BYTES: u64 = 4096;

/// USER_HZ is 100 on every architecture of Linux.
const TICK_US: u64 = 10_000;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_understood() {
        let process = Process::new();
        assert!(process.resident_bytes() > 100_000);
        let start = std::time::Instant::now();
        while start.elapsed().as_millis() < 50 {}
        let cpu = process.cpu_us();
        assert!(cpu.user_us + cpu.system_us >= TICK_US);
    }
}
