//! Apps in schemas of their own of one database, by a setting alone.

use std::time::Duration;

use jobs::postgres::{Admin, Settings, migrate};
use jobs::{Outcome, Postgres, Queue as _, State, Store as _, Submitted, Tenants as _};

use crate::server::{Server, run};
use crate::support::*;

/// One app's side of a database that two share.
struct Side {
    api: Postgres,
    worker: Postgres,
}

#[tokio::test]
async fn two_apps_in_two_schemas_of_one_database_have_nothing_of_each_other() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    let mut sides = Vec::new();
    for (schema, which) in [("sitefit_jobs", "sitefit"), ("parking_jobs", "parking")] {
        let of = |login: &str| Settings { schema: schema.to_owned(), ..database.settings(login) };
        assert_eq!(migrate(&of("postgres")).await.unwrap().first(), Some(&"jobs"));
        assert!(migrate(&of("postgres")).await.unwrap().is_empty(), "the second time there is nothing to do");
        Admin::connect(&of("postgres")).await.unwrap().admit(&tenant("ann"), &[app(which)]).await.unwrap();
        let (api, worker) = (of("test_api"), of("test_worker"));
        sides.push(Side {
            api: Postgres::connect(&api).await.unwrap(),
            worker: Postgres::connect(&worker).await.unwrap(),
        });
    }
    let [sitefit, parking] = &sides[..] else { panic!("two") };
    let Submitted::Created(job) = sitefit.api.submit(&ann(), new_job()).await.unwrap() else { panic!("not made") };
    // The same names beside it: neither seen, nor claimed, nor counted.
    assert!(parking.api.get(&ann(), job.id).await.unwrap().is_none());
    assert!(parking.api.submit(&ann(), new_job()).await.is_err(), "not admitted in this one");
    for which in ["sitefit", "parking"] {
        assert!(parking.worker.claim(&app(which), "w", LONG).await.unwrap().is_none());
        assert_eq!(parking.worker.stats(&app(which)).await.unwrap().ready, 0);
    }
    parking.api.submit(&scope("ann", "parking"), jobs::NewJob { id: job.id, ..new_job() }).await.unwrap();
    // A change is told in its own schema.
    let mut own = sitefit.worker.watch_queue(&app("sitefit"));
    let began = tokio::time::Instant::now();
    for _ in 0..20 {
        sitefit.api.submit(&ann(), new_job()).await.unwrap();
    }
    own.changed(LONG).await;
    assert!(began.elapsed() < Duration::from_secs(10));
    let claimed = sitefit.worker.claim(&app("sitefit"), "w", LONG).await.unwrap().unwrap();
    let outcome = Outcome::Succeeded(result_of(&ann(), claimed.job.id));
    assert_eq!(sitefit.worker.complete(&claimed.lease, outcome).await.unwrap(), State::Succeeded);
    assert_eq!(parking.api.get(&scope("ann", "parking"), job.id).await.unwrap().unwrap().state, State::Queued);
    let mut raw = database.raw("postgres").await;
    run(&mut raw, "DROP SCHEMA parking_jobs CASCADE").await;
    sitefit.api.ping().await.unwrap();
    assert_eq!(sitefit.worker.stats(&app("sitefit")).await.unwrap().ready, 20);
}

#[tokio::test]
async fn a_schema_whose_name_is_no_plain_one_is_refused() {
    for name in ["", "Sitefit", "a b", "a;b", "pg_own", "a\"", "1a"] {
        let settings = Settings { schema: name.to_owned(), ..Settings::new("postgres://nobody@127.0.0.1:1/x") };
        assert!(matches!(Postgres::connect(&settings).await, Err(jobs::Error::Unfit(_))), "{name}");
        assert!(matches!(migrate(&settings).await, Err(jobs::Error::Unfit(_))), "{name}");
    }
}
