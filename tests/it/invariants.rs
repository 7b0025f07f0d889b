//! What must hold after every test, whatever it did: nothing is kept, nothing is counted twice, no node had too much.
//!
//! Invariant: each check waits for a bound at most, because what ends with a solve ends a moment after its answer.

use std::time::Duration;

use serde_json::Value;

use crate::support::TestGateway;

/// How long after the last answer something may still be on its way back.
const SETTLES: Duration = Duration::from_secs(8);

/// A gateway at rest: no seat, slot, place in a line or flight is left; every request has one outcome, every ask for a seat
/// one end; no node was given more at once than it has slots; nothing panicked; nodes were asked at most a tenth more
/// often than solves were admitted.
///
/// Slots that a hung node keeps are its own matter: they count as wedged, and a test that hangs nodes looks at them itself.
pub(crate) async fn hold(gateway: &TestGateway) {
    let begin = std::time::Instant::now();
    while let Err(broken) = at_rest(gateway) {
        assert!(begin.elapsed() < SETTLES, "{broken}\n{:#}", traffic(gateway));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for (node, running) in gateway.nodes.iter().enumerate() {
        let most = running.state().max_concurrent_solves;
        let slots = gateway.slots[node];
        assert!(most <= slots, "node {}: {most} solves at once on {slots} slots", node + 1);
    }
    assert_eq!(traffic(gateway)["panics"], 0, "{:#}", traffic(gateway));
}

/// How many seats were given out, which is how many solves were admitted to the nodes.
pub(crate) fn granted(gateway: &TestGateway) -> u64 {
    lanes(&traffic(gateway)).iter().map(|lane| count(lane, "granted")).sum()
}

/// How often nodes were asked to solve.
pub(crate) fn attempts(gateway: &TestGateway) -> u64 {
    let log = |node: &simnode::Running| node.log().iter().filter(|entry| entry.path == "/grasshopper").count();
    gateway.nodes.iter().map(log).sum::<usize>() as u64
}

/// How many requests ended so.
pub(crate) fn ended(gateway: &TestGateway, code: &str) -> u64 {
    count(&traffic(gateway)["requests"]["ended"], code)
}

fn at_rest(gateway: &TestGateway) -> Result<(), String> {
    let traffic = traffic(gateway);
    let zero = |what: &str, value: &Value| {
        if *value == 0 || value.is_null() { Ok(()) } else { Err(format!("{what}: {value} left")) }
    };
    let requests = &traffic["requests"];
    zero("requests under way", &requests["under_way"])?;
    let ended: u64 = requests["ended"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    if count(requests, "received") != ended {
        return Err(format!("{} received, {ended} ended", requests["received"]));
    }
    for app in traffic["apps"].as_array().unwrap() {
        zero("seats in use", &app["in_use"])?;
    }
    for lane in lanes(&traffic) {
        zero("waiting for a seat", &lane["waiting"])?;
        let ends = ["granted", "refused", "superseded", "expired", "closed", "shed", "displaced", "left"];
        let ends: u64 = ends.iter().map(|end| count(lane, end)).sum();
        if count(lane, "asked") != ends {
            return Err(format!("asked for a seat and not ended: {lane}"));
        }
    }
    for lane in ["preview", "batch"] {
        zero("waiting for a slot", &traffic["slots_waiting"][lane])?;
    }
    zero("flights", &traffic["flights"]["solves"])?;
    zero("callers of flights", &traffic["flights"]["callers"])?;
    let running = gateway.admin.health().nodes.iter().map(|node| node.running).sum::<u32>();
    zero("slots of solves that are waited for", &running.into())
}

fn lanes(traffic: &Value) -> Vec<&Value> {
    let apps = traffic["apps"].as_array().unwrap();
    apps.iter().flat_map(|app| [&app["preview"], &app["batch"]]).collect()
}

fn count(of: &Value, what: &str) -> u64 {
    of[what].as_u64().unwrap_or(0)
}

fn traffic(gateway: &TestGateway) -> Value {
    serde_json::to_value(gateway.admin.traffic()).unwrap()
}
