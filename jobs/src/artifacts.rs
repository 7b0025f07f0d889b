//! Blobs that jobs refer to: `artifacts/<app_id>/<job_id>/<content>/<name>`, in a local folder or in Azure.
//!
//! A path has the start of its content's digest in it, so whatever two workers write of one job at one time, neither replaces the
//! other's. A blob is stored, durably, before the row that refers to it; what no row refers to is swept after a grace.
//!
//! Invariant: what is read back has the digest that its row tells, or it is not given out.

mod link;
mod sweep;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use contract::Digest;
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::local::LocalFileSystem;
use object_store::path::Path as BlobPath;
use object_store::{Attribute, Attributes, GetOptions, ObjectStore, ObjectStoreExt as _, PutOptions};

pub use link::{LAST_MAX, Link, LinkKey, LinkQuery, Refused, Verb};
pub use sweep::Swept;

use crate::{AppId, Artifact, JobId};

/// The longest name of one artifact, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// How much of the digest stands in a path: 64 bits tell one job's few blobs apart.
const CONTENT_CHARS: usize = 16;

/// Where blobs are kept.
#[derive(Debug, Clone)]
pub struct Artifacts {
    store: Arc<dyn ObjectStore>,
    links: Links,
}

/// Who signs links to blobs.
#[derive(Debug, Clone)]
enum Links {
    /// We do, and the job API answers them, below this address.
    Own { key: LinkKey, base: String },
    /// The account's key does, and Azure answers them.
    Azure(Arc<MicrosoftAzure>),
}

/// What can go wrong with a blob.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "an artifact's name is 1 to {NAME_BYTES_MAX} ASCII letters, digits, `-`, `_` or `.`, and starts with a letter or digit"
    )]
    Name,
    #[error("there is no such blob")]
    Missing,
    /// It is not what was stored: nothing of it is given out.
    #[error("the blob at {0} does not have the digest that it was stored with")]
    Altered(String),
    #[error("a blob of {bytes} bytes is larger than {max}")]
    TooLarge { bytes: u64, max: u64 },
    /// Not repeated: what does not belong in it may be a key.
    #[error(
        "the address of a container has no user, query or fragment: credentials come by AZURE_STORAGE_ACCOUNT_KEY and the like"
    )]
    Address,
    #[error("the blob store failed")]
    Store(#[source] object_store::Error),
    #[error("the database failed")]
    Database(#[source] crate::Error),
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        if let object_store::Error::NotFound { .. } = error { Self::Missing } else { Self::Store(error) }
    }
}

impl Artifacts {
    /// Blobs below a folder, which is made where it is missing. Links lead to `base`, and are signed with the key.
    pub fn local(folder: &Path, key: LinkKey, base: &str) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::Store(object_store::Error::Generic { store: "local folder", source: Box::new(error) })
        })?;
        // Written aside, synced, renamed, and the folder synced: a name that is there is whole, also after a power cut.
        let store = LocalFileSystem::new_with_prefix(folder)?.with_automatic_cleanup(true).with_fsync(true);
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { store: Arc::new(store), links: Links::Own { key, base } })
    }

    /// Blobs in a container of Azure, which exists already. Settings as the builder has them: account, container, credentials.
    pub fn azure(settings: MicrosoftAzureBuilder) -> Result<Self, Error> {
        let store = Arc::new(settings.build()?);
        Ok(Self { store: Arc::clone(&store) as Arc<dyn ObjectStore>, links: Links::Azure(store) })
    }

    /// Blobs in a container of Azure by its address, `https://<account>.blob.core.windows.net/<container>` or `az://<container>`, with
    /// credentials and all else from the environment, by the names that Azure's own tools read: `AZURE_STORAGE_ACCOUNT_KEY` and so on.
    pub fn azure_at(url: &str) -> Result<Self, Error> {
        if url.contains(['@', '?', '#']) {
            return Err(Error::Address);
        }
        Self::azure(MicrosoftAzureBuilder::from_env().with_url(url))
    }

    /// Stores a blob, and returns when it would survive a power cut. Storing it again is harmless, and makes it young again.
    pub async fn put(
        &self,
        app: &AppId,
        job: JobId,
        name: &str,
        media_type: &str,
        content: Bytes,
    ) -> Result<Artifact, Error> {
        let digest = Digest::of(&content).to_string();
        let path = path_of(app, job, name, &digest)?;
        let attributes = match self.links {
            // A folder keeps none; the row has the type.
            Links::Own { .. } => Attributes::new(),
            Links::Azure(_) => Attributes::from_iter([(Attribute::ContentType, media_type.to_owned())]),
        };
        let bytes = content.len() as u64;
        self.store.put_opts(&path, content.into(), PutOptions { attributes, ..PutOptions::default() }).await?;
        Ok(Artifact { path: path.to_string(), digest, bytes, media_type: media_type.to_owned() })
    }

    /// The blob's content, checked, if it is not larger than so many bytes.
    pub async fn get(&self, artifact: &Artifact, bytes_max: u64) -> Result<Bytes, Error> {
        let content = self.read(&artifact.path, bytes_max).await?;
        if Digest::of(&content).to_string() == artifact.digest {
            Ok(content)
        } else {
            Err(Error::Altered(artifact.path.clone()))
        }
    }

    /// The content that a path of ours names, checked by the digest in it. For answering [`Link`]s, whose path is signed.
    pub async fn get_linked(&self, path: &str, bytes_max: u64) -> Result<Bytes, Error> {
        let content = self.read(path, bytes_max).await?;
        let digest = Digest::of(&content).to_string();
        let named = path.rsplit('/').nth(1);
        if named == Some(content_part(&digest)) { Ok(content) } else { Err(Error::Altered(path.to_owned())) }
    }

    async fn read(&self, path: &str, bytes_max: u64) -> Result<Bytes, Error> {
        // What is no path at all names no blob.
        let Ok(path) = BlobPath::parse(path) else { return Err(Error::Missing) };
        let found = self.store.get_opts(&path, GetOptions::default()).await?;
        if found.meta.size > bytes_max {
            return Err(Error::TooLarge { bytes: found.meta.size, max: bytes_max });
        }
        Ok(found.bytes().await?)
    }

    /// Whether the store answers: a listing of nothing.
    pub async fn ping(&self) -> Result<(), Error> {
        match self.store.head(&BlobPath::from("artifacts/.ping")).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::Store(error)),
        }
    }
}

fn path_of(app: &AppId, job: JobId, name: &str, digest: &str) -> Result<BlobPath, Error> {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !starts || name.len() > NAME_BYTES_MAX || !name.bytes().all(inside) {
        return Err(Error::Name);
    }
    BlobPath::parse(format!("artifacts/{app}/{job}/{}/{name}", content_part(digest)))
        .map_err(|error| Error::Store(error.into()))
}

fn content_part(digest: &str) -> &str {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    hex.get(..CONTENT_CHARS).unwrap_or(hex)
}
