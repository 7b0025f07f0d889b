//! The child processes behind the proxy: who gets a request, when they come up and when they go.
//!
//! The choice is a queue and is blind to load: the front child is taken and put at the end, and one that answers 200
//! is moved to the front. So calls one after another stay on one child, while two at once may meet on a child beside
//! an idle one. A child that is found gone empties the whole queue.

mod child;
mod gauge;
mod recent;

pub(crate) use child::{Asked, Child, Told, suffer};
pub(crate) use gauge::{Entered, Gauge};
pub(crate) use recent::Recent;

use crate::config::Config;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// The first port of a child.
const FIRST_PORT: u16 = 6_001;

/// The proxy gives a child this long to open its port.
const LAUNCH_MAX: Duration = Duration::from_mins(1);

/// What one child shows to tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChildState {
    pub port: u16,
    pub pid: u32,
    /// Its port is open.
    pub ready: bool,
    /// Solves that hold the lock, or bypass it, now.
    pub solving: usize,
    /// Solves that wait for the lock now.
    pub queued: usize,
    /// Solves begun.
    pub solves: u64,
    pub max_concurrent_solves: usize,
    /// Documents that it holds in memory and will hold until it exits.
    pub documents: usize,
    /// Documents that it has built. Each stays behind in a real child, whether or not it is still reachable.
    pub leaked_documents: u64,
    pub absolute_tolerance: f64,
    pub angle_tolerance_degrees: f64,
    pub units: String,
}

/// The proxy's view of its children.
#[derive(Debug)]
pub(crate) struct Pool {
    config: Arc<Config>,
    /// Held while a first child comes up: whoever calls meanwhile waits as well.
    launching: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Arc<Child>>,
    /// Running, but lost to the queue.
    strays: Vec<Arc<Child>>,
    last_call: Option<Instant>,
    /// Requests that launched children or reset the idle timer.
    wakes: u64,
    launched: u32,
}

/// No child came up in time.
#[derive(Debug, thiserror::Error)]
#[error("Unable to start a local compute server")]
pub(crate) struct NoChild;

// === impl Pool ===

impl Pool {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self { config, launching: tokio::sync::Mutex::default(), inner: Mutex::default() }
    }

    /// The child for the next request. Launches what is missing; only a lone first child is waited for.
    pub(crate) async fn take(&self) -> Result<Arc<Child>, NoChild> {
        let turn = self.launching.lock().await;
        let front = self.inner().next();
        let child = if let Some(child) = front {
            child
        } else {
            let first = self.inner().launch(&self.config);
            tokio::time::sleep_until(first.ready_at.min(Instant::now() + LAUNCH_MAX)).await;
            if !first.is_ready() {
                first.exit();
                return Err(NoChild);
            }
            first
        };
        drop(turn);
        let mut inner = self.inner();
        while inner.queue.len() < self.config.children.max(1) {
            inner.launch(&self.config);
        }
        Ok(child)
    }

    /// Puts a child to the front of the queue, as an answer with status 200 does.
    pub(crate) fn promote(&self, port: u16) {
        let mut inner = self.inner();
        if let Some(position) = inner.queue.iter().position(|child| child.port == port) {
            inner.queue.rotate_left(position);
        }
    }

    /// Resets the idle timer on behalf of a new request.
    pub(crate) fn wake(&self) {
        let mut inner = self.inner();
        inner.reap(self.config.idle_span);
        inner.wakes += 1;
        inner.last_call = Some(Instant::now());
    }

    /// Resets the idle timer at the end of a request.
    pub(crate) fn touch(&self) {
        self.inner().last_call = Some(Instant::now());
    }

    /// Whole seconds since the last call of a child, -1 if there was none.
    pub(crate) fn idle_seconds(&self) -> i64 {
        self.inner().last_call.map_or(-1, |call| i64::try_from(call.elapsed().as_secs()).unwrap_or(i64::MAX))
    }

    /// Children that run, whether or not their port is open yet.
    pub(crate) fn awake(&self) -> usize {
        let mut inner = self.inner();
        inner.reap(self.config.idle_span);
        inner.running().count()
    }

    /// Whether as many children as there should be have their port open.
    pub(crate) fn is_ready(&self) -> bool {
        let mut inner = self.inner();
        inner.reap(self.config.idle_span);
        inner.running().filter(|child| child.is_ready()).count() >= self.config.children.max(1)
    }

    /// Replaces every child, or the one at a port, one after another: each replacement serves before its child goes.
    /// Gives how many went and the ports of those that came.
    pub(crate) async fn recycle(&self, port: Option<u16>) -> (usize, Vec<u16>) {
        let old: Vec<_> =
            self.inner().running().filter(|child| port.is_none_or(|port| child.port == port)).cloned().collect();
        let mut spawned = Vec::new();
        for child in &old {
            let fresh = self.inner().launch(&self.config);
            tokio::time::sleep_until(fresh.ready_at).await;
            spawned.push(fresh.port);
            child.exit();
            self.inner().queue.retain(|queued| queued.port != child.port);
        }
        (old.len(), spawned)
    }

    pub(crate) fn wakes(&self) -> u64 {
        self.inner().wakes
    }

    pub(crate) fn launched(&self) -> u32 {
        self.inner().launched
    }

    pub(crate) fn children(&self) -> Vec<Arc<Child>> {
        let mut inner = self.inner();
        inner.reap(self.config.idle_span);
        inner.running().cloned().collect()
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds this lock")
    }
}

// === impl Inner ===

impl Inner {
    /// Takes the front child to the end. One that is gone loses the queue; those still running become strays.
    fn next(&mut self) -> Option<Arc<Child>> {
        let front = self.queue.pop_front()?;
        if front.has_exited() {
            self.strays.extend(self.queue.drain(..));
            return None;
        }
        self.queue.push_back(Arc::clone(&front));
        Some(front)
    }

    fn launch(&mut self, config: &Config) -> Arc<Child> {
        let taken: Vec<u16> = self.running().map(|child| child.port).collect();
        let port = (FIRST_PORT..u16::MAX).find(|port| !taken.contains(port)).unwrap_or(FIRST_PORT);
        self.launched += 1;
        // Process ids of Windows are multiples of four.
        let child = Arc::new(Child::new(port, 4_000 + 4 * self.launched, Instant::now() + config.cold_start));
        self.queue.push_back(Arc::clone(&child));
        child
    }

    fn running(&self) -> impl Iterator<Item = &Arc<Child>> {
        self.queue.iter().chain(&self.strays).filter(|child| !child.has_exited())
    }

    /// Lets go of the children when nobody has called for the idle span. One in the middle of a solve stays.
    fn reap(&mut self, idle_span: Duration) {
        let is_idle = !idle_span.is_zero() && self.last_call.is_some_and(|call| call.elapsed() > idle_span);
        if is_idle {
            self.running().filter(|child| !child.is_busy()).for_each(|child| child.exit());
        }
        self.strays.retain(|child| !child.has_exited());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(children: usize) -> Pool {
        Pool::new(Arc::new(Config { children, ..Config::default() }))
    }

    async fn take(pool: &Pool) -> u16 {
        pool.take().await.unwrap().port
    }

    #[tokio::test]
    async fn calls_one_after_another_stay_on_the_child_that_answered() {
        let pool = pool(4);
        for _ in 0..5 {
            let port = take(&pool).await;
            assert_eq!(port, 6_001);
            pool.promote(port);
        }
        assert_eq!(pool.awake(), 4);
    }

    #[tokio::test]
    async fn two_calls_meet_on_one_child_while_another_idles() {
        let pool = pool(4);
        // The child that was waited for is still in front when the others have been launched.
        assert_eq!((take(&pool).await, take(&pool).await, take(&pool).await), (6_001, 6_001, 6_002));
        pool.promote(6_001);
        // 6001 has answered and takes the next; the one after goes to 6002, which still works, past 6003 and 6004.
        assert_eq!((take(&pool).await, take(&pool).await), (6_001, 6_002));
    }

    #[tokio::test]
    async fn a_child_that_is_gone_empties_the_queue_and_the_others_stay_as_strays() {
        let pool = pool(2);
        assert_eq!((take(&pool).await, take(&pool).await), (6_001, 6_001));
        pool.children().iter().find(|child| child.port == 6_002).unwrap().exit();
        assert_eq!(take(&pool).await, 6_002, "the port is free again");
        assert_eq!(pool.awake(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_first_child_is_waited_for() {
        let config = Config { cold_start: Duration::from_secs(5), ..Config::default() };
        let pool = Pool::new(Arc::new(config));
        let before = Instant::now();
        assert!(pool.take().await.unwrap().is_ready());
        assert_eq!(before.elapsed(), Duration::from_secs(5));
        assert!(pool.take().await.unwrap().is_ready());
        assert!(!pool.take().await.unwrap().is_ready(), "the second child was launched after the wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_that_takes_longer_than_a_minute_is_given_up() {
        let config = Config { cold_start: Duration::from_secs(61), ..Config::default() };
        let pool = Pool::new(Arc::new(config));
        assert!(pool.take().await.is_err());
        assert_eq!(pool.awake(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_children_exit_and_the_next_call_launches_others() {
        let config = Config { idle_span: Duration::from_secs(10), ..Config::default() };
        let pool = Pool::new(Arc::new(config));
        assert_eq!((pool.awake(), pool.idle_seconds()), (0, -1));
        pool.wake();
        pool.take().await.unwrap();
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!((pool.awake(), pool.idle_seconds()), (4, 9));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(pool.awake(), 0);
        pool.take().await.unwrap();
        assert_eq!((pool.launched(), pool.wakes()), (8, 1));
    }

    #[tokio::test]
    async fn recycling_one_child_leaves_the_others() {
        let pool = pool(2);
        pool.take().await.unwrap();
        assert_eq!(pool.recycle(Some(6_001)).await, (1, vec![6_003]));
        let mut ports: Vec<_> = pool.children().iter().map(|child| child.port).collect();
        ports.sort_unstable();
        assert_eq!(ports, [6_002, 6_003]);
    }
}
