//! How often a tenant may queue jobs in an app: the `batch_jobs_per_min` of the app's policy, as the gateway describes it.
//!
//! Invariant: there is a bucket per tenant and app, none that tenants share, and their number is bounded.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jobs::Scope;
use moka::sync::Cache;

use crate::Error;

/// With two names and a limiter a bucket takes 300 bytes at most: 30 MiB.
const BUCKETS_MAX: u64 = 100_000;
/// A bucket that was not used for this long is full again, whatever its rate.
const IDLE: Duration = Duration::from_mins(10);

/// All buckets of one process.
#[derive(Clone)]
pub(crate) struct Limit {
    buckets: Cache<Scope, Arc<Bucket>>,
    clock: DefaultClock,
}

struct Bucket {
    per_min: NonZeroU32,
    limiter: DefaultDirectRateLimiter,
}

impl Default for Limit {
    fn default() -> Self {
        let buckets = Cache::builder().max_capacity(BUCKETS_MAX).time_to_idle(IDLE).build();
        Self { buckets, clock: DefaultClock::default() }
    }
}

// === impl Limit ===

impl Limit {
    /// Takes one job of the scope's rate.
    pub(crate) fn take(&self, scope: &Scope, per_min: f64) -> Result<(), Error> {
        // A policy of less than one a minute is one that a limiter of whole cells cannot keep otherwise.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
        let per_min = NonZeroU32::new(per_min.clamp(1.0, 1e9) as u32).unwrap_or(NonZeroU32::MIN);
        let fresh = || Arc::new(Bucket { per_min, limiter: RateLimiter::direct(Quota::per_minute(per_min)) });
        let mut bucket = self.buckets.get_with_by_ref(scope, fresh);
        if bucket.per_min != per_min {
            bucket = fresh();
            self.buckets.insert(scope.clone(), Arc::clone(&bucket));
        }
        bucket
            .limiter
            .check()
            .map_err(|early| Error::RateLimited { retry_after: early.wait_time_from(self.clock.now()) })
    }
}
