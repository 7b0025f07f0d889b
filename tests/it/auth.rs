//! Who may act for whom: workers for tenants, users by tokens, everybody else for themselves.

use appserver::config::{AuthMode, Config};
use contract::Described;
use identity::Issuer;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{self, Answered, KEY, Setup, TestGateway, WORKER_KEY};

/// Publishes an issuer's keys on a socket.
pub(crate) async fn publish(issuer: &Issuer) -> String {
    let body = issuer.jwks().unwrap().to_string();
    let answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.read(&mut [0; 4096]).await;
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    url
}

async fn gateway(config: Config) -> TestGateway {
    let setup = || Setup { nodes: vec![simnode::Config::default()], keys: true, ..Setup::default() };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("registry");
    support::copy(&support::repository().join("registry"), &root);
    std::fs::write(root.join("tenants.json"), support::tenants().to_string()).unwrap();
    support::set_rates(&root, 100_000.0);
    let mut config = Config { probe: appserver::config::Probe { interval_sec: 1, ..config.probe.clone() }, ..config };
    config.server.listen.set_port(0);
    config.registry.root = root;
    config.auth.mode = AuthMode::Keys;
    TestGateway::over(config, setup(), folder).await
}

async fn ask(
    gateway: &TestGateway,
    credential: &str,
    headers: &[(&str, &str)],
    target: &str,
    body: Option<Value>,
) -> Answered {
    let url = format!("{}{target}", gateway.base);
    let request = match body {
        Some(body) => gateway.client.post(url).body(body.to_string()),
        None => gateway.client.get(url),
    };
    let request =
        headers.iter().fold(request.bearer_auth(credential), |request, (name, value)| request.header(*name, *value));
    Answered::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_worker_acts_for_the_tenant_that_it_names_and_within_its_apps() {
    let gateway = gateway(Config::default()).await;
    let solve = |tenant: &'static str, target: &'static str| {
        let gateway = &gateway;
        async move { ask(gateway, WORKER_KEY, &[("x-tenant-id", tenant)], target, Some(support::sitefit())).await }
    };
    assert_eq!(solve("kiosk", "/gh/sitefit:1.0.0/solve").await.status, 200);
    assert_eq!(solve("kiosk", "/gh/parking:1.0.0/solve").await.problem(), (404, "unknown_definition".into()));
    assert_eq!(solve("nobody", "/gh/sitefit:1.0.0/solve").await.problem(), (404, "unknown_definition".into()));
    assert_eq!(solve("", "/gh/sitefit:1.0.0/solve").await.problem(), (400, "bad_request".into()));
    // Its own tenant may use nothing.
    let own = ask(&gateway, WORKER_KEY, &[], "/gh/sitefit:1.0.0", None).await;
    assert_eq!(own.problem(), (404, "unknown_definition".into()));
    // Nobody else may.
    let other = ask(&gateway, KEY, &[("x-tenant-id", "kiosk")], "/gh/sitefit:1.0.0", None).await;
    assert_eq!(other.problem(), (403, "tenant_forbidden".into()));
    assert_eq!(ask(&gateway, KEY, &[("x-tenant-id", "studio")], "/gh/sitefit:1.0.0", None).await.status, 200);
    gateway.stop().await;
}

/// A4: a key that is nearly right, one that has the form of one, one that is none, and one that is right with more behind it.
#[tokio::test]
async fn a4_a_wrong_key_is_told_the_same_however_near_it_is_and_whatever_it_asks_for() {
    let gateway = gateway(Config::default()).await;
    let mut told = std::collections::BTreeSet::new();
    for key in ["as_test_kez", "as_tesT_key", "as_", "as_test_key2", "as_worker_kez", "x", "Bearer as_test_key"] {
        for target in ["/gh/sitefit:1.0.0", "/gh/parking:1.0.0", "/gh/none:1.0.0", "/gh/sitefit:9.9.9"] {
            let answer = ask(&gateway, key, &[], target, None).await;
            assert_eq!(answer.status, 401, "{key} {target}: {}", answer.text);
            let mut body = answer.json();
            for own in ["request_id", "trace_id", "instance"] {
                body.as_object_mut().unwrap().remove(own);
            }
            told.insert(body.to_string());
        }
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(ask(&gateway, KEY, &[], "/gh/sitefit:1.0.0", None).await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn a_users_token_opens_the_apps_of_its_tenant_that_it_lists() {
    let issuer = Issuer::new("one", "https://id.example", "authenticated").unwrap();
    let mut config = Config::default();
    config.auth.jwks_url = publish(&issuer).await;
    config.auth.issuer = "https://id.example".to_owned();
    let gateway = gateway(config).await;
    let get = |token: String, target: &'static str| {
        let gateway = &gateway;
        async move { ask(gateway, &token, &[], target, None).await }
    };
    let token = |tenant: &str, apps: Option<&[&str]>| issuer.token("user-1", tenant, apps, 60).unwrap();
    assert_eq!(get(token("studio", None), "/gh/parking:1.0.0").await.status, 200);
    assert_eq!(get(token("studio", Some(&["sitefit"])), "/gh/sitefit:1.0.0").await.status, 200);
    assert_eq!(get(token("studio", Some(&["sitefit"])), "/gh/parking:1.0.0").await.status, 404);
    assert_eq!(get(token("kiosk", Some(&["sitefit", "parking"])), "/gh/parking:1.0.0").await.status, 404);
    let stranger = Issuer::new("one", "https://id.example", "authenticated").unwrap();
    let forged = stranger.token("user-1", "studio", None, 60).unwrap();
    assert_eq!(get(forged, "/gh/parking:1.0.0").await.problem(), (401, "unauthenticated".into()));
    // A token acts for its own tenant only.
    let own = token("kiosk", None);
    let other = ask(&gateway, &own, &[("x-tenant-id", "studio")], "/gh/sitefit:1.0.0", None).await;
    assert_eq!(other.problem(), (403, "tenant_forbidden".into()));
    assert_eq!(ask(&gateway, KEY, &[], "/gh/parking:1.0.0", None).await.status, 200, "keys are taken as before");
    gateway.stop().await;
}

#[tokio::test]
async fn an_issuer_that_is_away_is_no_fault_of_the_token() {
    let issuer = Issuer::new("one", "https://id.example", "authenticated").unwrap();
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut config = Config::default();
    config.auth.jwks_url = format!("http://{free}/jwks");
    config.auth.issuer = "https://id.example".to_owned();
    let gateway = gateway(config).await;
    let token = issuer.token("user-1", "studio", None, 60).unwrap();
    let answer = ask(&gateway, &token, &[], "/gh/sitefit:1.0.0", None).await;
    assert_eq!(answer.problem(), (503, "issuer_unreachable".into()));
    assert_eq!(answer.header("retry-after"), "30");
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_described_is_enough_to_check_inputs_as_the_gateway_does() {
    let gateway = gateway(Config::default()).await;
    for (name, folder) in support::versions() {
        let told = ask(&gateway, KEY, &[], &format!("/gh/{name}"), None).await;
        let described = Described::read(told.json()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let contract = contract::Contract::load(&folder).unwrap();
        for kind in ["valid", "invalid"] {
            for (example, value) in support::examples(&folder, kind) {
                let (there, here) = (contract.check_inputs(&value["inputs"]), described.check_inputs(&value["inputs"]));
                assert_eq!(there, here, "{name} {example}");
                assert_eq!(here.is_ok(), kind == "valid", "{name} {example}");
            }
        }
        assert!(described.limits.timeout_sec > 0, "{name}");
    }
    gateway.stop().await;
}
