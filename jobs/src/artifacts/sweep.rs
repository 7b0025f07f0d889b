//! Removing blobs that no row refers to: of attempts that did not end, of jobs that are retired.
//!
//! Invariant: a blob that a row refers to is not removed, and neither is one that was stored within the grace, whose row may be yet
//! to come.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use object_store::path::Path as BlobPath;
use object_store::{ObjectStore as _, ObjectStoreExt as _};

use super::{Artifacts, Error};
use crate::Upkeep;

/// How many paths are asked about at once.
const BATCH: usize = 500;

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub seen: u64,
    pub removed: u64,
    pub bytes: u64,
}

impl Artifacts {
    /// Removes what is older than the grace and referred to by no row. Cancel safety: what was removed stays removed.
    pub async fn sweep(&self, rows: &dyn Upkeep, grace: Duration) -> Result<Swept, Error> {
        let newest = Timestamp::now() - grace;
        let mut swept = Swept::default();
        let listed = self.store.list(Some(&BlobPath::from("artifacts")));
        let mut chunks = listed.try_chunks(BATCH);
        loop {
            let chunk = match chunks.try_next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ok(swept),
                Err(error) => return Err(Error::Store(error.1)),
            };
            swept.seen += chunk.len() as u64;
            let mut old = chunk;
            old.retain(|blob| blob.last_modified.timestamp() < newest.as_second());
            let paths: Vec<_> = old.iter().map(|blob| blob.location.to_string()).collect();
            let referenced = rows.referenced(&paths).await.map_err(Error::Database)?;
            for blob in old.into_iter().filter(|blob| !referenced.contains(blob.location.as_ref())) {
                match self.store.delete(&blob.location).await {
                    Ok(()) => {
                        swept.removed += 1;
                        swept.bytes += blob.size;
                    }
                    // Another sweep was here.
                    Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(Error::Store(error)),
                }
            }
        }
    }
}
