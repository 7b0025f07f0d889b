//! Workers as processes of their own, which are stopped, killed and continued, before a gateway that answers when it is told to.

// `cfg(test)` always holds here; saying so lets clippy treat every helper below as test code.
#[cfg(test)]
mod azure;
#[cfg(test)]
#[path = "../../../jobs/tests/it/azurite.rs"]
mod azurite;
#[cfg(test)]
#[path = "../../../jobs/tests/it/servicebus/broker.rs"]
mod broker;
#[cfg(test)]
#[path = "../../../jobs/tests/it/cluster.rs"]
mod cluster;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod processes;
#[cfg(test)]
#[path = "../../../jobs/tests/it/proxy.rs"]
#[expect(dead_code, reason = "some of it is for the tests of the store")]
mod proxy;
#[cfg(test)]
mod support;
#[cfg(test)]
mod upkeep;
