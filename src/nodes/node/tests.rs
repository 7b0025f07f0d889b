//! The node's moves, one by one: what is told of probes and solves, and what state that leaves.

use super::*;

const RULES: Rules = Rules {
    strikes_max: 3,
    misses_max: 2,
    passes_min: 2,
    ejection: Duration::from_secs(10),
    ejection_max: Duration::from_secs(25),
    ejection_spread: false,
    rate_solves_min: 8,
    slow_start_first: Duration::from_secs(2),
    slow_start: Duration::from_secs(30),
};

/// A script of moves, one letter each: `a`wake, `z` asleep, `m`issed, `s`truck, `k` struck where no node may be
/// taken out, `o` an answered solve, `w`oken by a question, `d`rain, `r`esume; a digit is that many times five seconds of waiting.
fn after(script: &str) -> Node {
    let mut node = Node::new(RULES, 1);
    let mut now = Instant::now();
    for letter in script.chars() {
        match letter {
            'a' => node.probed(Probe::Awake, true, now),
            'z' => node.probed(Probe::Asleep, true, now),
            'm' => node.probed(Probe::Failed("gone".into()), true, now),
            's' => node.struck("reset".into(), true, now),
            'k' => node.struck("reset".into(), false, now),
            'o' => node.answered(now),
            'w' => node.woken(),
            'd' => node.drain(),
            'r' => node.resume(),
            digit => now += Duration::from_secs(5) * digit.to_digit(10).unwrap(),
        }
    }
    node
}

#[test]
fn every_move_leads_where_its_comment_says() {
    use State::{Asleep, Down, Draining, Suspect, Unknown, Up};
    let table = [
        ("", Unknown),
        ("a", Up),
        ("z", Asleep),
        ("m", Down),
        ("aa", Up),
        ("az", Asleep),
        ("za", Up),
        ("zo", Up),
        ("zw", Up),
        ("mw", Down),
        ("am", Suspect),
        ("ama", Up),
        ("amz", Asleep),
        ("amm", Down),
        ("amma", Down),
        ("ammaa", Up),
        ("ammama", Down),
        ("ammzz", Asleep),
        ("as", Suspect),
        ("aso", Up),
        // A passing probe alone does not clear a failed solve; a quiet time does.
        ("asa", Suspect),
        ("asaa1a", Suspect),
        ("as2a", Up),
        ("ass", Suspect),
        ("asss", Down),
        ("asosos", Suspect),
        // Where no node may be taken out, it stays the last resort.
        ("akkkkk", Suspect),
        // Out of service: probes pass, but not before the pause is over, and then it is on trial.
        ("asssaa", Down),
        ("asssaa2a", Suspect),
        ("asssaa2ao", Up),
        ("asssaa2as", Down),
        // The second pause is twice as long, the third as long as allowed.
        ("asssaa2as2aa", Down),
        ("asssaa2as4aa", Suspect),
        ("asssaa2as4aas4aa", Down),
        ("asssaa2as4aas5aa", Suspect),
        // Probes and solves fail together: an answered solve does not overrule the probes.
        ("asmo", Suspect),
        ("mo", Down),
        ("ms", Down),
        ("ad", Draining),
        ("adamso", Draining),
        ("adr", Unknown),
        ("adra", Up),
        ("ar", Up),
    ];
    for (script, state) in table {
        assert_eq!(after(script).state(), state, "{script:?}");
    }
}

#[test]
fn the_generation_rises_when_processes_may_have_been_replaced() {
    for (script, generation) in
        [("aaa", 0), ("azza", 1), ("zo", 1), ("zw", 1), ("zwa", 1), ("ammaa", 1), ("asa", 0), ("adra", 1)]
    {
        assert_eq!(after(script).generation(), generation, "{script:?}");
    }
}

#[test]
fn a_node_that_returns_is_loaded_slowly_and_one_that_starts_is_not() {
    let at = |node: &Node, seconds, total| {
        let since = node.returned_at.unwrap_or_else(Instant::now);
        node.open_slots(total, since + Duration::from_secs(seconds))
    };
    let boot = after("a");
    assert_eq!((at(&boot, 0, 8), boot.is_starting(Instant::now())), (8, false));
    let back = after("ammaa");
    assert_eq!(back.state(), State::Up);
    for (seconds, total, open) in [
        (0, 8, 1),
        (1, 8, 1),
        (2, 8, 1),
        (6, 8, 2),
        (16, 8, 4),
        (29, 8, 7),
        (30, 8, 8),
        (99, 8, 8),
        // With one slot there is nothing to grow.
        (0, 1, 1),
        (29, 1, 1),
    ] {
        assert_eq!(at(&back, seconds, total), open, "{total} slots after {seconds} s");
    }
    // On trial there is one at a time, however long; the start begins when the trial is passed.
    let trial = after("asssaa2a9");
    assert!(trial.is_on_trial());
    assert_eq!(at(&trial, 99, 8), 1);
    let passed = after("asssaa2ao");
    assert_eq!((passed.state(), at(&passed, 0, 8), at(&passed, 30, 8)), (State::Up, 1, 8));
}

#[test]
fn a_trial_ends_with_a_solve_and_not_with_time() {
    assert_eq!(after("asssaa2a").state(), State::Suspect);
    assert_eq!(after("asssaa2a9a9a").state(), State::Suspect);
    // A late answer of an earlier solve does not shorten the pause.
    assert_eq!(after("asssoaa").state(), State::Down);
    // One that goes away meanwhile comes back as one that was away.
    assert_eq!(after("asssaa2ammaa").state(), State::Up);
}

#[test]
fn a_node_that_fails_most_of_its_solves_is_taken_out_though_never_thrice_in_a_row() {
    assert_eq!(after("asosososo").state(), State::Up, "half is not most");
    assert_eq!(after("assosso").state(), State::Up, "five are too few");
    assert_eq!(after("assossoss").state(), State::Down);
    assert_eq!(after("assosso3ss").state(), State::Suspect, "what is older than ten seconds is forgotten");
}

#[test]
fn u8_a_node_that_comes_and_goes_is_left_out_for_longer_each_time() {
    for (period, seed) in [(4, 1), (4, 2), (6, 3), (10, 4)] {
        let mut node = Node::new(Rules::default(), seed);
        let (start, mut changes, mut up_while_away) = (Instant::now(), 0, 0);
        // Five minutes of a probe a second; away for the second half of each period.
        for second in 0..300 {
            let (before, now) = (node.state() == State::Down, start + Duration::from_secs(second));
            let away = second % period * 2 >= period;
            let probe = if away { Probe::Failed("gone".into()) } else { Probe::Awake };
            node.probed(probe, true, now);
            changes += u32::from((node.state() == State::Down) != before);
            up_while_away += u32::from(away && node.state() == State::Up);
        }
        assert!((3..=20).contains(&changes), "{changes} times in or out of service in five minutes, period {period}");
        assert_eq!(up_while_away, 0, "the first missed probe makes it the last choice");
    }
    // Where no other node serves it is taken back as soon as it answers twice.
    for (may_hold, state) in [(true, State::Down), (false, State::Up)] {
        let mut node = Node::new(RULES, 1);
        let now = Instant::now();
        for failed in [false, true, true, false, false, true, true, false, false] {
            let probe = if failed { Probe::Failed("gone".into()) } else { Probe::Awake };
            node.probed(probe, may_hold, now);
        }
        assert_eq!(node.state(), state);
    }
}

#[test]
fn pauses_are_spread_and_never_leave_their_bounds() {
    let pause = |seed, times| {
        let node = Node::new(Rules::default(), seed);
        node.pause(times)
    };
    for seed in 0..200 {
        for times in 1..40 {
            let plain = Duration::from_secs(15).saturating_mul(times).min(Duration::from_mins(5));
            assert!(pause(seed, times) >= plain * 4 / 5 && pause(seed, times) <= plain * 6 / 5);
        }
    }
    assert_ne!(pause(1, 1), pause(2, 1));
}

#[test]
fn a_node_that_is_out_says_why_and_forgets_it_when_back() {
    assert_eq!(after("amm").why(), Some("gone"));
    assert_eq!(after("asss").why(), Some("reset"));
    assert_eq!(after("asss2aao").why(), None);
}
