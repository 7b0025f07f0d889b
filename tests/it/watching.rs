//! What the file system tells of the registry, and does not: the poll is hours away in these tests, so that hints alone lead to a look.

use std::fs;
use std::path::Path;

use appserver::config::Config;

use crate::support::{Setup, TestGateway, copy, sitefit};

fn hints_alone(config: &mut Config) {
    (config.registry.poll_sec, config.registry.settle_ms) = (3_600, 200);
}

async fn gateway() -> TestGateway {
    let nodes = vec![simnode::Config::default()];
    TestGateway::with(Setup { nodes, config: Some(hints_alone), ..Setup::default() }).await
}

/// Puts a version of `sitefit` there that differs from 1.1.0 by its name.
fn publish(root: &Path, to: &str) {
    let app = root.join("contracts/sitefit");
    let aside = app.join(format!(".{to}"));
    copy(&app.join("1.1.0"), &aside);
    let manifest = aside.join("manifest.json");
    let text =
        fs::read_to_string(&manifest).unwrap().replace("\"version\": \"1.1.0\"", &format!("\"version\": \"{to}\""));
    fs::write(manifest, text).unwrap();
    fs::rename(aside, app.join(to)).unwrap();
}

async fn until_there(gateway: &TestGateway, version: &str) {
    let has = |app: &appserver::admin::health::AppHealth| {
        app.versions.iter().any(|found| found.version.to_string() == version)
    };
    gateway.until(|health| health.apps.iter().any(has)).await;
}

#[tokio::test]
async fn g4_a_root_that_is_taken_away_and_made_anew_is_followed_again() {
    let gateway = gateway().await;
    let (root, away) = (gateway.root(), gateway.root().with_extension("away"));
    for round in 2..4 {
        fs::rename(&root, &away).unwrap();
        gateway.until(|health| health.stale).await;
        assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 200, "the last good one serves");
        // Other inodes under the same names.
        copy(&away, &root);
        fs::remove_dir_all(&away).unwrap();
        gateway.until(|health| !health.stale).await;
        // And what changes in it is noticed, too.
        publish(&root, &format!("1.{round}.0"));
        until_there(&gateway, &format!("1.{round}.0")).await;
    }
    assert_eq!(gateway.solve("sitefit:1.3.0", &sitefit()).await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn g4_a_folder_that_is_replaced_under_its_name_is_followed() {
    let gateway = gateway().await;
    let contracts = gateway.root().join("contracts");
    let (old, new) = (gateway.root().join(".old"), gateway.root().join(".new"));
    copy(&contracts, &new);
    fs::rename(&contracts, &old).unwrap();
    fs::rename(&new, &contracts).unwrap();
    fs::remove_dir_all(&old).unwrap();
    // Wherever the look is by now, what comes into the new folder is found.
    publish(&gateway.root(), "1.2.0");
    until_there(&gateway, "1.2.0").await;
    assert_eq!(gateway.solve("sitefit:1.2.0", &sitefit()).await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn g4_a_change_among_twenty_thousand_is_not_lost() {
    let gateway = gateway().await;
    let version = gateway.root().join("contracts/sitefit/1.0.0");
    // More than the kernel queues; names that are no part of a version, so that they change nothing.
    let storm = std::thread::spawn(move || {
        for number in 0..20_000 {
            let junk = version.join(format!(".storm-{number}"));
            fs::write(&junk, b"x").unwrap();
            fs::remove_file(junk).unwrap();
        }
    });
    publish(&gateway.root(), "1.2.0");
    until_there(&gateway, "1.2.0").await;
    storm.join().unwrap();
    publish(&gateway.root(), "1.3.0");
    until_there(&gateway, "1.3.0").await;
    assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 200);
    gateway.stop().await;
}
