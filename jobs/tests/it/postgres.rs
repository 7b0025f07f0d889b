//! What only a real Postgres can show: who is bound by row level security, what a connection carries over, what a plan reads.

mod catalogue;
mod fairness;
mod held;
mod isolation;
mod outage;
mod resilience;
mod schemas;
mod slow;
