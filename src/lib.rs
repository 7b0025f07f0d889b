//! AppServer: an authoritative registry of versioned Grasshopper contracts, and a policy-enforcing gateway in front of
//! Rhino.Compute.
//!
//! The code map, top down:
//!
//! - [`cli`]: the commands; [`config`]: what is set, and where each value came from; [`telemetry`]: logs and metrics; [`vitals`]: whether the
//!   long-lived tasks are well
//! - [`app`]: the wiring, and the only place that starts long-lived tasks; [`server`]: the accept loop
//! - [`gateway`]: **the request path**, whole on one screen; a file a step below it
//! - [`registry`]: contracts and tenants as one immutable snapshot
//! - [`seats`]: how many solves of an app run at a time, and who is next
//! - [`nodes`]: which Rhino.Compute server solves, what each has installed; [`rhino`]: the node's language
//! - [`admin`]: health and the compat matrix; [`governance`]: making an app, checking its files, publishing a version, moving an alias; [`explain`]: what
//!   each error code and each rule means
//!
//! The `contract` crate holds what a version promises; `simnode` stands in for Rhino.Compute.

pub mod admin;
pub mod app;
pub mod cli;
pub mod client;
pub mod config;
pub mod explain;
pub mod faces;
pub mod gateway;
pub mod governance;
pub mod nodes;
pub mod registry;
pub mod rhino;
pub mod seats;
pub mod server;
pub mod telemetry;
pub mod vitals;
