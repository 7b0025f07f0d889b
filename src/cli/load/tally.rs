//! Counting: what became of the requests of each tenant, and what that comes to.
//!
//! Invariant: every request that is sent is counted once, under one code.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::histogram::{Histogram, Percentiles};
use super::outcome::{Kind, Outcome};

/// More different words than this are counted together: they come from the other side.
const WORDS_MAX: usize = 64;
const OTHER: &str = "other";

/// The counts of one tenant, or of all.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    sent: u64,
    answered: u64,
    good: u64,
    /// Good answers within the run's duration; later ones would flatter or flatten the rate.
    good_in_time: u64,
    /// Requests that were due and not sent, because no connection was free.
    unsent: u64,
    lost: u64,
    codes: BTreeMap<String, u64>,
    cache: BTreeMap<String, u64>,
    latency: Histogram,
    refusal: Histogram,
    wait: Histogram,
    service: Histogram,
    late: Histogram,
}

/// What counts come to. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Line {
    pub(super) sent: u64,
    pub(super) answered: u64,
    /// Answered 2xx.
    pub(super) good: u64,
    pub(super) goodput_per_sec: f64,
    pub(super) unsent: u64,
    pub(super) codes: BTreeMap<String, u64>,
    pub(super) cache: BTreeMap<String, u64>,
    /// Of good answers, since the request was due.
    pub(super) latency_ms: Option<Percentiles>,
    /// Of other answers, since the request was due.
    pub(super) refusal_ms: Option<Percentiles>,
    /// In the gateway's queue, as it tells.
    pub(super) wait_ms: Option<Percentiles>,
    /// At the node, as the gateway tells.
    pub(super) service_ms: Option<Percentiles>,
    /// From when requests were due until they were sent. It is in the latency, and is not the gateway's doing unless
    /// all connections were waiting for it.
    pub(super) late_ms: Option<Percentiles>,
}

/// When a request was due, sent and answered, each since the start of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub(super) due: Duration,
    pub(super) sent: Duration,
    pub(super) answered: Duration,
}

// === impl Tally ===

impl Tally {
    /// Counts one request. `duration` is that of the run.
    pub(super) fn count(&mut self, outcome: &Outcome, moments: Moments, duration: Duration) {
        let latency = moments.answered.saturating_sub(moments.due);
        self.sent += 1;
        self.late.record(moments.sent.saturating_sub(moments.due));
        match outcome.kind {
            Kind::Good => {
                self.answered += 1;
                self.good += 1;
                self.good_in_time += u64::from(moments.answered <= duration);
                self.latency.record(latency);
            }
            Kind::Refused => {
                self.answered += 1;
                self.refusal.record(latency);
            }
            Kind::Lost => self.lost += 1,
            Kind::Left => {}
        }
        add(&mut self.codes, &outcome.code, 1);
        if let Some(cache) = &outcome.cache {
            add(&mut self.cache, cache, 1);
        }
        outcome.wait.iter().for_each(|wait| self.wait.record(*wait));
        outcome.service.iter().for_each(|service| self.service.record(*service));
    }

    pub(super) fn count_unsent(&mut self) {
        self.unsent += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.good += other.good;
        self.good_in_time += other.good_in_time;
        self.unsent += other.unsent;
        self.lost += other.lost;
        other.codes.iter().for_each(|(code, count)| add(&mut self.codes, code, *count));
        other.cache.iter().for_each(|(word, count)| add(&mut self.cache, word, *count));
        self.latency.merge(&other.latency);
        self.refusal.merge(&other.refusal);
        self.wait.merge(&other.wait);
        self.service.merge(&other.service);
        self.late.merge(&other.late);
    }

    /// Whether every request was sent, and every one whose caller stayed was answered 2xx.
    pub(super) fn is_all_good(&self) -> bool {
        self.sent > 0 && self.unsent == 0 && self.lost == 0 && self.answered == self.good
    }

    /// The counts over a run that sent for `duration`.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub(super) fn line(&self, duration: Duration) -> Line {
        Line {
            sent: self.sent,
            answered: self.answered,
            good: self.good,
            goodput_per_sec: self.good_in_time as f64 / duration.as_secs_f64().max(1e-9),
            unsent: self.unsent,
            codes: self.codes.clone(),
            cache: self.cache.clone(),
            latency_ms: self.latency.percentiles(),
            refusal_ms: self.refusal.percentiles(),
            wait_ms: self.wait.percentiles(),
            service_ms: self.service.percentiles(),
            late_ms: self.late.percentiles(),
        }
    }
}

fn add(counts: &mut BTreeMap<String, u64>, word: &str, count: u64) {
    let word = if counts.len() < WORDS_MAX || counts.contains_key(word) { word } else { OTHER };
    *counts.entry(word.to_owned()).or_default() += count;
}

/// Jain's fairness index (Jain, Chiu, Hawe, 1984): 1 where all shares are equal, 1/n where one has everything. None
/// where there is nothing to share, or nobody to share it with.
#[expect(clippy::cast_precision_loss, reason = "few tenants")]
pub(super) fn fairness(shares: &[f64]) -> Option<f64> {
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    let sum: f64 = shares.iter().sum();
    (shares.len() > 1 && squares > 0.0).then(|| sum * sum / (shares.len() as f64 * squares))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(kind: Kind, code: &str) -> Outcome {
        Outcome { code: code.to_owned(), kind, wait: None, service: None, cache: None }
    }

    fn moments(due: u64, sent: u64, answered: u64) -> Moments {
        let ms = Duration::from_millis;
        Moments { due: ms(due), sent: ms(sent), answered: ms(answered) }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn fairness_lies_between_one_nth_and_one_and_knows_no_unit(
            shares in prop::collection::vec(0.0_f64..1e6, 2..20), scale in 0.1_f64..1e3,
        ) {
            if let Some(index) = fairness(&shares) {
                #[expect(clippy::cast_precision_loss, reason = "few")]
                let least = 1.0 / shares.len() as f64;
                prop_assert!(least - 1e-9 <= index && index <= 1.0 + 1e-9);
                let scaled: Vec<f64> = shares.iter().map(|share| share * scale).collect();
                prop_assert!((fairness(&scaled).unwrap() - index).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn fairness_of_the_worked_cases() {
        assert_eq!(fairness(&[5.0, 5.0, 5.0]), Some(1.0));
        assert_eq!(fairness(&[9.0, 0.0, 0.0]).map(|index| (index * 3.0).round()), Some(1.0));
        assert_eq!((fairness(&[0.0, 0.0]), fairness(&[4.0]), fairness(&[])), (None, None, None));
    }

    #[test]
    fn latency_runs_from_the_moment_a_request_was_due() {
        let mut tally = Tally::default();
        tally.count(&outcome(Kind::Good, "ok"), moments(0, 300, 320), Duration::from_secs(1));
        let line = tally.line(Duration::from_secs(1));
        assert_eq!(line.latency_ms.map(|told| told.max), Some(320.0));
        assert_eq!(line.late_ms.map(|told| told.max), Some(300.0));
    }

    #[test]
    fn every_request_is_counted_once_and_only_those_that_were_waited_for_must_be_good() {
        let (mut tally, run) = (Tally::default(), Duration::from_secs(1));
        tally.count(&outcome(Kind::Good, "ok"), moments(0, 0, 5), run);
        tally.count(&outcome(Kind::Good, "ok"), moments(990, 990, 1_010), run);
        tally.count(&outcome(Kind::Left, "hung_up"), moments(0, 0, 5), run);
        assert!(tally.is_all_good());
        let line = tally.line(run);
        assert_eq!((line.sent, line.answered, line.good), (3, 2, 2));
        assert!((line.goodput_per_sec - 1.0).abs() < 1e-9, "one of them was late");
        assert_eq!(line.codes.values().sum::<u64>(), 3);
        for (kind, code) in [(Kind::Lost, "cut_off"), (Kind::Refused, "unknown_version")] {
            let mut other = tally.clone();
            other.count(&outcome(kind, code), moments(0, 0, 5), run);
            assert!(!other.is_all_good(), "{code}");
        }
        let mut all = Tally::default();
        assert!(!all.is_all_good(), "nothing was sent");
        all.merge(&tally);
        all.merge(&tally);
        assert_eq!((all.line(run).sent, all.line(run).codes["ok"]), (6, 4));
        all.count_unsent();
        assert!(!all.is_all_good());
    }

    #[test]
    fn words_from_the_other_side_are_bounded() {
        let mut tally = Tally::default();
        for number in 0..1_000 {
            tally.count(&outcome(Kind::Refused, &format!("code_{number}")), moments(0, 0, 1), Duration::from_secs(1));
        }
        let codes = tally.line(Duration::from_secs(1)).codes;
        assert_eq!((codes.len(), codes.values().sum::<u64>()), (WORDS_MAX + 1, 1_000));
    }
}
