//! What the gateway's answer means for a job: a pure table.
//!
//! Invariant: what would fail the same way again is not tried again, and what only found no place to run costs the job nothing.

use std::time::Duration;

use jobs::Failure;

use crate::gateway::Refusal;

/// What to do with a job that was not solved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing of it has run: ask again after a while, in the same attempt.
    Wait(Duration),
    /// The attempt failed in a way that may pass.
    Retry { failure: Failure, at_least: Duration },
    /// It would fail the same way again; whether by its caller's own fault.
    Fail { failure: Failure, callers_fault: bool },
    /// There is nothing that could solve it.
    Bury(Failure),
}

/// The gateway was busy: the job has not been looked at.
const BUSY: [&str; 7] =
    ["app_busy", "rate_limited", "address_limited", "no_free_slot", "no_node", "overloaded", "too_many_waiters"];
/// The version is gone, or its app may not use it any more.
const GONE: [&str; 4] = ["unknown_definition", "unknown_version", "definition_forbidden", "app_forbidden"];
/// The worker is set up wrongly; no job is to blame.
const OURS: [&str; 3] = ["unauthenticated", "tenant_forbidden", "lane_closed"];

const WAIT_LEAST: Duration = Duration::from_millis(200);
const WAIT_MOST: Duration = Duration::from_secs(30);
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MOST: Duration = Duration::from_mins(5);
/// A misconfiguration takes people to mend.
const OURS_PAUSE: Duration = Duration::from_mins(1);

/// What a refusal means.
pub fn of(refusal: Refusal) -> Verdict {
    let failure = |code: &str, message: String, retryable| Failure { code: code.to_owned(), message, retryable };
    match refusal {
        Refusal::Problem { code, retry_after, .. } if BUSY.contains(&code.as_str()) => {
            Verdict::Wait(retry_after.unwrap_or(WAIT_LEAST).clamp(WAIT_LEAST, WAIT_MOST))
        }
        Refusal::Problem { code, detail, .. } if GONE.contains(&code.as_str()) => {
            Verdict::Bury(failure(&code, detail, false))
        }
        Refusal::Problem { code, detail, .. } if OURS.contains(&code.as_str()) => {
            Verdict::Retry { failure: failure(&code, detail, true), at_least: OURS_PAUSE }
        }
        Refusal::Problem { code, detail, retryable: true, retry_after, .. } => {
            Verdict::Retry { failure: failure(&code, detail, true), at_least: retry_after.unwrap_or_default() }
        }
        Refusal::Problem { code, detail, retryable: false, callers_fault, .. } => {
            Verdict::Fail { failure: failure(&code, detail, false), callers_fault }
        }
        Refusal::Unreachable(why) => {
            tracing::warn!(why, "the gateway cannot be asked");
            let message = "the gateway cannot be reached".to_owned();
            Verdict::Retry { failure: failure("gateway_unreachable", message, true), at_least: Duration::ZERO }
        }
        Refusal::TooLarge => {
            let message = "the answer is larger than the worker takes".to_owned();
            Verdict::Fail { failure: failure("answer_too_large", message, false), callers_fault: false }
        }
    }
}

/// How long to wait after so many attempts: 1 s, 2 s, 4 s … up to 5 min, half of it by chance, and never less than was asked for.
pub fn backoff(attempts: u32, at_least: Duration) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
    let wait = doubled.min(BACKOFF_MOST);
    at_least + wait / 2 + jittered(wait / 2)
}

/// Between half of it and all of it, so that workers do not march in step.
pub fn jittered(wait: Duration) -> Duration {
    let chance = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
    wait / 2 + wait * chance / 510
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(code: &str, retryable: bool, retry_after: Option<u64>) -> Verdict {
        let retry_after = retry_after.map(Duration::from_secs);
        of(Refusal::Problem { code: code.into(), detail: "d".into(), retryable, retry_after, callers_fault: false })
    }

    #[test]
    fn what_found_no_place_waits_as_it_is_told() {
        assert_eq!(problem("app_busy", true, Some(3)), Verdict::Wait(Duration::from_secs(3)));
        assert_eq!(problem("rate_limited", true, Some(9_999)), Verdict::Wait(WAIT_MOST));
        assert_eq!(problem("no_node", true, None), Verdict::Wait(WAIT_LEAST));
    }

    #[test]
    fn what_is_certain_to_fail_again_is_not_tried_again() {
        for code in ["definition_error", "invalid_inputs", "output_mismatch", "answer_too_large", "version_refused"] {
            assert!(
                matches!(problem(code, false, None), Verdict::Fail { failure, .. } if failure.code == code && !failure.retryable)
            );
        }
        assert!(matches!(problem("unknown_version", false, None), Verdict::Bury(_)));
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for code in ["node_timeout", "node_unreachable", "internal", "version_degraded"] {
            assert!(matches!(problem(code, true, Some(2)), Verdict::Retry { at_least, .. } if at_least.as_secs() == 2));
        }
        assert!(matches!(problem("unauthenticated", false, None), Verdict::Retry { .. }), "no job is to blame");
        assert!(matches!(of(Refusal::Unreachable("x".into())), Verdict::Retry { .. }));
    }

    #[test]
    fn the_pause_doubles_within_bounds_and_is_never_shorter_than_asked() {
        for attempts in [1, 2, 5, 9, 40, u32::MAX] {
            let pause = backoff(attempts, Duration::from_secs(7));
            let whole = Duration::from_secs(1_u64.checked_shl(attempts - 1).unwrap_or(u64::MAX)).min(BACKOFF_MOST);
            assert!(
                pause >= Duration::from_secs(7) + whole / 2 && pause <= Duration::from_secs(7) + whole,
                "{attempts}: {pause:?}"
            );
        }
    }
}
