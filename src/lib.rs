//! AppServer.
