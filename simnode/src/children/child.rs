//! One child process: a single solver behind a lock, with everything that it keeps between calls.
//!
//! Nothing here can be cancelled from outside. What a call leaves behind (documents and their inputs, tolerances,
//! units, cached answers, exceptions) is what the next call finds.

use super::{ChildState, Gauge, Recent};
use crate::definitions::{Loaded, Shelf, cache_key};
use crate::faults::{Fault, millis};
use crate::protocol::json::Json;
use crate::protocol::request::Request;
use crate::protocol::{Thrown, answer};
use crate::solve::Settings;
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Documents, answers and exceptions that a child keeps, each. The real one has no bound but its memory.
const KEPT_MAX: usize = 256;

/// One child.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) port: u16,
    pub(crate) pid: u32,
    /// When its port opens.
    pub(crate) ready_at: Instant,
    exited: AtomicBool,
    /// The solve lock.
    solver: tokio::sync::Mutex<()>,
    queued: Gauge,
    solving: Gauge,
    solves: AtomicU64,
    leaked_documents: AtomicU64,
    memory: Mutex<Memory>,
}

/// What stays between calls.
#[derive(Debug)]
struct Memory {
    documents: Recent<Arc<Loaded>>,
    /// Answers by the whole text of the request.
    answers: Recent<Bytes>,
    /// The first good answer of each definition, kept only by a node that is a stub.
    first_answers: Recent<Bytes>,
    absolute_tolerance: f64,
    angle_tolerance_degrees: f64,
    units: String,
    /// Messages of exceptions since somebody last asked for inputs and outputs.
    exceptions: Vec<String>,
}

/// What a child is asked to do beside the request itself.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) body: Bytes,
    /// The body as read, or why it could not be.
    pub(crate) json: Result<Json, Thrown>,
    pub(crate) fault: Option<Fault>,
    /// `Config::stub`.
    pub(crate) stub: Option<Duration>,
    pub(crate) arrived: Instant,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) settings: Arc<Settings>,
    /// Called with a pointer that a real child would open.
    pub(crate) dereferenced: Arc<dyn Fn(&str) + Send + Sync>,
    /// Solves on all children.
    pub(crate) solves: Gauge,
    /// Runs evaluations, so that stopping can wait for them.
    pub(crate) tracker: tokio_util::task::TaskTracker,
}

/// What a child answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) json: Bytes,
}

/// Blocks until a moment, and not much longer.
fn hold(until: Instant) {
    const LATE: Duration = Duration::from_micros(150);
    let left = || until.saturating_duration_since(Instant::now());
    std::thread::sleep(left().saturating_sub(LATE));
    while !left().is_zero() {
        std::hint::spin_loop();
    }
}

// === impl Child ===

impl Child {
    pub(crate) fn new(port: u16, pid: u32, ready_at: Instant) -> Self {
        Self {
            port,
            pid,
            ready_at,
            exited: AtomicBool::new(false),
            solver: tokio::sync::Mutex::default(),
            queued: Gauge::default(),
            solving: Gauge::default(),
            solves: AtomicU64::new(0),
            leaked_documents: AtomicU64::new(0),
            memory: Mutex::new(Memory {
                documents: Recent::new(KEPT_MAX),
                answers: Recent::new(KEPT_MAX),
                first_answers: Recent::new(KEPT_MAX),
                // Grasshopper's own defaults without a Rhino document.
                absolute_tolerance: 0.01,
                angle_tolerance_degrees: 1.0,
                units: "Millimeters".to_owned(),
                exceptions: Vec::new(),
            }),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        !self.has_exited() && Instant::now() >= self.ready_at
    }

    pub(crate) fn has_exited(&self) -> bool {
        self.exited.load(Ordering::Relaxed)
    }

    /// Leaves the pool. Calls that it has taken are still answered.
    pub(crate) fn exit(&self) {
        self.exited.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.solving.now() + self.queued.now() > 0
    }

    pub(crate) fn forget(&self) {
        let mut memory = self.memory();
        memory.documents.clear();
        memory.answers.clear();
        memory.first_answers.clear();
    }

    pub(crate) fn state(&self) -> ChildState {
        let memory = self.memory();
        ChildState {
            port: self.port,
            pid: self.pid,
            ready: self.is_ready(),
            solving: self.solving.now(),
            queued: self.queued.now(),
            solves: self.solves.load(Ordering::Relaxed),
            max_concurrent_solves: self.solving.most(),
            documents: memory.documents.len(),
            leaked_documents: self.leaked_documents.load(Ordering::Relaxed),
            absolute_tolerance: memory.absolute_tolerance,
            angle_tolerance_degrees: memory.angle_tolerance_degrees,
            units: memory.units.clone(),
        }
    }

    /// POST `/grasshopper`. Waits for the lock for as long as it takes; dropping this future gives up the place in
    /// the line but never a solve that has begun to evaluate.
    pub(crate) async fn grasshopper(self: Arc<Self>, asked: Asked) -> Result<Told, Thrown> {
        let request = Request::of(asked.json.as_ref().map_err(Clone::clone)?)?;
        let key = request.cache_solve.then(|| answer::cache_name(&asked.body));
        if let Some(json) = key.as_deref().and_then(|key| self.memory().answers.get(key)) {
            return Ok(Told { status: 200, json });
        }
        let queued = self.queued.enter();
        let mut turn = asked.arrived;
        let lock = match self.solver.try_lock() {
            _ if request.recursion_level > 0 => None,
            Ok(lock) => Some(lock),
            Err(_) => {
                let lock = self.solver.lock().await;
                turn = Instant::now();
                Some(lock)
            }
        };
        drop(queued);
        let here = self.solving.enter();
        let anywhere = asked.solves.enter();
        self.solves.fetch_add(1, Ordering::Relaxed);
        suffer(asked.fault.as_ref()).await;
        if let Some(wait) = asked.stub {
            // Timers tick once a millisecond, which is much of a short solve.
            if !wait.is_zero() {
                let _ = asked.tracker.spawn_blocking(move || hold(turn + wait)).await;
            }
            if let Some(told) = self.first_answer(&request) {
                return Ok(told);
            }
        }
        let tracker = asked.tracker.clone();
        let child = Arc::clone(&self);
        let evaluation = tracker.spawn_blocking(move || child.solve(&request, key, &asked));
        let told = evaluation.await.unwrap_or(Err(Thrown::Server("The solver crashed.".into())));
        drop((here, anywhere, lock));
        told
    }

    fn solve(&self, request: &Request, key: Option<String>, asked: &Asked) -> Result<Told, Thrown> {
        let loaded = self.load(request, asked)?;
        let settings = {
            let mut memory = self.memory();
            if request.absolute_tolerance > 0.0 && request.angle_tolerance_degrees > 0.0 {
                memory.absolute_tolerance = request.absolute_tolerance;
                memory.angle_tolerance_degrees = request.angle_tolerance_degrees;
            }
            if let Some(units) = request.model_units.as_deref().filter(|units| !units.is_empty()) {
                units.clone_into(&mut memory.units);
            }
            Settings {
                absolute_tolerance: memory.absolute_tolerance,
                angle_tolerance_degrees: memory.angle_tolerance_degrees,
                units: memory.units.clone(),
                ..(*asked.settings).clone()
            }
        };
        let solution = loaded.solve(request, &settings)?;
        let json = Bytes::from(answer::solve(&loaded, &solution));
        if !solution.errors.is_empty() {
            let mut memory = self.memory();
            memory.exceptions.extend(solution.errors);
            memory.exceptions.truncate(KEPT_MAX);
            return Ok(Told { status: 500, json });
        }
        if let Some(key) = key {
            self.memory().answers.put(key, json.clone());
        }
        if asked.stub.is_some() {
            self.memory().first_answers.put(loaded.key.clone(), json.clone());
        }
        Ok(Told { status: 200, json })
    }

    /// What this child answered the first time that it solved the definition of a request, whatever the inputs were.
    fn first_answer(&self, request: &Request) -> Option<Told> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let key = given(&request.pointer).or_else(|| given(&request.algo).map(|algo| cache_key(&algo)))?;
        let json = self.memory().first_answers.get(&key)?;
        Some(Told { status: 200, json })
    }

    /// POST `/io`, which waits for no lock.
    pub(crate) async fn io(self: Arc<Self>, asked: Asked) -> Result<Told, Thrown> {
        suffer(asked.fault.as_ref()).await;
        let tracker = asked.tracker.clone();
        let evaluation = tracker.spawn_blocking(move || {
            let request = Request::of(asked.json.as_ref().map_err(Clone::clone)?)?;
            let loaded = self.load(&request, &asked)?;
            // The list is the child's, not the definition's: another caller's exceptions are in it, once.
            let exceptions = std::mem::take(&mut self.memory().exceptions);
            Ok(Told { status: 200, json: Bytes::from(answer::io(&loaded, &asked.settings, &exceptions)) })
        });
        evaluation.await.unwrap_or(Err(Thrown::Server("The reader crashed.".into())))
    }

    /// The definition of a request: by its pointer, and where that leads nowhere, by its content.
    fn load(&self, request: &Request, asked: &Asked) -> Result<Arc<Loaded>, Thrown> {
        if let Some(pointer) = request.pointer.as_deref().filter(|pointer| !pointer.trim().is_empty())
            && let Some(loaded) = self.by_pointer(pointer, asked)?
        {
            return Ok(loaded);
        }
        match request.algo.as_deref().filter(|algo| !algo.trim().is_empty()) {
            Some(algo) => self.build(algo, asked),
            None => Err(Thrown::Request("Unable to load grasshopper definition".into())),
        }
    }

    /// A pointer is tried as a key of memory, a key of the shelf, a component, a file and a URL, in this order. The
    /// last three are never followed here: a component and a URL throw as unknown ones do, a file does not exist.
    fn by_pointer(&self, pointer: &str, asked: &Asked) -> Result<Option<Arc<Loaded>>, Thrown> {
        if let Some(known) = self.memory().documents.get(pointer) {
            return Ok(Some(known));
        }
        if let Some(algo) = asked.shelf.get(pointer) {
            return self.build(&algo, asked).map(Some);
        }
        if !is_cache_key(pointer) {
            (asked.dereferenced)(pointer);
        }
        if uuid::Uuid::parse_str(pointer).is_ok() {
            return Err(Thrown::Server("Object reference not set to an instance of an object.".into()));
        }
        if pointer.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http")) {
            return Err(Thrown::Server("No such host is known.".into()));
        }
        Ok(None)
    }

    /// Builds a document, even if the same content is known: the new one takes its place, the old one stays behind.
    fn build(&self, algo: &str, asked: &Asked) -> Result<Arc<Loaded>, Thrown> {
        let loaded = Arc::new(Loaded::from_base64(algo)?);
        self.leaked_documents.fetch_add(1, Ordering::Relaxed);
        self.memory().documents.put(loaded.key.clone(), Arc::clone(&loaded));
        asked.shelf.put(&loaded.key, algo);
        Ok(loaded)
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().expect("nothing panics while it holds this lock")
    }
}

/// Exactly what this node gives out; anything else that begins like it would be joined into a path.
fn is_cache_key(pointer: &str) -> bool {
    let digest = pointer.strip_prefix("md5_");
    digest.is_some_and(|digest| digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Waits as long as a fault says.
pub(crate) async fn suffer(fault: Option<&Fault>) {
    match fault {
        Some(Fault::Delay { ms }) => tokio::time::sleep(millis(*ms)).await,
        Some(Fault::Hang) => std::future::pending().await,
        _ => {}
    }
}

// === impl Asked ===

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").field("bytes", &self.body.len()).field("fault", &self.fault).finish_non_exhaustive()
    }
}
