//! AppServer.
fn main() {}
