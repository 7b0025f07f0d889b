//! G15: seats and apps change while callers call.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use appserver::config::Config;
use serde_json::json;

use super::{body, sitefit_policy, stub};
use crate::support::{Answered, Setup, TestGateway, sitefit};

/// How long each solve takes on the node.
const SOLVE_MS: u64 = 150;

/// Changes the seats so many times, and takes the app away and back every twentieth. Nobody is cut off, and what ran when seats were
/// lowered ends by itself, within the longest solve. The longest time that took, and how many calls there were.
pub(super) async fn under_load(changes: usize) -> (Duration, usize) {
    let edit: fn(&Path) = |root| {
        let queue = json!({ "batch": { "depth_max": 64, "wait_ms_max": 60_000 } });
        sitefit_policy(root, &json!({ "max_concurrency": 8, "batch_seats": 8, "queue": queue }));
    };
    let config: fn(&mut Config) = |config| config.registry.settle_ms = 20;
    let setup = Setup { nodes: vec![stub(SOLVE_MS, 8)], edit: Some(edit), config: Some(config), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..10)
        .map(|caller| {
            let target = format!("{}/gh/sitefit:1.0.0/solve?lane=batch", gateway.base);
            let (client, stop) = (gateway.client.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut calls, mut longest) = (0, Duration::ZERO);
                while !stop.load(Ordering::Relaxed) {
                    let call = client.post(&target).body(body(caller * 900 + calls).to_string());
                    let answer = Answered::of(call.send().await.unwrap()).await;
                    calls += 1;
                    if answer.status == 200 {
                        let solve = answer.json()["receipt"]["timings"]["node_ms"].as_f64().unwrap();
                        longest = longest.max(Duration::from_secs_f64(solve / 1000.0));
                        continue;
                    }
                    // While the app was away it was unknown, and who waited for a seat of it was told that there is none.
                    let code = answer.problem().1;
                    assert!(["unknown_definition", "unknown_version", "lane_closed"].contains(&&*code), "{code}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                (calls, longest)
            })
        })
        .collect();
    let seats = |gateway: &TestGateway| {
        let traffic = serde_json::to_value(gateway.admin.traffic()).unwrap();
        let app = traffic["apps"].as_array().unwrap().iter().find(|app| app["app_id"] == "sitefit").cloned();
        app.map(|app| (app["seats"].as_u64().unwrap(), app["in_use"].as_u64().unwrap()))
    };
    let (app, aside) = (gateway.root().join("contracts/sitefit"), gateway.root().join("aside"));
    let (mut converged, mut last) = (Duration::ZERO, 8);
    for change in 0..changes {
        if change % 20 == 5 {
            fs::rename(&app, &aside).unwrap();
            until(|| seats(&gateway).is_none()).await;
            assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 404);
            fs::rename(&aside, &app).unwrap();
            until(|| seats(&gateway).is_some_and(|(seats, _)| seats == last)).await;
        } else {
            last = [2, 8, 1, 5, 2, 8][change % 6];
            sitefit_policy(&gateway.root(), &json!({ "max_concurrency": last, "batch_seats": last }));
            until(|| seats(&gateway).is_some_and(|(seats, _)| seats == last)).await;
            let begin = Instant::now();
            until(|| seats(&gateway).is_some_and(|(_, in_use)| in_use <= last)).await;
            converged = converged.max(begin.elapsed());
        }
    }
    gateway.until_solved().await;
    stop.store(true, Ordering::Relaxed);
    let (mut all, mut longest) = (0, Duration::ZERO);
    for caller in callers {
        let (calls, solve) = caller.await.unwrap();
        all += calls;
        longest = longest.max(solve);
    }
    println!("{changes} changes, {all} calls: converged within {converged:?}, the longest solve took {longest:?}");
    // A look every 10 ms, and the way of the answer from the node to the seat.
    assert!(converged <= longest + Duration::from_millis(250), "{converged:?} {longest:?}");
    gateway.stop().await;
    (converged, all)
}

/// Waits, within a bound.
async fn until(holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(20), "not within 20 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn g15_seats_change_and_an_app_comes_and_goes_under_load_and_nobody_is_cut_off() {
    let (_, calls) = under_load(8).await;
    assert!(calls > 20, "{calls}");
}
