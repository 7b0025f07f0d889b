//! The job API and the worker inside `appserver dev`: an embedded store in a folder of their own, and a token of one developer.
//!
//! Invariant: what they keep goes with the process, and they are clients of the gateway like any other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::{Bounds, Contracts, Parts};
use identity::{Issuer, Jwks, Verifier};
use jobs::artifacts::{Artifacts, LinkKey};
use jobs::{AppId, Queue, Sqlite, Store, Tenant, Tenants as _};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trace::Tracer;
use worker::gateway::Gateway;
use worker::health::Metrics;

use crate::registry::Registry;

/// Where the API listens unless the port is taken.
const PORT: u16 = 3001;
/// Whose jobs they are; the gateway calls an open caller the same.
const TENANT: &str = "dev";
const DATABASE: &str = "jobs.sqlite";
const TOKEN_SEC: u64 = 12 * 3600;
const DRAIN: Duration = Duration::from_secs(10);

/// What their spans are kept by.
#[derive(Debug, Clone, Default)]
pub(super) struct Tracers {
    pub(super) api: Tracer,
    pub(super) worker: Tracer,
}

/// Both, while they run.
#[derive(Debug)]
pub(super) struct Jobs {
    address: SocketAddr,
    token: String,
    served: JoinHandle<bool>,
    worked: JoinHandle<()>,
    /// The database and the artifacts.
    folder: TempDir,
}

// === impl Jobs ===

impl Jobs {
    /// Starts them before a gateway that takes everybody.
    pub(super) async fn start(
        gateway: SocketAddr,
        registry: &Registry,
        stop: CancellationToken,
        tracers: Tracers,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("appserver-dev-").tempdir()?;
        let store = Arc::new(Sqlite::open(&folder.path().join(DATABASE)).await?);
        let apps = registry.current().apps.keys().map(|app| AppId::new(app)).collect::<Result<Vec<_>, _>>()?;
        store.admit(&Tenant::new(TENANT)?, &apps).await?;
        let listener = match TcpListener::bind(("127.0.0.1", PORT)).await {
            Ok(listener) => listener,
            Err(_taken) => TcpListener::bind(("127.0.0.1", 0)).await.context("no port for the job API")?,
        };
        let address = listener.local_addr()?;
        // Who listens everywhere is reached here.
        let port = gateway.port();
        let gateway = if gateway.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], port)) } else { gateway };
        let (base, public_url) = (format!("http://{gateway}"), format!("http://localhost:{}", address.port()));
        let artifacts = Artifacts::local(&folder.path().join("artifacts"), LinkKey::random(), &public_url)?;
        let issuer = Issuer::new("dev", &public_url, "authenticated").map_err(anyhow::Error::msg)?;
        let keys = Jwks::fixed(issuer.keys().map_err(anyhow::Error::msg)?);
        let parts = Parts {
            store: Arc::clone(&store) as Arc<dyn Store>,
            queue: Arc::clone(&store) as Arc<dyn Queue>,
            broker: None,
            artifacts: artifacts.clone(),
            contracts: Contracts::new(&base, "").map_err(anyhow::Error::msg)?,
            verifier: Verifier::new(issuer.rules(), keys),
            bounds: Bounds::default(),
            only: None,
            public_url,
            tracer: tracers.api,
        };
        let work = worker::Parts {
            queue: Arc::clone(&store) as Arc<dyn Queue>,
            upkeep: store,
            broker: None,
            artifacts,
            gateway: Gateway::new(&base, "").map_err(anyhow::Error::msg)?,
            apps,
            name: "dev".to_owned(),
            tracer: tracers.worker,
            bounds: worker::Bounds { drain: DRAIN, ..worker::Bounds::default() },
        };
        let served = tokio::spawn(api::serve(listener, api::router(parts), stop.clone(), DRAIN));
        let worked = tokio::spawn(worker::run(work, Metrics::default(), stop));
        let token = issuer.token("developer", TENANT, None, TOKEN_SEC).map_err(anyhow::Error::msg)?;
        Ok(Self { address, token, served, worked, folder })
    }

    /// Lines for a shell: queue a solve, see how it stands, get its result.
    pub(super) fn curls(&self, app_id: &str, definition: &str, inputs: &str) -> String {
        let base = format!("localhost:{}/{app_id}/jobs", self.address.port());
        let database = self.database();
        let curl = "curl -s -H \"Authorization: Bearer $TOKEN\"";
        format!(
            "The same as a job, with a token of 12 hours:\n    \
             TOKEN={}\n    \
             JOB=$({curl} {base}/run -d '{{\"definition\":\"{definition}\",\"inputs\":{inputs}}}' | sed 's/.*\"job_id\":\"\\([^\"]*\\)\".*/\\1/')\n    \
             {curl} {base}/status/$JOB\n    \
             {curl} {base}/result/$JOB\n  \
             The same jobs as an operator sees them:\n    \
             DATABASE_URL={database} appserver job --tenant {TENANT} --app {app_id} list",
            self.token
        )
    }

    /// Where the jobs are kept, for a shell.
    fn database(&self) -> String {
        format!("sqlite:{}", self.folder.path().join(DATABASE).display())
    }

    /// Where the API listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for both, which have been told to stop.
    pub(super) async fn ended(self) {
        let _ = tokio::join!(self.served, self.worked);
    }
}
