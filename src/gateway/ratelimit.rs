//! Authorized → Authorized: takes one request of the caller's rate limit, per tenant, app and lane, before the body is read.
//!
//! Invariant: only callers who are known have a bucket, a refused request costs nothing, and the number of buckets is bounded.
//! There is no bucket that tenants share, so none of them can empty another's. A cached answer costs as much as a solve.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use contract::policy::Policy;
use http::{HeaderMap, HeaderName, HeaderValue};
use problem::whole_seconds;
use tokio::time::Instant;
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt as _};

use super::Error;
use super::shared::Shared;
use super::stage::{Authorized, BoxFuture, Caller, Lane, Reply};

pub mod gcra;

use gcra::{Cell, Outcome, Quota};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Locks that buckets are spread over, so that requests seldom meet.
const SHARDS: usize = 16;
/// Buckets at most. With two names of 20 bytes, their counts and a map at half load a bucket takes 250 bytes at most: 64 MiB.
const KEYS_MAX: usize = 1 << 18;

/// Whose bucket it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    caller: Caller,
    lane: Lane,
}

/// Every caller's bucket. A handle: cheap to clone.
#[derive(Debug, Clone)]
pub struct Buckets {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    start: Instant,
    refused: AtomicU64,
    shadowed: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    cells: HashMap<Key, Cell>,
    /// Shared by the keys that find no place, so that a flood of keys is limited, and those that have a place are not touched.
    crowd: Option<Cell>,
}

/// Where a caller stands after a request: what the `RateLimit` headers tell.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    lane: Lane,
    quota: Quota,
    outcome: Outcome,
}

pub fn layer<S>(buckets: Buckets) -> impl Layer<S, Service = RateLimit<Shared<S>>> + Clone {
    layer_fn(move |inner| RateLimit { inner: Shared::new(inner), buckets: buckets.clone() })
}

#[derive(Debug, Clone)]
pub struct RateLimit<S> {
    inner: S,
    buckets: Buckets,
}

impl<S> Service<Authorized> for RateLimit<S>
where
    S: Service<Authorized, Response = Reply, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Reply;
    type Error = Error;
    type Future = BoxFuture<Reply>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, authorized: Authorized) -> Self::Future {
        if let Err(refusal) = self.buckets.admit(&authorized) {
            return Box::pin(std::future::ready(Err(refusal)));
        }
        Box::pin(self.inner.clone().oneshot(authorized))
    }
}

/// What a policy allows in a lane.
pub fn quota(policy: &Policy, lane: Lane) -> Quota {
    match lane {
        Lane::Preview => Quota::new(policy.rate_limits.preview_rps, Duration::from_secs(1)),
        Lane::Batch => Quota::new(policy.rate_limits.batch_jobs_per_min, Duration::from_mins(1)),
    }
}

// === impl Buckets ===

impl Default for Buckets {
    fn default() -> Self {
        let inner = Inner {
            shards: Default::default(),
            hasher: RandomState::new(),
            start: Instant::now(),
            refused: AtomicU64::new(0),
            shadowed: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Buckets {
    fn admit(&self, authorized: &Authorized) -> Result<(), Error> {
        let lane = authorized.lane().unwrap_or(Lane::Batch);
        let policy = authorized.policy();
        let quota = quota(policy, lane);
        let outcome = self.take(authorized.caller(), lane, &quota);
        let ledger = &authorized.ticket().ledger;
        let _ = ledger.standing.set(Standing { lane, quota, outcome });
        let Some(wait) = outcome.wait else { return Ok(()) };
        if policy.shadow {
            self.inner.shadowed.fetch_add(1, Ordering::Relaxed);
            let _ = ledger.would_refuse.set("rate_limited");
            return Ok(());
        }
        let refused = self.inner.refused.fetch_add(1, Ordering::Relaxed);
        Err(Error::RateLimited { lane, retry_after: self.jittered(wait, refused) })
    }

    fn take(&self, caller: &Caller, lane: Lane, quota: &Quota) -> Outcome {
        let key = Key { caller: caller.clone(), lane };
        let now = self.now();
        let mut shard = self.shard(&key).lock().unwrap_or_else(PoisonError::into_inner);
        let Shard { cells, crowd } = &mut *shard;
        if let Some(cell) = cells.get_mut(&key) {
            return cell.take(quota, now);
        }
        if cells.len() < KEYS_MAX / SHARDS {
            return cells.entry(key).or_insert_with(|| Cell::new(quota)).take(quota, now);
        }
        crowd.get_or_insert_with(|| Cell::new(quota)).take(quota, now)
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        let hash = self.inner.hasher.hash_one(key);
        &self.inner.shards[usize::try_from(hash % SHARDS as u64).unwrap_or(0)]
    }

    /// Up to a fifth longer, so that callers who were refused together do not come back together.
    fn jittered(&self, wait: Duration, salt: u64) -> Duration {
        let share = self.inner.hasher.hash_one(salt) % 1000;
        let share = u32::try_from(share).unwrap_or(0);
        wait + wait / 5000 * share
    }

    /// Forgets the buckets that owe nothing, which changes nothing for their callers. Called now and then by one task.
    pub fn sweep(&self) {
        let now = self.now();
        for shard in &self.inner.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.cells.retain(|_, cell| !cell.is_idle(now));
            if shard.cells.len() < shard.cells.capacity() / 4 {
                shard.cells.shrink_to_fit();
            }
            shard.crowd = shard.crowd.filter(|cell| !cell.is_idle(now));
        }
    }

    /// How many callers owe something, or did at the last sweep.
    pub fn len(&self) -> usize {
        let of = |shard: &Mutex<Shard>| shard.lock().unwrap_or_else(PoisonError::into_inner).cells.len();
        self.inner.shards.iter().map(of).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many requests were refused, and how many a `shadow` policy let pass that would have been.
    pub fn counts(&self) -> (u64, u64) {
        (self.inner.refused.load(Ordering::Relaxed), self.inner.shadowed.load(Ordering::Relaxed))
    }

    fn now(&self) -> u64 {
        // 2^64 ns are 584 years.
        u64::try_from(self.inner.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

// === impl Standing ===

impl Standing {
    /// `RateLimit` and `RateLimit-Policy` as in the IETF draft: quota and window, what remains, and when it is whole again.
    pub fn write(&self, headers: &mut HeaderMap) {
        let Self { lane, quota, outcome } = self;
        let lane = lane.name();
        // An interval is rounded up to the nanosecond, and a burst is so many intervals.
        let rounding = Duration::from_nanos(u64::from(quota.burst()));
        let [window, reset] = [quota.window(), outcome.reset].map(|time| whole_seconds(time.saturating_sub(rounding)));
        let policy = format!("\"{lane}\";q={};w={window}", quota.burst());
        let state = format!("\"{lane}\";r={};t={reset}", outcome.remaining);
        for (name, value) in [(POLICY, policy), (STATE, state)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(tenant: &str) -> Caller {
        Caller { tenant: tenant.into(), app_id: "sitefit".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn o10_a_noisy_tenant_takes_nothing_from_another() {
        let (buckets, quota) = (Buckets::default(), Quota::new(5.0, Duration::from_secs(1)));
        let admitted = |tenant: &str, times: usize| {
            (0..times).filter(|_| buckets.take(&caller(tenant), Lane::Preview, &quota).wait.is_none()).count()
        };
        assert_eq!(admitted("noisy", 1000), 5);
        assert_eq!(admitted("quiet", 5), 5);
        // What was refused cost nothing: a fifth of a second earns one.
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(admitted("noisy", 1000), 1);
        assert!(buckets.take(&caller("noisy"), Lane::Batch, &quota).wait.is_none(), "lanes are apart");
    }

    /// As many keys as `keys`, and then one that had its place before them.
    fn flood(keys: usize) {
        let (buckets, quota) = (Buckets::default(), Quota::new(30.0, Duration::from_mins(1)));
        for left in (20..30).rev() {
            assert_eq!(buckets.take(&caller("regular"), Lane::Batch, &quota).remaining, left);
        }
        for key in 0..keys {
            buckets.take(&caller(&format!("t{key}")), Lane::Batch, &quota);
        }
        assert!(buckets.len() <= KEYS_MAX, "{}", buckets.len());
        assert!(keys < KEYS_MAX || buckets.len() > KEYS_MAX / 2);
        let regular = buckets.take(&caller("regular"), Lane::Batch, &quota);
        // Time that passed may have earned a few back.
        assert!(regular.wait.is_none() && regular.remaining >= 19, "{regular:?}");
    }

    #[test]
    fn o9_a_flood_of_keys_is_bounded_and_leaves_others_alone() {
        flood(100_000);
    }

    mod slow {
        #[test]
        #[ignore = "slow: a million keys"]
        fn o9_a_million_keys_are_bounded_and_leave_others_alone() {
            super::flood(1_000_000);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_forgets_those_who_owe_nothing_only() {
        let (buckets, quota) = (Buckets::default(), Quota::new(1.0, Duration::from_secs(10)));
        buckets.take(&caller("early"), Lane::Preview, &quota);
        tokio::time::advance(Duration::from_secs(6)).await;
        buckets.take(&caller("late"), Lane::Preview, &quota);
        tokio::time::advance(Duration::from_secs(5)).await;
        buckets.sweep();
        assert_eq!(buckets.len(), 1);
        assert!(buckets.take(&caller("late"), Lane::Preview, &quota).wait.is_some());
    }

    #[test]
    fn a_wait_grows_by_a_fifth_at_most() {
        let (buckets, wait) = (Buckets::default(), Duration::from_secs(10));
        let waits: Vec<_> = (0..1000).map(|salt| buckets.jittered(wait, salt)).collect();
        assert!(waits.iter().all(|jittered| (wait..=wait * 6 / 5).contains(jittered)));
        assert!(waits.iter().any(|jittered| *jittered > wait * 11 / 10), "there is jitter");
    }
}
