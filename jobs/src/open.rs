//! A store and a queue by their address, for programs that are told it.

use std::path::Path;
use std::sync::Arc;

use crate::{Error, Postgres, Queue, Sqlite, Store, Upkeep, postgres};

/// One database, by what it can do.
#[derive(Clone)]
pub struct Opened {
    pub store: Arc<dyn Store>,
    pub queue: Arc<dyn Queue>,
    pub upkeep: Arc<dyn Upkeep>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opened")
    }
}

// === impl Opened ===

impl Opened {
    fn of<D: Store + Queue + Upkeep + 'static>(opened: &Arc<D>) -> Self {
        Self { store: Arc::clone(opened) as _, queue: Arc::clone(opened) as _, upkeep: Arc::clone(opened) as _ }
    }
}

/// Opens `postgres://…`, whose schema must be there already, or `sqlite:<file>`, which is made where it is missing.
///
/// # Errors
/// When the address is neither, or the database cannot be used.
pub async fn open(url: &str) -> Result<Opened, Error> {
    if let Some(file) = url.strip_prefix("sqlite:") {
        let opened = Arc::new(Sqlite::open(Path::new(file.trim_start_matches("//"))).await?);
        return Ok(Opened::of(&opened));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let opened = Arc::new(Postgres::connect(&postgres::Settings::new(url)).await?);
        return Ok(Opened::of(&opened));
    }
    // It may have a password in it, so it is not repeated.
    Err(Error::Unfit("its address begins with neither `postgres://` nor `sqlite:`".to_owned()))
}
