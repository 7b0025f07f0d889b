//! The node as a running server: its listeners, its connections, and the lives it has had.
//!
//! A life is everything that a real node loses when its processes end. A restart begins a new life on the same port;
//! tasks of the old one end with it. After [`Running::stop`] nothing that the node started is left.

mod listener;
mod proxy;
mod reply;

use crate::children::{ChildState, Gauge, Pool};
use crate::config::Config;
use crate::control;
use crate::definitions::Shelf;
use crate::faults::{Faults, Plan};

use crate::log::{Entry, Log};
use crate::solve::Settings;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Answers under way when the node stops get this long.
const STOP_GRACE: Duration = Duration::from_millis(200);

/// A stand-in for a Rhino.Compute server.
#[derive(Debug)]
pub struct Node;

/// A node that is up. Dropping it ends its tasks as well, only without waiting for them.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    address: SocketAddr,
    control: Option<SocketAddr>,
}

/// What the node is doing, for tests and for the control port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Children that run.
    pub awake_children: usize,
    /// Requests that launched children or reset the idle timer.
    pub wakes: u64,
    /// Children launched in this life.
    pub launched_children: u32,
    /// Requests that have arrived since the node was started.
    pub requests: u64,
    /// Requests under way now, those included whose caller has left.
    pub in_flight: usize,
    pub max_in_flight: usize,
    /// Solves at one time over all children, at most.
    pub max_concurrent_solves: usize,
    /// Definitions on the shelf that all children share.
    pub cached_definitions: usize,
    /// Documents built by the children that run.
    pub leaked_documents: u64,
    pub restarts: u64,
    pub children: Vec<ChildState>,
}

/// What all tasks of the node share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) plan: Plan,
    pub(crate) log: Log,
    pub(crate) settings: Arc<Settings>,
    tracker: TaskTracker,
    stopping: CancellationToken,
    life: Mutex<Arc<Life>>,
    /// Ends every open connection with a reset when it is cancelled.
    connections: Mutex<CancellationToken>,
    requests: Gauge,
    solves: Gauge,
    restarts: AtomicU64,
    /// Counts changes of the faults, those at the start being the first, and how many the listener has acted on.
    changed: watch::Sender<u64>,
    seen: watch::Sender<u64>,
}

/// What a restart ends.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) token: CancellationToken,
    pub(crate) pool: Pool,
    pub(crate) shelf: Arc<Shelf>,
}

// === impl Node ===

impl Node {
    /// Starts a node on the current Tokio runtime.
    ///
    /// # Errors
    /// When a listener cannot be bound.
    pub async fn start(config: Config) -> io::Result<Running> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let control = match config.control {
            Some(control) => Some(TcpListener::bind(control).await?),
            None => None,
        };
        let control_address = control.as_ref().map(TcpListener::local_addr).transpose()?;
        let shared = Arc::new(Shared::new(config));
        shared.tracker.spawn(listener::accept(Arc::clone(&shared), listener, address));
        if let Some(control) = control {
            shared.tracker.spawn(control::serve(Arc::clone(&shared), control));
        }
        shared.settled(1).await;
        if shared.config.spawn_on_startup {
            proxy::initialize(&shared, &shared.life());
        }
        Ok(Running { shared, address, control: control_address })
    }
}

// === impl Running ===

impl Running {
    /// The base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL of the control port, unless none was asked for.
    pub fn control_url(&self) -> Option<String> {
        self.control.map(|address| format!("http://{address}"))
    }

    /// The requests seen, oldest first.
    pub fn log(&self) -> Vec<Entry> {
        self.shared.log.entries()
    }

    pub fn state(&self) -> State {
        self.shared.state()
    }

    pub fn faults(&self) -> Faults {
        self.shared.plan.get()
    }

    /// Replaces the faults. When this returns, a listener that has to close is closed and one that has to be open is.
    pub async fn set_faults(&self, faults: impl Into<Faults>) {
        self.shared.set_faults(faults.into()).await;
    }

    /// Ends every child, connection and solve as if the machine had been reset, and begins anew on the same port.
    pub fn restart(&self) {
        self.shared.restart();
    }

    /// Makes every cached definition unknown, in memory and on the shelf.
    pub fn forget(&self) {
        self.shared.forget();
    }

    /// Stops listening, gives answers under way a moment, resets the rest and waits until no task is left.
    pub async fn stop(self) {
        self.shared.stop().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.halt();
    }
}

// === impl Shared ===

impl Shared {
    fn new(config: Config) -> Self {
        let config = Arc::new(config);
        Self {
            plan: Plan::new(config.faults.clone()),
            log: Log::new(config.log_entries_max.max(1)),
            settings: Arc::new(Settings {
                plugins: config.grasshopper_plugins.keys().cloned().collect(),
                ..Settings::default()
            }),
            tracker: TaskTracker::new(),
            stopping: CancellationToken::new(),
            life: Mutex::new(Arc::new(Life::new(&config))),
            connections: Mutex::default(),
            requests: Gauge::default(),
            solves: Gauge::default(),
            restarts: AtomicU64::new(0),
            changed: watch::Sender::new(1),
            seen: watch::Sender::new(0),
            config,
        }
    }

    pub(crate) fn life(&self) -> Arc<Life> {
        Arc::clone(&self.life.lock().expect("nothing panics while it holds this lock"))
    }

    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    pub(crate) fn state(&self) -> State {
        let life = self.life();
        let children: Vec<_> = life.pool.children().iter().map(|child| child.state()).collect();
        State {
            awake_children: life.pool.awake(),
            wakes: life.pool.wakes(),
            launched_children: life.pool.launched(),
            requests: self.log.arrived(),
            in_flight: self.requests.now(),
            max_in_flight: self.requests.most(),
            max_concurrent_solves: self.solves.most(),
            cached_definitions: life.shelf.len(),
            leaked_documents: children.iter().map(|child| child.leaked_documents).sum(),
            restarts: self.restarts.load(Ordering::Relaxed),
            children,
        }
    }

    pub(crate) async fn set_faults(&self, faults: Faults) {
        self.plan.set(faults);
        if self.plan.refuses() {
            self.cut_connections();
        }
        let mut wanted = 0;
        self.changed.send_modify(|count| {
            *count += 1;
            wanted = *count;
        });
        self.settled(wanted).await;
    }

    /// Waits until the listener has acted on so many changes of the faults.
    async fn settled(&self, changes: u64) {
        let mut seen = self.seen.subscribe();
        tokio::select! {
            _ = seen.wait_for(|seen| *seen >= changes) => {}
            () = self.stopping.cancelled() => {}
        }
    }

    pub(crate) fn restart(&self) {
        let fresh = Arc::new(Life::new(&self.config));
        let old = std::mem::replace(&mut *self.life.lock().expect("nothing panics while it holds this lock"), fresh);
        old.token.cancel();
        self.restarts.fetch_add(1, Ordering::Relaxed);
        self.cut_connections();
    }

    pub(crate) fn forget(&self) {
        let life = self.life();
        life.shelf.clear();
        life.pool.children().iter().for_each(|child| child.forget());
    }

    /// Resets every open connection.
    fn cut_connections(&self) {
        let mut connections = self.connections.lock().expect("nothing panics while it holds this lock");
        std::mem::take(&mut *connections).cancel();
    }

    fn connections(&self) -> CancellationToken {
        self.connections.lock().expect("nothing panics while it holds this lock").clone()
    }

    async fn stop(&self) {
        self.stopping.cancel();
        self.tracker.close();
        if tokio::time::timeout(STOP_GRACE, self.tracker.wait()).await.is_err() {
            self.halt();
            self.tracker.wait().await;
        }
    }

    fn halt(&self) {
        self.stopping.cancel();
        self.tracker.close();
        self.life().token.cancel();
        self.cut_connections();
    }
}

// === impl Life ===

impl Life {
    fn new(config: &Arc<Config>) -> Self {
        Self { token: CancellationToken::new(), pool: Pool::new(Arc::clone(config)), shelf: Arc::new(Shelf::default()) }
    }
}
