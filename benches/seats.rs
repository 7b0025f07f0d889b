//! What one turn of the seats costs: a release, the pick of the next waiter, its grant, and a new waiter in its place,
//! with 10, 1,000 and 100,000 waiting.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use appserver::seats::{Answer, Ask, Caps, Fate, Lane, Schedule, Ticket};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const FOREVER: Duration = Duration::from_secs(1_000_000_000);

fn full(waiting: usize, tenants: &[Arc<str>]) -> (Schedule, Ticket) {
    let mut caps = Caps::new(1, 1, 0);
    (caps.preview.depth, caps.preview.wait) = (u32::MAX, FOREVER);
    let mut schedule = Schedule::new(caps);
    let Answer::Granted(held) = schedule.ask(ask(&tenants[0]), FOREVER, Duration::ZERO) else {
        panic!("the first ask has a seat")
    };
    for number in 0..waiting {
        schedule.ask(ask(&tenants[number % tenants.len()]), FOREVER, Duration::ZERO);
    }
    (schedule, held)
}

fn ask(tenant: &Arc<str>) -> Ask {
    Ask { tenant: Arc::clone(tenant), lane: Lane::Preview, session: None, weight: NonZeroU32::MIN }
}

fn turn(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("seats/turn");
    for waiting in [10_usize, 1_000, 100_000] {
        let tenants: Vec<Arc<str>> = (0..waiting.min(1_000)).map(|number| format!("tenant {number}").into()).collect();
        let (mut schedule, mut held) = full(waiting, &tenants);
        let (mut now, mut number) = (Duration::ZERO, 0_usize);
        group.bench_function(BenchmarkId::from_parameter(waiting), |bencher| {
            bencher.iter(|| {
                now += Duration::from_micros(1);
                schedule.release(held, now);
                let fates = schedule.fates();
                let &[(next, Fate::Granted)] = fates.as_slice() else { panic!("one release, one grant") };
                held = next;
                number += 1;
                let answer = schedule.ask(ask(&tenants[number % tenants.len()]), FOREVER, now);
                assert!(matches!(answer, Answer::Queued(..)));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, turn);
criterion_main!(benches);
