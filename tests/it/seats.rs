//! Seats over sockets: an app never runs more than its policy says, tenants take turns, and nobody keeps a seat by leaving.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simnode::{Config, Fault};

use crate::support::{KEY, Setup, TestGateway, sitefit};

/// How long the node takes for each solve.
const SERVICE: Duration = Duration::from_millis(60);

fn slow_node() -> Config {
    let delay = Fault::Delay { ms: u64::try_from(SERVICE.as_millis()).unwrap() };
    Config { children: 8, faults: delay.at("/grasshopper").into(), ..Config::default() }
}

/// Changes members of sitefit's policy.
fn policy(root: &Path, change: &Value) {
    let file = root.join("contracts/sitefit/policy.json");
    let mut policy: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for (key, value) in change.as_object().unwrap() {
        policy[key] = value.clone();
    }
    fs::write(file, policy.to_string()).unwrap();
}

/// Nothing is limited but the seats, so that waits are about them alone.
fn two_seats(root: &Path) {
    policy(
        root,
        &json!({
            "max_concurrency": 2, "preview_seats": 2, "batch_seats": 2,
            "rate_limits": { "preview_rps": 10000, "batch_jobs_per_min": 600_000 },
            "queue": { "preview": { "depth_max": 64, "wait_ms_max": 20000 } }
        }),
    );
}

/// A body that differs from every other with another number, so that none is answered for another.
fn body(number: usize) -> Value {
    let mut body = sitefit();
    body["inputs"]["site_width"] = json!(30.0 + f64::from(u32::try_from(number % 10_000).unwrap()) / 100.0);
    body
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

async fn node_is_idle(gateway: &TestGateway) {
    gateway.until(|health| health.nodes.iter().all(|node| node.free == node.slots && node.wedged == 0)).await;
}

#[tokio::test]
async fn an_app_never_runs_more_than_its_seats_and_uses_them_all() {
    let setup = Setup { nodes: vec![slow_node()], edit: Some(two_seats), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    let bodies: Vec<Value> = (0..24).map(body).collect();
    let answers = futures_util::future::join_all(bodies.iter().map(|body| gateway.solve("sitefit:1.0.0", body))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(gateway.nodes[0].state().max_concurrent_solves, 2);
    node_is_idle(&gateway).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_full_line_is_refused_with_the_time_to_come_back() {
    let edit = |root: &Path| {
        two_seats(root);
        policy(
            root,
            &json!({ "max_concurrency": 1, "preview_seats": 1, "batch_seats": 1, "queue": { "preview": { "depth_max": 1 } } }),
        );
    };
    let setup = Setup { nodes: vec![slow_node()], edit: Some(edit), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    let bodies: Vec<Value> = (0..6).map(body).collect();
    let answers = futures_util::future::join_all(bodies.iter().map(|body| gateway.solve("sitefit:1.0.0", body))).await;
    let solved = answers.iter().filter(|answer| answer.status == 200).count();
    let busy: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert_eq!((solved, busy.len()), (2, 4), "one runs, one waits");
    for answer in busy {
        assert_eq!(answer.problem().1, "app_busy");
        assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_newest_preview_of_a_session_takes_the_place_of_its_older_one() {
    let edit = |root: &Path| {
        two_seats(root);
        policy(root, &json!({ "max_concurrency": 1, "preview_seats": 1, "batch_seats": 1 }));
    };
    let setup = Setup { nodes: vec![slow_node()], edit: Some(edit), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    let send = |number: usize| {
        let request = gateway.client.post(format!("{}/gh/sitefit:1.0.0/solve", gateway.base));
        let request = request.header("X-Preview-Session", "slider-1").body(body(number).to_string());
        async move {
            // A slider that is dragged: one preview every few milliseconds.
            tokio::time::sleep(Duration::from_millis(5 * number as u64)).await;
            request.send().await.unwrap().status().as_u16()
        }
    };
    let statuses = futures_util::future::join_all((0..6).map(send)).await;
    assert_eq!(
        statuses,
        [200, 409, 409, 409, 409, 200],
        "the first runs, the last waits, those between are passed over"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn o7_a_light_tenant_is_served_beside_a_heavy_one() {
    let setup = Setup { nodes: vec![slow_node()], edit: Some(two_seats), keys: true, ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    let target = format!("{}/gh/sitefit:1.0.0/solve?lane=preview", gateway.base);
    let call = |key: &'static str, number: usize| {
        let request = gateway.client.post(&target).bearer_auth(key).body(body(number).to_string());
        async move {
            let begin = Instant::now();
            assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
            begin.elapsed()
        }
    };
    let end = Instant::now() + SERVICE * 40;
    let heavy = (0..15).map(|caller| {
        let call = &call;
        async move {
            let mut number = caller * 1000;
            let mut times = Vec::new();
            while Instant::now() < end {
                times.push(call(KEY, number).await);
                number += 1;
            }
            times
        }
    });
    let light = async {
        tokio::time::sleep(SERVICE * 3).await;
        let mut times = Vec::new();
        while Instant::now() < end {
            times.push(call("as_kiosk_key", 50_000 + times.len()).await);
        }
        times
    };
    let (heavy, light) = tokio::join!(futures_util::future::join_all(heavy), light);
    let (heavy, light) = (median(heavy.concat()), median(light));
    // In turn it waits for one solve at most, each of the fifteen for seven or eight. First come, first served would make all wait
    // alike. The two are compared with each other, so that a busy machine slows both.
    assert!(light * 2 < heavy, "the light tenant's median is {light:?}, the heavy one's {heavy:?}");
    node_is_idle(&gateway).await;
    gateway.stop().await;
}
#[tokio::test]
async fn callers_that_hang_up_give_the_app_no_extra_solves() {
    let setup = Setup { nodes: vec![slow_node()], edit: Some(two_seats), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    let target = format!("{}/gh/sitefit:1.0.0/solve", gateway.base);
    let leave = |number: usize| {
        let request = gateway.client.post(&target).timeout(Duration::from_millis(5 + 7 * (number as u64 % 13)));
        request.body(body(number).to_string()).send()
    };
    let left = futures_util::future::join_all((0..40).map(leave)).await;
    assert!(left.iter().any(Result::is_err), "some must have left");
    assert_eq!(gateway.solve("sitefit:1.0.0", &body(99)).await.status, 200, "one that stays is served");
    assert!(gateway.nodes[0].state().max_concurrent_solves <= 2);
    node_is_idle(&gateway).await;
    gateway.stop().await;
}
