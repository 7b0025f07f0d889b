//! Which node gets a solve, or why none does.
//!
//! Pure: a list of candidates goes in, a choice or a [`Refusal`] comes out. No clock, no socket, no lock.

use super::node::State;

/// What the choice needs to know of one node, for one contract.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its health.
    pub state: State,
    /// Whether it is down by the check's word alone.
    pub unwell: bool,
    /// What it lacks for the contract; empty where it attests, `None` while nobody knows what it has.
    pub missing: Option<Vec<String>>,
    /// Whether it is believed to hold the definition.
    pub warm: bool,
    /// Slots that may be taken.
    pub free: u32,
    /// Solves under way.
    pub outstanding: u32,
}

/// Why no node takes a solve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// None is configured.
    #[error("there are no nodes")]
    NoNodes,
    /// Nodes are there, and none has what the contract requires.
    #[error("no node has what the contract requires: {}", .missing.join(", "))]
    NoneAttested {
        /// What the node that comes closest lacks; empty while no node has said what it has.
        missing: Vec<String>,
    },
    /// Nodes that would do are down, draining or not yet probed.
    #[error("no node that would do is in service ({down} of {total} are not)")]
    NoneHealthy {
        /// How many that would do are out of service.
        down: usize,
        /// How many nodes there are.
        total: usize,
    },
    /// All that would do are taken.
    #[error("all {slots} slots are taken ({wedged} by solves past their deadline)")]
    AllBusy {
        /// How many slots the nodes that would do have.
        slots: u32,
        /// How many of them are held by solves that nobody waits for in time.
        wedged: u32,
        /// How many wait already.
        waiting: usize,
    },
}

/// What the choice comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This one, by its place in the list.
    Take(usize),
    /// One of these may become free.
    Wait,
    /// Waiting would not help: it is not a matter of slots.
    Refuse(Refusal),
}

/// Chooses among attested nodes in service with a free slot: those that need no waking and are in good standing
/// first, among them those that hold the definition and are not too loaded for it, then those with the least under way,
/// and equal ones in turn.
///
/// Where less than half of the nodes pass the check, the check is doubted: those that fail nothing else are used, too,
/// last. Nodes that cannot be reached or have failed solves never are.
///
/// A suspect or sleeping node that holds the definition stands behind a healthy one that does not: to send a
/// definition costs less than a failure or a cold start.
pub fn choose(candidates: &[Candidate], turn: usize) -> Choice {
    if candidates.is_empty() {
        return Choice::Refuse(Refusal::NoNodes);
    }
    let fits = |candidate: &Candidate| candidate.missing.as_ref().is_some_and(Vec::is_empty);
    let doubt = doubts_check(candidates.iter().map(|candidate| candidate.state));
    let standing = |candidate: &Candidate| match standing(candidate.state) {
        None if doubt && candidate.unwell => Some(UNWELL),
        standing => standing,
    };
    let load = Load::of(candidates.iter().filter(|candidate| fits(candidate) && standing(candidate).is_some()));
    let best = (0..candidates.len())
        .map(|step| (turn.wrapping_add(step)) % candidates.len())
        .filter(|&at| fits(&candidates[at]) && candidates[at].free > 0)
        .filter_map(|at| standing(&candidates[at]).map(|standing| (standing, at)))
        // The first of equals wins, and the first is the one whose turn it is.
        .min_by_key(|&(standing, at)| (standing, !load.prefers(&candidates[at]), candidates[at].outstanding));
    if let Some((_, at)) = best {
        return Choice::Take(at);
    }
    if candidates.iter().any(|candidate| fits(candidate) && standing(candidate).is_some()) {
        return Choice::Wait;
    }
    let down = candidates.iter().filter(|candidate| fits(candidate)).count();
    if down > 0 {
        return Choice::Refuse(Refusal::NoneHealthy { down, total: candidates.len() });
    }
    // Nobody knows what a node has that has never been reached: that it is away is then the truer reason.
    let known = candidates.iter().filter_map(|candidate| candidate.missing.clone());
    match known.min_by_key(Vec::len) {
        Some(missing) => Choice::Refuse(Refusal::NoneAttested { missing }),
        None if candidates.iter().any(|candidate| standing(candidate).is_some()) => {
            Choice::Refuse(Refusal::NoneAttested { missing: Vec::new() })
        }
        None => Choice::Refuse(Refusal::NoneHealthy { down: candidates.len(), total: candidates.len() }),
    }
}

/// What the nodes that would do have under way: the measure of how much a warm one may be preferred.
#[derive(Clone, Copy, Debug)]
struct Load {
    outstanding: u64,
    nodes: u64,
}

impl Load {
    fn of<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Self {
        candidates.fold(Self { outstanding: 0, nodes: 0 }, |load, candidate| Self {
            outstanding: load.outstanding + u64::from(candidate.outstanding),
            nodes: load.nodes + 1,
        })
    }

    /// Whether a node holds the definition and has at most 1.25 times the mean under way, and one more: the one, so
    /// that where little runs a definition stays with its node and is not sent to all of them. Beyond that the solve
    /// spills over to a node that then holds the definition, too.
    fn prefers(self, candidate: &Candidate) -> bool {
        candidate.warm && u64::from(candidate.outstanding) * 4 * self.nodes <= self.outstanding * 5 + 4 * self.nodes
    }
}

/// Behind every standing that a state has by itself.
const UNWELL: u8 = 3;

/// Whether so few of the nodes are in service that the check is more likely wrong than they are. What is not yet known
/// or drains says nothing about it.
pub fn doubts_check(states: impl Iterator<Item = State>) -> bool {
    let judged = states.filter(|state| !matches!(state, State::Unknown | State::Draining));
    let (all, well) =
        judged.fold((0, 0), |(all, well), state| (all + 1, well + usize::from(standing(state).is_some())));
    well * 2 < all
}

/// How good a state is to solve in, best first; `None` where nothing is sent.
fn standing(state: State) -> Option<u8> {
    match state {
        State::Up => Some(0),
        State::Asleep => Some(1),
        State::Suspect => Some(2),
        State::Unknown | State::Down | State::Draining => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `state warm free outstanding missing`, for example `up w 2 1` or `down . 4 0 LadybugX`; `unwell` is down by the
    /// check alone.
    fn candidate(text: &str) -> Candidate {
        let words = text.split_whitespace().collect::<Vec<_>>();
        let state = match words[0] {
            "up" => State::Up,
            "asleep" => State::Asleep,
            "suspect" => State::Suspect,
            "down" | "unwell" => State::Down,
            "draining" => State::Draining,
            "unknown" => State::Unknown,
            other => panic!("{other}"),
        };
        let missing = match words.get(4) {
            Some(&"?") => None,
            words => Some(words.iter().map(ToString::to_string).collect()),
        };
        Candidate {
            state,
            unwell: words[0] == "unwell",
            warm: words[1] == "w",
            free: words[2].parse().unwrap(),
            outstanding: words[3].parse().unwrap(),
            missing,
        }
    }

    #[test]
    fn the_choice_follows_the_table() {
        let missing = |names: &[&str]| {
            Choice::Refuse(Refusal::NoneAttested { missing: names.iter().map(ToString::to_string).collect() })
        };
        let away = |down, total| Choice::Refuse(Refusal::NoneHealthy { down, total });
        let table: Vec<(&[&str], usize, Choice)> = vec![
            (&[], 0, Choice::Refuse(Refusal::NoNodes)),
            (&["up . 1 0"], 7, Choice::Take(0)),
            // Warm before idle, idle before busy, equal ones in turn.
            (&["up . 4 0", "up w 2 2"], 0, Choice::Take(1)),
            (&["up . 2 2", "up . 3 1"], 0, Choice::Take(1)),
            // Warmth is bounded by load: at most a quarter above the mean, and one.
            (&["up . 4 0", "up w 4 1"], 0, Choice::Take(1)),
            (&["up . 4 0", "up w 1 3"], 0, Choice::Take(0)),
            (&["up . 8 0", "up w 8 2", "up . 8 1"], 0, Choice::Take(1)),
            (&["up . 8 0", "up w 8 3", "up . 8 0"], 0, Choice::Take(0)),
            (&["up . 8 7", "up w 2 10", "up . 8 7"], 0, Choice::Take(1)),
            (&["up . 8 7", "up w 1 12", "up . 8 7"], 0, Choice::Take(0)),
            // Of two that hold it the less loaded one, and nodes that would not do are no part of the mean.
            (&["up w 4 1", "up w 4 0"], 0, Choice::Take(1)),
            (&["up . 4 0", "up w 1 3", "down . 0 9", "up . 0 9 LadybugX"], 0, Choice::Take(0)),
            (&["up . 4 0", "up . 4 0", "up . 4 0"], 0, Choice::Take(0)),
            (&["up . 4 0", "up . 4 0", "up . 4 0"], 1, Choice::Take(1)),
            (&["up . 4 0", "up . 4 0", "up . 4 0"], 5, Choice::Take(2)),
            (&["up . 4 0", "up . 3 1", "up . 4 0"], 1, Choice::Take(2)),
            // A full one is no choice, however warm.
            (&["up w 0 4", "up . 1 3"], 0, Choice::Take(1)),
            // Standing goes before warmth.
            (&["suspect w 4 0", "up . 1 3"], 0, Choice::Take(1)),
            (&["asleep w 4 0", "up . 1 3"], 0, Choice::Take(1)),
            (&["suspect w 4 0", "asleep . 4 0"], 0, Choice::Take(1)),
            (&["suspect . 4 0", "down . 4 0"], 0, Choice::Take(0)),
            (&["suspect . 4 0", "up . 0 4"], 0, Choice::Take(0)),
            // What lacks a plug-in gets nothing, even when it is all there is.
            (&["up w 4 0 LadybugX", "up . 1 3"], 0, Choice::Take(1)),
            (&["up . 4 0 LadybugX"], 0, missing(&["LadybugX"])),
            (&["up . 0 4"], 0, Choice::Wait),
            (&["up . 0 4", "up . 4 0 LadybugX", "down . 4 0"], 0, Choice::Wait),
            (&["down . 4 0", "draining . 4 0", "unknown . 4 0"], 0, away(3, 3)),
            (&["down . 4 0", "up . 4 0 LadybugX"], 0, away(1, 2)),
            // The check is doubted where less than half pass it, and then only for those that fail nothing else.
            (&["unwell . 4 0", "up . 0 4"], 0, Choice::Wait),
            (&["unwell . 4 0", "down . 4 0", "up . 0 4"], 0, Choice::Take(0)),
            (&["unwell . 4 0", "unwell w 4 0", "up . 1 3"], 0, Choice::Take(2)),
            (&["unwell . 4 0", "unwell w 4 0"], 0, Choice::Take(1)),
            (&["unwell . 0 4", "unwell . 0 4"], 0, Choice::Wait),
            (&["down . 4 0", "unwell . 4 0 LadybugX"], 0, away(1, 2)),
            (&["unwell . 4 0", "draining . 4 0", "up . 0 4"], 0, Choice::Wait),
            (&["up . 4 0 ?"], 0, missing(&[])),
            (&["down . 4 0 ?"], 0, away(1, 1)),
            (&["down . 4 0 LadybugX", "down . 4 0 ?"], 0, missing(&["LadybugX"])),
        ];
        for (nodes, turn, expected) in table {
            let candidates = nodes.iter().map(|text| candidate(text)).collect::<Vec<_>>();
            assert_eq!(choose(&candidates, turn), expected, "{nodes:?} turn {turn}");
        }
    }
}
