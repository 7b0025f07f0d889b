//! Which solves are under way, and who waits for each: a table that knows no clock, no task and no channel.
//!
//! A flight is *queued* until its solve is sent to a node, and *sent* from then on. Its moves:
//!
//! ```text
//! (none) -> queued     the first caller leads
//! queued -> queued     another caller follows; or one leaves while others wait
//! queued -> (none)     the last caller leaves: the solve must not run
//! queued -> sent       the solve goes to a node
//! any    -> queued     it failed by its node or its leader, somebody else waits as well, and it is the first time
//! sent   -> sent       callers come and go; none is needed any more
//! any    -> (none)     it is over
//! ```
//!
//! Invariant: a key has at most one flight; a flight that has ended, or was given up, is neither joined nor sent.

use std::collections::HashMap;
use std::hash::Hash;

/// All flights, by key. `T` is what callers of one flight share.
#[derive(Debug)]
pub(super) struct Table<K, T> {
    flights: HashMap<K, Flight<T>>,
    /// Distinguishes flights of one key that follow each other.
    next: u64,
    followers_max: usize,
}

#[derive(Debug)]
struct Flight<T> {
    id: Id,
    phase: Phase,
    waiting: usize,
    tried_again: bool,
    shared: T,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Queued,
    Sent,
}

/// One flight of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id(u64);

/// What a caller is to its flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Joined<T> {
    /// There was none: whoever leads has to start it.
    Lead(Id, T),
    Follow(Id, T),
    /// As many follow as may.
    Full,
}

/// What a caller's leaving means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// The flight goes on: somebody waits, or a node works on it; or it is over already.
    GoesOn,
    /// Nobody waits and nothing was sent. The flight is gone from the table.
    GivenUp,
}

impl<K: Eq + Hash + Clone, T: Clone> Table<K, T> {
    /// At most `followers_max` callers wait for one flight beside the one that leads.
    pub(super) fn new(followers_max: usize) -> Self {
        Self { flights: HashMap::new(), next: 0, followers_max }
    }

    /// A caller comes. `make` gives what the callers of a new flight share.
    pub(super) fn join(&mut self, key: &K, make: impl FnOnce(Id) -> T) -> Joined<T> {
        if let Some(flight) = self.flights.get_mut(key) {
            if flight.waiting > self.followers_max {
                return Joined::Full;
            }
            flight.waiting += 1;
            return Joined::Follow(flight.id, flight.shared.clone());
        }
        let id = Id(self.next);
        self.next += 1;
        let shared = make(id);
        let flight = Flight { id, phase: Phase::Queued, waiting: 1, tried_again: false, shared: shared.clone() };
        self.flights.insert(key.clone(), flight);
        Joined::Lead(id, shared)
    }

    /// A caller goes, answered or not. To be called once for each that came.
    pub(super) fn leave(&mut self, key: &K, id: Id) -> Left {
        let Some(flight) = self.find(key, id) else { return Left::GoesOn };
        debug_assert!(flight.waiting > 0, "nobody leaves twice");
        flight.waiting = flight.waiting.saturating_sub(1);
        if flight.waiting > 0 || flight.phase == Phase::Sent {
            return Left::GoesOn;
        }
        self.flights.remove(key);
        Left::GivenUp
    }

    /// The solve is about to go to a node. False where it must not: the flight was given up, or has ended.
    pub(super) fn send(&mut self, key: &K, id: Id) -> bool {
        let flight = self.find(key, id);
        flight.map(|flight| flight.phase = Phase::Sent).is_some()
    }

    /// The solve failed by bad luck. True where the flight shall be tried once more: somebody followed the caller that led
    /// and would pay for its bad luck. A caller alone is told, so that its failures are not multiplied.
    pub(super) fn try_again(&mut self, key: &K, id: Id) -> bool {
        let Some(flight) = self.find(key, id).filter(|flight| !flight.tried_again && flight.waiting > 1) else {
            return false;
        };
        flight.tried_again = true;
        flight.phase = Phase::Queued;
        true
    }

    /// The flight is over. Whoever comes now starts another.
    pub(super) fn end(&mut self, key: &K, id: Id) {
        if self.find(key, id).is_some() {
            self.flights.remove(key);
        }
    }

    /// Whether the key has a flight.
    pub(super) fn has(&self, key: &K) -> bool {
        self.flights.contains_key(key)
    }

    /// How many flights there are, and how many callers wait for them.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.flights.len(), self.flights.values().map(|flight| flight.waiting).sum())
    }

    fn find(&mut self, key: &K, id: Id) -> Option<&mut Flight<T>> {
        self.flights.get_mut(key).filter(|flight| flight.id == id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use shuttle::sync::Mutex;
    use shuttle::thread;

    use super::*;

    /// The table's rules said naively: every flight that ever was, with all that happened to it.
    #[derive(Debug, Default)]
    struct Model {
        flights: Vec<Past>,
    }

    #[derive(Debug)]
    struct Past {
        key: u8,
        waiting: usize,
        sent: bool,
        tries: usize,
        over: bool,
    }

    impl Model {
        fn live(&mut self, key: u8) -> Option<usize> {
            self.flights.iter().position(|past| past.key == key && !past.over)
        }
    }

    #[derive(Debug, Clone)]
    enum Move {
        Join(u8),
        /// The rest name a flight by its place among all that ever were, modulo their number.
        Leave(usize),
        Send(usize),
        Fail(usize),
        End(usize),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            4 => (0..3u8).prop_map(Move::Join),
            3 => any::<usize>().prop_map(Move::Leave),
            2 => any::<usize>().prop_map(Move::Send),
            1 => any::<usize>().prop_map(Move::Fail),
            1 => any::<usize>().prop_map(Move::End),
        ];
        prop::collection::vec(one, 0..80)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn the_table_does_what_the_rules_say(moves in moves()) {
            const FOLLOWERS: usize = 3;
            let (mut table, mut model, mut ids) = (Table::new(FOLLOWERS), Model::default(), Vec::new());
            for step in moves {
                let pick = |at: usize| (!ids.is_empty()).then(|| at % ids.len());
                match step {
                    Move::Join(key) => match (table.join(&key, |id| id), model.live(key)) {
                        (Joined::Lead(id, shared), None) => {
                            prop_assert_eq!(id, shared);
                            ids.push(id);
                            model.flights.push(Past { key, waiting: 1, sent: false, tries: 1, over: false });
                        }
                        (Joined::Follow(id, shared), Some(at)) if model.flights[at].waiting <= FOLLOWERS => {
                            prop_assert_eq!((id, shared), (ids[at], ids[at]));
                            model.flights[at].waiting += 1;
                        }
                        (Joined::Full, Some(at)) => prop_assert!(model.flights[at].waiting > FOLLOWERS),
                        (joined, live) => prop_assert!(false, "{joined:?} with {live:?}"),
                    },
                    Move::Leave(at) => {
                        let Some(at) = pick(at).filter(|at| model.flights[*at].waiting > 0) else { continue };
                        let past = &mut model.flights[at];
                        past.waiting -= 1;
                        let given_up = !past.over && past.waiting == 0 && !past.sent;
                        past.over |= given_up;
                        let expected = if given_up { Left::GivenUp } else { Left::GoesOn };
                        prop_assert_eq!(table.leave(&past.key, ids[at]), expected);
                    }
                    Move::Send(at) => {
                        let Some(at) = pick(at) else { continue };
                        let past = &mut model.flights[at];
                        prop_assert_eq!(table.send(&past.key, ids[at]), !past.over);
                        past.sent |= !past.over;
                    }
                    Move::Fail(at) => {
                        let Some(at) = pick(at) else { continue };
                        let past = &mut model.flights[at];
                        let again = !past.over && past.tries == 1 && past.waiting >= 2;
                        prop_assert_eq!(table.try_again(&past.key, ids[at]), again);
                        if again {
                            past.tries += 1;
                            past.sent = false;
                        }
                    }
                    Move::End(at) => {
                        let Some(at) = pick(at) else { continue };
                        table.end(&model.flights[at].key, ids[at]);
                        model.flights[at].over = true;
                    }
                }
                let live: Vec<_> = model.flights.iter().filter(|past| !past.over).collect();
                let waiting = live.iter().map(|past| past.waiting).sum::<usize>();
                prop_assert_eq!(table.count(), (live.len(), waiting));
                prop_assert!(live.iter().all(|past| past.tries <= 2 && past.waiting <= FOLLOWERS + 1));
            }
        }
    }

    /// Three callers of one key on threads that the scheduler interleaves. Whoever leads starts the solve on a thread of
    /// its own, and the second caller leaves at once. However they meet: no two solves of one key run at a time, a
    /// solve runs only if somebody waited when it was sent, and nothing is left behind.
    fn callers_and_their_solves() {
        let table = Arc::new(Mutex::new(Table::<u8, ()>::new(8)));
        let running = Arc::new(Mutex::new(0));
        let callers: Vec<_> = (0..3)
            .map(|caller| {
                let (table, running) = (Arc::clone(&table), Arc::clone(&running));
                thread::spawn(move || {
                    let joined = table.lock().unwrap().join(&0, |_| ());
                    let (id, leads) = match joined {
                        Joined::Lead(id, ()) => (id, true),
                        Joined::Follow(id, ()) => (id, false),
                        Joined::Full => unreachable!("three callers are few"),
                    };
                    let solve = leads.then(|| {
                        let (table, running) = (Arc::clone(&table), Arc::clone(&running));
                        thread::spawn(move || fly(&table, &running, id))
                    });
                    if caller != 1 {
                        thread::yield_now();
                    }
                    table.lock().unwrap().leave(&0, id);
                    solve.map(|solve| solve.join().unwrap())
                })
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
        assert_eq!(table.lock().unwrap().count(), (0, 0));
        assert_eq!(*running.lock().unwrap(), 0);
    }

    fn fly(table: &Mutex<Table<u8, ()>>, running: &Mutex<i32>, id: Id) {
        let mut tries = 0;
        loop {
            {
                let mut table = table.lock().unwrap();
                let waiting = table.count().1;
                if !table.send(&0, id) {
                    return;
                }
                assert!(waiting > 0, "a solve that nobody waited for was sent");
            }
            tries += 1;
            *running.lock().unwrap() += 1;
            assert_eq!(*running.lock().unwrap(), 1, "two solves of one key");
            *running.lock().unwrap() -= 1;
            // Every solve fails, so that the second try is walked, too.
            if !table.lock().unwrap().try_again(&0, id) {
                break;
            }
        }
        assert!(tries <= 2);
        table.lock().unwrap().end(&0, id);
    }

    #[test]
    fn no_interleaving_of_callers_and_solves_breaks_the_rules() {
        shuttle::check_random(callers_and_their_solves, 5_000);
        shuttle::check_pct(callers_and_their_solves, 5_000, 3);
    }

    mod slow {
        use super::*;

        #[test]
        #[ignore = "slow: a hundred thousand interleavings"]
        fn a_hundred_thousand_interleavings_break_no_rule() {
            shuttle::check_random(callers_and_their_solves, 50_000);
            shuttle::check_pct(callers_and_their_solves, 50_000, 4);
        }
    }
}
