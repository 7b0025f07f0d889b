//! The wiring: what the configuration says becomes parts, a listener, tasks, and in the end a drain.
//!
//! Invariant: only this file starts tasks that live as long as the process, and it waits for all of them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use identity::{Claims, Jwks, Verifier};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trace::{Exporter, Tracer};

use self::nodes_file::Follow;
use self::warm::Warm;
use crate::admin::{self, Admin, Sources, level, operate};
use crate::config::{self, Address, AdminListen, AuthMode, Config, Secret, Secrets};
use crate::faces::{self, Faces};
use crate::gateway::authorize::Access;
use crate::gateway::body::Bounds;
use crate::gateway::cache::{self, Cache, LaneBounds};
use crate::gateway::dialect::Interpreter;
use crate::gateway::flood::Guard;
use crate::gateway::ratelimit::Buckets;
use crate::gateway::record::{self, Recorder};
use crate::gateway::slo::Slos;
use crate::gateway::{self, Parts, forward};
use crate::nodes::node::Rules;
use crate::nodes::{Driver, Nodes, Options, budget};
use crate::registry::{self, Hooks, Registry, Reloader, Snapshot};
use crate::rhino::client::Key;
use crate::seats::Seats;
use crate::server::{self, Front, Limits};
use crate::telemetry::metrics::Metrics;
use crate::vitals::{self, Vitals};

mod nodes_file;
mod warm;

/// A bucket is of use for as long as its window is, a minute at most with the usual policies.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// A gateway that is bound to its address and has loaded its registry, but does not serve yet.
#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    address: SocketAddr,
    front: Front,
    registry: Registry,
    reloader: Reloader,
    hooks: Hooks,
    admin: Admin,
    cache: Option<Cache>,
    driver: Driver,
    /// The operators' own listener, and what answers there.
    operators: Option<(TcpListener, Front)>,
    nodes_file: Option<Follow>,
    warm: Option<Warm>,
    limits: Limits,
    /// For so long after `stop` callers are still taken in.
    linger: Duration,
    flood: Guard,
    buckets: Buckets,
    metrics: Metrics,
    exporter: Option<Exporter>,
    vitals: Vitals,
}

/// What the command line may say beyond the configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Consent {
    /// Serve anybody on an address that others can reach.
    pub insecure_no_auth: bool,
}

// === impl App ===

impl App {
    /// Loads the registry, binds the listener, and builds the path.
    ///
    /// # Errors
    /// When the registry cannot be read, the address is taken, or the configuration is open to the world without consent.
    pub async fn build(config: &Config, secrets: Secrets, consent: Consent) -> anyhow::Result<Self> {
        let access = access(config, consent)?;
        let options = registry_options(&config.registry);
        let (registry, reloader) = tokio::task::spawn_blocking(move || Registry::follow(options)).await??;
        warn_where_nobody_can_call(&access, &registry);
        let key = key(secrets.node_key)?;
        let (tracer, exporter) = tracer(&config.trace, secrets.trace_headers.as_ref())?;
        let (nodes, driver) = Nodes::new(node_options(config, key.as_ref()))?;
        let follow = |nodes: Nodes| Follow::new(&config.nodes_file, config.nodes.clone(), key, nodes);
        let nodes_file = config.nodes_file.is_set().then(|| follow(nodes.clone()));
        let listener = bind(config.server.listen)?;
        let address = listener.local_addr()?;
        let warm = || Warm::new(registry.clone(), nodes.clone(), config.warm.at_once);
        let warm = config.warm.enabled.then(warm);
        let cache = config.cache.enabled.then(|| Cache::new(cache_bounds(config)));
        vitals::count_panics();
        let recorder = recorder(&config.record);
        let sources = Sources { seats: Seats::new(), recorder: recorder.clone(), tracer, ..Sources::default() };
        let admin = Admin::new(registry.clone(), nodes.clone(), cache.clone(), sources.clone());
        let operators = operators(&config.admin, &admin, &nodes)?;
        let Sources { tracer, outcomes, metrics, seats, buckets, vitals, slos, .. } = sources;
        enforce(&seats, &slos, &registry.current());
        let flood = guard(&config.address)?;
        let hooks = hooks(&nodes, &seats, &slos);
        let bounds = body_bounds(config);
        let interpreter = faces(config, access.clone(), &registry, &nodes, &bounds);
        let parts = Parts {
            metrics: metrics.clone(),
            tracer,
            registry: registry.clone(),
            nodes,
            seats,
            access,
            flood: flood.clone(),
            buckets: buckets.clone(),
            outcomes,
            slos,
            uri_bytes_max: config.server.uri_bytes_max,
            body: bounds,
            interpreter,
            cache: cache.clone(),
            recorder: recorder.clone(),
            timeout_max: Duration::from_secs(config.solve.timeout_sec_max),
        };
        let forward = forward::service(parts.nodes.clone(), metrics.clone());
        let front = admin::front(admin.clone(), gateway::path(parts, forward));
        let limits = limits(config);
        Ok(Self {
            listener,
            address,
            front,
            registry,
            reloader,
            hooks,
            admin,
            cache,
            driver,
            operators,
            nodes_file,
            warm,
            limits,
            linger: Duration::from_secs(config.server.linger_sec),
            flood,
            buckets,
            metrics,
            exporter,
            vitals,
        })
    }

    /// Where it listens, with the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where operators are answered, if anywhere.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.operators.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// A handle that tells what is ready, also after `run` has taken the rest.
    pub fn admin(&self) -> Admin {
        self.admin.clone()
    }

    /// The registry that it serves.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Serves until `stop`, then drains. Returns whether everything ended in time.
    pub async fn run(self, stop: CancellationToken) -> bool {
        // Nodes are watched until the last request has had its answer.
        let end = CancellationToken::new();
        let vitals = self.vitals;
        let watch: JoinHandle<()> = {
            let (vitals, driver, end) = (vitals.clone(), self.driver, end.clone());
            tokio::spawn(async move { vitals.keep("nodes", || driver.run(end.clone(), &vitals)).await })
        };
        let sweep = {
            let (vitals, end) = (vitals.clone(), end.clone());
            let swept =
                Swept { flood: self.flood, buckets: self.buckets, metrics: self.metrics, admin: self.admin.clone() };
            tokio::spawn(async move { vitals.keep("sweep", || sweep(&swept, &end)).await })
        };
        let reload = {
            let (vitals, reload) = (vitals.clone(), self.reloader.run(self.hooks, end.clone()));
            tokio::spawn(async move { vitals.watch("registry", reload).await })
        };
        // The last spans are told after the last solve has landed.
        let landed = CancellationToken::new();
        let export = self.exporter.map(|exporter| {
            let (vitals, run) = (vitals.clone(), exporter.run(landed.clone().cancelled_owned()));
            tokio::spawn(async move { vitals.watch("spans", run).await })
        });
        let level = keep_level(&vitals, &self.registry, &end);
        let admin = self.admin;
        let closing = CancellationToken::new();
        let announce = {
            let (stop, closing, admin) = (stop.clone(), closing.clone(), admin.clone());
            tokio::spawn(async move {
                stop.cancelled().await;
                admin.drain();
                tokio::time::sleep(self.linger).await;
                closing.cancel();
            })
        };
        let follow = self.nodes_file.map(|follow| {
            let vitals = vitals.clone();
            let kept = async move { vitals.keep("nodes_file", || follow.clone().run()).await };
            tokio::spawn(end.clone().run_until_cancelled_owned(kept))
        });
        // What goes away needs no verdict any more.
        let warm = self.warm.map(|warm| {
            let vitals = vitals.clone();
            let kept = async move { vitals.keep("warm", || warm.clone().run()).await };
            tokio::spawn(stop.clone().run_until_cancelled_owned(kept))
        });
        // Operators are answered for as long as callers are.
        let operators = self.operators.map(|(listener, front)| {
            let (vitals, serve) = (vitals.clone(), server::serve(listener, front, self.limits, end.clone()));
            tokio::spawn(async move { vitals.watch("operators", serve).await })
        });
        let drained = server::serve(self.listener, self.front, self.limits, closing).await;
        end.cancel();
        // A read of a share that has gone may hang; nothing waits for it for ever.
        let reloaded =
            tokio::time::timeout(self.limits.drain, reload).await.is_ok_and(|joined| matches!(joined, Ok(Some(()))));
        let followed = join(follow).await && reloaded;
        let operated = join(operators).await;
        let warmed = join(warm).await;
        // Solves that nobody waits for any more still have an answer to keep.
        let flights = async {
            if let Some(cache) = &self.cache {
                cache.drain().await;
            }
        };
        let bound = self.limits.drain;
        let (flown, watched) = tokio::join!(tokio::time::timeout(bound, flights), tokio::time::timeout(bound, watch));
        landed.cancel();
        // The exporter has a bound of its own.
        let told = join(export).await && join(level).await;
        let (announced, swept) = (announce.await, sweep.await);
        let ended = watched.is_ok_and(|joined| joined.is_ok()) && announced.is_ok() && swept.is_ok();
        drained && followed && operated && warmed && told && flown.is_ok() && ended
    }
}

/// Ends changes of the log's filter that were made for a while; nothing in a process that does not log.
fn keep_level(vitals: &Vitals, registry: &Registry, end: &CancellationToken) -> Option<JoinHandle<Option<()>>> {
    logs::level().map(|level| {
        let (vitals, events) = (vitals.clone(), registry.events().clone());
        let kept = async move { vitals.keep("log_level", || level::keep(&level, &events)).await };
        tokio::spawn(end.clone().run_until_cancelled_owned(kept))
    })
}

/// What is tidied now and then.
struct Swept {
    flood: Guard,
    buckets: Buckets,
    metrics: Metrics,
    admin: Admin,
}

/// Frees what the limits keep of callers who have been away for long enough, and what was recorded of versions that are gone; tells
/// what was refused.
async fn sweep(swept: &Swept, end: &CancellationToken) {
    let Swept { flood, buckets, metrics, admin } = swept;
    let mut told = (0, 0);
    while end.run_until_cancelled(tokio::time::sleep(SWEEP_EVERY)).await.is_some() {
        flood.sweep();
        buckets.sweep();
        metrics.upkeep();
        admin.forget();
        let (refused, shadowed) = buckets.counts();
        if (refused, shadowed) != told {
            let (refused, shadowed) = (refused - told.0, shadowed - told.1);
            tracing::info!(
                refused,
                would_refuse = shadowed,
                callers = buckets.len(),
                "rate limits since the last minute's end"
            );
        }
        told = (refused, shadowed);
    }
}

fn guard(address: &Address) -> anyhow::Result<Guard> {
    let network = |text: &String| {
        let parsed = text.parse().map_err(anyhow::Error::msg);
        parsed.with_context(|| format!("`address.trusted_proxies` has `{text}`"))
    };
    let proxies = address.trusted_proxies.iter().map(network).collect::<anyhow::Result<_>>()?;
    Ok(Guard::new(address.requests_per_sec_max, address.burst, proxies))
}

fn warn_where_nobody_can_call(access: &Access, registry: &Registry) {
    if matches!(access, Access::Keys(None)) && registry.current().tenants.key_count() == 0 {
        tracing::warn!("nobody can call: tenants.json holds no service key (make one with `appserver key`)");
    }
}

/// The listener for operators, and what answers there.
fn operators(config: &config::Admin, admin: &Admin, nodes: &Nodes) -> anyhow::Result<Option<(TcpListener, Front)>> {
    Ok(match config.listen {
        AdminListen::Off => None,
        AdminListen::At(address) => Some((bind(address)?, operate::front(admin.clone(), nodes.clone(), config.key()))),
    })
}

/// The sample of inputs, where the operator asked for one.
fn recorder(config: &config::Record) -> Option<Recorder> {
    let bounds = record::Bounds {
        inputs: config.inputs_per_version,
        bytes: config.bytes_per_version,
        bytes_total: config.bytes_max,
    };
    (bounds.inputs > 0).then(|| Recorder::new(bounds))
}

fn body_bounds(config: &Config) -> Bounds {
    let body = &config.body;
    let grace = Duration::from_secs(body.grace_sec);
    Bounds::new(body.bytes_max, body.in_flight_bytes_max, grace, body.rate_bytes_per_sec_min)
}

fn limits(config: &Config) -> Limits {
    let server = &config.server;
    let pace = u64::from(config.body.rate_bytes_per_sec_min);
    Limits {
        connections_max: server.connections_max,
        connections_per_ip_max: server.connections_per_ip_max,
        header_timeout: Duration::from_secs(server.header_timeout_sec),
        headers_max: server.headers_max,
        head_bytes_max: server.head_bytes_max,
        write_timeout: Duration::from_secs(server.write_timeout_sec),
        write_bytes_min: usize::try_from(server.write_timeout_sec.saturating_mul(pace)).unwrap_or(usize::MAX),
        drain: Duration::from_secs(server.drain_sec),
    }
}

/// Whether a task that may not be there has ended without a defect.
async fn join<R>(task: Option<JoinHandle<R>>) -> bool {
    match task {
        Some(task) => task.await.is_ok(),
        None => true,
    }
}

/// What the registry asks of the rest, and tells it, when it changes.
fn hooks(nodes: &Nodes, seats: &Seats, slos: &Slos) -> Hooks {
    let (attested, seats, slos) = (nodes.clone(), seats.clone(), slos.clone());
    Hooks {
        ready: Arc::new(move |contract| attested.attestation(contract).is_ready()),
        ready_changed: nodes.changed(),
        swapping: Arc::new(move |snapshot| enforce(&seats, &slos, snapshot)),
    }
}

/// What policies say of seats and promises, in force.
fn enforce(seats: &Seats, slos: &Slos, snapshot: &Snapshot) {
    gateway::seats::apply(seats, snapshot);
    slos.apply(snapshot);
}

fn registry_options(config: &config::Registry) -> registry::Options {
    registry::Options {
        root: config.root.clone(),
        poll: Duration::from_secs(config.poll_sec),
        settle: Duration::from_millis(config.settle_ms),
        watch: config.watch,
        mutable_versions: config.mutable_versions,
        state_dir: Some(config.state_dir.clone()).filter(|folder| *folder != PathBuf::new()),
    }
}

fn key(key: Option<Secret>) -> anyhow::Result<Option<Key>> {
    let Some(key) = key else { return Ok(None) };
    Key::new(key.expose()).context("RHINO_COMPUTE_KEY has characters that no header can carry").map(Some)
}

fn tracer(config: &config::Trace, headers: Option<&Secret>) -> anyhow::Result<(Tracer, Option<Exporter>)> {
    let settings = config.flags(headers).settings("appserver").context("`trace` cannot be used")?;
    Ok(trace::start(settings)?)
}

fn node_options(config: &Config, key: Option<&Key>) -> Options {
    Options {
        nodes: config.nodes.iter().map(|node| nodes_file::options(node, key)).collect(),
        probe_interval: Duration::from_secs(config.probe.interval_sec),
        probe_timeout: Duration::from_secs(config.probe.timeout_sec),
        ask_interval: Duration::from_secs(config.probe.attest_interval_sec),
        abandon_after: Duration::from_secs(config.solve.wedged_sec_max),
        rules: Rules {
            ejection: Duration::from_secs(config.recovery.ejection_sec),
            ejection_max: Duration::from_secs(config.recovery.ejection_sec_max),
            slow_start_first: Duration::from_secs(config.recovery.slow_start_first_sec),
            slow_start: Duration::from_secs(config.recovery.slow_start_sec),
            ..Rules::default()
        },
        warming: config.warm.enabled,
        keep_trees: config.faces.enabled,
        retries: budget::Rules { percent: config.retry.percent_max, floor: config.retry.floor },
        ..Options::default()
    }
}

/// What reads the requests of other servers' clients.
fn faces(config: &Config, access: Access, registry: &Registry, nodes: &Nodes, body: &Bounds) -> Option<Interpreter> {
    let (registry, nodes, body) = (registry.clone(), nodes.clone(), body.clone());
    let uri_bytes_max = config.server.uri_bytes_max;
    let parts = || faces::Parts { registry, nodes, access, body, uri_bytes_max };
    config.faces.enabled.then(|| Faces::interpreter(parts()))
}

fn cache_bounds(config: &Config) -> cache::Bounds {
    let cache = &config.cache;
    let lane = |bytes_max, ttl_sec| LaneBounds { bytes_max, ttl: Duration::from_secs(ttl_sec) };
    cache::Bounds {
        preview: lane(cache.preview_bytes_max, cache.preview_ttl_sec),
        batch: lane(cache.batch_bytes_max, cache.batch_ttl_sec),
        failure_ttl: Duration::from_secs(cache.failure_ttl_sec),
        followers_max: cache.followers_max,
        bodies_bytes_max: cache.bodies_bytes_max,
        timeout_max: Duration::from_secs(config.solve.timeout_sec_max),
    }
}

fn access(config: &Config, consent: Consent) -> anyhow::Result<Access> {
    let listen = config.server.listen;
    match config.auth.mode {
        AuthMode::Keys => verifier(&config.auth).map(Access::Keys),
        AuthMode::Open if listen.ip().is_loopback() || consent.insecure_no_auth => Ok(Access::Open),
        AuthMode::Open => bail!(
            "{listen} can be reached by others, and `auth.mode` is `open`: set it to `keys`, listen on 127.0.0.1, or say \
             --insecure-no-auth if something in front of this gateway authenticates"
        ),
    }
}

/// What checks users' tokens, where there is an issuer of such.
fn verifier(auth: &config::Auth) -> anyhow::Result<Option<Verifier>> {
    if auth.jwks_url.is_empty() {
        return Ok(None);
    }
    let keys = Jwks::at(&auth.jwks_url, identity::Bounds::default()).map_err(anyhow::Error::msg);
    let keys = keys.context("`auth.jwks_url` cannot be used")?;
    let (tenant, apps, role) = (auth.tenant_claim.clone(), auth.apps_claim.clone(), auth.role_claim.clone());
    let rules = identity::Rules {
        issuer: auth.issuer.clone(),
        audience: auth.audience.clone(),
        leeway_sec: auth.leeway_sec,
        claims: Claims { tenant, apps, role },
    };
    Ok(Some(Verifier::new(rules, keys)))
}

/// Connections that are open and not yet taken up. The usual 128 are fewer than come at once when callers have waited for the same thing;
/// what is one too many looks open to its caller, and is not.
const BACKLOG: u32 = 1024;

fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = || {
        let socket = if listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A port that was in use a moment ago may be taken at once.
        socket.set_reuseaddr(true)?;
        socket.bind(listen)?;
        socket.listen(BACKLOG)
    };
    bound().with_context(|| {
        format!("cannot listen on {listen}: choose another port with PORT=… or --listen, or stop what holds it")
    })
}
