//! The cache and the single flight on the whole path in memory. The node is a closure.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json, value::to_raw_value};
use tokio::sync::{Notify, Semaphore};
use tower::service_fn;

mod bodies;
mod reload;
mod timing;

use super::*;
use crate::gateway::tests::{OTHER_KEY, answer, parts, right, send};
use crate::gateway::{Parts, Request, Response, Seated, path};

type Path = BoxCloneSyncService<Request, Response, std::convert::Infallible>;
type Asked = http::Request<String>;

fn bounds() -> Bounds {
    let lane = LaneBounds { bytes_max: 1 << 20, ttl: Duration::from_mins(1) };
    Bounds {
        preview: lane,
        batch: lane,
        failure_ttl: Duration::from_mins(1),
        followers_max: 1024,
        bodies_bytes_max: 1 << 20,
        timeout_max: Duration::from_mins(1),
    }
}

/// A path with a cache, and a count of the solves that reached its node.
struct Bench {
    path: Path,
    cache: Cache,
    solves: Arc<AtomicUsize>,
}

impl Bench {
    /// `node` is given each solve with its number, from 0.
    fn new<F, T>(bounds: Bounds, node: F) -> Self
    where
        F: Fn(usize, Seated) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Result<Answer, Error>> + Send + 'static,
    {
        Self::over(parts(), bounds, node)
    }

    fn over<F, T>(parts: Parts, bounds: Bounds, node: F) -> Self
    where
        F: Fn(usize, Seated) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Result<Answer, Error>> + Send + 'static,
    {
        let (cache, solves) = (Cache::new(bounds), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&solves);
        let forward = service_fn(move |seated: Seated| {
            let (node, counted) = (node.clone(), Arc::clone(&counted));
            async move {
                // What `forward` does with a slot in its hand.
                if !seated.due().solve().course().send() {
                    return Err(Error::DeadlineExceeded);
                }
                node(counted.fetch_add(1, Ordering::SeqCst), seated).await
            }
        });
        let parts = Parts { cache: Some(cache.clone()), ..parts };
        Self { path: path(parts, forward), cache, solves }
    }

    fn solves(&self) -> usize {
        self.solves.load(Ordering::SeqCst)
    }

    async fn send(&self, request: Asked) -> (u16, HeaderMap, Value) {
        send(&self.path, request).await
    }

    fn spawn(&self, request: Asked) -> tokio::task::JoinHandle<(u16, HeaderMap, Value)> {
        let path = self.path.clone();
        tokio::spawn(async move { send(&path, request).await })
    }

    /// Waits until so many callers wait.
    async fn until_waiting(&self, wanted: usize) {
        for _ in 0..10_000 {
            if self.cache.view().waiting == wanted {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{} wait, not {wanted}", self.cache.view().waiting);
    }

    /// No flight and no caller is left, and the app's counts are as told: hits, misses, joins.
    async fn settled(&self, counts: (u64, u64, u64)) {
        self.cache.drain().await;
        let view = self.cache.view();
        assert_eq!((view.flights, view.waiting), (0, 0));
        let found = view.apps.first().map_or((0, 0, 0), |app| (app.hits, app.misses, app.joins));
        assert_eq!(found, counts);
    }
}

fn with(mut request: Asked, name: header::HeaderName, value: &str) -> Asked {
    request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    request
}

fn of_other_tenant() -> Asked {
    with(right(), header::AUTHORIZATION, &format!("Bearer {OTHER_KEY}"))
}

fn numbered(number: usize) -> Answer {
    Answer { outputs: to_raw_value(&json!({ "number": number })).unwrap().into(), ..answer() }
}

fn broken() -> Vec<crate::rhino::classify::ComponentError> {
    vec![crate::rhino::classify::ComponentError { message: "no area".into(), component: None, guid: None }]
}

#[tokio::test]
async fn the_second_of_two_equal_solves_is_a_hit_and_says_so() {
    let bench = Bench::new(bounds(), |number, _| async move { Ok(numbered(number)) });
    let (_, headers, body) = bench.send(right()).await;
    assert_eq!(headers["cache-status"], "appserver; fwd=miss; stored");
    assert_eq!((&body["receipt"]["cache"], &body["outputs"]["number"]), (&json!("miss"), &json!(0)));
    let etag = headers[header::ETAG].to_str().unwrap().to_owned();
    let (_, headers, body) = bench.send(right()).await;
    assert!(headers["cache-status"].to_str().unwrap().starts_with("appserver; hit; ttl="), "{headers:?}");
    assert_eq!((&body["receipt"]["cache"], &body["outputs"]["number"]), (&json!("hit"), &json!(0)));
    assert_eq!(headers[header::ETAG], etag);
    assert!(headers[header::CACHE_CONTROL].to_str().unwrap().starts_with("private, max-age="), "{headers:?}");
    assert_eq!(bench.solves(), 1);
    bench.settled((1, 1, 0)).await;
}

#[tokio::test]
async fn a_caller_that_has_the_answer_is_told_so_without_it() {
    let bench = Bench::new(bounds(), |_, _| async { Ok(answer()) });
    let (_, headers, _) = bench.send(right()).await;
    let etag = headers[header::ETAG].to_str().unwrap().to_owned();
    for known in [etag.clone(), format!("\"x\", W/{etag}"), "*".to_owned()] {
        let (status, headers, body) = bench.send(with(right(), header::IF_NONE_MATCH, &known)).await;
        assert_eq!((status, headers[header::ETAG].to_str().unwrap(), body), (304, &*etag, Value::Null), "{known}");
    }
    assert_eq!(bench.send(with(right(), header::IF_NONE_MATCH, "\"x\"")).await.0, 200);
    assert_eq!(bench.solves(), 1);
}

#[tokio::test]
async fn a_caller_may_force_a_solve_and_may_forbid_keeping_it() {
    let bench = Bench::new(bounds(), |number, _| async move { Ok(numbered(number)) });
    let number = |request| async {
        let (_, headers, body) = bench.send(request).await;
        (body["outputs"]["number"].as_u64().unwrap(), headers["cache-status"].to_str().unwrap().to_owned(), headers)
    };
    let directed = |value| with(right(), header::CACHE_CONTROL, value);
    let (found, status, headers) = number(directed("no-store")).await;
    assert_eq!(
        (found, &*status, &headers[header::CACHE_CONTROL]),
        (0, "appserver; fwd=request", &HeaderValue::from_static("no-store"))
    );
    assert_eq!(number(right()).await.0, 1, "what was not to be stored was not stored");
    assert_eq!(number(directed("no-store")).await.0, 2, "what must not be read is not read");
    let (found, status, _) = number(directed("max-age=5, No-Cache")).await;
    assert_eq!((found, &*status), (3, "appserver; fwd=request; stored"));
    assert_eq!(number(right()).await.0, 3, "a forced solve is kept");
    let mut alias = right();
    *alias.uri_mut() = "/gh/sitefit:stable/solve".parse().unwrap();
    assert_eq!(number(alias).await.2[header::CACHE_CONTROL], "private, no-cache", "an alias may move");
}

#[tokio::test]
async fn k1_two_tenants_have_two_entries() {
    let bench = Bench::new(bounds(), |number, _| async move { Ok(numbered(number)) });
    for (request, number, word) in
        [(right(), 0, "miss"), (of_other_tenant(), 1, "miss"), (right(), 0, "hit"), (of_other_tenant(), 1, "hit")]
    {
        let (_, _, body) = bench.send(request).await;
        assert_eq!((&body["outputs"]["number"], &body["receipt"]["cache"]), (&json!(number), &json!(word)));
    }
    assert_eq!(bench.cache.view().apps[0].batch.entries, 2);
}

#[tokio::test]
async fn k1_a_tenant_does_not_join_the_flight_of_another() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let bench = Bench::new(bounds(), move |number, _| {
        let gate = Arc::clone(&held);
        async move {
            let _ = gate.acquire().await;
            Ok(numbered(number))
        }
    });
    let callers = [bench.spawn(right()), bench.spawn(of_other_tenant())];
    bench.until_waiting(2).await;
    assert_eq!(bench.cache.view().flights, 2);
    gate.add_permits(2);
    for caller in callers {
        assert_eq!(caller.await.unwrap().0, 200);
    }
    bench.settled((0, 2, 0)).await;
}

#[tokio::test]
async fn k5_no_failure_but_the_definitions_own_is_kept() {
    let failures = [
        Error::NodeUnreachable,
        Error::NodeInvalidAnswer,
        Error::NodeTimeout { allowed: Duration::from_secs(1) },
        Error::NodeRefused,
        Error::NodeRefusedKey,
        Error::NodeRefusedSize,
        Error::AnswerTooLarge { limit: 1 },
        Error::OutputMismatch { message: "x".into() },
        Error::DeadlineExceeded,
        Error::NoFreeSlot { retry_after: Duration::from_secs(1) },
        Error::NoNode { retry_after: Duration::from_secs(1) },
        Error::VersionDegraded { definition: "x".into(), version: "1".into(), missing: vec![] },
        Error::Overloaded { retry_after: Duration::from_secs(1) },
        Error::Internal,
    ];
    let parts = parts();
    for failure in failures {
        let code = failure.meaning().code;
        let node = move |_, _| std::future::ready(Err(failure.clone()));
        let bench = Bench::over(parts.clone(), bounds(), node);
        for _ in 0..2 {
            assert_eq!(bench.send(right()).await.2["code"], code);
        }
        assert_eq!(bench.solves(), 2, "{code} was kept, or tried again for one caller alone");
        bench.settled((0, 2, 0)).await;
    }
}

#[tokio::test]
async fn k6_a_definition_error_is_kept_for_its_tenant_and_for_its_time() {
    let bounds = Bounds { failure_ttl: Duration::from_millis(300), ..bounds() };
    let bench = Bench::new(bounds, |_, _| async { Err(Error::DefinitionError { errors: broken() }) });
    let code = |request| async { bench.send(request).await.2["code"].clone() };
    for _ in 0..3 {
        assert_eq!(code(right()).await, "definition_error");
    }
    assert_eq!(bench.solves(), 1);
    assert_eq!(code(of_other_tenant()).await, "definition_error");
    assert_eq!(bench.solves(), 2, "another tenant met it by itself");
    let view = bench.cache.view().apps[0].definition_errors;
    assert_eq!((view.entries, view.bytes_max), (2, (2 << 20) / 20));
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(code(right()).await, "definition_error");
    assert_eq!(bench.solves(), 3, "its time was over");
}

#[tokio::test]
async fn k7_five_hundred_equal_requests_are_one_solve() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let bench = Bench::new(bounds(), move |number, _| {
        let gate = Arc::clone(&held);
        async move {
            let _ = gate.acquire().await;
            Ok(numbered(number))
        }
    });
    let callers: Vec<_> = (0..500).map(|_| bench.spawn(right())).collect();
    bench.until_waiting(500).await;
    gate.add_permits(1);
    let mut words = std::collections::BTreeMap::new();
    for caller in callers {
        let (status, _, body) = caller.await.unwrap();
        assert_eq!((status, &body["outputs"]), (200, &json!({ "number": 0 })));
        *words.entry(body["receipt"]["cache"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(words, [("joined".to_owned(), 499), ("miss".to_owned(), 1)].into());
    assert_eq!(bench.solves(), 1);
    bench.settled((0, 1, 499)).await;
}

#[tokio::test]
async fn k7_more_followers_than_may_wait_are_told_to_come_back() {
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    let bench = Bench::new(Bounds { followers_max: 2, ..bounds() }, move |number, _| {
        let gate = Arc::clone(&held);
        async move {
            gate.notified().await;
            Ok(numbered(number))
        }
    });
    let callers: Vec<_> = (0..3).map(|_| bench.spawn(right())).collect();
    bench.until_waiting(3).await;
    let (status, headers, body) = bench.send(right()).await;
    assert_eq!((status, body["code"].as_str()), (503, Some("too_many_waiters")));
    assert!(headers.contains_key(header::RETRY_AFTER));
    gate.notify_one();
    for caller in callers {
        assert_eq!(caller.await.unwrap().0, 200);
    }
    bench.settled((0, 1, 2)).await;
}

#[tokio::test]
async fn k8_leaders_that_leave_one_after_another_neither_restart_nor_orphan_the_solve() {
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    let bench = Bench::new(bounds(), move |number, _| {
        let gate = Arc::clone(&held);
        async move {
            gate.notified().await;
            Ok(numbered(number))
        }
    });
    for _ in 0..260 {
        let leader = bench.spawn(right());
        bench.until_waiting(1).await;
        let heir = bench.spawn(right());
        bench.until_waiting(2).await;
        for caller in [leader, heir] {
            caller.abort();
            assert!(caller.await.unwrap_err().is_cancelled());
        }
        bench.until_waiting(0).await;
        assert_eq!(bench.cache.view().flights, 1, "a node works on it");
    }
    let survivor = bench.spawn(right());
    bench.until_waiting(1).await;
    gate.notify_one();
    assert_eq!(survivor.await.unwrap().0, 200);
    assert_eq!(bench.solves(), 1);
}

#[tokio::test]
async fn k8_a_solve_that_nobody_waits_for_is_finished_and_kept() {
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    let bench = Bench::new(bounds(), move |number, _| {
        let gate = Arc::clone(&held);
        async move {
            gate.notified().await;
            Ok(numbered(number))
        }
    });
    let caller = bench.spawn(right());
    while bench.solves() == 0 {
        tokio::task::yield_now().await;
    }
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    gate.notify_one();
    bench.settled((0, 1, 0)).await;
    assert_eq!(bench.send(right()).await.2["receipt"]["cache"], "hit");
}

/// A node before which solves queue; what ran is noted.
fn queueing(parts: Parts, gate: &Arc<Semaphore>) -> (Path, Cache, Arc<AtomicUsize>) {
    let (cache, ran, gate) = (Cache::new(bounds()), Arc::new(AtomicUsize::new(0)), Arc::clone(gate));
    let counted = Arc::clone(&ran);
    let forward = service_fn(move |seated: Seated| {
        let (gate, counted) = (Arc::clone(&gate), Arc::clone(&counted));
        async move {
            let slot = gate.acquire_owned().await.unwrap();
            if !seated.due().solve().course().send() {
                return Err(Error::DeadlineExceeded);
            }
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            drop(slot);
            Ok(answer())
        }
    });
    let parts = Parts { cache: Some(cache.clone()), ..parts };
    (path(parts, forward), cache, ran)
}

#[tokio::test]
async fn k8_a_queued_solve_that_nobody_waits_for_never_runs() {
    let gate = Arc::new(Semaphore::new(0));
    let (path, cache, ran) = queueing(parts(), &gate);
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { send(&path, right()).await })
        })
        .collect();
    while cache.view().waiting < 3 {
        tokio::task::yield_now().await;
    }
    for caller in callers {
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    assert_eq!(cache.view().flights, 0, "it is gone at once");
    gate.add_permits(1);
    cache.drain().await;
    assert_eq!((ran.load(Ordering::SeqCst), gate.available_permits()), (0, 1));
}

/// Callers that come and vanish at moments drawn from a seed: none of those who stay goes without an answer, and nothing is left.
#[tokio::test(start_paused = true)]
async fn k8_two_hundred_seeded_moments_of_leaving_leave_nothing_behind() {
    let parts = parts();
    for seed in 0..200u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut draw = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let gate = Arc::new(Semaphore::new(1));
        let (path, cache, ran) = queueing(parts.clone(), &gate);
        // The slot is taken for a while, so that leaving falls into queueing as often as into solving.
        let taken = Arc::clone(&gate).acquire_owned().await.unwrap();
        let hold = draw(20);
        let callers: Vec<_> = (0..6)
            .map(|_| {
                let (come, stay, path) = (draw(20), draw(25), path.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(come)).await;
                    let wait = Duration::from_millis(stay);
                    (stay > 20, tokio::time::timeout(wait, send(&path, right())).await)
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(hold)).await;
        drop(taken);
        for caller in callers {
            let (patient, answered) = caller.await.unwrap();
            match answered {
                Ok((status, ..)) => assert_eq!(status, 200, "seed {seed}"),
                Err(_left) => assert!(!patient, "seed {seed}: one who stayed was not answered"),
            }
        }
        cache.drain().await;
        let view = cache.view();
        assert_eq!((view.flights, view.waiting, gate.available_permits()), (0, 0, 1), "seed {seed}");
        assert!(ran.load(Ordering::SeqCst) <= 1, "seed {seed}: the same was solved twice");
    }
}

#[tokio::test]
async fn k9_a_nodes_failure_is_tried_once_more_for_those_who_joined_and_never_again() {
    for (failures, status) in [(1, 200), (9, 502)] {
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let bench = Bench::new(bounds(), move |number, _| {
            let gate = Arc::clone(&held);
            async move {
                let _ = gate.acquire().await;
                if number < failures { Err(Error::NodeUnreachable) } else { Ok(numbered(number)) }
            }
        });
        let callers: Vec<_> = (0..20).map(|_| bench.spawn(right())).collect();
        bench.until_waiting(20).await;
        gate.add_permits(1);
        for caller in callers {
            assert_eq!(caller.await.unwrap().0, status);
        }
        assert_eq!(bench.solves(), 2);
        bench.settled((0, 1, 19)).await;
    }
}

#[tokio::test]
async fn a_preview_that_its_session_gave_up_still_serves_those_who_joined_it() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let bench = Bench::new(bounds(), move |number, _| {
        let gate = Arc::clone(&held);
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(numbered(number))
        }
    });
    let preview = |width: u32, session: &str| {
        let mut request = with(right(), crate::gateway::validate::PREVIEW_SESSION, session);
        *request.uri_mut() = "/gh/sitefit:1.0.0/solve?lane=preview".parse().unwrap();
        *request.body_mut() = json!({ "inputs": { "site_width": width, "site_depth": 40 } }).to_string();
        request
    };
    // The first holds the lane's only seat; the second waits for it, and a caller of another session joins.
    let mut callers = vec![bench.spawn(preview(30, "a"))];
    bench.until_waiting(1).await;
    for (waiting, session) in [(2, "b"), (3, "c")] {
        callers.push(bench.spawn(preview(31, session)));
        bench.until_waiting(waiting).await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    // The session's newer preview takes the place of its older one in the queue.
    callers.push(bench.spawn(preview(32, "b")));
    bench.until_waiting(4).await;
    gate.add_permits(10);
    for caller in callers {
        let (status, _, body) = caller.await.unwrap();
        assert_eq!(status, 200, "{body}");
    }
    assert_eq!(bench.solves(), 3);
    bench.settled((0, 3, 1)).await;
}

#[tokio::test]
async fn k9_a_panic_is_a_500_for_its_flight_and_for_nobody_later() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let bench = Bench::new(bounds(), move |number, _| {
        let gate = Arc::clone(&held);
        async move {
            let _ = gate.acquire().await;
            assert!(number > 0, "the first solve panics");
            Ok(numbered(number))
        }
    });
    let callers: Vec<_> = (0..10).map(|_| bench.spawn(right())).collect();
    bench.until_waiting(10).await;
    gate.add_permits(1);
    for caller in callers {
        let (status, _, body) = caller.await.unwrap();
        assert_eq!((status, body["code"].as_str()), (500, Some("internal")));
    }
    assert_eq!(bench.solves(), 1, "a panic is not tried again");
    assert_eq!(bench.send(right()).await.2["outputs"]["number"], 1);
    bench.settled((0, 2, 9)).await;
}

#[tokio::test]
async fn k9_every_waiter_has_its_own_deadline_and_the_solve_has_the_contracts() {
    let allowed = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&allowed);
    let bench = Bench::new(bounds(), move |number, seated: Seated| {
        let due = seated.due();
        let left = due.by().saturating_duration_since(due.solve().ticket().arrived);
        noted.lock().unwrap().push(left);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(numbered(number))
        }
    });
    let name = crate::gateway::validate::TIMEOUT_SEC;
    let start = Instant::now();
    let hasty = bench.spawn(with(right(), name.clone(), "0.5"));
    bench.until_waiting(1).await;
    let patient = bench.spawn(right());
    bench.until_waiting(2).await;
    let (status, _, body) = hasty.await.unwrap();
    assert_eq!((status, body["code"].as_str()), (504, Some("node_timeout")));
    let after = start.elapsed();
    assert!(after <= Duration::from_millis(600) && after >= Duration::from_millis(499), "{after:?}");
    assert_eq!(patient.await.unwrap().2["receipt"]["cache"], "joined");
    let allowed = allowed.lock().unwrap().clone();
    assert_eq!(allowed, [Duration::from_mins(1)], "the hasty caller's patience does not bound the solve");
}
