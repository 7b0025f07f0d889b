//! A node's slots: how many solves it can run at once, and what has become of each.
//!
//! A slot belongs to the **solve**, not to whoever waits for it. Nothing cancels a running solve, so a slot whose
//! caller has gone stays taken. It is *wedged* from the caller's deadline until the node has answered, and
//! *abandoned* once nobody listens for the answer any more: then only evidence that the node solves again, or a
//! process that has been replaced, gives it back.
//!
//! Invariant: free + running + wedged + abandoned = total; every solve ends in exactly one `release` or `abandon`.

/// The counts of one node. Pure; the guard that moves them lives with the solve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    total: u32,
    running: u32,
    wedged: u32,
    abandoned: u32,
}

impl Slots {
    /// All free. A node has at least one.
    pub fn new(total: u32) -> Self {
        Self { total: total.max(1), running: 0, wedged: 0, abandoned: 0 }
    }

    /// How many there are.
    pub fn total(self) -> u32 {
        self.total
    }

    /// How many may be taken. None while the node was made smaller than what runs on it.
    pub fn free(self) -> u32 {
        self.total.saturating_sub(self.running + self.wedged + self.abandoned)
    }

    /// How many are held by solves that nobody waits for in time: wedged and abandoned ones.
    pub fn wedged(self) -> u32 {
        self.wedged + self.abandoned
    }

    /// How many of those nobody listens to any more.
    pub fn abandoned(self) -> u32 {
        self.abandoned
    }

    /// How many solves are under way whose callers still wait.
    pub fn running(self) -> u32 {
        self.running
    }

    /// Whether no solve holds one: the abandoned ones have nobody left who could give them back.
    pub fn are_unheld(self) -> bool {
        self.running + self.wedged == 0
    }

    /// How many solves are under way, as far as is known.
    pub fn outstanding(self) -> u32 {
        self.running + self.wedged + self.abandoned
    }

    /// Free -> running. False where there is none.
    pub fn take(&mut self) -> bool {
        let free = self.free() > 0;
        if free {
            self.running += 1;
        }
        free
    }

    /// Running -> wedged: the caller's deadline has passed.
    pub fn wedge(&mut self) {
        debug_assert!(self.running > 0, "only a running solve can wedge its slot");
        self.running = self.running.saturating_sub(1);
        self.wedged += 1;
    }

    /// Running or wedged -> free: the node has answered, or has seen nothing of the request.
    pub fn release(&mut self, wedged: bool) {
        let held = if wedged { &mut self.wedged } else { &mut self.running };
        debug_assert!(*held > 0, "a slot is released once");
        *held = held.saturating_sub(1);
    }

    /// Running or wedged -> abandoned: the solve may go on, and nobody will hear of its end.
    pub fn abandon(&mut self, wedged: bool) {
        self.release(wedged);
        self.abandoned += 1;
    }

    /// Abandoned -> free, all of them: the node has shown that it solves, or its processes have been replaced.
    /// Returns how many there were.
    pub fn recover(&mut self) -> u32 {
        std::mem::take(&mut self.abandoned)
    }

    /// The node has more or fewer children than before. What runs is kept.
    pub fn resize(&mut self, total: u32) {
        self.total = total.max(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn slots_never_lie(total in 1..6u32, moves in prop::collection::vec(0..7u8, 0..60)) {
            let mut slots = Slots::new(total);
            // What the solves themselves would say.
            let (mut running, mut wedged, mut abandoned) = (0, 0, 0);
            for step in moves {
                match step {
                    0 | 1 => running += u32::from(slots.take()),
                    2 if running > 0 => {
                        slots.wedge();
                        running -= 1;
                        wedged += 1;
                    }
                    3 if running > 0 => {
                        slots.release(false);
                        running -= 1;
                    }
                    4 if wedged > 0 => {
                        slots.release(true);
                        wedged -= 1;
                    }
                    5 if wedged > 0 => {
                        slots.abandon(true);
                        wedged -= 1;
                        abandoned += 1;
                    }
                    6 => prop_assert_eq!(slots.recover(), std::mem::take(&mut abandoned)),
                    _ => {}
                }
                prop_assert_eq!(slots.outstanding(), running + wedged + abandoned);
                prop_assert_eq!(slots.free() + slots.outstanding(), total);
                prop_assert_eq!(slots.wedged(), wedged + abandoned);
            }
        }
    }

    #[test]
    fn a_node_made_smaller_keeps_what_runs_and_takes_nothing_new() {
        let mut slots = Slots::new(3);
        assert!(slots.take() && slots.take());
        slots.resize(1);
        assert_eq!((slots.free(), slots.outstanding()), (0, 2));
        assert!(!slots.take());
        slots.release(false);
        slots.release(false);
        assert!(slots.take());
    }
}
