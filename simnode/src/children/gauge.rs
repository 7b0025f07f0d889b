//! A count of things under way, with the greatest count there has been.
//!
//! What has entered leaves when its guard is dropped, on every way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The count and its maximum.
#[derive(Debug, Default, Clone)]
pub(crate) struct Gauge {
    inner: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// One thing under way.
#[derive(Debug)]
pub(crate) struct Entered(Gauge);

// === impl Gauge ===

impl Gauge {
    pub(crate) fn enter(&self) -> Entered {
        let now = self.inner.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.inner.most.fetch_max(now, Ordering::Relaxed);
        Entered(self.clone())
    }

    pub(crate) fn now(&self) -> usize {
        self.inner.now.load(Ordering::Relaxed)
    }

    pub(crate) fn most(&self) -> usize {
        self.inner.most.load(Ordering::Relaxed)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.inner.now.fetch_sub(1, Ordering::Relaxed);
    }
}
