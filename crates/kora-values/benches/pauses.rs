//! The longest step that a large hash ever takes, in this thread's processor time: `cargo bench -p kora-values`.
//!
//! `cargo test` does the same to a hash of a few thousand fields, to see that it still works.

use std::time::Duration;

use kora_values::{HashValue, LongDouble, Sample};
use rustix::time::{ClockId, clock_gettime};

fn main() {
    // Cargo passes `--bench` to `cargo bench` and not to `cargo test`.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let count: u32 = if is_bench { 10_000_000 } else { 5_000 };
    println!(
        "{count} fields\n{:34} {:>10} {:>10} {:>10} {:>14}",
        "", "steps", "mean µs", "longest µs", "beyond 250 µs"
    );
    let mut hash = HashValue::new(7);
    steps("set a field", 0..count, |number| {
        assert!(hash.set(&number.to_le_bytes(), b"sixteen bytes of"));
    });
    println!(
        "{:.1} bytes a field, of which 20 are its own",
        hash.bytes() as f64 / f64::from(count)
    );
    steps("get a field", 0..count, |number| {
        assert!(hash.get(&number.wrapping_mul(2_654_435_761).to_le_bytes()).is_none() || number < count);
    });
    let mut next = Some(0);
    steps("scan 10 fields", 0..count / 1_000, |_| {
        next = next.and_then(|from| hash.view().scan(from, 10).1)
    });
    let (mut next, mut met) = (Some(0), 0);
    steps("scan 1,000 fields", 0..count / 500, |_| {
        if let Some(from) = next {
            let (fields, after) = hash.view().scan(from, 1_000);
            met += fields.len();
            next = after;
        }
    });
    assert_eq!(met, hash.len());
    for part in [4, 2] {
        let mut sample = Sample::new(hash.view(), hash.len() / part);
        let mut state = 1_u64;
        let name = format!("draw 1 of {part}, 1,000 at a time");
        steps(&name, 0..count / 100, |_| {
            if sample.left() > 0 {
                sample.draw(hash.view(), 1_000, || {
                    state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                    (state ^ (state >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
                });
            }
        });
        assert_eq!(sample.left(), 0);
    }
    steps("delete a field, down to a half", 0..count / 2, |number| {
        assert!(hash.remove(&number.to_le_bytes()));
    });
    steps("dismantle 64 fields", 0..count / 25, |_| {
        hash.dismantle();
    });
    assert!(!hash.dismantle());
    let longest = [
        b"1e4932".to_vec(),
        [vec![b'9'; 4_000], b"e-8000".to_vec()].concat(),
        vec![b'9'; 4_900],
    ];
    for text in &longest {
        let name = format!("add two floats of {} bytes", text.len());
        steps(&name, 0..10, |_| {
            let float = LongDouble::parse(text).map(|float| (text, float));
            if let Some((text, float)) = float {
                let mut hash = HashValue::new(7);
                hash.set(b"f", text);
                let _ = hash.increment_float(b"f", float);
            }
        });
    }
}

fn steps(name: &str, numbers: std::ops::Range<u32>, mut step: impl FnMut(u32)) {
    let (mut longest, mut total, count) = (Duration::ZERO, Duration::ZERO, numbers.len());
    let mut long = 0;
    for number in numbers {
        let start = thread_time();
        step(number);
        let spent = thread_time() - start;
        longest = longest.max(spent);
        long += usize::from(spent > LONG);
        total += spent;
    }
    let mean = total.as_secs_f64() * 1e6 / count as f64;
    println!(
        "{name:34} {count:>10} {mean:>10.2} {:>10.0} {long:>14}",
        longest.as_secs_f64() * 1e6
    );
}

/// What only few steps should take: where a clock is read that often, a noisy machine shows in the longest.
const LONG: Duration = Duration::from_micros(250);

fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("it counts from 0")
}
