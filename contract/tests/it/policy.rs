//! Policies: what is accepted, and what each slip is told.

use contract::policy::{CacheScope, Describe, Policy, is_app_id};

const GOOD: &str = r#"{ "app_id": "sitefit", "allowed_definitions": ["sitefit"],
  "max_concurrency": 2, "preview_seats": 1, "batch_seats": 1,
  "rate_limits": { "preview_rps": 10, "batch_jobs_per_min": 30 },
  "manifest_overrides": { "timeout_sec": 120 } }"#;

fn check(replace: (&str, &str)) -> Result<Policy, Vec<(&'static str, String)>> {
    assert!(GOOD.contains(replace.0), "{}", replace.0);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("policy.json");
    std::fs::write(&file, GOOD.replace(replace.0, replace.1)).expect("it can be written");
    Policy::load(&file).map_err(|faults| {
        assert!(faults.iter().all(|fault| fault.file == file));
        faults.into_iter().map(|fault| (fault.rule, fault.pointer.unwrap_or_default())).collect()
    })
}

#[test]
fn the_plain_policy_is_read_and_the_rest_is_left_open() {
    let policy = check(("", "")).unwrap();
    assert_eq!(policy.manifest_overrides.timeout_sec, Some(120));
    assert_eq!(policy.queue.preview.depth_max, None);
    assert!(!policy.deny_scripts && !policy.shadow && policy.aliases.is_empty());
}

#[test]
fn every_added_key_is_read() {
    let policy = check((
        "\"max_concurrency\"",
        r#""aliases": { "stable": "1.1.0" }, "cache": { "preview": { "bytes_max": 1024, "ttl_sec": 60 } },
           "queue": { "batch": { "depth_max": 5, "wait_ms_max": 1000 } }, "limits": { "request_bytes": 4096 },
           "node_pool": "gpu", "deny_scripts": true, "cors_origins": ["https://studio.example", "*"], "shadow": true,
           "describe": "public", "tenant_weights": { "studio": 3 },
           "cache_scope": "app",
           "slo": { "availability": 0.99, "preview_p95_ms": 500 }, "max_concurrency""#,
    ))
    .unwrap();
    assert_eq!(policy.aliases["stable"].to_string(), "1.1.0");
    assert_eq!((policy.cache.preview.bytes_max, policy.queue.batch.wait_ms_max), (Some(1024), Some(1000)));
    assert_eq!((policy.cache_scope, policy.describe), (CacheScope::App, Describe::Public));
    assert_eq!(["studio", "kiosk"].map(|tenant| policy.weight(tenant).get()), [3, 1]);
    assert_eq!(policy.cors_origins, ["https://studio.example", "*"]);
    assert_eq!((policy.limits.request_bytes, policy.node_pool.as_deref()), (Some(4096), Some("gpu")));
}

#[test]
fn a_slip_is_told_at_its_place() {
    for (replace, fault) in [
        (("\"preview_seats\": 1", "\"preview_seats\": 3"), ("policy_seats", "/preview_seats")),
        (("\"max_concurrency\": 2", "\"max_concurrency\": 3"), ("policy_seats", "/max_concurrency")),
        (("\"preview_rps\": 10", "\"preview_rps\": 0"), ("exclusiveMinimum", "/rate_limits/preview_rps")),
        (("\"max_concurrency\"", "\"max_concurency\": 1, \"max_concurrency\""), ("unknown_key", "/max_concurency")),
        (
            ("\"max_concurrency\"", "\"aliases\": { \"stable\": \"1.1\" }, \"max_concurrency\""),
            ("version_syntax", "/aliases/stable"),
        ),
        (
            ("\"max_concurrency\"", "\"aliases\": { \"s\": \"1.1.0+b\" }, \"max_concurrency\""),
            ("version_syntax", "/aliases/s"),
        ),
        (
            ("\"max_concurrency\"", "\"aliases\": { \"1.0.0\": \"1.1.0\" }, \"max_concurrency\""),
            ("propertyNames", "/aliases"),
        ),
        (
            ("\"max_concurrency\"", "\"cors_origins\": [\"studio.example\"], \"max_concurrency\""),
            ("pattern", "/cors_origins/0"),
        ),
    ] {
        assert_eq!(check(replace), Err(vec![(fault.0, fault.1.to_owned())]), "{replace:?}");
    }
    // Lanes that share their seats are meant so.
    assert!(check(("\"preview_seats\": 1", "\"preview_seats\": 2")).is_ok());
}

#[test]
fn a_folder_and_a_policy_take_the_same_app_ids() {
    let of_length = |length: usize| "a".repeat(length);
    let names = ["sitefit", "a", "a-1", "1a", "", "A", "a_b", "a.b", "ä", "-a", &of_length(50), &of_length(51)];
    for name in names {
        let in_policy = check(("\"app_id\": \"sitefit\"", &format!("\"app_id\": \"{name}\""))).is_ok();
        assert_eq!(is_app_id(name), in_policy, "{name}");
    }
    assert!(is_app_id(&of_length(50)) && !is_app_id(&of_length(51)));
}
