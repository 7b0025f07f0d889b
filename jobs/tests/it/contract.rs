//! What every store and queue promises. Each sentence is tried on each kind of database.

mod callers;
mod workers;

/// Runs each function as a test on each kind of database.
macro_rules! on_each_database {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&*crate::support::sqlite().await).await;
            })+
        }
    };
}
use on_each_database;
