//! A worker whose artifacts are in Azure's blob store, by its settings alone.

mod slow {
    use jobs::{Artifacts, JobId, State};
    use object_store::azure::MicrosoftAzureBuilder;

    use crate::azurite::{ACCOUNT, KEY, azurite, exchange, make_container};
    use crate::support::{Bench, Stub};

    #[tokio::test]
    #[ignore = "slow: needs Azurite"]
    async fn what_a_solve_gave_is_in_the_container_that_the_settings_name() {
        let Some(address) = azurite() else { return };
        let (bench, stub) = (Bench::new().await, Stub::start(false).await);
        let container = format!("worker-{}", JobId::new());
        make_container(&address, &container);
        let endpoint = format!("http://{address}/{ACCOUNT}");
        let mut worker = bench.employ_with(
            &stub.url,
            &[
                ("ARTIFACTS_URL", &format!("az://{container}")),
                ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
                ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
                ("AZURE_STORAGE_ENDPOINT", &endpoint),
                ("AZURE_ALLOW_HTTP", "true"),
            ],
        );
        let id = bench.submit().await;
        let job = bench.until(id, |job| job.state == State::Succeeded).await;
        let artifact = &job.result.unwrap().artifacts[0];
        let settings = MicrosoftAzureBuilder::new()
            .with_account(ACCOUNT)
            .with_access_key(KEY)
            .with_container_name(&container)
            .with_allow_http(true)
            .with_endpoint(endpoint);
        let content = Artifacts::azure(settings).unwrap().get(artifact, 1 << 20).await.unwrap();
        assert!(content.starts_with(br#"{"outputs":{"by":"#), "{content:?}");
        // Nobody reads it without a signature, and the folder is not used.
        let (status, _) = exchange(&address, "GET", &format!("/{ACCOUNT}/{container}/{}", artifact.path), "", "");
        assert!([403, 404, 409].contains(&status), "{status}");
        assert!(!bench.folder().join("artifacts").exists());
        worker.signal("TERM");
        assert_eq!(worker.exit_code(), Some(0));
    }
}
