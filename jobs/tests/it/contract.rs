//! What every store and queue promises. Each sentence is tried on each kind of database.

pub(crate) mod callers;
mod workers;

/// Runs each function as a test on each kind of database, and the first of them on Postgres with Service Bus before it, too.
macro_rules! on_each_database {
    ($($name:ident),+ $(,)? $(; databases only: $($only:ident),+ $(,)?)?) => {
        crate::contract::on_databases!($($name),+ $(, $($only),+)?);
        mod service_bus {
            $(#[tokio::test]
            async fn $name() {
                let Some(db) = crate::servicebus::contract().await else { return };
                super::$name(&db).await;
            })+
        }
    };
}
use on_each_database;

macro_rules! on_databases {
    ($($name:ident),+) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&crate::support::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                let Some(server) = crate::server::Server::get() else { return };
                super::$name(&server.contract().await).await;
            })+
        }
    };
}
use on_databases;
