//! The cache while the registry changes.

use super::*;

#[tokio::test]
async fn k10_a_version_of_other_files_does_not_get_the_answers_of_the_old() {
    // Two registries stand for one before and after a reload; the cache is the same.
    let folder = tempfile::tempdir().unwrap();
    let contracts = concat!(env!("CARGO_MANIFEST_DIR"), "/registry/contracts/sitefit");
    let copy = folder.path().join("contracts/sitefit");
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    assert!(std::process::Command::new("cp").args(["-rL", contracts]).arg(&copy).status().unwrap().success());
    let manifest = copy.join("1.0.0/manifest.json");
    let mut edited: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    edited["description"] = json!("a corrected text");
    std::fs::write(&manifest, edited.to_string()).unwrap();
    let mut after = parts();
    after.registry = crate::registry::Registry::open(folder.path()).unwrap();
    after.access = crate::gateway::authorize::Access::Open;

    let gate = Arc::new(Semaphore::new(0));
    let (held, cache) = (Arc::clone(&gate), Cache::new(bounds()));
    let mut before = parts();
    before.access = crate::gateway::authorize::Access::Open;
    let old = path(
        Parts { cache: Some(cache.clone()), ..before },
        service_fn(move |_: Seated| {
            let gate = Arc::clone(&held);
            async move {
                let _ = gate.acquire().await;
                Ok(numbered(1))
            }
        }),
    );
    let new = path(Parts { cache: Some(cache.clone()), ..after }, service_fn(|_: Seated| async { Ok(numbered(2)) }));
    let solving = tokio::spawn({
        let old = old.clone();
        async move { send(&old, right()).await }
    });
    while cache.view().waiting == 0 {
        tokio::task::yield_now().await;
    }
    let number = |body: &Value| body["outputs"]["number"].as_u64();
    assert_eq!(number(&send(&new, right()).await.2), Some(2), "the new version does not join the old one's flight");
    gate.add_permits(1);
    assert_eq!(number(&solving.await.unwrap().2), Some(1));
    for (path, expected) in [(&new, 2), (&old, 1)] {
        let (_, _, body) = send(path, right()).await;
        assert_eq!((number(&body), body["receipt"]["cache"].as_str()), (Some(expected), Some("hit")));
    }
}
