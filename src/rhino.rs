//! The language of a Rhino.Compute node: how a solve is asked for, and what the answers mean.
//!
//! Three oddities of the node shape everything here. It keeps an input that is not sent at the value of whoever
//! called before, so every request carries every declared input, both tolerances and the units. It takes a definition
//! by key once it has seen it, and leaks a document for each time that it is sent whole, so the bytes travel once. And
//! its status codes mean little: a definition with an error answers 500 with a full body, so answers are classified
//! by their shape.
//!
//! Nothing here knows a pool, a health state or a caller: bytes in, meaning out. Only [`client`] opens sockets.

pub mod answer;
pub mod classify;
pub mod client;
pub mod describe;
pub mod protocol;
pub mod values;
