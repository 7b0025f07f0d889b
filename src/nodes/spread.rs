//! Times spread by ±20 %, so that nodes and gateways do not act in step.
//!
//! Invariant: the same seed gives the same time, so that a run can be followed.

use std::time::Duration;

/// The time, made up to a fifth shorter or longer.
pub(super) fn spread(time: Duration, seed: u64) -> Duration {
    let mut seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // One round of splitmix64: enough to part neighbours.
    seed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    seed = (seed ^ (seed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let per_mille = u32::try_from((seed ^ (seed >> 31)) % 401).unwrap_or(200) + 800;
    time.saturating_mul(per_mille) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spread_by_a_fifth_either_way() {
        let times = (0..1000).map(|seed| spread(Duration::from_secs(10), seed)).collect::<Vec<_>>();
        let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!(*least >= Duration::from_secs(8) && *least < Duration::from_millis(8100), "{least:?}");
        assert!(*most <= Duration::from_secs(12) && *most > Duration::from_millis(11900), "{most:?}");
    }
}
