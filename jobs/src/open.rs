//! A store and a queue by what a program is told of them.

use std::path::Path;
use std::sync::Arc;

use crate::{Error, Postgres, Queue, ServiceBus, Sqlite, Store, Upkeep, postgres, servicebus};

/// Where jobs are kept, and what tells workers of them.
#[derive(Debug, Clone)]
pub struct Where {
    /// `postgres://…`, whose schema must be there already, or `sqlite:<file>`, which is made where it is missing.
    pub database: String,
    /// An app's own schema of a database in Postgres.
    pub schema: String,
    /// The broker before the rows; without one the database is the queue.
    pub broker: Option<servicebus::Settings>,
}

/// One database, by what it can do.
#[derive(Clone)]
pub struct Opened {
    pub store: Arc<dyn Store>,
    pub queue: Arc<dyn Queue>,
    pub upkeep: Arc<dyn Upkeep>,
    /// The broker, where there is one: [`ServiceBus::relay`] has to run as long as the program does.
    pub broker: Option<Arc<ServiceBus>>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opened")
    }
}

// === impl Where ===

impl Where {
    /// With the schema of our own name, and the database as the queue.
    pub fn new(database: &str) -> Self {
        Self { database: database.to_owned(), schema: postgres::SCHEMA.to_owned(), broker: None }
    }
}

// === impl Opened ===

impl Opened {
    fn of<D: Store + Queue + Upkeep + 'static>(opened: &Arc<D>) -> Self {
        Self {
            store: Arc::clone(opened) as _,
            queue: Arc::clone(opened) as _,
            upkeep: Arc::clone(opened) as _,
            broker: None,
        }
    }
}

/// Opens what it is told of.
///
/// # Errors
/// When the address is none of these, or the database cannot be used.
pub async fn open(place: &Where) -> Result<Opened, Error> {
    let url = &place.database;
    if let Some(file) = url.strip_prefix("sqlite:") {
        if place.broker.is_some() {
            return Err(Error::Unfit("jobs before which there is a broker are kept in Postgres".to_owned()));
        }
        let opened = Arc::new(Sqlite::open(Path::new(file.trim_start_matches("//"))).await?);
        return Ok(Opened::of(&opened));
    }
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        // It may have a password in it, so it is not repeated.
        return Err(Error::Unfit("its address begins with neither `postgres://` nor `sqlite:`".to_owned()));
    }
    let (schema, outbox) = (place.schema.clone(), place.broker.is_some());
    let settings = postgres::Settings { schema, outbox, ..postgres::Settings::new(url) };
    let opened = Arc::new(Postgres::connect(&settings).await?);
    let Some(broker) = &place.broker else { return Ok(Opened::of(&opened)) };
    let broker = Arc::new(ServiceBus::new(Arc::clone(&opened), broker.clone()));
    Ok(Opened { queue: Arc::clone(&broker) as _, broker: Some(broker), ..Opened::of(&opened) })
}
