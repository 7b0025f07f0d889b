//! The integration tests of the workspace: one binary, a module for each matter.

#[cfg(test)]
mod samples;
