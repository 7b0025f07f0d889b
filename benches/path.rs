//! What a request costs before and after the node: parsing, checking and keying its inputs, and the whole path in memory.

use std::convert::Infallible;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use appserver::gateway::authorize::Access;
use appserver::gateway::body::Bounds;
use appserver::gateway::cache::{self, Cache, LaneBounds};
use appserver::gateway::flood::Guard;
use appserver::gateway::outcomes::Outcomes;
use appserver::gateway::ratelimit::Buckets;
use appserver::gateway::record::{self, Recorder};
use appserver::gateway::stage::{Timings, full};
use appserver::gateway::{self, Answer, Error, Parts, Request, Response, Seated};
use appserver::nodes::{Nodes, Options};
use appserver::registry::Registry;
use appserver::seats::Seats;
use contract::{Contract, json};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::value::to_raw_value;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt as _, service_fn};

fn version() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/registry/contracts/sitefit/1.1.0"))
}

/// A body of about 1 KB: the first example, with white space as pretty printers leave it.
fn body() -> String {
    let contract = Contract::load(version()).expect("the sample is right");
    let body = serde_json::json!({ "app_id": "sitefit", "inputs": contract.examples.valid[0].inputs });
    let mut body = serde_json::to_string_pretty(&body).expect("JSON is text");
    while body.len() < 1024 {
        body.insert(1, ' ');
    }
    body
}

fn validate(c: &mut Criterion) {
    let (contract, body) = (Contract::load(version()).expect("the sample is right"), body());
    let mut group = c.benchmark_group("validate");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("parse, check and key 1 KB", |b| {
        b.iter(|| {
            let body = json::parse(black_box(body.as_bytes()), &json::Limits::default()).expect("JSON");
            contract.check_inputs(&body["inputs"]).expect("valid inputs").key
        });
    });
    group.finish();
}

fn load(c: &mut Criterion) {
    c.bench_function("load the contract of sitefit 1.1.0", |b| b.iter(|| Contract::load(black_box(version()))));
}

/// Opens the app `sitefit` and no other.
const KEY: &str = "as_bench";

/// The samples `sitefit`, with a preview lane that is never refused and a batch lane that nearly always is, and `parking`, in which
/// nobody waits for a seat; and one key.
fn registry_with_rates(root: &Path) {
    let (from, app) = (version().parent().expect("an app's folder"), root.join("contracts/sitefit"));
    copy(from, &app);
    let text = std::fs::read_to_string(from.join("policy.json")).expect("a policy");
    let mut policy: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    policy["rate_limits"] = serde_json::json!({ "preview_rps": 100_000, "batch_jobs_per_min": 0.001 });
    std::fs::write(app.join("policy.json"), policy.to_string()).expect("a policy is written");
    let parking = root.join("contracts/parking");
    copy(&from.parent().expect("the apps' folder").join("parking"), &parking);
    let text = std::fs::read_to_string(parking.join("policy.json")).expect("a policy");
    let mut policy: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    policy["rate_limits"] = serde_json::json!({ "preview_rps": 100_000, "batch_jobs_per_min": 100_000 });
    policy["queue"] = serde_json::json!({ "batch": { "depth_max": 0 } });
    std::fs::write(parking.join("policy.json"), policy.to_string()).expect("a policy is written");
    let key =
        serde_json::json!({ "id": "bench", "sha256": contract::Digest::of(KEY).to_string(), "app_id": "sitefit" });
    let tenants = serde_json::json!({ "tenants": { "bench": { "apps": ["sitefit"], "keys": [key] } } });
    std::fs::write(root.join("tenants.json"), tenants.to_string()).expect("tenants are written");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(path, target).expect("a file is copied");
        }
    }
}

type Front = BoxCloneSyncService<Request, Response, Infallible>;

/// The whole path with a node that answers `sitefit` at once, and nothing else ever.
fn in_memory(cache: Option<Cache>, access: Access, recorder: Option<Recorder>) -> Front {
    let root = tempfile::tempdir().expect("a folder");
    registry_with_rates(root.path());
    let (nodes, _driver) = Nodes::new(Options::default()).expect("no nodes, nothing to go wrong");
    let (registry, seats) = (Registry::open(root.path()).expect("the samples are right"), Seats::new());
    gateway::seats::apply(&seats, &registry.current());
    let slos = gateway::slo::Slos::default();
    slos.apply(&registry.current());
    let parts = Parts {
        metrics: appserver::telemetry::metrics::Metrics::default(),
        tracer: trace::Tracer::default(),
        registry,
        nodes,
        seats,
        access,
        flood: Guard::new(1_000_000, 1_000_000, Vec::new()),
        buckets: Buckets::default(),
        outcomes: Outcomes::default(),
        slos,
        uri_bytes_max: 4096,
        body: Bounds::new(1 << 20, 1 << 30, Duration::from_secs(5), 1024),
        interpreter: None,
        cache,
        recorder,
        timeout_max: Duration::from_mins(1),
    };
    let answer = Answer {
        outputs: to_raw_value(&serde_json::json!({ "gfa": 3000.0 })).expect("JSON").into(),
        warnings: Arc::new([]),
        node: "bench".into(),
        rhino: None,
        timings: Timings::default(),
        trees: None,
        solved_in: None,
    };
    let forward = service_fn(move |seated: Seated| {
        let answers = &*seated.due().solve().caller().app_id == "sitefit";
        let answer = answer.clone();
        async move {
            let _seated = seated;
            if answers { Ok::<_, Error>(answer) } else { std::future::pending().await }
        }
    });
    gateway::path(parts, forward)
}

fn cache() -> Cache {
    let lane = LaneBounds { bytes_max: 64 << 20, ttl: Duration::from_hours(1) };
    Cache::new(cache::Bounds {
        preview: lane,
        batch: lane,
        failure_ttl: Duration::from_mins(1),
        followers_max: 1024,
        bodies_bytes_max: 16 << 20,
        timeout_max: Duration::from_mins(1),
    })
}

fn path(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (path, body) = (in_memory(None, Access::Open, None), body());
    let (cached, keyed) = (in_memory(Some(cache()), Access::Open, None), in_memory(None, Access::Keys(None), None));
    let busy = in_memory(None, Access::Open, None);
    let sample = Recorder::new(record::Bounds { inputs: 1000, bytes: 1 << 20, bytes_total: 1 << 26 });
    let recorded = in_memory(Some(cache()), Access::Open, Some(sample));
    let mut group = c.benchmark_group("path in memory");
    let mut case =
        |name: &str, path: &Front, target: &'static str, body: &dyn Fn() -> String, more: &[(&str, &str)]| {
            group.bench_function(name, |b| {
                b.to_async(&runtime).iter(|| {
                    let request = http::Request::post(target).header("host", "bench");
                    let request = more.iter().fold(request, |request, (name, value)| request.header(*name, *value));
                    path.clone().oneshot(request.body(full(body())).expect("a request"))
                });
            });
        };
    let solve = "/gh/sitefit:1.1.0/solve";
    case("solve", &path, solve, &|| body.clone(), &[]);
    case("hit", &cached, solve, &|| body.clone(), &[]);
    // The same, counted in a sample of inputs.
    case("hit, recorded", &recorded, solve, &|| body.clone(), &[]);
    // A flight of its own, which is kept when it has landed.
    case("miss", &cached, solve, &|| body.clone(), &[("cache-control", "no-cache")]);
    case("422", &path, solve, &|| r#"{"inputs":{"site_width":-1}}"#.to_owned(), &[]);
    case("429", &path, "/gh/sitefit:1.1.0/solve?lane=batch", &|| body.clone(), &[]);
    case("400", &path, solve, &|| r#"{"inputs":{"site_width":30"#.to_owned(), &[]);
    case("401", &keyed, solve, &|| body.clone(), &[]);
    let bearer = format!("Bearer {KEY}");
    case("403", &keyed, solve, &|| body.clone(), &[("authorization", &bearer), ("x-app-id", "parking")]);
    case("404", &path, "/gh/nosuch:1.0.0/solve", &|| body.clone(), &[]);
    case("413", &path, solve, &|| " ".repeat(70_000), &[]);
    // The lane's one seat is held for as long as the contract lets a solve run, a minute.
    let parking = "/gh/parking:1.0.0/solve?lane=batch";
    let inputs = || r#"{"inputs":{"lot_length":60,"lot_width":27}}"#.to_owned();
    let held = http::Request::post(parking).header("host", "bench").body(full(inputs())).expect("a request");
    let holder = runtime.spawn(busy.clone().oneshot(held));
    runtime.block_on(tokio::task::yield_now());
    case("503", &busy, parking, &inputs, &[]);
    assert!(!holder.is_finished(), "the seat was free in between");
    holder.abort();
    group.finish();
}

criterion_group!(benches, validate, load, path);
criterion_main!(benches);
