//! Each app's shelves and counts, and the terms on which one solve may use them.
//!
//! Invariant: an app's answers take no other app's space, and a tenant's definition errors are told to that tenant only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use contract::digest::Digest;
use contract::policy::CacheScope;
use serde::Serialize;

use super::key::Parts;
use super::store::{Complaint, Eviction, Found, SHARE_OF_FAILURES, Shelf, ShelfView};
use crate::gateway::Error;
use crate::gateway::stage::{Answer, Lane, Solve};
use crate::gateway::validate::CacheUse;

/// What holds where neither policy nor manifest says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub preview: LaneBounds,
    pub batch: LaneBounds,
    /// How long a definition error is remembered.
    pub failure_ttl: Duration,
    /// How many callers may wait for one solve beside the first.
    pub followers_max: usize,
    /// Memory for bodies that led to a kept answer, of all apps.
    pub bodies_bytes_max: u64,
    /// The longest that any solve may take, whatever its contract says.
    pub timeout_max: Duration,
}

/// What one lane of one app keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneBounds {
    pub bytes_max: u64,
    pub ttl: Duration,
}

/// The apps that have solved something.
#[derive(Debug)]
pub(super) struct Apps {
    bounds: Bounds,
    apps: RwLock<HashMap<Arc<str>, Arc<App>>>,
}

/// One app's space.
#[derive(Debug)]
pub(super) struct App {
    preview: Shelf<Answer>,
    batch: Shelf<Answer>,
    complaints: Shelf<Complaint>,
    pub counts: Counts,
}

/// How the app's solves were answered.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub joins: AtomicU64,
}

/// One app's cache, as pages and metrics show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppView {
    pub app_id: String,
    /// Answered from what was kept, definition errors among them.
    pub hits: u64,
    /// Solved for the request itself.
    pub misses: u64,
    /// Answered by a solve that was under way for another request.
    pub joins: u64,
    pub preview: ShelfView,
    pub batch: ShelfView,
    pub definition_errors: ShelfView,
}

/// On what terms a solve may use its app's cache.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub app: Arc<App>,
    pub lane: Lane,
    pub key: Digest,
    /// Whether a kept answer will do; if not, the solve is made, and kept.
    pub reads: bool,
    /// Always of one tenant.
    complaint_key: Digest,
    ttl: Duration,
    failure_ttl: Duration,
}

// === impl Apps ===

impl Apps {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, apps: RwLock::default() }
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The terms for a solve. None where its answer must not be shared: its contract does not promise equal outputs for
    /// equal inputs, its caller does not want it kept, or the policy gives the lane no space or no time.
    pub(super) fn terms(&self, solve: &Solve) -> Option<Terms> {
        let (lane, contract) = (solve.lane(), solve.contract());
        if !contract.manifest.deterministic || solve.cache_use() == CacheUse::Neither {
            return None;
        }
        let LaneBounds { bytes_max, ttl } = self.lane(solve, lane);
        if bytes_max == 0 || ttl.is_zero() {
            return None;
        }
        let app = self.app(solve);
        let scope = solve.policy().cache_scope;
        let key = Parts::of(solve, scope).key();
        let complaint_key = match scope {
            CacheScope::Tenant => key,
            CacheScope::App => Parts::of(solve, CacheScope::Tenant).key(),
        };
        let failure_ttl = self.bounds.failure_ttl.min(ttl);
        Some(Terms { app, lane, key, reads: solve.cache_use() == CacheUse::Full, complaint_key, ttl, failure_ttl })
    }

    /// What the policy, the manifest and the configuration together give a lane.
    fn lane(&self, solve: &Solve, lane: Lane) -> LaneBounds {
        let (cache, times) = (&solve.policy().cache, &solve.contract().manifest.cache);
        let (of_policy, of_manifest, default) = match lane {
            Lane::Preview => (cache.preview, times.preview_ttl_sec, self.bounds.preview),
            Lane::Batch => (cache.batch, times.batch_ttl_sec, self.bounds.batch),
        };
        let ttl = [of_policy.ttl_sec, of_manifest].into_iter().flatten().min();
        LaneBounds {
            bytes_max: of_policy.bytes_max.unwrap_or(default.bytes_max),
            ttl: ttl.map_or(default.ttl, Duration::from_secs),
        }
    }

    /// The app's space. A policy that changes a size begins with an empty one: the store cannot be resized.
    fn app(&self, solve: &Solve) -> Arc<App> {
        let app_id = &solve.caller().app_id;
        let [preview, batch] = [Lane::Preview, Lane::Batch].map(|lane| self.lane(solve, lane).bytes_max);
        let fits = |app: &&Arc<App>| app.preview.bytes_max() == preview && app.batch.bytes_max() == batch;
        if let Some(app) = self.apps.read().unwrap_or_else(PoisonError::into_inner).get(app_id).filter(fits) {
            return Arc::clone(app);
        }
        let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(app) = apps.get(app_id).filter(fits) {
            return Arc::clone(app);
        }
        let app = Arc::new(App::new(preview, batch));
        apps.insert(Arc::clone(app_id), Arc::clone(&app));
        app
    }

    /// All apps, by name.
    pub(super) fn view(&self) -> Vec<AppView> {
        let apps = self.apps.read().unwrap_or_else(PoisonError::into_inner);
        let mut views: Vec<_> = apps.iter().map(|(app_id, app)| app.view(app_id)).collect();
        views.sort_by(|a, b| a.app_id.cmp(&b.app_id));
        views
    }
}

// === impl App ===

impl App {
    fn new(preview: u64, batch: u64) -> Self {
        let failures = preview.saturating_add(batch) / SHARE_OF_FAILURES;
        Self {
            preview: Shelf::new(preview, Eviction::LeastRecent),
            batch: Shelf::new(batch, Eviction::LeastFrequent),
            complaints: Shelf::new(failures, Eviction::LeastRecent),
            counts: Counts::default(),
        }
    }

    fn shelf(&self, lane: Lane) -> &Shelf<Answer> {
        match lane {
            Lane::Preview => &self.preview,
            Lane::Batch => &self.batch,
        }
    }

    fn view(&self, app_id: &str) -> AppView {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AppView {
            app_id: app_id.to_owned(),
            hits: count(&self.counts.hits),
            misses: count(&self.counts.misses),
            joins: count(&self.counts.joins),
            preview: self.preview.view(),
            batch: self.batch.view(),
            definition_errors: self.complaints.view(),
        }
    }
}

// === impl Terms ===

impl Terms {
    /// The kept answer, or the kept error of the definition.
    pub(super) fn find(&self, now: Instant) -> Option<Result<Found<Answer>, Error>> {
        if let Some(found) = self.app.shelf(self.lane).get(&self.key, now) {
            return Some(Ok(found));
        }
        let complaint = self.app.complaints.get(&self.complaint_key, now)?;
        Some(Err(Error::DefinitionError { errors: complaint.value.to_vec() }))
    }

    /// Keeps an answer; for how long, where it was kept.
    pub(super) fn keep(&self, answer: &Answer, fingerprint: Digest, now: Instant) -> Option<Duration> {
        let kept = self.app.shelf(self.lane).put(self.key, answer.clone(), fingerprint, self.ttl, now);
        kept.then_some(self.ttl)
    }

    /// Keeps a definition's own error, which the same inputs would meet again. No other error is kept.
    pub(super) fn keep_error(&self, error: &Error, now: Instant) {
        if let Error::DefinitionError { errors } = error {
            let complaint = Complaint::from(errors.clone());
            let fingerprint = super::store::Keep::fingerprint(&complaint);
            self.app.complaints.put(self.complaint_key, complaint, fingerprint, self.failure_ttl, now);
        }
    }
}
