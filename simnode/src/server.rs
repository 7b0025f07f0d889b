//! The node as a running server: its listeners, its connections, and the lives it has had.
//!
//! A life is everything that a real node loses when its processes end. A restart begins a new life on the same port;
//! tasks of the old one end with it. After [`Running::stop`] nothing that the node started is left.

mod proxy;
mod reply;

use crate::children::{ChildState, Gauge, Pool};
use crate::config::Config;
use crate::control;
use crate::definitions::Shelf;
use crate::faults::wire::{Saboteur, Wire, reset};
use crate::faults::{Faults, Plan};

use crate::log::{Entry, Log};
use crate::solve::Settings;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Kestrel's limit for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers under way when the node stops get this long.
const STOP_GRACE: Duration = Duration::from_millis(200);

/// Between two attempts to listen again on a port that something else has taken.
const REBIND_PAUSE: Duration = Duration::from_millis(20);

const BACKLOG: u32 = 1_024;

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
    /// Counts changes of the faults, and how many of them the listener has seen.
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
        shared.tracker.spawn(accept(Arc::clone(&shared), listener, address));
        if let Some(control) = control {
            shared.tracker.spawn(control::serve(Arc::clone(&shared), control));
        }
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
            changed: watch::Sender::new(0),
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
        let mut seen = self.seen.subscribe();
        tokio::select! {
            _ = seen.wait_for(|seen| *seen >= wanted) => {}
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

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bind(address)?.listen(BACKLOG)
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections that a fault has cut leave the port in TIME_WAIT.
    if cfg!(unix) {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts connections until the node stops. While a fault refuses them the port is held without listening.
async fn accept(shared: Arc<Shared>, listener: TcpListener, address: SocketAddr) {
    let mut changed = shared.changed.subscribe();
    let mut listener = Some(listener);
    loop {
        if shared.plan.refuses() {
            listener = None;
        } else if listener.is_none() {
            match listen(address) {
                Ok(open) => listener = Some(open),
                Err(error) => {
                    tracing::warn!(%address, %error, "the port of this node is taken");
                    tokio::select! {
                        () = shared.stopping.cancelled() => return,
                        () = tokio::time::sleep(REBIND_PAUSE) => continue,
                    }
                }
            }
        }
        shared.seen.send_replace(*changed.borrow_and_update());
        // Keeps others from the port; a bound socket that does not listen refuses connections.
        let held = if listener.is_none() { bind(address).ok() } else { None };
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            _ = changed.changed() => {}
            stream = next(listener.as_ref()) => admit(&shared, stream),
        }
        drop(held);
    }
}

/// The next connection; never one while nothing listens.
async fn next(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

fn admit(shared: &Arc<Shared>, stream: io::Result<TcpStream>) {
    match stream {
        Ok(stream) if shared.plan.resets_accepted() => reset(&stream),
        Ok(stream) => drop(shared.tracker.spawn(connection(Arc::clone(shared), stream))),
        // The peer is already gone, or descriptors have run out; either passes.
        Err(error) => tracing::debug!(%error, "a connection was lost before it was accepted"),
    }
}

/// Serves one connection. A cut drops it in the middle of whatever it does, with a reset.
async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    drop(stream.set_nodelay(true));
    let cut = shared.connections();
    let saboteur = Saboteur::default();
    let wire = TokioIo::new(Wire::new(stream, saboteur.clone()));
    let service = service_fn(|request| proxy::handle(&shared, &saboteur, &cut, request));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut serving = pin!(http.serve_connection(wire, service));
    let mut draining = false;
    loop {
        tokio::select! {
            served = serving.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = cut.cancelled() => return saboteur.tear(),
            () = shared.stopping.cancelled(), if !draining => {
                draining = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}
