//! The schedule against a naive model and by its fairness, the shell under paused time and under a model checker.

mod fairness;
mod model;
mod shell;
mod shuttled;
mod sojourn;

use std::{num::NonZeroU32, time::Duration};

use super::{Answer, Ask, Lane, Ticket};

const FOREVER: Duration = Duration::from_secs(1_000_000);

fn ask(tenant: &str, lane: Lane) -> Ask {
    Ask { tenant: tenant.into(), lane, session: None, weight: NonZeroU32::MIN }
}

fn granted(answer: Answer) -> Ticket {
    match answer {
        Answer::Granted(ticket) => ticket,
        Answer::Queued(..) | Answer::Refused(_) => panic!("not granted: {answer:?}"),
    }
}

fn queued(answer: Answer) -> Ticket {
    match answer {
        Answer::Queued(ticket, _) => ticket,
        Answer::Granted(_) | Answer::Refused(_) => panic!("not queued: {answer:?}"),
    }
}
