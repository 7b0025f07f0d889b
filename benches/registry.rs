//! What finding a version costs, with 10 and with 10,000 versions in the registry: it should be the same.

use std::hint::black_box;
use std::path::Path;

use appserver::registry::Registry;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};

/// So many apps with ten versions each, all of them the sample `parking` under other names.
fn generate(root: &Path, apps: usize) {
    let sample = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/registry/contracts/parking/1.0.0"));
    let folder = contract::Folder::read(sample).expect("the sample can be read");
    for app in (0..apps).map(name) {
        for version in (0..10).map(|minor| format!("1.{minor}.0")) {
            for (path, bytes) in &folder.files {
                let file = root.join("contracts").join(&app).join(&version).join(path);
                std::fs::create_dir_all(file.parent().expect("it lies in a folder")).expect("a folder");
                let mut bytes = bytes.to_vec();
                if path == "manifest.json" {
                    let mut manifest: Value = serde_json::from_slice(&bytes).expect("JSON");
                    (manifest["app_id"], manifest["definition"]) = (json!(app), json!(app));
                    manifest["version"] = json!(version);
                    bytes = manifest.to_string().into_bytes();
                }
                std::fs::write(file, bytes).expect("a file is written");
            }
        }
        let policy = json!({
            "app_id": app, "allowed_definitions": [app], "max_concurrency": 2, "preview_seats": 1, "batch_seats": 1,
            "rate_limits": { "preview_rps": 10, "batch_jobs_per_min": 30 },
        });
        std::fs::write(root.join("contracts").join(&app).join("policy.json"), policy.to_string())
            .expect("a policy is written");
    }
}

fn name(number: usize) -> String {
    format!("app-{number:05}")
}

fn lookup(c: &mut Criterion) {
    let mut group = c.benchmark_group("registry lookup");
    // Where every bench only runs once to see that it does, a small registry says as much.
    let most = if std::env::args().any(|word| word == "--test") { 2 } else { 1_000 };
    for apps in [1, most] {
        let root = tempfile::tempdir().expect("a folder");
        generate(root.path(), apps);
        let registry = Registry::open(root.path()).expect("the registry is right");
        let (snapshot, wanted) = (registry.current(), name(apps / 2));
        assert_eq!(snapshot.releases().filter(|release| release.contract().is_some()).count(), 10 * apps);
        for (what, version) in [("an exact version", "1.3.0"), ("the stable one", "stable")] {
            group.bench_function(BenchmarkId::new(what, 10 * apps), |b| {
                b.iter(|| {
                    let snapshot = registry.current();
                    let app = snapshot.owner(black_box(&wanted)).expect("it is there");
                    app.resolve(&wanted, version, |_| true).expect("it has it").version.clone()
                });
            });
        }
        group.bench_function(BenchmarkId::new("a name with a slip", 10 * apps), |b| {
            b.iter(|| snapshot.similar_definition(black_box("app-0050x"), |_| true));
        });
    }
    group.finish();
}

criterion_group!(benches, lookup);
criterion_main!(benches);
