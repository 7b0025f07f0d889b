//! Artifacts in Azure's blob store, which Azurite stands in for.

use std::time::Duration;

use bytes::Bytes;
use jobs::artifacts::{Error, Verb};
use jobs::{Artifacts, JobId};
use object_store::azure::MicrosoftAzureBuilder;

use crate::azurite::{ACCOUNT, KEY, azurite, exchange, make_container};
use crate::support::*;

fn azure(address: &str) -> Artifacts {
    let container = format!("jobs-{}", JobId::new());
    make_container(address, &container);
    let settings = MicrosoftAzureBuilder::new()
        .with_account(ACCOUNT)
        .with_access_key(KEY)
        .with_container_name(container)
        .with_allow_http(true)
        .with_endpoint(format!("http://{address}/{ACCOUNT}"));
    Artifacts::azure(settings).unwrap()
}

#[tokio::test]
#[ignore = "slow: needs Azurite"]
async fn a_blob_in_azure_reads_back_is_typed_and_is_swept() {
    let Some(address) = azurite() else { return };
    let artifacts = azure(&address);
    artifacts.ping().await.unwrap();
    let job = JobId::new();
    let sitefit = app("sitefit");
    let put = |content: &'static str| {
        artifacts.put(&sitefit, job, "result.json", "application/json", Bytes::from_static(content.as_bytes()))
    };
    let artifact = put("{\"a\":1}").await.unwrap();
    assert_eq!(put("{\"a\":1}").await.unwrap(), artifact, "again is harmless");
    assert_eq!(artifacts.get(&artifact, 100).await.unwrap(), "{\"a\":1}");
    assert!(matches!(artifacts.get(&artifact, 3).await, Err(Error::TooLarge { .. })));
    let other = jobs::Artifact { digest: "sha256:00".to_owned(), ..artifact.clone() };
    assert!(matches!(artifacts.get(&other, 100).await, Err(Error::Altered(_))));
    let swept = artifacts.sweep(sqlite().await.upkeep.as_ref(), Duration::from_hours(1)).await.unwrap();
    assert_eq!((swept.seen, swept.removed), (1, 0), "within the grace");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let swept = artifacts.sweep(sqlite().await.upkeep.as_ref(), Duration::ZERO).await.unwrap();
    assert_eq!((swept.seen, swept.removed), (1, 1));
    assert!(matches!(artifacts.get(&artifact, 100).await, Err(Error::Missing)));
}

/// A12 in Azure: the signature is the account's, and it is Azure that refuses.
#[tokio::test]
#[ignore = "slow: needs Azurite"]
async fn a12_a_signed_link_is_refused_for_another_blob_verb_or_time() {
    let Some(address) = azurite() else { return };
    let artifacts = azure(&address);
    let sitefit = app("sitefit");
    let put = |content: &'static str| {
        let content = Bytes::from_static(content.as_bytes());
        artifacts.put(&sitefit, JobId::new(), "result.json", "application/json", content)
    };
    let (mine, other) = (put("mine").await.unwrap(), put("other").await.unwrap());
    let target = |url: &str| url.strip_prefix(&format!("http://{address}")).unwrap().to_owned();
    let link = artifacts.link(&mine, Verb::Get, Duration::from_mins(5)).await.unwrap();
    let (status, answer) = exchange(&address, "GET", &target(&link.url), "", "");
    assert_eq!(status, 200, "{answer}");
    assert!(
        answer.ends_with("mine") && answer.to_ascii_lowercase().contains("content-type: application/json"),
        "{answer}"
    );
    let moved = target(&link.url).replace(&mine.path, &other.path);
    assert_ne!(moved, target(&link.url));
    assert_eq!(exchange(&address, "GET", &moved, "", "").0, 403, "other blob");
    let write = exchange(&address, "PUT", &target(&link.url), "x-ms-blob-type: BlockBlob\r\n", "theirs");
    assert_eq!(write.0, 403, "other verb");
    let brief = artifacts.link(&mine, Verb::Get, Duration::from_secs(1)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(exchange(&address, "GET", &target(&brief.url), "", "").0, 403, "over");
    let writable = artifacts.link(&mine, Verb::Put, Duration::from_mins(5)).await.unwrap();
    let written = exchange(&address, "PUT", &target(&writable.url), "x-ms-blob-type: BlockBlob\r\n", "new");
    assert_eq!(written.0, 201, "{}", written.1);
    assert!(
        matches!(artifacts.get(&mine, 100).await, Err(Error::Altered(_))),
        "what was written over is not given out"
    );
}
