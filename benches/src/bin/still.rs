//! Does nothing but read its thread's CPU clock, and says for each quarter of a second how long it took at most from one
//! reading to the next, in microseconds, a line each: what this machine charges to a thread that has nothing to do with it.
//!
//! ```text
//! still SECONDS
//! ```
//!
//! A slice of the server's is measured on the same clock, so none can be told apart from the machine that is not longer. On a
//! virtual machine whose host had other things to do it was 9.7 ms within twenty seconds.

use std::env;
use std::time::{Duration, Instant};

use kora_bench::cpu_time;

fn main() {
    let seconds = env::args().nth(1).and_then(|word| word.parse().ok());
    let seconds: f64 = seconds.expect("still SECONDS");
    let begun = Instant::now();
    let mut last = cpu_time();
    let mut longest: Vec<Duration> = Vec::new();
    while begun.elapsed().as_secs_f64() < seconds {
        let window = (begun.elapsed().as_nanos() / WINDOW.as_nanos()) as usize;
        longest.resize(longest.len().max(window + 1), Duration::ZERO);
        let now = cpu_time();
        longest[window] = longest[window].max(now - last);
        last = now;
    }
    for longest in longest {
        println!("{}", longest.as_micros());
    }
}

/// As long as those in which `expiry.py` looks at the server's slices.
const WINDOW: Duration = Duration::from_millis(250);
