//! The crate from outside: what stores and queues promise, on SQLite and on a real Postgres.

mod contract;
mod support;
