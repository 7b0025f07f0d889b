//! Several nodes: second tries, labels, trials, slow starts, and a list that changes while solves run.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// Nodes with one child each, ready for the contract.
async fn bench(count: usize, contract: &Arc<Contract>, tune: impl FnOnce(&mut Options)) -> Bench {
    let bench = Bench::new(vec![one_child(Profile::V017); count], tune).await;
    bench.until("ready", |bench| bench.nodes.attestation(contract).ready == count).await;
    bench
}

fn arrivals(bench: &Bench) -> Vec<usize> {
    let solves = |node: &simnode::Running| node.log().iter().filter(|entry| entry.path == SOLVE).count();
    bench.stand_ins.iter().map(solves).collect()
}

// === second tries ===

#[tokio::test]
async fn u1_with_one_of_three_nodes_refusing_connections_every_solve_goes_well() {
    let contract = yieldcheck();
    // Probes are slow to notice, so that solves meet the dead node.
    let bench = bench(3, &contract, |options| options.probe_interval = Duration::from_secs(5)).await;
    bench.stand_ins[1].set_faults(Fault::Refuse.always()).await;
    // Two at a time, so that the one that holds the definition is not enough.
    let worker = async || {
        let mut nodes = std::collections::BTreeSet::new();
        for _ in 0..30 {
            let solved = bench.solve(&contract, case()).await.unwrap();
            nodes.insert(solved.node.to_string());
        }
        nodes
    };
    let (mut nodes, others) = tokio::join!(worker(), worker());
    nodes.extend(others);
    assert_eq!(nodes, ["n0".to_owned(), "n2".to_owned()].into());
    assert_eq!(arrivals(&bench).iter().sum::<usize>(), 60, "none was solved twice");
    assert_ne!(bench.nodes.view()[1].state, State::Up, "a dead node is noticed by the solves that met it");
    bench.until("free again", |bench| bench.nodes.view().iter().all(|node| node.free == node.slots)).await;
    bench.end().await;
}

#[tokio::test]
async fn u2_a_request_that_may_have_been_acted_on_is_never_sent_again() {
    let contract = yieldcheck();
    for fault in [
        Fault::Reset { byte: 0 },
        Fault::Reset { byte: 1 },
        Fault::Reset { byte: 120 },
        Fault::Reset { byte: 400 },
        Fault::EmptyError,
        Fault::BadGatewayPage,
        Fault::OkWithText { text: "boom".into() },
        Fault::TruncatedJson { keep: 40 },
    ] {
        let bench = bench(2, &contract, |_| {}).await;
        let kind = fault.kind();
        for stand_in in &bench.stand_ins {
            stand_in.set_faults(fault.clone().at(SOLVE)).await;
        }
        let failure = bench.solve(&contract, case()).await.unwrap_err();
        assert!(!failure.nothing_was_sent(), "{kind}: {failure:?}");
        assert_eq!(arrivals(&bench).iter().sum::<usize>(), 1, "{kind}");
        bench.end().await;
    }
}

#[tokio::test]
async fn u3_a_definition_s_errors_are_sent_once_and_take_no_node_out() {
    let contract = yieldcheck();
    let bench = bench(2, &contract, |_| {}).await;
    let errors = vec!["Index out of range: component \"Item\" (11111111-2222-3333-4444-555555555555)".to_owned()];
    for stand_in in &bench.stand_ins {
        stand_in.set_faults(Fault::OkWithErrors { errors: errors.clone() }.at(SOLVE)).await;
    }
    for _ in 0..100 {
        let failure = bench.solve(&contract, case()).await.unwrap_err();
        assert!(matches!(failure, Failure::Definition { .. }), "{failure:?}");
    }
    assert_eq!(arrivals(&bench).iter().sum::<usize>(), 100, "attempts to solves: 1.00");
    assert!(bench.nodes.view().iter().all(|node| node.state == State::Up && node.free == 1));
    bench.end().await;
}

#[tokio::test]
async fn u11_retries_stop_where_the_budget_ends() {
    let contract = yieldcheck();
    // Nobody is ever put out of service, so that every solve meets what fails.
    let bench = bench(2, &contract, |options| {
        options.rules.strikes_max = u32::MAX;
        options.rules.rate_solves_min = u32::MAX;
        options.probe_interval = Duration::from_mins(1);
        options.rules.misses_max = u32::MAX;
    })
    .await;
    for stand_in in &bench.stand_ins {
        stand_in.set_faults(Fault::Refuse.always()).await;
    }
    let (mut quick, mut failed) = (0, 0);
    for _ in 0..30 {
        let before = bench.nodes.shared.budget(|budget, now| budget.clone().sums(now).1);
        failed += usize::from(bench.solve(&contract, case()).await.is_err());
        let after = bench.nodes.shared.budget(|budget, now| budget.clone().sums(now).1);
        quick += usize::from(after == before);
    }
    assert_eq!(failed, 30);
    // The floor allows three in ten seconds, and thirty solves no more.
    assert_eq!(quick, 27, "retries: {}", 30 - quick);
    bench.end().await;
}

// === trials and slow starts ===

#[tokio::test]
async fn u4_a_node_of_nonsense_is_out_after_five_in_a_row_and_returns_by_one_canary() {
    let contract = yieldcheck();
    let bench = bench(2, &contract, |options| {
        options.rules.ejection = Duration::from_millis(700);
        options.rules.ejection_spread = false;
        // One failure does not send the rest elsewhere: each solve below asks for a node by being alone.
        options.canary_timeout = Duration::from_secs(2);
    })
    .await;
    // Each holds the definition and has a solve that is known to go well.
    let both = [
        bench.nodes.acquire(&contract, Instant::now() + LONG).await.unwrap(),
        bench.nodes.acquire(&contract, Instant::now() + LONG).await.unwrap(),
    ];
    for slot in both {
        slot.solve(&contract, &checked(&contract, &case()), Instant::now() + LONG).await.unwrap();
    }
    bench.stand_ins[0].set_faults(Fault::OkWithText { text: "boom".into() }.at(SOLVE)).await;
    let mut failures = 0;
    bench.nodes.drain("n1").unwrap();
    while bench.view().state != State::Down {
        assert!(bench.solve(&contract, case()).await.is_err());
        failures += 1;
        assert!(failures <= 5, "{:?}", bench.nodes.view());
        if failures == 4 {
            // At least half stay: with the other one drained and counted as there, this one may go.
            assert_eq!(bench.view().state, State::Suspect);
        }
    }
    assert_eq!(failures, 5);
    bench.nodes.resume("n1").unwrap();
    let met = arrivals(&bench)[0];
    bench.stand_ins[0].set_faults(vec![]).await;
    bench.until("the other one ready", |bench| bench.nodes.attestation(&contract).ready >= 1).await;
    bench.until("back", |bench| bench.view().state == State::Up).await;
    assert_eq!(arrivals(&bench)[0], met + 1, "one canary decided it");
    bench.end().await;
}

#[tokio::test]
async fn u9_a_node_that_returns_gets_one_solve_at_a_time_and_then_more() {
    let contract = yieldcheck();
    let config = Config { children: 4, ..Config::of(Profile::V017) };
    let bench = Bench::new(vec![config], |options| {
        options.rules.slow_start_first = Duration::from_millis(600);
        options.rules.slow_start = Duration::from_millis(1800);
    })
    .await;
    bench.until("ready with all slots at once", |bench| bench.view().free == 4).await;
    bench.stand_ins[0].set_faults(Fault::Refuse.always()).await;
    bench.until("down", |bench| bench.view().state == State::Down).await;
    bench.stand_ins[0].set_faults(Fault::Delay { ms: 40 }.at(SOLVE)).await;
    bench.until("ready again", |bench| bench.nodes.attestation(&contract).ready == 1).await;
    let (back, mut tasks) = (Instant::now(), Vec::new());
    let most = Arc::new(AtomicU32::new(0));
    for _ in 0..8 {
        let (nodes, contract, most) = (bench.nodes.clone(), Arc::clone(&contract), Arc::clone(&most));
        tasks.push(tokio::spawn(async move {
            while back.elapsed() < Duration::from_millis(2600) {
                let slot = nodes.acquire(&contract, Instant::now() + LONG).await.unwrap();
                let running = nodes.shared.read(|table| table.running());
                most.fetch_max(running, Ordering::Relaxed);
                slot.solve(&contract, &checked(&contract, &case()), Instant::now() + LONG).await.unwrap();
            }
        }));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.stand_ins[0].state().max_concurrent_solves, 1, "one at a time at first");
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((most.load(Ordering::Relaxed), bench.view().free), (4, 4));
    bench.end().await;
}

#[tokio::test]
async fn u12_a_node_that_fails_quickly_draws_no_traffic() {
    let contract = yieldcheck();
    let bench = bench(2, &contract, |_| {}).await;
    bench.stand_ins[0].set_faults(Fault::EmptyError.at(SOLVE)).await;
    bench.stand_ins[1].set_faults(Fault::Delay { ms: 20 }.at(SOLVE)).await;
    let (start, mut failures, mut solved) = (Instant::now(), 0, 0);
    while start.elapsed() < Duration::from_secs(2) {
        match bench.solve(&contract, case()).await {
            Ok(_) => solved += 1,
            Err(_) => failures += 1,
        }
    }
    assert!(failures * 20 <= solved, "{failures} failed, {solved} went well");
    bench.end().await;
}

// === labels ===

#[tokio::test]
async fn a_label_parts_nodes_and_a_node_may_have_several() {
    let contract = yieldcheck();
    let configs = vec![one_child(Profile::V017); 3];
    let bench = Bench::new(configs, |options| {
        options.nodes[1].pools = vec!["gpu".into()];
        options.nodes[2].pools = vec!["gpu".into(), DEFAULT_POOL.into()];
    })
    .await;
    let (gpu, none) = (bench.nodes.within(Some("gpu")), bench.nodes.within(Some("vault")));
    bench.until("ready", |bench| bench.nodes.attestation(&contract).ready == 2).await;
    bench.until("ready with a label", |_| gpu.attestation(&contract).ready == 2).await;
    assert_eq!((bench.nodes.attestation(&contract).total, gpu.attestation(&contract).total), (2, 2));
    let of = async |nodes: &Nodes| {
        let mut names = std::collections::BTreeSet::new();
        for _ in 0..2 {
            let slot = nodes.acquire(&contract, Instant::now() + LONG).await.unwrap();
            names.insert(slot.node().to_string());
            let other = nodes.acquire(&contract, Instant::now() + LONG).await.unwrap();
            names.insert(other.node().to_string());
        }
        names
    };
    assert_eq!(of(&bench.nodes).await, ["n0".to_owned(), "n2".to_owned()].into());
    assert_eq!(of(&gpu).await, ["n1".to_owned(), "n2".to_owned()].into());
    assert_eq!(none.acquire(&contract, Instant::now() + LONG).await.unwrap_err(), Refusal::NoNodes);
    bench.end().await;
}

// === the list ===

#[tokio::test]
async fn a_drained_node_finishes_what_it_has_and_a_resumed_one_is_used_again() {
    let contract = yieldcheck();
    let bench = bench(1, &contract, |_| {}).await;
    bench.stand_ins[0].set_faults(Fault::Delay { ms: 150 }.at(SOLVE)).await;
    let slot = bench.nodes.acquire(&contract, Instant::now() + LONG).await.unwrap();
    let mut running = slot.start(&contract, &checked(&contract, &case()), Instant::now() + LONG).unwrap();
    assert_eq!(bench.nodes.drain("n0").unwrap().state, State::Draining);
    assert_eq!(bench.nodes.drain("n9"), None);
    let refusal = bench.nodes.acquire(&contract, Instant::now() + LONG).await.unwrap_err();
    assert!(matches!(refusal, Refusal::NoneHealthy { down: 1, total: 1 }), "{refusal:?}");
    assert!(running.answer().await.is_ok());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((bench.view().state, bench.view().free), (State::Draining, 1), "probes do not bring it back");
    assert_eq!(bench.nodes.resume("n0").unwrap().state, State::Unknown);
    bench.until("ready again", |bench| bench.nodes.attestation(&contract).ready == 1).await;
    bench.solve(&contract, case()).await.unwrap();
    bench.end().await;
}

#[tokio::test]
async fn the_list_changes_under_running_solves_and_no_slot_is_lost() {
    let contract = yieldcheck();
    let bench = bench(2, &contract, |_| {}).await;
    for stand_in in &bench.stand_ins {
        stand_in.set_faults(Fault::Delay { ms: 300 }.at(SOLVE)).await;
    }
    let node = |at: usize, slots, pools: &[&str]| NodeOptions {
        name: format!("n{at}"),
        url: format!("{}/", bench.stand_ins[at].url()),
        key: None,
        slots,
        pools: pools.iter().map(ToString::to_string).collect(),
    };
    let mut running = Vec::new();
    for _ in 0..2 {
        let slot = bench.nodes.acquire(&contract, Instant::now() + LONG).await.unwrap();
        running.push(slot.start(&contract, &checked(&contract, &case()), Instant::now() + LONG).unwrap());
    }
    // The first leaves, the second gets two slots and a label more.
    let changes = bench.nodes.relist(&[node(1, Some(2), &["default", "gpu"])]).unwrap();
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let expected = Changes { added: names(&[]), removed: names(&["n0"]), changed: names(&["n1"]) };
    assert_eq!(changes, expected);
    let view = bench.nodes.view();
    assert_eq!(view.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["n1", "n0"]);
    assert_eq!((view[0].slots, view[0].free, view[1].state), (2, 1, State::Draining));
    assert_eq!(bench.nodes.attestation(&contract).total, 1);
    for mut solve in running {
        solve.answer().await.unwrap();
    }
    bench.until("gone", |bench| bench.nodes.view().len() == 1).await;
    assert_eq!(bench.view().free, 2);
    // It comes back as a new one, and a list that cannot be set up changes nothing.
    let broken = NodeOptions { url: "ftp://x".into(), ..node(0, None, &[]) };
    assert!(bench.nodes.relist(&[broken]).is_err());
    assert_eq!(bench.nodes.view().len(), 1);
    let changes = bench.nodes.relist(&[node(0, None, &[]), node(1, Some(2), &["default", "gpu"])]).unwrap();
    assert_eq!(changes, Changes { added: names(&["n0"]), ..Changes::default() });
    bench.until("both ready", |bench| bench.nodes.attestation(&contract).ready == 2).await;
    assert!(bench.nodes.relist(&[node(0, None, &[]), node(1, Some(2), &["default", "gpu"])]).unwrap().is_empty());
    bench.end().await;
}

// === warming ===

#[tokio::test]
async fn warming_takes_no_slot_that_somebody_waits_for() {
    let contract = yieldcheck();
    let bench = bench(1, &contract, |_| {}).await;
    let slot = bench.nodes.acquire(&contract, Instant::now() + LONG).await.unwrap();
    assert_eq!(bench.nodes.warm(&contract).await, Err(Unsettled::NoSlot));
    let waiting = {
        let (nodes, contract) = (bench.nodes.clone(), Arc::clone(&contract));
        tokio::spawn(async move { nodes.acquire(&contract, Instant::now() + LONG).await.unwrap() })
    };
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(slot);
    let next = waiting.await.unwrap();
    assert_eq!(bench.nodes.warm(&contract).await, Err(Unsettled::NoSlot), "the one who waited has it");
    drop(next);
    assert_eq!(bench.nodes.warm(&contract).await, Ok(Warmth::Warm));
    assert_eq!(bench.solves().len(), contract.examples.valid.len());
    bench.end().await;
}
