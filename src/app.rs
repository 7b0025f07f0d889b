//! The wiring: what the configuration says becomes parts, a listener, tasks, and in the end a drain.
//!
//! Invariant: only this file starts tasks that live as long as the process, and it waits for all of them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::config::{self, AuthMode, Config, Secret};
use crate::gateway::authorize::Access;
use crate::gateway::body::Bounds;
use crate::gateway::{self, Parts, forward};
use crate::nodes::node::Rules;
use crate::nodes::{Driver, NodeOptions, Nodes, Options, budget};
use crate::registry::Registry;
use crate::rhino::client::Key;
use crate::seats::Seats;
use crate::server::{self, Front, Limits};

/// A gateway that is bound to its address and has loaded its registry, but does not serve yet.
#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    address: SocketAddr,
    front: Front,
    registry: Registry,
    admin: Admin,
    driver: Driver,
    limits: Limits,
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
    pub async fn build(config: &Config, node_key: Option<Secret>, consent: Consent) -> anyhow::Result<Self> {
        let access = access(config, consent)?;
        let root = config.registry.root.clone();
        let registry = tokio::task::spawn_blocking(move || Registry::open(root)).await??;
        let keys = registry.current().tenants.key_count();
        if access == Access::Keys && keys == 0 {
            tracing::warn!("nobody can call: tenants.json holds no service key (make one with `appserver key`)");
        }
        let (nodes, driver) = Nodes::new(node_options(config, node_key)?)?;
        let listener = bind(config.server.listen).await?;
        let address = listener.local_addr()?;
        let admin = Admin::new(registry.clone(), nodes.clone());
        let body = &config.body;
        let seats = Seats::new();
        gateway::seats::apply(&seats, &registry.current());
        let parts = Parts {
            registry: registry.clone(),
            nodes,
            seats,
            access,
            body: Bounds::new(
                body.bytes_max,
                body.in_flight_bytes_max,
                Duration::from_secs(body.grace_sec),
                body.rate_bytes_per_sec_min,
            ),
            timeout_max: Duration::from_secs(config.solve.timeout_sec_max),
        };
        let forward = forward::service(parts.nodes.clone());
        let front = admin::front(admin.clone(), gateway::path(parts, forward));
        let limits = Limits {
            connections_max: config.server.connections_max,
            connections_per_ip_max: config.server.connections_per_ip_max,
            header_timeout: Duration::from_secs(config.server.header_timeout_sec),
            drain: Duration::from_secs(config.server.drain_sec),
        };
        Ok(Self { listener, address, front, registry, admin, driver, limits })
    }

    /// Where it listens, with the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.address
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
        let watch: JoinHandle<()> = tokio::spawn(self.driver.run(end.clone()));
        let admin = self.admin;
        let announce = {
            let (stop, admin) = (stop.clone(), admin.clone());
            tokio::spawn(async move {
                stop.cancelled().await;
                admin.drain();
            })
        };
        let drained = server::serve(self.listener, self.front, self.limits, stop).await;
        end.cancel();
        let watched = tokio::time::timeout(self.limits.drain, watch).await;
        let announced = announce.await;
        drained && watched.is_ok_and(|joined| joined.is_ok()) && announced.is_ok()
    }
}

fn node_options(config: &Config, key: Option<Secret>) -> anyhow::Result<Options> {
    let key = match key {
        Some(key) => Some(Key::new(key.expose()).context("RHINO_COMPUTE_KEY has characters that no header can carry")?),
        None => None,
    };
    let node = |node: &config::Node| NodeOptions {
        name: node.name.clone(),
        url: node.url.clone(),
        key: key.clone(),
        slots: node.slots,
        pools: node.pools.clone(),
    };
    Ok(Options {
        nodes: config.nodes.iter().map(node).collect(),
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
        retries: budget::Rules { percent: config.retry.percent_max, floor: config.retry.floor },
        ..Options::default()
    })
}

fn access(config: &Config, consent: Consent) -> anyhow::Result<Access> {
    let listen = config.server.listen;
    match config.auth.mode {
        AuthMode::Keys => Ok(Access::Keys),
        AuthMode::Open if listen.ip().is_loopback() || consent.insecure_no_auth => Ok(Access::Open),
        AuthMode::Open => bail!(
            "{listen} can be reached by others, and `auth.mode` is `open`: set it to `keys`, listen on 127.0.0.1, or say \
             --insecure-no-auth if something in front of this gateway authenticates"
        ),
    }
}

async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(listen).await;
    bound.with_context(|| {
        format!("cannot listen on {listen}: choose another port with PORT=… or --listen, or stop what holds it")
    })
}
