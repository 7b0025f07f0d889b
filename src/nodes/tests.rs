//! The nodes over real sockets, against the stand-in that solves, leaks and misbehaves as the real one does.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::{Contract, Inputs};
use serde_json::{Value, json};
use simnode::{Config, Entry, Fault, Profile};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::node::State;
use super::*;
use crate::rhino::classify::Nonsense;
use crate::rhino::protocol::Source;
use crate::vitals::Vitals;

mod line;
mod pool;

const SOLVE: &str = "/grasshopper";
const LONG: Duration = Duration::from_secs(20);

/// Nodes that stand in, and the gateway's side of them.
struct Bench {
    stand_ins: Vec<simnode::Running>,
    nodes: Nodes,
    drain: CancellationToken,
    driver: JoinHandle<()>,
}

impl Bench {
    async fn new(configs: Vec<Config>, tune: impl FnOnce(&mut Options)) -> Self {
        let mut stand_ins = Vec::new();
        let mut options = Options {
            probe_interval: Duration::from_millis(40),
            probe_timeout: Duration::from_secs(2),
            canary_timeout: Duration::from_millis(500),
            ..Options::default()
        };
        for (at, config) in configs.into_iter().enumerate() {
            let key = config.api_key.as_deref().and_then(Key::new);
            let stand_in = simnode::Node::start(config).await.unwrap();
            let url = format!("{}/", stand_in.url());
            options.nodes.push(NodeOptions { name: format!("n{at}"), url, key, slots: None, pools: Vec::new() });
            stand_ins.push(stand_in);
        }
        tune(&mut options);
        let (nodes, driver) = Nodes::new(options).unwrap();
        let drain = CancellationToken::new();
        let driver = {
            let drain = drain.clone();
            tokio::spawn(async move { driver.run(drain, &Vitals::default()).await })
        };
        Self { stand_ins, nodes, drain, driver }
    }

    /// One node, ready for the contract.
    async fn ready(config: Config, contract: &Arc<Contract>) -> Self {
        let bench = Self::new(vec![config], |_| {}).await;
        bench.until("ready", |bench| bench.nodes.attestation(contract).ready == 1).await;
        bench
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < LONG, "not {what}: {:?}", self.nodes.view());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn solve(&self, contract: &Arc<Contract>, inputs: Value) -> Result<Solved, Failure> {
        self.solve_within(contract, inputs, LONG).await
    }

    async fn solve_within(&self, contract: &Arc<Contract>, inputs: Value, time: Duration) -> Result<Solved, Failure> {
        let slot = self.nodes.acquire(contract, Instant::now() + LONG).await.unwrap();
        slot.solve(contract, &checked(contract, &inputs), Instant::now() + time).await
    }

    fn view(&self) -> NodeView {
        self.nodes.view().remove(0)
    }

    fn solves(&self) -> Vec<Entry> {
        self.stand_ins[0].log().into_iter().filter(|entry| entry.path == SOLVE).collect()
    }

    /// How each solve named its definition.
    fn sources(&self) -> Vec<String> {
        self.solves().into_iter().map(|entry| entry.members[0].clone()).collect()
    }

    async fn end(self) {
        for stand_in in &self.stand_ins {
            stand_in.set_faults(vec![]).await;
        }
        self.drain.cancel();
        tokio::time::timeout(LONG, self.driver).await.unwrap().unwrap();
        for stand_in in self.stand_ins {
            stand_in.stop().await;
        }
    }
}

fn contract(version: &str) -> Arc<Contract> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("registry/contracts").join(version);
    Arc::new(Contract::load(&folder).unwrap())
}

fn yieldcheck() -> Arc<Contract> {
    contract("yieldcheck/1.0.0")
}

fn checked(contract: &Contract, inputs: &Value) -> Inputs {
    contract.check_inputs(inputs).unwrap()
}

fn case() -> Value {
    json!({"gfa": 2400})
}

fn one_child(profile: Profile) -> Config {
    Config { children: 1, ..Config::of(profile) }
}

// === what is solved ===

#[tokio::test]
async fn both_generations_solve_a_definition_sent_once_and_then_by_its_key() {
    for profile in [Profile::V016, Profile::V017] {
        let contract = yieldcheck();
        let bench = Bench::ready(one_child(profile), &contract).await;
        let first = bench.solve(&contract, case()).await.unwrap();
        assert_eq!(first.source, Source::Algo);
        assert!(near(&first.outputs["net_income"], &json!(481_536)), "{:?}", first.outputs);
        assert_eq!(first.outputs["viable"], json!(true));
        assert_eq!(first.outputs["summary"], json!("Base case: meets the target"));
        assert_eq!(first.rhino.as_deref(), Some("8.11.24254.15001"));
        let second = bench.solve(&contract, case()).await.unwrap();
        assert_eq!(second.source, Source::Pointer);
        assert_eq!(second.outputs, first.outputs);
        assert_eq!(bench.sources(), ["algo", "pointer"], "{profile:?}");
        // Nothing but what the request is made of.
        let members = ["values", "absolutetolerance", "angletolerance", "modelunits", "dataversion", "cachesolve"];
        assert_eq!(bench.solves()[1].members[1..7], members);
        assert!(bench.solves().iter().all(|entry| entry.pointer_dereferenced.is_none()));
        bench.end().await;
    }
}

#[tokio::test]
async fn an_input_left_out_is_solved_with_its_default_whatever_the_last_caller_sent() {
    let contract = yieldcheck();
    let bench = Bench::ready(one_child(Profile::V016), &contract).await;
    let plain = bench.solve(&contract, case()).await.unwrap();
    let empty = json!({"gfa": 2400, "rent": 0, "scenario": "a \"quoted\" name"});
    let other = bench.solve(&contract, empty).await.unwrap();
    assert_eq!(other.outputs["net_income"], json!(0.0));
    assert_eq!(other.outputs["summary"], json!("a \"quoted\" name: below the target"));
    assert_eq!(bench.solve(&contract, case()).await.unwrap().outputs, plain.outputs);
    bench.end().await;
}

#[tokio::test]
async fn every_ready_sample_solves_its_examples_to_their_outputs() {
    for version in ["sitefit/1.0.0", "sitefit/1.1.0", "yieldcheck/1.0.0", "parking/1.0.0"] {
        let contract = contract(version);
        let bench = Bench::ready(Config::default(), &contract).await;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("registry/contracts").join(version);
        for file in std::fs::read_dir(folder.join("examples/valid")).unwrap() {
            let path = file.unwrap().path();
            let example: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let solved = bench.solve(&contract, example["inputs"].clone()).await;
            let solved = solved.unwrap_or_else(|failure| panic!("{}: {failure}", path.display()));
            if let Some(golden) = example["outputs"].as_object() {
                for (name, value) in golden {
                    assert!(near(&solved.outputs[name], value), "{} {name}: {}", path.display(), solved.outputs[name]);
                }
            }
        }
        bench.end().await;
    }
}

fn near(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-6 * b.abs().max(1.0)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && b.iter().all(|(name, b)| a.get(name).is_some_and(|a| near(a, b)))
        }
        (a, b) => a == b,
    }
}

#[tokio::test]
async fn a_definition_that_the_node_has_forgotten_is_sent_once_more() {
    for profile in [Profile::V016, Profile::V017] {
        let contract = yieldcheck();
        let bench = Bench::ready(one_child(profile), &contract).await;
        bench.solve(&contract, case()).await.unwrap();
        bench.stand_ins[0].forget();
        let again = bench.solve(&contract, case()).await.unwrap();
        assert_eq!(again.source, Source::Algo);
        assert_eq!(bench.solve(&contract, case()).await.unwrap().source, Source::Pointer);
        assert_eq!(bench.sources(), ["algo", "pointer", "algo", "pointer"], "{profile:?}");
        assert_eq!(bench.view().state, State::Up, "forgetting is no fault");
        bench.end().await;
    }
}

// === what fails ===

#[tokio::test]
async fn each_misbehaviour_has_its_failure_and_the_next_solve_goes_well() {
    type Expected = fn(&Failure) -> bool;
    let table: Vec<(Fault, Expected)> = vec![
        (Fault::BadGatewayPage, |failure| matches!(failure, Failure::Nonsense(Nonsense::Html(502)))),
        (Fault::TruncatedJson { keep: 40 }, |failure| matches!(failure, Failure::Nonsense(Nonsense::Truncated))),
        (Fault::OkWithText { text: "boom".into() }, |failure| {
            matches!(failure, Failure::Nonsense(Nonsense::Text(200)))
        }),
        (Fault::EmptyError, |failure| matches!(failure, Failure::Nonsense(Nonsense::Empty500))),
        (Fault::Reset { byte: 0 }, |failure| matches!(failure, Failure::Lost(client::Failure::Reset(_)))),
        (Fault::Reset { byte: 400 }, |failure| matches!(failure, Failure::Lost(client::Failure::Cut(_)))),
        (Fault::Garbage, |failure| matches!(failure, Failure::Lost(client::Failure::NotHttp(_)))),
        (Fault::Stall { byte: 400 }, |failure| matches!(failure, Failure::Lost(client::Failure::Idle(_)))),
        // Its head, too, comes in drops.
        (Fault::Drip { bytes_per_second: 100 }, |failure| matches!(failure, Failure::Lost(client::Failure::Slow))),
        (Fault::Huge { bytes: 8 << 20 }, |failure| matches!(failure, Failure::AnswerTooLarge(_))),
        (Fault::EndlessChunked, |failure| matches!(failure, Failure::AnswerTooLarge(_))),
    ];
    let contract = yieldcheck();
    let bench = Bench::new(vec![one_child(Profile::V016)], |options| {
        options.idle_timeout = Duration::from_millis(200);
    })
    .await;
    bench.until("ready", |bench| bench.nodes.attestation(&contract).ready == 1).await;
    bench.solve(&contract, case()).await.unwrap();
    for (fault, expected) in table {
        let kind = fault.kind();
        // Twice: an empty 500 to a request by key only means that the key is unknown.
        let times = if fault == Fault::EmptyError { 2 } else { 1 };
        bench.stand_ins[0].set_faults(fault.at(SOLVE).times(times)).await;
        let failure = bench.solve(&contract, case()).await.unwrap_err();
        assert!(expected(&failure), "{kind}: {failure:?}");
        assert!(!failure.nothing_was_sent(), "{kind}");
        bench.stand_ins[0].set_faults(vec![]).await;
        bench.solve(&contract, case()).await.unwrap_or_else(|failure| panic!("after {kind}: {failure}"));
        bench.until("free again", |bench| bench.view().free == 1).await;
        assert_eq!(bench.view().state, State::Up, "after {kind}");
    }
    bench.end().await;
}

#[tokio::test]
async fn a_definition_s_errors_never_speak_against_the_node() {
    let contract = yieldcheck();
    let bench = Bench::ready(one_child(Profile::V017), &contract).await;
    let errors = vec!["Index out of range: component \"Item\" (11111111-2222-3333-4444-555555555555)".to_owned()];
    bench.stand_ins[0].set_faults(Fault::OkWithErrors { errors }.at(SOLVE)).await;
    for _ in 0..12 {
        let failure = bench.solve(&contract, case()).await.unwrap_err();
        let Failure::Definition { errors, .. } = failure else { panic!("{failure:?}") };
        assert_eq!(errors[0].component.as_deref(), Some("Item"));
    }
    assert_eq!((bench.view().state, bench.view().free), (State::Up, 1));
    assert_eq!(bench.solves().len(), 12, "none was sent again");
    bench.end().await;
}

#[tokio::test]
async fn a_lone_node_that_keeps_failing_stays_the_last_resort() {
    let contract = yieldcheck();
    let bench = Bench::ready(one_child(Profile::V017), &contract).await;
    bench.stand_ins[0].set_faults(Fault::OkWithText { text: "boom".into() }.at(SOLVE)).await;
    for _ in 0..8 {
        bench.solve(&contract, case()).await.unwrap_err();
    }
    assert_eq!(bench.view().state, State::Suspect);
    bench.stand_ins[0].set_faults(vec![]).await;
    bench.solve(&contract, case()).await.unwrap();
    assert_eq!(bench.view().state, State::Up);
    bench.end().await;
}

#[tokio::test]
async fn of_two_nodes_the_failing_one_is_left_out() {
    let contract = yieldcheck();
    let bench = Bench::new(vec![one_child(Profile::V017), one_child(Profile::V017)], |options| {
        options.rules.strikes_max = 2;
    })
    .await;
    bench.until("ready", |bench| bench.nodes.attestation(&contract).ready == 2).await;
    bench.stand_ins[0].set_faults(Fault::OkWithText { text: "boom".into() }.at(SOLVE)).await;
    let mut failures = 0;
    for _ in 0..10 {
        failures += usize::from(bench.solve(&contract, case()).await.is_err());
    }
    assert!((1..=2).contains(&failures), "{failures} of 10 failed");
    bench.end().await;
}

#[tokio::test]
async fn a_wrong_key_takes_the_node_out_and_says_so() {
    let contract = yieldcheck();
    let config = Config { api_key: Some("right".to_owned()), ..one_child(Profile::V016) };
    let bench = Bench::new(vec![config], |options| options.nodes[0].key = Key::new("wrong")).await;
    bench.until("down", |bench| bench.view().state == State::Down).await;
    assert_eq!(bench.view().why.as_deref(), Some("does not take our key"));
    let refusal = bench.nodes.acquire(&contract, Instant::now() + LONG).await.unwrap_err();
    assert_eq!(refusal, Refusal::NoneHealthy { down: 1, total: 1 });
    bench.end().await;
}

#[tokio::test]
async fn a_version_whose_plug_in_is_missing_gets_no_node() {
    let daylight = contract("daylight/0.1.0");
    let bench = Bench::ready(one_child(Profile::V017), &yieldcheck()).await;
    let attestation = bench.nodes.attestation(&daylight);
    assert_eq!((attestation.ready, attestation.known, attestation.total), (0, 1, 1));
    assert_eq!(attestation.missing, ["LadybugX"]);
    let refusal = bench.nodes.acquire(&daylight, Instant::now() + LONG).await.unwrap_err();
    assert_eq!(refusal, Refusal::NoneAttested { missing: vec!["LadybugX".to_owned()] });
    bench.end().await;
}

// === slots ===

#[tokio::test]
async fn a_solve_past_its_deadline_keeps_its_slot_and_its_late_answer_arrives() {
    let contract = yieldcheck();
    let bench = Bench::ready(one_child(Profile::V017), &contract).await;
    bench.stand_ins[0].set_faults(Fault::Delay { ms: 600 }.at(SOLVE).times(1)).await;
    let slot = bench.nodes.acquire(&contract, Instant::now() + LONG).await.unwrap();
    let start = Instant::now();
    let mut running = slot.start(&contract, &checked(&contract, &case()), start + Duration::from_millis(200)).unwrap();
    assert_eq!(running.answer().await.err(), Some(Failure::Deadline));
    assert!((200..500).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert_eq!((bench.view().free, bench.view().wedged), (0, 1));
    let busy = bench.nodes.acquire(&contract, Instant::now() + Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(busy, Refusal::AllBusy { slots: 1, wedged: 1, waiting: 0 });
    let late = running.late().await.unwrap().unwrap();
    assert_eq!(late.outputs["viable"], json!(true));
    bench.until("free again", |bench| bench.view().free == 1 && bench.view().wedged == 0).await;
    bench.end().await;
}

#[tokio::test]
async fn a_node_that_hangs_gets_nothing_more_until_it_proves_itself() {
    let contract = yieldcheck();
    let bench = Bench::new(vec![one_child(Profile::V017)], |options| {
        options.abandon_after = Duration::from_millis(300);
        options.canary_timeout = Duration::from_millis(200);
    })
    .await;
    bench.until("ready", |bench| bench.nodes.attestation(&contract).ready == 1).await;
    bench.solve(&contract, case()).await.unwrap();
    bench.stand_ins[0].set_faults(Fault::Hang.at(SOLVE).times(1)).await;
    let failure = bench.solve_within(&contract, case(), Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(failure, Failure::Deadline);
    // Given up, tried with a small solve that hangs behind the first, and still closed.
    bench.until("tried", |bench| bench.solves().len() >= 3).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((bench.view().free, bench.view().wedged), (0, 1));
    bench.stand_ins[0].restart();
    bench.until("free again", |bench| bench.view().free == 1 && bench.view().wedged == 0).await;
    bench.solve(&contract, case()).await.unwrap();
    bench.end().await;
}

#[tokio::test]
async fn waiting_is_in_turn_and_no_two_solves_share_a_child() {
    let contract = yieldcheck();
    let bench = Bench::ready(one_child(Profile::V017), &contract).await;
    bench.stand_ins[0].set_faults(Fault::Delay { ms: 30 }.at(SOLVE)).await;
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for turn in 0..6 {
        let (nodes, contract, order) = (bench.nodes.clone(), Arc::clone(&contract), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            let slot = nodes.acquire(&contract, Instant::now() + LONG).await.unwrap();
            order.lock().unwrap().push(turn);
            slot.solve(&contract, &checked(&contract, &case()), Instant::now() + LONG).await.unwrap();
        }));
        // Each asks before the next.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // One that leaves the queue holds up nobody.
    let leaver = tokio::time::timeout(Duration::from_millis(5), bench.nodes.acquire(&contract, Instant::now() + LONG));
    assert!(leaver.await.is_err());
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(bench.stand_ins[0].state().max_concurrent_solves, 1);
    let (arrived, answered): (Vec<_>, Vec<_>) =
        bench.solves().iter().map(|entry| (entry.arrived_ms, entry.answered_ms.unwrap())).unzip();
    let one_by_one = arrived[1..].iter().zip(&answered).all(|(next, last)| next >= last);
    assert!(one_by_one, "one waited inside the node: {arrived:?} {answered:?}");
    assert_eq!((bench.view().free, bench.view().wedged), (1, 0));
    bench.end().await;
}

#[tokio::test]
async fn a_node_never_runs_more_than_it_has_slots_and_every_slot_comes_back() {
    let contract = yieldcheck();
    let bench = Bench::new(vec![Config { children: 2, ..Config::default() }, one_child(Profile::V016)], |_| {}).await;
    bench.until("ready", |bench| bench.nodes.attestation(&contract).ready == 2).await;
    let slots = |bench: &Bench| bench.nodes.view().iter().map(|node| node.slots).collect::<Vec<_>>();
    bench.until("counted", |bench| slots(bench) == [2, 1]).await;
    for stand_in in &bench.stand_ins {
        stand_in.set_faults(Fault::Delay { ms: 10 }.at(SOLVE)).await;
    }
    let mut tasks = Vec::new();
    for turn in 0..40_u64 {
        let (nodes, contract) = (bench.nodes.clone(), Arc::clone(&contract));
        tasks.push(tokio::spawn(async move {
            let slot = nodes.acquire(&contract, Instant::now() + LONG).await.unwrap();
            // Every fourth caller is gone before the answer, every fourth has no time for it.
            let patience = if turn % 4 == 1 { Duration::from_millis(3) } else { LONG };
            let inputs = checked(&contract, &case());
            let solve = slot.solve(&contract, &inputs, Instant::now() + patience);
            let most = if turn % 4 == 3 { Duration::from_millis(5) } else { LONG };
            let _ = tokio::time::timeout(most, solve).await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    bench.until("free again", |bench| bench.nodes.view().iter().all(|node| node.free == node.slots)).await;
    assert!(bench.stand_ins[0].state().max_concurrent_solves <= 2);
    assert_eq!(bench.stand_ins[1].state().max_concurrent_solves, 1);
    let solves = bench.stand_ins.iter().map(|node| node.log().iter().filter(|entry| entry.path == SOLVE).count());
    let solves = solves.collect::<Vec<_>>();
    assert!(solves.iter().all(|count| *count > 5), "both took their share: {solves:?}");
    bench.end().await;
}

#[tokio::test]
async fn a_slot_that_is_not_used_and_a_caller_that_leaves_give_all_back() {
    let contract = yieldcheck();
    let bench = Bench::ready(one_child(Profile::V017), &contract).await;
    drop(bench.nodes.acquire(&contract, Instant::now() + LONG).await.unwrap());
    assert_eq!(bench.view().free, 1);
    bench.stand_ins[0].set_faults(Fault::Delay { ms: 100 }.at(SOLVE)).await;
    let left = bench.solve(&contract, case());
    assert!(tokio::time::timeout(Duration::from_millis(30), left).await.is_err());
    assert_eq!((bench.view().free, bench.view().wedged), (0, 0), "the solve goes on for nobody");
    bench.until("free again", |bench| bench.view().free == 1).await;
    assert_eq!(bench.solves().len(), 1);
    assert!(bench.solves().iter().all(|entry| !entry.peer_left), "the node's answer was taken");
    bench.end().await;
}

#[tokio::test]
async fn who_waits_is_told_when_the_node_goes_away() {
    let contract = yieldcheck();
    let bench = Bench::ready(one_child(Profile::V017), &contract).await;
    let slot = bench.nodes.acquire(&contract, Instant::now() + LONG).await.unwrap();
    let waiting = {
        let (nodes, contract) = (bench.nodes.clone(), Arc::clone(&contract));
        tokio::spawn(async move { nodes.acquire(&contract, Instant::now() + LONG).await.map(drop) })
    };
    tokio::time::sleep(Duration::from_millis(10)).await;
    bench.stand_ins[0].set_faults(Fault::Refuse.always()).await;
    let refusal = waiting.await.unwrap().unwrap_err();
    assert!(matches!(refusal, Refusal::NoneHealthy { .. } | Refusal::NoneAttested { .. }), "{refusal:?}");
    drop(slot);
    bench.stand_ins[0].set_faults(vec![]).await;
    bench.until("back", |bench| bench.nodes.attestation(&contract).ready == 1).await;
    bench.solve(&contract, case()).await.unwrap();
    bench.end().await;
}

// === probing ===

#[tokio::test]
async fn probing_wakes_nobody_and_a_sleeping_node_is_seen_asleep() {
    for profile in [Profile::V016, Profile::V017] {
        let idle = Duration::from_millis(1100);
        let contract = yieldcheck();
        let config = Config { idle_span: idle, ..one_child(profile) };
        let bench = Bench::new(vec![config], |options| options.children_idle = Duration::from_secs(1)).await;
        bench.until("ready", |bench| bench.nodes.attestation(&contract).ready == 1).await;
        bench.until("asleep", |bench| bench.view().state == State::Asleep).await;
        bench.until("without children", |bench| bench.stand_ins[0].state().awake_children == 0).await;
        // From here on: while its children were awake, asking for features and versions counted as wakes.
        let wakes = bench.stand_ins[0].state().wakes;
        let probes = bench.stand_ins[0].log().len();
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(bench.stand_ins[0].log().len() > probes + 4, "it was probed");
        assert_eq!(bench.stand_ins[0].state().awake_children, 0, "{profile:?}");
        assert_eq!(bench.stand_ins[0].state().wakes, wakes, "{profile:?}");
        // A sleeping node is still ready, and wakes for a solve.
        assert_eq!(bench.nodes.attestation(&contract).ready, 1);
        bench.solve(&contract, case()).await.unwrap();
        assert_eq!(bench.view().state, State::Up);
        bench.end().await;
    }
}

#[tokio::test]
async fn features_and_slots_are_found_by_asking() {
    for (profile, newer) in [(Profile::V016, false), (Profile::V017, true)] {
        // It lies about its version; nobody looks.
        let config = Config { children: 3, compute_version: "9.9.9".to_owned(), ..Config::of(profile) };
        let bench = Bench::ready(config, &yieldcheck()).await;
        bench.until("of three slots", |bench| bench.view().slots == 3).await;
        let view = bench.view();
        assert_eq!(view.features, Features { validate: newer, children_ready: newer, children_count: newer });
        assert_eq!((view.compute.as_deref(), view.free), (Some("9.9.9"), 3));
        assert!(view.plugins_hash.is_some_and(|hash| hash.starts_with("sha256:")));
        bench.end().await;
    }
}

#[tokio::test]
async fn a_node_that_was_away_is_asked_again_what_it_has() {
    let contract = yieldcheck();
    let bench = Bench::ready(one_child(Profile::V017), &contract).await;
    let mut changed = bench.nodes.changed();
    bench.stand_ins[0].set_faults(Fault::Refuse.always()).await;
    bench.until("down", |bench| bench.view().state == State::Down).await;
    assert!(changed.has_changed().unwrap(), "those who keep readiness are told");
    changed.mark_unchanged();
    assert_eq!(bench.nodes.attestation(&contract).known, 0);
    bench.stand_ins[0].set_faults(vec![]).await;
    bench.until("ready again", |bench| bench.nodes.attestation(&contract).ready == 1).await;
    assert!(changed.has_changed().unwrap());
    let versions = bench.stand_ins[0].log().iter().filter(|entry| entry.path == "/version").count();
    assert_eq!(versions, 2);
    bench.end().await;
}

#[tokio::test]
async fn draining_waits_for_solves_that_somebody_waits_for() {
    let contract = yieldcheck();
    let bench = Bench::ready(one_child(Profile::V017), &contract).await;
    bench.stand_ins[0].set_faults(Fault::Delay { ms: 150 }.at(SOLVE)).await;
    let slot = bench.nodes.acquire(&contract, Instant::now() + LONG).await.unwrap();
    let mut running = slot.start(&contract, &checked(&contract, &case()), Instant::now() + LONG).unwrap();
    bench.drain.cancel();
    bench.driver.await.unwrap();
    let answer = running.answer().await.unwrap();
    assert_eq!(answer.outputs["viable"], json!(true));
}
