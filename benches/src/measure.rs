//! Time of a piece of work.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// The shortest time of one execution, over many: other work on the machine only makes it longer.
pub fn shortest<T>(budget: Duration, mut work: impl FnMut() -> T) -> Duration {
    // As many executions as one clock reading is worth.
    let began = Instant::now();
    black_box(work());
    let once = began.elapsed().max(Duration::from_nanos(50));
    let batch = u32::try_from(Duration::from_micros(200).as_nanos() / once.as_nanos()).unwrap_or(1).max(1);
    let began = Instant::now();
    let mut best = Duration::MAX;
    while began.elapsed() < budget {
        let start = Instant::now();
        for _ in 0..batch {
            black_box(work());
        }
        best = best.min(start.elapsed() / batch);
    }
    best
}

/// The shortest times of two pieces of work that take turns, so that both meet the same machine.
pub fn shortest_of_two<A, B>(
    budget: Duration,
    mut a: impl FnMut() -> A,
    mut b: impl FnMut() -> B,
) -> (Duration, Duration) {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..20 {
        best.0 = best.0.min(shortest(budget / 40, &mut a));
        best.1 = best.1.min(shortest(budget / 40, &mut b));
    }
    best
}
