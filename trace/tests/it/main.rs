//! The exporter before a collector.

// `cfg(test)` always holds here; saying so lets clippy treat every helper below as test code.
#[cfg(test)]
mod export;
#[cfg(test)]
mod receiver;
