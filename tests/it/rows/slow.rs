//! Rows at the size that the plan asks for.

use super::*;

/// Two seats of 400 ms are five solves a second, which any machine can do: what is refused is refused for want of seats.
const CAPACITY: f64 = 5.0;

/// Asks at a multiple of the capacity, each caller up to four times at once, as naive clients do. Whether each was served in the end, and how
/// many asks that took.
async fn callers(gateway: &TestGateway, load: f64, span: Duration) -> (Vec<bool>, usize) {
    let target = format!("{}/gh/sitefit:1.0.0/solve?lane=preview", gateway.base);
    let (begin, asks, mut calls) = (Instant::now(), Arc::new(AtomicUsize::new(0)), Vec::new());
    while begin.elapsed() < span {
        let (client, target, asks) = (gateway.client.clone(), target.clone(), Arc::clone(&asks));
        let sent = body(calls.len()).to_string();
        calls.push(tokio::spawn(async move {
            for _ in 0..4 {
                asks.fetch_add(1, Ordering::Relaxed);
                let answer = client.post(&target).body(sent.clone()).send().await;
                if answer.is_ok_and(|answer| answer.status() == 200) {
                    return true;
                }
            }
            false
        }));
        let next = f64::from(u32::try_from(calls.len()).unwrap()) / (load * CAPACITY);
        tokio::time::sleep_until((begin + Duration::from_secs_f64(next)).into()).await;
    }
    let served = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    (served, asks.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: a minute of callers who try again, and what comes after"]
async fn o3_after_an_overload_of_callers_who_try_again_it_serves_as_before() {
    let edit: fn(&Path) = |root| {
        let queue = json!({ "preview": { "depth_max": 32, "wait_ms_max": 2000 } });
        sitefit_policy(root, &json!({ "max_concurrency": 2, "preview_seats": 2, "queue": queue }));
    };
    let setup = Setup { nodes: vec![stub(400, 2)], edit: Some(edit), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    let well = |served: &[bool]| served.iter().filter(|served| **served).count();
    let (during, asks) = callers(&gateway, 5.0, Duration::from_mins(1)).await;
    println!("{}", serde_json::to_value(gateway.admin.traffic()).unwrap()["apps"]);
    println!("a minute at five times the capacity: {} of {} served, {asks} asks", well(&during), during.len());
    assert!(well(&during) * 2 < during.len() && asks > during.len() * 2, "that is no overload");
    let (after, _) = callers(&gateway, 0.8, Duration::from_secs(10)).await;
    println!("ten seconds at four fifths of it: {} of {} served", well(&after), after.len());
    assert!(well(&after) * 100 >= after.len() * 99, "{} of {}", well(&after), after.len());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: half a minute of two tenants"]
async fn o8_half_a_minute_of_two_tenants_is_shared_to_a_tenth() {
    let (studio, kiosk) = shares_of_three_to_one(Duration::from_secs(30)).await;
    assert!((2.7..=3.3).contains(&(studio / kiosk)), "{studio} {kiosk}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: two thousand requests between which the node closes its connections"]
async fn u13_two_thousand_requests_between_which_the_node_closes_its_connections() {
    closing::nobody_is_failed_or_doubled(2_000, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: a thousand changes of the registry under load"]
async fn g15_a_thousand_changes_of_seats_and_apps_cut_nobody_off() {
    let (_, calls) = changes::under_load(1_000).await;
    assert!(calls > 5_000, "{calls}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: twenty drains under load"]
async fn s1_twenty_drains_under_load_lose_nothing() {
    let mut all = 0;
    for _ in 0..20 {
        let (answered, taken) = drained_under_load(16).await;
        assert_eq!(taken, json!({ "received": answered, "under_way": 0, "ended": { "ok": answered } }));
        all += answered;
    }
    println!("{all} answered, none lost");
}
