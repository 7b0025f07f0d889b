//! The crate from outside: what stores and queues promise, on SQLite and on a real Postgres.

// `cfg(test)` always holds here; saying so lets clippy treat every helper below as test code.
#[cfg(test)]
mod artifacts;
#[cfg(test)]
mod azurite;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod server;
#[cfg(test)]
mod servicebus;
#[cfg(test)]
mod support;
