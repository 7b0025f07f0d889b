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
#[ignore = "slow: a hundred drains under load"]
async fn s1_a_hundred_drains_with_a_hundred_callers_each_lose_nothing() {
    let mut all = 0;
    for _ in 0..100 {
        let (answered, taken) = drained_under_load(100).await;
        assert_eq!(taken, json!({ "received": answered, "under_way": 0, "ended": { "ok": answered } }));
        all += answered;
    }
    println!("{all} answered, none lost");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: five minutes of a node that comes and goes"]
async fn u8_a_node_that_comes_and_goes_for_five_minutes_changes_rarely_and_fails_nobody() {
    let edit: fn(&Path) = |root| sitefit_policy(root, &json!({ "max_concurrency": 4, "preview_seats": 4 }));
    let setup = Setup { nodes: vec![stub(5, 2), stub(5, 2)], edit: Some(edit), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    gateway.until(|health| health.nodes.iter().all(|node| node.state.as_str() == "up")).await;
    let end = Instant::now() + Duration::from_mins(5);
    let callers = (0..4).map(|caller| {
        let (client, target) = (gateway.client.clone(), format!("{}/gh/sitefit:1.0.0/solve", gateway.base));
        tokio::spawn(async move {
            let (mut asked, mut failed) = (0_u32, 0_u32);
            while Instant::now() < end {
                let sent = body(caller * 2_500 + asked as usize % 2_500).to_string();
                let answer = client.post(&target).body(sent).send().await;
                asked += 1;
                failed += u32::from(!answer.is_ok_and(|answer| answer.status() == 200));
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            (asked, failed)
        })
    });
    let callers: Vec<_> = callers.collect();
    let (mut changes, mut last, mut flips) = (0, true, 0_u32);
    let mut next = Instant::now();
    while Instant::now() < end {
        if Instant::now() >= next {
            flips += 1;
            next += Duration::from_millis(1500);
            let faults: Faults = if flips % 2 == 1 { Fault::Refuse.always().into() } else { Faults::default() };
            gateway.nodes[0].set_faults(faults).await;
        }
        // In or out of use: one that is suspect is out of it already, while another is well.
        let is_used = gateway.admin.health().nodes[0].state.as_str() == "up";
        if is_used != last {
            (changes, last) = (changes + 1, is_used);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (mut asked, mut failed) = (0, 0);
    for caller in callers {
        let (sent, unserved) = caller.await.unwrap();
        (asked, failed) = (asked + sent, failed + unserved);
    }
    println!("{flips} comings and goings, {changes} times taken out of use or back, {failed} of {asked} solves failed");
    assert!(changes <= 4 * 5, "{changes}");
    assert!(failed * 100 <= asked, "{failed} of {asked}");
    gateway.nodes[0].set_faults(Faults::default()).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: a thousand callers that drip"]
async fn c1_a_thousand_callers_that_drip_are_cut_and_hold_up_nobody() {
    let config: fn(&mut Config) = |config| config.server.connections_per_ip_max = 4096;
    let setup = Setup { nodes: vec![stub(5, 4)], config: Some(config), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    let slowest = async |count: usize| {
        let mut times = Vec::new();
        for number in 0..count {
            let begin = Instant::now();
            assert_eq!(gateway.solve("sitefit:1.0.0", &body(number)).await.status, 200);
            times.push(begin.elapsed());
        }
        times.sort();
        times[count * 99 / 100]
    };
    let before = slowest(300).await;
    let line = "POST /gh/sitefit:1.0.0/solve HTTP/1.1\r\nHost: a\r\n";
    let drips = (0..1000).map(|number| {
        let address = gateway.address;
        tokio::spawn(async move {
            let (begin, mut socket) = (Instant::now(), TcpStream::connect(address).await.unwrap());
            // Half of them drip a head, half a body.
            let head = if number % 2 == 0 { line.to_owned() } else { format!("{line}Content-Length: 10000\r\n\r\n") };
            socket.write_all(head.as_bytes()).await.unwrap();
            let (mut reader, mut writer) = socket.into_split();
            let drip = tokio::spawn(async move {
                while writer.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            });
            let mut answer = Vec::new();
            let _ = tokio::time::timeout(Duration::from_secs(30), reader.read_to_end(&mut answer)).await.unwrap();
            drip.abort();
            begin.elapsed()
        })
    });
    let drips: Vec<_> = drips.collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let beside = slowest(300).await;
    let cut = join_all(drips).await.into_iter().map(Result::unwrap).max().unwrap();
    println!("all of a thousand cut after {cut:?}; p99 of a solve {before:?} before, {beside:?} beside them");
    assert!(cut <= Duration::from_secs(10), "{cut:?}");
    assert!(beside <= before * 2 + Duration::from_millis(10), "{beside:?} beside them, {before:?} before");
    gateway.stop().await;
}
