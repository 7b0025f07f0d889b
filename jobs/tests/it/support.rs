//! What tests share: a database of each kind, and short words for jobs.

use std::sync::Arc;
use std::time::Duration;

use jobs::{
    AppId, Artifact, Claimed, Failure, Idempotency, Inputs, JobId, NewJob, Queue, ResultRef, Scope, Sqlite, Store,
    Submitted, Tenant, Tenants, Upkeep,
};

/// Long enough that no busy machine lets it end.
pub(crate) const LONG: Duration = Duration::from_mins(10);

/// Short enough to be waited for.
pub(crate) const SHORT: Duration = Duration::from_millis(30);

/// A database of whichever kind, each side by the role that it is meant for. It goes away with its test.
pub(crate) struct Db {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) tenants: Arc<dyn Tenants>,
    pub(crate) upkeep: Arc<dyn Upkeep>,
    /// Whether a message has to come before a job is claimed.
    pub(crate) broker: bool,
    pub(crate) _kept: Box<dyn Send + Sync>,
}

/// With tenants `ann` (sitefit, parking) and `bob` (sitefit).
pub(crate) async fn sqlite() -> Db {
    let files = tempfile::tempdir().unwrap();
    let it = Arc::new(Sqlite::open(&files.path().join("jobs.db")).await.unwrap());
    admit_all(it.as_ref()).await;
    Db { store: it.clone(), queue: it.clone(), tenants: it.clone(), upkeep: it, broker: false, _kept: Box::new(files) }
}

pub(crate) async fn admit_all(tenants: &dyn Tenants) {
    tenants.admit(&tenant("ann"), &[app("sitefit"), app("parking")]).await.unwrap();
    tenants.admit(&tenant("bob"), &[app("sitefit")]).await.unwrap();
}

pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant::new(name).unwrap()
}

pub(crate) fn app(name: &str) -> AppId {
    AppId::new(name).unwrap()
}

pub(crate) fn scope(who: &str, which: &str) -> Scope {
    Scope::new(tenant(who), app(which))
}

pub(crate) fn ann() -> Scope {
    scope("ann", "sitefit")
}

pub(crate) fn bob() -> Scope {
    scope("bob", "sitefit")
}

pub(crate) fn new_job() -> NewJob {
    NewJob {
        id: JobId::new(),
        definition: "sitefit".to_owned(),
        version: "1.1.0".to_owned(),
        digest: "sha256:00".to_owned(),
        inputs: Inputs::inline(r#"{"site_width":40.10000000000000001}"#.to_owned()).unwrap(),
        idempotency: None,
        attempts_max: 3,
        traceparent: None,
        tracestate: None,
    }
}

pub(crate) fn keyed(key: &str, request_digest: &str) -> NewJob {
    let idempotency = Idempotency { key: key.to_owned(), request_digest: request_digest.to_owned() };
    NewJob { idempotency: Some(idempotency), ..new_job() }
}

pub(crate) async fn submit(db: &Db, scope: &Scope) -> JobId {
    match db.store.submit(scope, new_job()).await.unwrap() {
        Submitted::Created(job) => job.id,
        other @ (Submitted::Existing(_) | Submitted::Conflict) => panic!("{other:?}"),
    }
}

/// Claims. Where a job is ready, a broker may have yet to be told of it, so it is tried again for a while.
pub(crate) async fn claim(db: &Db, app_id: &str, lease: Duration) -> Option<Claimed> {
    for _ in 0..20 {
        let claimed = db.queue.claim(&app(app_id), "worker-1", lease).await.unwrap();
        if claimed.is_some() || !db.broker || db.queue.stats(&app(app_id)).await.unwrap().ready == 0 {
            return claimed;
        }
    }
    None
}

/// Takes back what lapsed, waiting for it.
pub(crate) async fn reap_one(db: &Db) {
    for _ in 0..500 {
        if db.queue.reap(10).await.unwrap().total() > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing lapses");
}

pub(crate) fn result_of(scope: &Scope, id: JobId) -> ResultRef {
    let artifact = Artifact {
        path: format!("artifacts/{}/{id}/result.json", scope.app),
        digest: "sha256:11".to_owned(),
        bytes: 12,
        media_type: "application/json".to_owned(),
    };
    ResultRef { artifacts: vec![artifact], digest: "sha256:11".to_owned(), receipt: None }
}

pub(crate) fn failure(code: &str, retryable: bool) -> Failure {
    Failure { code: code.to_owned(), message: "It did not work.".to_owned(), retryable }
}
