//! The program from outside.

// `cfg(test)` always holds here; saying so lets clippy treat every helper below as test code.
#[cfg(test)]
mod command;
