//! What must hold after every test, whatever it did: nothing is kept, nothing is counted twice, no node had too much.
//!
//! Invariant: each check waits for a bound at most, because what ends with a solve ends a moment after its answer.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::runtime::Handle;

use crate::support::{KEY, TestGateway, WORKER_KEY};

/// How long after the last answer something may still be on its way back.
const SETTLES: Duration = Duration::from_secs(8);

/// A gateway at rest: no seat, slot, place in a line or flight is left; every request has one outcome, every ask for a seat
/// one end; no node was given more at once than it has slots; nothing panicked; nodes were asked again at most as often as the budget
/// allows, and solved nothing that nobody was admitted for; no key shows in anything that operators read.
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
    asked_within_the_budget(gateway);
    no_key_shows(gateway);
}

/// How many gateways a process has, and what was open before the first of them.
static OPEN: Mutex<(usize, Baseline)> = Mutex::new((0, Baseline { descriptors: 0, tasks: 0 }));

#[derive(Clone, Copy, Debug)]
struct Baseline {
    descriptors: usize,
    tasks: usize,
}

impl Baseline {
    fn now() -> Self {
        // The listing itself is one of them.
        let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() - 1);
        Self { descriptors, tasks: Handle::current().metrics().num_alive_tasks() }
    }
}

/// A gateway that counts among those of the process until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted;

impl Counted {
    pub(crate) fn new() -> Self {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if open.0 == 0 {
            open.1 = Baseline::now();
        }
        open.0 += 1;
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).0 -= 1;
    }
}

/// When the last gateway of a process has gone with its nodes, what it had open is closed and its tasks have ended, but for five of each,
/// which a test may hold itself. Asked only where each test is a process of its own: else neighbours open and close theirs meanwhile.
pub(crate) async fn nothing_stays_open() {
    const MAY_STAY: usize = 5;
    let (gateways, before) = *OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if gateways > 1 || std::env::var_os("NEXTEST").is_none() {
        return;
    }
    let begin = Instant::now();
    loop {
        let now = Baseline::now();
        if now.descriptors <= before.descriptors + MAY_STAY && now.tasks <= before.tasks + MAY_STAY {
            return;
        }
        assert!(begin.elapsed() < SETTLES, "before: {before:?}, after: {now:?}, {:#?}", open_files());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What the process has open, for who looks for the one too many.
fn open_files() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(std::fs::read_link(entry.path()).ok()?.display().to_string())).collect()
}

/// Second tries are a tenth of what was admitted, or three in any ten seconds. A node solves what was admitted, what was tried again, and what
/// the gateway tries it with; nothing else.
fn asked_within_the_budget(gateway: &TestGateway) {
    let (mut node, mut others) = (0, 0);
    for view in gateway.admin.health().nodes {
        node += view.sent_again.node;
        others += view.sent_again.definition + view.sent_again.canary;
    }
    let granted = granted(gateway);
    let floor = 3 * (2 + gateway.since.elapsed().as_secs() / 10);
    assert!(node <= granted / 10 + floor, "{node} second tries of {granted} solves in {:?}", gateway.since.elapsed());
    if gateway.alone {
        // An app that goes takes its count with it; nobody was admitted without a request.
        let admitted = granted.max(count(&traffic(gateway)["requests"], "received"));
        let children = gateway.nodes.iter().flat_map(|node| node.state().children);
        let solves: u64 = children.map(|child| child.solves).sum();
        assert!(
            solves <= admitted + node + others,
            "{solves} solves of {admitted} admitted, {node} tried again, {others} others"
        );
    }
}

/// The harness' keys are in no view, event or count that operators read.
fn no_key_shows(gateway: &TestGateway) {
    let views = [
        traffic(gateway).to_string(),
        serde_json::to_string(&gateway.admin.health()).unwrap(),
        serde_json::to_string(&gateway.admin.caches()).unwrap(),
    ];
    for view in views {
        assert!(![KEY, WORKER_KEY].iter().any(|key| view.contains(key)), "{view}");
    }
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
