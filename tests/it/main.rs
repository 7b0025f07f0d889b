//! The one integration binary: the real gateway over real sockets, with stand-in nodes behind it, and the samples.

// `cfg(test)` always holds here; saying so lets clippy treat every helper below as test code.
#[cfg(test)]
mod auth;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod command;
#[cfg(test)]
mod health;
#[cfg(test)]
mod http;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod load;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod seats;
#[cfg(test)]
mod solve;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod warm;
