//! Jobs from end to end: the real API and worker over an embedded store, before the real gateway with a stand-in node.

mod canary;
pub(crate) mod deployment;
mod life;
mod lines;
mod processes;
mod stamp;
mod tenancy;
mod traced;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use api::{Bounds, Contracts, Parts};
use identity::{Issuer, Jwks, Verifier};
use jobs::artifacts::{Artifacts, LinkKey};
use jobs::{AppId, Queue, Sqlite, Store, Tenant, Tenants as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trace::Tracer;
use worker::gateway::Gateway;
use worker::health::Metrics;

use crate::receiver::Receiver;
use crate::support::{self, Answered, Setup, TestGateway, WORKER_KEY};

/// All of it, in one process.
pub(crate) struct Bench {
    pub(crate) gateway: TestGateway,
    pub(crate) base: String,
    pub(crate) issuer: Issuer,
    pub(crate) work: worker::Parts,
    pub(crate) metrics: Metrics,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    _folder: TempDir,
}

impl Bench {
    /// With a worker that works.
    pub(crate) async fn start() -> Self {
        let mut bench =
            Self::idle(Setup { nodes: vec![simnode::Config::default()], keys: true, ..Setup::default() }).await;
        bench.employ();
        bench
    }

    /// Without a worker, so that jobs stay queued.
    pub(crate) async fn idle(setup: Setup) -> Self {
        Self::before(TestGateway::with(setup).await, [Tracer::default(), Tracer::default()], CancellationToken::new())
            .await
    }

    /// All three tell this collector of their spans. Without a worker.
    pub(crate) async fn traced(receiver: &Receiver) -> Self {
        let setup = Setup { nodes: vec![simnode::Config::default()], keys: true, ..Setup::default() };
        let endpoint = receiver.endpoint.clone();
        let gateway = TestGateway::telling(setup, move |config| config.trace.endpoint = endpoint).await;
        let flags = trace::Flags { endpoint: receiver.endpoint.clone(), ..trace::Flags::default() };
        let stop = CancellationToken::new();
        let (mut tracers, mut tasks) = (Vec::new(), Vec::new());
        for service in ["appserver-api", "appserver-worker"] {
            let (tracer, exporter) = trace::start(flags.settings(service).unwrap()).unwrap();
            tasks.push(tokio::spawn(exporter.unwrap().run(stop.clone().cancelled_owned())));
            tracers.push(tracer);
        }
        let mut bench = Self::before(gateway, tracers.try_into().unwrap(), stop).await;
        bench.tasks.extend(tasks);
        bench
    }

    async fn before(gateway: TestGateway, [api, worker]: [Tracer; 2], stop: CancellationToken) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Sqlite::open(&folder.path().join("jobs.sqlite")).await.unwrap());
        let apps = ["sitefit", "parking", "yieldcheck"].map(|app| AppId::new(app).unwrap());
        store.admit(&Tenant::new("studio").unwrap(), &apps).await.unwrap();
        store.admit(&Tenant::new("kiosk").unwrap(), &apps[..1]).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let artifacts = Artifacts::local(&folder.path().join("artifacts"), LinkKey::random(), &base).unwrap();
        let issuer = Issuer::new("one", "https://id.example", "authenticated").unwrap();
        let parts = Parts {
            store: Arc::clone(&store) as Arc<dyn Store>,
            queue: Arc::clone(&store) as Arc<dyn Queue>,
            broker: None,
            artifacts: artifacts.clone(),
            contracts: Contracts::new(&gateway.base, WORKER_KEY).unwrap(),
            verifier: Verifier::new(issuer.rules(), Jwks::fixed(issuer.keys().unwrap())),
            bounds: Bounds { attempts_max: 2, ..Bounds::default() },
            only: None,
            public_url: base.clone(),
            tracer: api,
        };
        let work = worker::Parts {
            queue: Arc::clone(&store) as Arc<dyn Queue>,
            upkeep: store,
            broker: None,
            artifacts,
            gateway: Gateway::new(&gateway.base, WORKER_KEY).unwrap(),
            apps: apps.to_vec(),
            name: "test".to_owned(),
            tracer: worker,
            bounds: worker::Bounds { renew_every: Duration::from_millis(200), ..worker::Bounds::default() },
        };
        let serving = api::serve(listener, api::router(parts), stop.clone(), Duration::from_secs(10));
        let tasks = vec![tokio::spawn(async move { assert!(serving.await) })];
        Self { gateway, base, issuer, work, metrics: Metrics::default(), stop, tasks, _folder: folder }
    }

    /// Queues the small solve and waits for what becomes of it: its status, and the problem that its result is.
    pub(crate) async fn fate(&self, tenant: &str, wanted: &[&str]) -> (Value, Answered) {
        let job_id = self.queue(tenant).await;
        let ended = self.until(tenant, &job_id, wanted).await;
        (ended, self.get(&format!("/sitefit/jobs/result/{job_id}"), tenant).await)
    }

    /// Starts a worker.
    pub(crate) fn employ(&mut self) {
        let working = worker::run(self.work.clone(), self.metrics.clone(), self.stop.clone());
        self.tasks.push(tokio::spawn(working));
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        tenant: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answered {
        let token = self.issuer.token("user-1", tenant, None, 600).unwrap();
        let method = method.to_uppercase().parse().unwrap();
        let request = self.gateway.client.request(method, format!("{}{path}", self.base)).bearer_auth(token);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = match body {
            Some(body) => request.body(body.to_string()),
            None => request,
        };
        Answered::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, tenant: &str) -> Answered {
        self.ask("get", path, tenant, &[], None).await
    }

    /// Queues the small solve; the job's id.
    pub(crate) async fn queue(&self, tenant: &str) -> String {
        let answer = self.ask("post", "/sitefit/jobs/run", tenant, &[], Some(&small())).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer.json()["job_id"].as_str().unwrap().to_owned()
    }

    /// The status once it is one of these.
    pub(crate) async fn until(&self, tenant: &str, job_id: &str, wanted: &[&str]) -> Value {
        for _ in 0..1500 {
            let now = self.get(&format!("/sitefit/jobs/status/{job_id}"), tenant).await.json();
            if wanted.iter().any(|wanted| now["status"] == *wanted) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{job_id} is none of {wanted:?} within 30 s");
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            task.await.unwrap();
        }
        // With the last who knows the store.
        drop(self.work);
        self.gateway.stop().await;
    }
}

/// A small solve of `sitefit`, by an alias.
pub(crate) fn small() -> Value {
    let inputs = support::sitefit()["inputs"].clone();
    json!({ "definition": "sitefit", "version": "stable", "inputs": inputs })
}
