//! Rows of the plan of faults, over real sockets: overload, nodes that fail, deadlines, changes under load, the drain.
//! `docs/rows.md` lists all rows, those that other files hold, and the figures reached.
//!
//! Invariant: each test ends in [`TestGateway::stop`], which asserts what must hold after every test.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use appserver::config::Config;
use futures_util::future::join_all;
use serde_json::{Value, json};
use simnode::{Fault, Faults};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

mod changes;
mod closing;
mod slow;

use crate::invariants::{attempts, ended, granted};
use crate::support::{Answered, KEY, Setup, TestGateway, edit_policy, set_rates, sitefit};

const SOLVE: &str = "/grasshopper";

fn slow(ms: u64, children: usize) -> simnode::Config {
    simnode::Config { children, faults: Fault::Delay { ms }.at(SOLVE).into(), ..simnode::Config::default() }
}

/// A node whose solves take a time and no processor.
fn stub(ms: u64, children: usize) -> simnode::Config {
    simnode::Config { children, stub: Some(Duration::from_millis(ms)), ..simnode::Config::default() }
}

/// A body that differs from every other with another number.
fn body(number: usize) -> Value {
    let mut body = sitefit();
    body["inputs"]["site_width"] = json!(30.0 + f64::from(u32::try_from(number % 10_000).unwrap()) / 100.0);
    body
}

fn sitefit_policy(root: &Path, change: &Value) {
    edit_policy(&root.join("contracts/sitefit"), |policy| {
        for (key, value) in change.as_object().unwrap() {
            policy[key] = value.clone();
        }
    });
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test]
async fn o2_a_refusal_needs_no_body_and_costs_no_seat_and_no_solve() {
    let edit: fn(&Path) = |root| set_rates(root, 1.0);
    let setup = Setup { nodes: vec![slow(10, 1)], edit: Some(edit), rates: true, ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 200);
    let mut refused = 0;
    for _ in 0..20 {
        // A megabyte is announced, and not a byte of it is sent.
        let head = "POST /gh/sitefit:1.0.0/solve HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut answer)).await.unwrap().unwrap();
        refused += u64::from(&answer[9..12] == b"429");
    }
    assert!(refused >= 19, "{refused} of 20: at most one has earned its rate meanwhile");
    assert_eq!((granted(&gateway), attempts(&gateway)), (1, 1));
    gateway.stop().await;
}

#[tokio::test]
async fn o12_an_overloaded_line_of_previews_is_thinned_out_and_goes_on_serving() {
    let edit: fn(&Path) = |root| {
        sitefit_policy(
            root,
            &json!({ "max_concurrency": 1, "preview_seats": 1, "batch_seats": 1,
                     "queue": { "preview": { "depth_max": 64, "wait_ms_max": 1500 } } }),
        );
    };
    let setup = Setup { nodes: vec![slow(60, 4)], edit: Some(edit), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    let target = format!("{}/gh/sitefit:1.0.0/solve?lane=preview", gateway.base);
    let mut calls = Vec::new();
    // Some three times what one seat can do, for five seconds.
    for number in 0..250 {
        let call = gateway.client.post(&target).body(body(number).to_string()).send();
        calls.push(tokio::spawn(async move { Answered::of(call.await.unwrap()).await }));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (mut served, mut busy) = (0, 0);
    for call in calls {
        let answer = call.await.unwrap();
        match answer.status {
            200 => served += 1,
            503 => {
                assert_eq!(answer.problem().1, "app_busy");
                assert!(!answer.header("retry-after").is_empty());
                busy += 1;
            }
            other => panic!("{other}: {}", answer.text),
        }
    }
    let traffic = serde_json::to_value(gateway.admin.traffic()).unwrap();
    let app = traffic["apps"].as_array().unwrap().iter().find(|app| app["app_id"] == "sitefit").unwrap();
    assert!(served > 10 && busy > 10, "{served} served, {busy} busy: {app}");
    assert!(app["preview"]["shed"].as_u64().unwrap() > 0, "{app}");
    assert_eq!(attempts(&gateway), served, "who was shed was never run");
    assert_eq!(ended(&gateway, "app_busy"), busy);
    gateway.stop().await;
}

#[tokio::test]
async fn o13_a_preview_does_not_wait_behind_the_batches_that_fill_the_app() {
    let edit: fn(&Path) = |root| {
        let queue = json!({ "batch": { "depth_max": 64, "wait_ms_max": 60_000 } });
        let policy = json!({ "max_concurrency": 2, "preview_seats": 1, "batch_seats": 2, "queue": queue });
        sitefit_policy(root, &policy);
    };
    let setup = Setup { nodes: vec![slow(60, 4)], edit: Some(edit), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    let call = |lane: &str, number: usize| {
        let target = format!("{}/gh/sitefit:1.0.0/solve?lane={lane}", gateway.base);
        let call = gateway.client.post(target).body(body(number).to_string());
        async move {
            let begin = Instant::now();
            assert_eq!(call.send().await.unwrap().status().as_u16(), 200);
            begin.elapsed()
        }
    };
    let stop = AtomicBool::new(false);
    let batches = join_all((0..16).map(|caller| {
        let (call, stop) = (&call, &stop);
        async move {
            let mut times = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                times.push(call("batch", caller * 500 + times.len()).await);
            }
            times
        }
    }));
    let previews = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut times = Vec::new();
        for number in 0..12 {
            times.push(call("preview", 9_000 + number).await);
        }
        stop.store(true, Ordering::Relaxed);
        times
    };
    let (batches, previews) = tokio::join!(batches, previews);
    let batches = batches.concat();
    // A preview waits for one solve at most, and a batch for some seven. Compared with each other, so that a busy machine slows both.
    assert!(batches.len() >= 16 && median(previews.clone()) * 2 < median(batches.clone()), "{previews:?} {batches:?}");
    assert!(gateway.nodes[0].state().max_concurrent_solves <= 2);
    gateway.stop().await;
}

#[tokio::test]
async fn u6_no_answer_that_is_none_is_kept_or_passed_on() {
    let config: fn(&mut Config) = |config| (config.cache.enabled, config.solve.wedged_sec_max) = (true, 1);
    let faults = [
        (Fault::Drip { bytes_per_second: 1 }, 504, "node_timeout"),
        (Fault::EndlessChunked, 502, "answer_too_large"),
        (Fault::Huge { bytes: 64 << 20 }, 502, "answer_too_large"),
        (Fault::WrongContentLength { off_by: 50 }, 502, "node_unreachable"),
        (Fault::TruncatedJson { keep: 100 }, 502, "node_invalid_answer"),
        (Fault::OkWithText { text: "NaN".into() }, 502, "node_invalid_answer"),
        (Fault::Garbage, 502, "node_unreachable"),
    ];
    let gateways = faults.into_iter().map(|(fault, status, code)| async move {
        let what = format!("{fault:?}");
        let setup = Setup { nodes: vec![simnode::Config::default()], config: Some(config), ..Setup::default() };
        let gateway = TestGateway::with(setup).await;
        gateway.nodes[0].set_faults(fault.at(SOLVE)).await;
        let target = format!("{}/gh/sitefit:1.0.0/solve", gateway.base);
        let call = gateway.client.post(&target).header("X-Timeout-Sec", "8").body(sitefit().to_string());
        let answer = Answered::of(call.send().await.unwrap()).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{what}: {}", answer.text);
        let kept = gateway.admin.caches().unwrap();
        assert!(serde_json::to_value(&kept).unwrap()["apps"].as_array().unwrap().iter().all(|app| {
            app["preview"]["entries"].as_u64().unwrap_or(0) + app["batch"]["entries"].as_u64().unwrap_or(0) == 0
        }));
        gateway.nodes[0].set_faults(Faults::default()).await;
        gateway.until_solved().await;
        gateway.stop().await;
    });
    for gateway in gateways {
        gateway.await;
    }
}

#[tokio::test]
async fn u10_where_most_nodes_fail_the_check_and_nothing_else_they_are_used_and_those_that_refuse_are_not() {
    let edit: fn(&Path) = |root| {
        let queue = json!({ "preview": { "depth_max": 64, "wait_ms_max": 60_000 } });
        sitefit_policy(root, &json!({ "max_concurrency": 4, "preview_seats": 4, "queue": queue }));
    };
    let setup = Setup { nodes: vec![slow(20, 1); 4], edit: Some(edit), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    gateway.until(|health| health.nodes.iter().all(|node| node.rhino.is_some())).await;
    for node in [1, 2] {
        gateway.nodes[node].set_faults(Fault::EmptyError.at("/healthcheck")).await;
    }
    gateway.nodes[3].set_faults(Fault::Refuse.always()).await;
    gateway.until(|health| health.nodes[1..].iter().all(|node| node.state.as_str() == "down")).await;
    let before: Vec<usize> = gateway.nodes.iter().map(|node| node.log().len()).collect();
    let bodies: Vec<Value> = (0..40).map(body).collect();
    let answers = join_all(bodies.iter().map(|body| gateway.solve("sitefit:1.0.0", body))).await;
    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let solves = |node: usize| {
        let log = gateway.nodes[node].log();
        log[before[node].min(log.len())..].iter().filter(|entry| entry.path == SOLVE).count()
    };
    assert!(solves(1) + solves(2) > 0, "the check is doubted");
    assert_eq!(solves(3), 0, "who refuses connections is out");
    // With the check passing again on two of three, the one that fails it alone is left out.
    gateway.nodes[1].set_faults(vec![]).await;
    gateway.nodes[3].set_faults(vec![]).await;
    let up = |health: &appserver::admin::Health, node: usize| health.nodes[node].state.as_str() == "up";
    gateway.until(|health| up(health, 1) && up(health, 3) && health.nodes[3].rhino.is_some()).await;
    let (two, answers) = (solves(2), join_all(bodies.iter().map(|body| gateway.solve("sitefit:1.0.0", body))).await);
    assert!(answers.iter().any(|answer| answer.status == 200));
    assert_eq!(solves(2), two, "the check is believed again");
    gateway.nodes[2].set_faults(vec![]).await;
    gateway.stop().await;
}

/// Delays each solve, then measures the version until its pace is known.
async fn paced(cache: bool) -> TestGateway {
    let config: fn(&mut Config) = if cache { |config| config.cache.enabled = true } else { |_| () };
    let setup = Setup { nodes: vec![slow(300, 1)], config: Some(config), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    for number in 0..8 {
        assert_eq!(gateway.solve("sitefit:1.0.0", &body(number)).await.status, 200);
    }
    gateway
}

#[tokio::test]
async fn u14_a_solve_that_cannot_be_over_in_time_is_refused_before_it_is_sent() {
    for cache in [false, true] {
        let gateway = paced(cache).await;
        let target = format!("{}/gh/sitefit:1.0.0/solve", gateway.base);
        let within = |seconds: &'static str, number: usize| {
            let call = gateway.client.post(&target).header("X-Timeout-Sec", seconds).body(body(number).to_string());
            async { Answered::of(call.send().await.unwrap()).await }
        };
        let before = attempts(&gateway);
        for number in 100..105 {
            let refused = within("0.2", number).await;
            assert_eq!(refused.problem(), (504, "deadline_unreachable".to_owned()), "{}", refused.text);
        }
        assert_eq!(attempts(&gateway), before, "nothing was sent");
        assert_eq!(within("20", 200).await.status, 200);
        if cache {
            assert_eq!(within("0.2", 200).await.json()["receipt"]["cache"], "hit", "what is kept takes no time");
        }
        // What waits for its slot until too little is left is not sent either.
        let waiting = join_all([within("20", 300), within("0.5", 301)]).await;
        assert!(waiting.iter().any(|answer| answer.status == 200));
        let sent = attempts(&gateway) - before;
        let late = waiting.iter().filter(|answer| answer.status != 200).count() as u64;
        assert!(sent + late == 3 || (late == 1 && sent == 3), "{sent} sent, {late} late");
        gateway.stop().await;
    }
}

/// Stops a gateway under load. How many answers callers have read, and what the gateway says of those that it took. A
/// request that is sent on a connection just as that closes was not taken, and is no loss: nobody can tell it from one that
/// was sent a moment later.
async fn drained_under_load(callers: usize) -> (u64, Value) {
    let edit: fn(&Path) = |root| {
        let queue = json!({ "batch": { "depth_max": 128, "wait_ms_max": 60_000 } });
        sitefit_policy(root, &json!({ "max_concurrency": 4, "batch_seats": 4, "queue": queue }));
    };
    let setup = Setup { nodes: vec![slow(30, 4)], edit: Some(edit), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    let answered = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let target = format!("{}/gh/sitefit:1.0.0/solve?lane=batch", gateway.base);
            let answered = Arc::clone(&answered);
            // A connection of its own for each, kept alive.
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            tokio::spawn(async move {
                for number in 0.. {
                    let call = client.post(&target).bearer_auth(KEY).body(body(caller * 300 + number).to_string());
                    let whole = async {
                        let answer = call.send().await?.error_for_status()?;
                        answer.bytes().await
                    };
                    match whole.await {
                        Ok(_) => {
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        // The door is closed.
                        Err(_) => return,
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(400)).await;
    let admin = gateway.admin.clone();
    gateway.stop().await;
    for task in tasks {
        task.await.unwrap();
    }
    let taken = serde_json::to_value(admin.traffic()).unwrap()["requests"].clone();
    (answered.load(Ordering::Relaxed) as u64, taken)
}

#[tokio::test]
async fn s1_a_gateway_that_is_told_to_go_loses_nothing_that_it_has_taken() {
    let (answered, taken) = drained_under_load(12).await;
    assert!(answered >= 12, "{answered}");
    assert_eq!(taken, json!({ "received": answered, "under_way": 0, "ended": { "ok": answered } }));
}

#[tokio::test]
async fn s1_what_balances_the_load_is_given_time_to_notice() {
    let config: fn(&mut Config) = |config| config.server.linger_sec = 1;
    let gateway = TestGateway::with(Setup { nodes: vec![slow(1, 1)], config: Some(config), ..Setup::default() }).await;
    let (base, body) = (gateway.base.clone(), sitefit().to_string());
    assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 200);
    let (begin, stopped) = (Instant::now(), tokio::spawn(gateway.stop()));
    // A connection of its own for each, as callers make them that have not been told yet.
    let call = async |method: reqwest::Method, path: &str| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.request(method, format!("{base}{path}")).bearer_auth(KEY).body(body.clone()).send().await;
        answer.map(|answer| answer.status().as_u16())
    };
    while call(reqwest::Method::GET, "/readyz").await.unwrap() != 503 {
        assert!(begin.elapsed() < Duration::from_millis(900), "it does not say that it goes");
    }
    assert_eq!(call(reqwest::Method::POST, "/gh/sitefit:1.0.0/solve").await.unwrap(), 200);
    stopped.await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert!(call(reqwest::Method::GET, "/readyz").await.unwrap_err().is_connect());
}

#[tokio::test(flavor = "multi_thread")]
async fn o8_a_policys_weights_decide_how_tenants_share_its_seats() {
    let (studio, kiosk) = shares_of_three_to_one(Duration::from_secs(4)).await;
    assert!((2.4..=3.6).contains(&(studio / kiosk)), "{studio} {kiosk}");
}

/// The seconds of one seat that two tenants got, of which one has three times the weight of the other and both always wait.
async fn shares_of_three_to_one(span: Duration) -> (f64, f64) {
    let edit: fn(&Path) = |root| {
        let seats =
            json!({ "max_concurrency": 1, "preview_seats": 1, "batch_seats": 1, "tenant_weights": { "studio": 3 } });
        sitefit_policy(root, &seats);
    };
    let gateway = TestGateway::with(Setup { nodes: vec![stub(30, 1)], edit: Some(edit), ..Setup::default() }).await;
    let end = Instant::now() + span;
    // Each tenant always has as many waiting as the other.
    let callers = (0..12).map(|caller| {
        let tenant = ["studio", "kiosk"][caller % 2];
        let client = gateway.client.clone();
        let target = format!("{}/gh/sitefit:1.0.0/solve?lane=batch", gateway.base);
        tokio::spawn(async move {
            let (mut calls, mut seconds) = (0, 0.0);
            while Instant::now() < end {
                let call =
                    client.post(&target).header("X-Tenant-Id", tenant).body(body(caller * 800 + calls).to_string());
                let answer = Answered::of(call.send().await.unwrap()).await;
                assert_eq!(answer.status, 200, "{tenant}: {}", answer.text);
                // By time and not by number: what a busy machine draws out counts for as long as it took.
                seconds += answer.json()["receipt"]["timings"]["node_ms"].as_f64().unwrap() / 1000.0;
                calls += 1;
            }
            (tenant, calls, seconds)
        })
    });
    let mut by_tenant = BTreeMap::new();
    for caller in join_all(callers).await {
        let (tenant, calls, seconds) = caller.unwrap();
        let sums = by_tenant.entry(tenant).or_insert((0, 0.0));
        *sums = (sums.0 + calls, sums.1 + seconds);
    }
    println!("{by_tenant:?}");
    assert!(by_tenant["kiosk"].0 >= 5, "{by_tenant:?}");
    gateway.stop().await;
    (by_tenant["studio"].1, by_tenant["kiosk"].1)
}
