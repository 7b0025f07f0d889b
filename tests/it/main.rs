//! The one integration binary: the real gateway over real sockets, with stand-in nodes behind it, and the samples.

// `cfg(test)` always holds here; saying so lets clippy treat every helper below as test code.
#[cfg(test)]
mod aliases;
#[cfg(test)]
mod auth;
#[cfg(test)]
#[path = "../../jobs/tests/it/azurite.rs"]
mod azurite;
#[cfg(test)]
#[path = "../../jobs/tests/it/servicebus/broker.rs"]
mod broker;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod canaries;
#[cfg(test)]
mod check;
#[cfg(test)]
mod ci;
#[cfg(test)]
mod command;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod faces;
#[cfg(test)]
mod figures;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod governance;
#[cfg(test)]
mod health;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http;
#[cfg(test)]
mod infra;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod json;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod load;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod onboarding;
#[cfg(test)]
mod pool;
#[cfg(test)]
#[path = "../../trace/tests/it/receiver.rs"]
mod receiver;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod scaffold;
#[cfg(test)]
mod seats;
#[cfg(test)]
mod solve;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod top;
#[cfg(test)]
mod warm;
#[cfg(test)]
mod watching;
