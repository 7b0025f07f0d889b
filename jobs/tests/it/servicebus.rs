//! Service Bus: the adapter against a stand-in of the broker, and Microsoft's own client against the same one.

mod adapter;
pub(crate) mod broker;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use jobs::postgres::Settings;
use jobs::servicebus::{Address, Settings as Bus};
use jobs::{Postgres, ServiceBus};

use crate::server::{Database, Server};
use crate::support::{Db, admit_all};
use broker::{Broker, Rules};

/// A database whose jobs are told to a broker, with a relay that runs.
pub(crate) struct Bench {
    pub(crate) broker: Arc<Broker>,
    pub(crate) database: Database,
    pub(crate) store: Arc<Postgres>,
    pub(crate) bus: Arc<ServiceBus>,
    relay: Relay,
}

/// Ends its task when it is dropped.
struct Relay(tokio::task::JoinHandle<()>);

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// By the key that it takes.
pub(crate) fn address(broker: &Broker) -> Address {
    Address::parse(&broker.connection("c2VjcmV0")).unwrap()
}

impl Bench {
    /// Nothing where there is no Postgres or no broker here.
    pub(crate) async fn new(rules: Rules) -> Option<Self> {
        let (server, broker) = (Server::get()?, Arc::new(Broker::start(rules)?));
        let database = server.database().await;
        admit_all(&database.admin().await).await;
        let open = |login: &str| Settings { outbox: true, ..database.settings(login) };
        let store = Arc::new(Postgres::connect(&open("test_api")).await.unwrap());
        let worker = Arc::new(Postgres::connect(&open("test_worker")).await.unwrap());
        let settings = Bus { again_after: Duration::from_secs(2), ..Bus::new(address(&broker)) };
        let bus = Arc::new(ServiceBus::new(worker, settings));
        let relay = Relay(tokio::spawn({
            let bus = Arc::clone(&bus);
            async move { bus.relay().await }
        }));
        Some(Self { broker, database, store, bus, relay })
    }

    pub(crate) async fn db(self) -> Db {
        let worker = Arc::new(self.database.connect("test_worker").await);
        Db {
            store: self.store.clone(),
            queue: self.bus.clone(),
            tenants: Arc::new(self.database.admin().await),
            upkeep: worker,
            broker: true,
            _kept: Box::new((self.relay, self.broker, self.database)),
        }
    }

    /// One figure of the adapter's.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.bus.counts().all().iter().find(|(each, _)| *each == name).unwrap().1
    }
}

/// As the contract wants it.
pub(crate) async fn contract() -> Option<Db> {
    Some(Bench::new(Rules::default()).await?.db().await)
}
