//! The plan against a naive model that, at each look, works everything out anew from the whole history of one place.

use std::time::Duration;

use contract::Digest;
use proptest::prelude::*;
use semver::Version;

use crate::registry::plan::{Holding, Kept, Listing, Place, Plan, Settling, Step, plan};

/// A content: 0 to 3 are good, 4 and 5 faulty.
type Sight = Option<u8>;

const SETTLE: Duration = Duration::from_secs(1);

fn digest(content: u8) -> Digest {
    Digest([content; 32])
}

fn places() -> [Place; 4] {
    let version = |version: &str| Place::Version { app_id: "a".into(), version: Version::parse(version).unwrap() };
    [Place::Tenants, Place::Policy { app_id: "a".into() }, version("1.0.0"), version("2.0.0")]
}

/// The registry, as the reloader keeps it: only what a plan needs.
#[derive(Default)]
struct Registry {
    held: Holding,
    settling: Settling,
}

impl Registry {
    fn look(&mut self, seen: [Sight; 4], now: Duration, mutable: bool) -> bool {
        let sights = places().into_iter().zip(seen);
        let listing: Listing = sights.filter_map(|(place, sight)| Some((place, digest(sight?)))).collect();
        let mut waiting = Vec::new();
        let settling = &mut self.settling;
        let settled = |place: &Place, sight| {
            let settled = settling.note(place, sight, now, SETTLE);
            if !settled {
                waiting.push(place.clone());
            }
            settled
        };
        let Plan::Steps(steps) = plan(&self.held, &listing, mutable, settled) else { return false };
        self.settling.keep(|place| waiting.contains(place));
        for step in steps {
            self.apply(step);
        }
        true
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Take { place, digest } => {
                let good = digest.0[0] < 4;
                match self.held.get_mut(&place).filter(|kept| kept.good && !good) {
                    Some(kept) => kept.dealt_with = Some(digest),
                    None => drop(self.held.insert(place, Kept { digest, good, dealt_with: Some(digest), twin: false })),
                }
            }
            Step::Remove { place } => drop(self.held.remove(&place)),
            Step::Decline { place, seen } => self.held.get_mut(&place).unwrap().dealt_with = seen,
            Step::Clear { place } => {
                let kept = self.held.get_mut(&place).unwrap();
                kept.dealt_with = Some(kept.digest);
            }
            Step::Twin { .. } => panic!("no two names here differ by case alone"),
        }
    }
}

/// What is in force of a place after its history, and whether it is good: for each look, was the sight the same all the time since
/// a look at least `SETTLE` ago?
fn naive(place: &Place, history: &[(Duration, Sight)], mutable: bool) -> Option<(u8, bool)> {
    let mut force: Option<(u8, bool)> = None;
    for (index, (now, sight)) in history.iter().enumerate() {
        let alike = history[..=index].iter().rev().take_while(|(_, other)| other == sight);
        let since = alike.last().unwrap().0;
        if now.saturating_sub(since) < SETTLE {
            continue;
        }
        force = match (force, *sight) {
            (Some(kept), None) if *place == Place::Tenants => Some(kept),
            (_, None) => None,
            (Some((kept, true)), Some(_)) if matches!(place, Place::Version { .. }) && !mutable => Some((kept, true)),
            (_, Some(content)) if content < 4 => Some((content, true)),
            (Some((kept, true)), Some(_)) => Some((kept, true)),
            (_, Some(content)) => Some((content, false)),
        };
    }
    force
}

fn histories() -> impl Strategy<Value = Vec<(u64, [Sight; 4])>> {
    let sight = prop_oneof![2 => Just(None), 5 => (0..6_u8).prop_map(Some)];
    let look = (prop_oneof![Just(10_u64), Just(400), Just(1000), Just(1700)], prop::array::uniform4(sight));
    // A sight mostly stays for some looks, or nothing would ever settle.
    let stretch = (look, prop::collection::vec(prop_oneof![Just(100_u64), Just(600), Just(1200)], 0..4));
    prop::collection::vec(stretch, 1..16).prop_map(|stretches| {
        let looks = stretches.into_iter().flat_map(|((wait, sights), again)| {
            std::iter::once((wait, sights)).chain(again.into_iter().map(move |wait| (wait, sights)))
        });
        looks.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_plan_does_what_a_look_through_all_of_history_says(looks in histories(), mutable: bool) {
        let mut registry = Registry::default();
        let (mut now, mut histories) = (Duration::ZERO, places().map(|place| (place, Vec::new())));
        for (wait, sights) in looks {
            now += Duration::from_millis(wait);
            let held_version = registry.held.keys().any(|place| place.version().is_some());
            let counted = registry.look(sights, now, mutable);
            prop_assert_eq!(counted, !held_version || sights[2].is_some() || sights[3].is_some(), "emptied");
            if counted {
                for ((_, history), sight) in histories.iter_mut().zip(sights) {
                    history.push((now, sight));
                }
            }
            for (place, history) in &histories {
                let expected = naive(place, history, mutable);
                let kept = registry.held.get(place).map(|kept| (kept.digest.0[0], kept.good));
                prop_assert_eq!(kept, expected, "{} after {:?}", place, history);
            }
        }
    }

    #[test]
    fn a_version_that_serves_never_changes_while_it_is_there(looks in histories()) {
        let mut registry = Registry::default();
        let mut now = Duration::ZERO;
        for (wait, sights) in looks {
            now += Duration::from_millis(wait);
            let before = registry.held.clone();
            registry.look(sights, now, false);
            for (place, kept) in before.iter().filter(|(place, kept)| kept.good && place.version().is_some()) {
                let after = registry.held.get(place).map(|kept| kept.digest);
                prop_assert!(after.is_none_or(|after| after == kept.digest), "{place} changed");
            }
        }
    }
}
