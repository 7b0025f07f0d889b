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

/// A store, a queue and their tenants, of whichever kind.
pub(crate) trait Both: Store + Queue + Tenants {
    fn upkeep(&self) -> &dyn Upkeep;
}

impl<T: Store + Queue + Tenants + Upkeep> Both for T {
    fn upkeep(&self) -> &dyn Upkeep {
        self
    }
}

/// A database that goes away with its test.
pub(crate) struct Db {
    pub(crate) it: Arc<dyn Both>,
    _files: tempfile::TempDir,
}

impl std::ops::Deref for Db {
    type Target = dyn Both;

    fn deref(&self) -> &Self::Target {
        self.it.as_ref()
    }
}

/// With tenants `ann` (sitefit, parking) and `bob` (sitefit).
pub(crate) async fn sqlite() -> Db {
    let files = tempfile::tempdir().unwrap();
    let it: Arc<dyn Both> = Arc::new(Sqlite::open(&files.path().join("jobs.db")).await.unwrap());
    admit_all(it.as_ref()).await;
    Db { it, _files: files }
}

pub(crate) async fn admit_all(db: &dyn Both) {
    db.admit(&tenant("ann"), &[app("sitefit"), app("parking")]).await.unwrap();
    db.admit(&tenant("bob"), &[app("sitefit")]).await.unwrap();
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
    }
}

pub(crate) fn keyed(key: &str, request_digest: &str) -> NewJob {
    let idempotency = Idempotency { key: key.to_owned(), request_digest: request_digest.to_owned() };
    NewJob { idempotency: Some(idempotency), ..new_job() }
}

pub(crate) async fn submit(db: &dyn Both, scope: &Scope) -> JobId {
    match db.submit(scope, new_job()).await.unwrap() {
        Submitted::Created(job) => job.id,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn claim(db: &dyn Both, app_id: &str, lease: Duration) -> Option<Claimed> {
    db.claim(&app(app_id), "worker-1", lease).await.unwrap()
}

/// Takes back what lapsed, waiting for it.
pub(crate) async fn reap_one(db: &dyn Both) {
    for _ in 0..500 {
        if db.reap(10).await.unwrap().total() > 0 {
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
