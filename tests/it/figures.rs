//! The figures that are promised, measured over sockets with `appserver load` in front and a stub of a known speed behind.
//!
//! Each test prints what it found. It asserts a looser bound, which a busy machine keeps; what never depends on the machine (solves at
//! one time, no errors, nothing left behind) is asserted exactly. On a quiet machine:
//! `cargo nextest run --release -p appserver --test it --run-ignored ignored-only -E 'test(/^figures::slow::/)' --no-capture -j 1`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use appserver::config::Config;
use serde_json::{Value, json};

use crate::load::{command, read};
use crate::support::{KEY, Setup, TestGateway, edit_policy, sitefit};

const SOLVE_MS: u64 = 20;
/// Two seats, each solve 20 ms.
const IDEAL_PER_SEC: f64 = 100.0;
const THREE: [&str; 3] = ["studio", "kiosk", "bureau"];

/// Two seats that the lanes share, lines that are long enough for all who come, no rate that is reached, and a third tenant.
fn two_seats(root: &Path) {
    edit_policy(&root.join("contracts/sitefit"), |policy| {
        for (key, value) in [("max_concurrency", 2), ("preview_seats", 2), ("batch_seats", 2)] {
            policy[key] = json!(value);
        }
        policy["rate_limits"] = json!({ "preview_rps": 10_000, "batch_jobs_per_min": 600 });
        policy["queue"] = json!({ "preview": { "depth_max": 64, "wait_ms_max": 20_000 } });
    });
    let file = root.join("tenants.json");
    let mut tenants: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let digest = contract::Digest::of("as_bureau_key").to_string();
    tenants["tenants"]["bureau"] = json!({ "apps": ["sitefit"], "keys": [{ "id": "third", "sha256": digest }] });
    std::fs::write(file, tenants.to_string()).unwrap();
}

async fn gateway(children: usize, config: fn(&mut Config)) -> TestGateway {
    let stub = Some(Duration::from_millis(SOLVE_MS));
    let nodes = vec![simnode::Config { stub, children, ..simnode::Config::default() }];
    let gateway =
        TestGateway::with(Setup { nodes, keys: true, edit: Some(two_seats), config: Some(config), ..Setup::default() })
            .await;
    // Each child evaluates its first solve really; what is measured comes after.
    let warm = (0..4 * children).map(|number| async move {
        let body = json!({ "inputs": { "site_width": 100 + number, "site_depth": 40 } });
        body.to_string()
    });
    for body in warm {
        assert_eq!(gateway.post("/gh/sitefit:1.0.0/solve?lane=preview", body.await).await.status, 200);
    }
    gateway
}

/// What `appserver load` reports, whether or not all was answered well.
async fn load(gateway: &TestGateway, words: &str) -> Value {
    let words = format!("--solve sitefit:1.0.0 --lane preview --seed 7 {words}");
    let output = command(&gateway.base, &words).env("BUREAU_KEY", "as_bureau_key").output().await.unwrap();
    let (code, report, talk) = read(&output);
    assert!(code <= 1 && report["all"]["sent"].as_u64() > Some(0), "{code} {talk}");
    report
}

fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {pointer} in {report}"))
}

fn most_at_once(gateway: &TestGateway) -> usize {
    gateway.nodes[0].state().max_concurrent_solves
}

/// Nothing runs, nothing is wedged, no flight is open, and both seats can be had at one time.
async fn assert_nothing_is_left(gateway: &TestGateway) {
    gateway.until(|health| health.nodes.iter().all(|node| node.free == node.slots && node.wedged == 0)).await;
    if let Some(caches) = gateway.admin.caches() {
        for _ in 0..100 {
            if (caches.flights, caches.waiting) == (0, 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let caches = gateway.admin.caches().unwrap();
        assert_eq!((caches.flights, caches.waiting), (0, 0));
    }
    let both = (0..2).map(|number| {
        let body = json!({ "inputs": { "site_width": 60 + number, "site_depth": 41 } }).to_string();
        let request = gateway.client.post(format!("{}/gh/sitefit:1.0.0/solve?lane=preview", gateway.base));
        request.bearer_auth(KEY).header("X-Timeout-Sec", "5").header("Cache-Control", "no-cache").body(body).send()
    });
    for answer in futures_util::future::join_all(both).await {
        assert_eq!(answer.unwrap().status().as_u16(), 200, "a seat has not come back");
    }
}

mod slow {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "takes 15 s, and its figure is of use on a quiet machine"]
    async fn two_seats_of_20_ms_give_99_of_100_solves_a_second_and_never_run_a_third() {
        let gateway = gateway(8, |_| ()).await;
        let report = load(&gateway, "--callers 16 --duration 10 --tenant studio:env:STUDIO_KEY").await;
        let (rate, all) = (number(&report, "/all/goodput_per_sec"), &report["all"]);
        println!(
            "16 callers, 2 seats of 20 ms: {rate:.1}/s of {IDEAL_PER_SEC}/s (aim 99), at most {} at once, codes {}",
            most_at_once(&gateway),
            all["codes"]
        );
        assert_eq!(all["good"], all["sent"], "none fails: {}", all["codes"]);
        assert_eq!(most_at_once(&gateway), 2);
        assert!(rate <= 1.05 * IDEAL_PER_SEC, "{rate}");
        // However slow the machine makes a solve, the seats are hardly ever without one while callers wait.
        let busy = rate * number(&report, "/all/service_ms/p50") / 1_000.0 / 2.0;
        assert!(busy > 0.5, "the seats were in use for {:.0} % of the time", 100.0 * busy);
        gateway.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "takes 15 s, and its figure is of use on a quiet machine"]
    async fn one_connection_beside_fifteen_of_another_tenant_waits_for_one_solve_at_most() {
        let gateway = gateway(8, |_| ()).await;
        let tenants = "--tenant studio:env:STUDIO_KEY:15 --tenant kiosk:env:KIOSK_KEY:1";
        let report = load(&gateway, &format!("--callers 16 --duration 10 {tenants}")).await;
        let p50 = |tenant: &str| number(&report, &format!("/tenants/{tenant}/latency_ms/p50"));
        let (heavy, light) = (p50("studio"), p50("kiosk"));
        println!("15 connections of one tenant and 1 of another: p50 {heavy:.1} ms and {light:.1} ms (aim 45)");
        assert_eq!(report["all"]["good"], report["all"]["sent"]);
        assert!(light * 2.0 < heavy, "{light} {heavy}");
        assert_eq!(most_at_once(&gateway), 2);
        gateway.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "takes 25 s, and its figure is of use on a quiet machine"]
    async fn o7_a_light_tenant_keeps_its_goodput_beside_a_neighbour_of_twenty_times_its_load() {
        let gateway = gateway(8, |config| config.server.connections_per_ip_max = 2_000).await;
        let light = "--tenant kiosk:env:KIOSK_KEY:1";
        let alone = load(&gateway, &format!("--rate 10 --spacing constant --duration 10 {light}")).await;
        let words = format!("--rate 210 --connections 500 --duration 10 --tenant studio:env:STUDIO_KEY:20 {light}");
        let beside = load(&gateway, &words).await;
        let share = |report: &Value| number(report, "/tenants/kiosk/good") / number(report, "/tenants/kiosk/sent");
        let (alone, kept) = (share(&alone), share(&beside));
        println!(
            "a light tenant at 10/s: {:.1} % of its calls are served alone, {:.1} % beside 200/s of another (aim 95 % of the former); \
             its wait p99 is {:.0} ms",
            100.0 * alone,
            100.0 * kept,
            number(&beside, "/tenants/kiosk/wait_ms/p99"),
        );
        assert!(alone >= 0.95, "what is lost alone is not the neighbour's doing");
        assert!(kept >= 0.95 * alone, "{}", beside["tenants"]);
        // The generator had a connection for each call, so that the load was what it says; and the neighbour got the rest.
        assert_eq!(beside["all"]["unsent"], 0, "{}", beside["all"]);
        assert!(
            number(&beside, "/tenants/studio/good") > number(&beside, "/tenants/kiosk/good"),
            "{}",
            beside["tenants"]
        );
        assert_eq!(most_at_once(&gateway), 2);
        gateway.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "takes 15 s, and its figure is of use on a quiet machine"]
    async fn three_equal_tenants_have_equal_shares() {
        let gateway = gateway(8, |_| ()).await;
        let tenants = THREE.map(|tenant| format!("--tenant {tenant}:env:{}_KEY", tenant.to_uppercase())).join(" ");
        let report = load(&gateway, &format!("--callers 24 --duration 10 {tenants}")).await;
        let fairness = number(&report, "/fairness");
        println!("three equal tenants of 8 connections: Jain's index {fairness:.4} (aim 0.98)");
        assert_eq!(report["all"]["good"], report["all"]["sent"]);
        assert!(fairness >= 0.95, "{}", report["tenants"]);
        gateway.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "takes 10 s"]
    async fn callers_that_hang_up_cost_no_seat_and_what_ran_for_them_is_kept() {
        let gateway = gateway(8, |config| config.cache.enabled = true).await;
        let solves = || gateway.nodes[0].log().iter().filter(|entry| entry.path == "/grasshopper").count();
        let words = "--callers 16 --hang-up-after 100 --duration 5 --tenant studio:env:STUDIO_KEY";
        let stays = async {
            let mut served = 0;
            for number in 0..40 {
                let body = json!({ "inputs": { "site_width": 150 + number, "site_depth": 41 } }).to_string();
                let answer = gateway.post("/gh/sitefit:1.0.0/solve?lane=preview", body).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                served += 1;
            }
            served
        };
        let (report, served) = tokio::join!(load(&gateway, words), stays);
        gateway.until(|health| health.nodes.iter().all(|node| node.free == node.slots)).await;
        for _ in 0..100 {
            if gateway.admin.caches().is_some_and(|caches| caches.flights == 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let caches = serde_json::to_value(gateway.admin.caches()).unwrap();
        let kept = caches["apps"][0]["preview"]["entries"].as_u64().unwrap();
        println!(
            "16 callers that leave after 100 ms: {} sent, {} at the node, {kept} kept, {served} of 40 that stay are served, at most {} at once",
            report["all"]["sent"],
            solves(),
            most_at_once(&gateway)
        );
        assert!(report["all"]["codes"]["hung_up"].as_u64() > Some(0), "{}", report["all"]["codes"]);
        assert_eq!(most_at_once(&gateway), 2);
        assert_eq!(kept, solves() as u64, "each solve that ran is kept: {caches}");
        assert_nothing_is_left(&gateway).await;
        gateway.stop().await;
    }

    /// The next of a sequence that a seed gives (xorshift64*).
    fn next(state: &mut u64) -> u64 {
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "takes minutes: 20,000 connections"]
    async fn o4_a_thousand_callers_that_vanish_at_random_moments_leave_nothing_behind() {
        let gateway = gateway(8, |config| {
            config.cache.enabled = true;
            config.server.connections_per_ip_max = 1_000;
        })
        .await;
        for seed in 1..=20_u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            for _ in 0..10 {
                let crowd = (0..100).map(|_| {
                    let (cut, wait, width, ahead) =
                        (next(&mut state), next(&mut state) % 60, u32::try_from(next(&mut state) % 100_000).unwrap(), next(&mut state) % 4);
                    let address = gateway.address;
                    async move {
                        let mut body = sitefit();
                        // Nearly each a solve of its own: a caller who is given a kept answer has nothing to leave behind.
                        body["inputs"]["site_width"] = json!(50.0 + f64::from(width) / 1_000.0);
                        let body = body.to_string();
                        let head = format!(
                            "POST /gh/sitefit:1.0.0/solve?lane=preview HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n\
                             Content-Length: {}\r\n\r\n",
                            body.len()
                        );
                        // A byte of a next request, sent ahead, hides the end of the connection from a plain read.
                        let whole = [head.as_bytes(), body.as_bytes(), if ahead == 0 { b"P" } else { b"" }].concat();
                        // Half of them send all of it.
                        let cut = usize::try_from(cut).unwrap_or(usize::MAX) % (2 * whole.len());
                        let Ok(mut stream) = TcpStream::connect(address).await else { return };
                        let _ = stream.write_all(&whole[..cut.min(whole.len())]).await;
                        tokio::time::sleep(Duration::from_millis(wait)).await;
                    }
                });
                let crowd: Vec<_> = crowd.collect();
                futures_util::future::join_all(crowd).await;
            }
            assert_nothing_is_left(&gateway).await;
            assert!(most_at_once(&gateway) <= 2, "seed {seed}");
        }
        let solved: BTreeSet<_> = gateway.nodes[0].log().iter().map(|entry| entry.number).collect();
        println!(
            "20 times 1,000 callers vanished: nothing is left; the node's log holds its last {} requests",
            solved.len()
        );
        gateway.stop().await;
    }
}
