//! Names of traces and spans that nobody else gives.
//!
//! Invariant: no two that this process gives are equal, and two processes begin at random places: names are told apart, not kept secret.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// One start for each half of a trace's name, and one for spans.
static STARTS: LazyLock<[AtomicU64; 3]> = LazyLock::new(|| {
    let (low, high) = uuid::Uuid::new_v4().as_u64_pair();
    let (other, _) = uuid::Uuid::new_v4().as_u64_pair();
    // A UUID's fixed bits make no difference: each start is stirred before it is used.
    [low, high, other].map(|start| AtomicU64::new(stirred(start)))
});

/// A new name of a trace; never 0.
pub(crate) fn trace() -> u128 {
    let [low, high, _] = &*STARTS;
    (u128::from(next(high)) << 64) | u128::from(next(low))
}

/// A new name of a span; never 0.
pub(crate) fn span() -> u64 {
    next(&STARTS[2])
}

fn next(counter: &AtomicU64) -> u64 {
    loop {
        let name = stirred(counter.fetch_add(1, Ordering::Relaxed));
        // Every number has one that it is stirred from, 0 too.
        if name != 0 {
            return name;
        }
    }
}

/// The finish of SplitMix64: one number for each, and near ones far apart. It costs some nanoseconds where the system's randomness costs
/// a call into the kernel.
fn stirred(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_differ_whoever_asks() {
        let threads: Vec<_> =
            (0..4).map(|_| std::thread::spawn(|| (0..5_000).map(|_| span()).collect::<Vec<_>>())).collect();
        let spans: HashSet<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(spans.len(), 20_000);
        let traces: HashSet<u128> = (0..20_000).map(|_| trace()).collect();
        assert_eq!(traces.len(), 20_000);
        // Half of the bits of neighbours differ, as of random ones.
        let differ: u32 = (0..1000).map(|_| (span() ^ span()).count_ones()).sum();
        assert!((30_000..34_000).contains(&differ), "{differ} of 64,000");
    }
}
