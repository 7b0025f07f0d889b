//! Moving aliases, in a folder and in a running gateway.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::scaffold::appserver;
use crate::support::{Answered, Setup, TestGateway, copy, repository};

#[test]
fn in_a_folder_an_alias_moves_back_and_forth_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    copy(&repository().join("registry"), &folder.path().join("registry"));
    let run = |args: &[&str]| {
        let args: Vec<&str> = args.iter().copied().chain(["--registry", "registry"]).collect();
        appserver(folder.path(), &args)
    };
    let policy = folder.path().join("registry/contracts/sitefit/policy.json");
    let before = fs::read_to_string(&policy).unwrap();
    let (code, out, talk) = run(&["alias", "set", "sitefit", "stable", "1.0.0", "--reason", "too slow"]);
    assert_eq!(code, 0, "{talk}");
    assert!(out.contains("sitefit stable: 1.1.0 -> 1.0.0"), "{out}");
    assert_eq!(fs::read_to_string(&policy).unwrap(), before.replace("\"1.1.0\"", "\"1.0.0\""));
    let (_, text, _) = run(&["alias", "list", "sitefit", "--json"]);
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list["aliases"]["stable"], "1.0.0");
    // Decided on a policy of yesterday.
    let stale = ["alias", "set", "sitefit", "stable", "1.1.0", "--if-match", "0000"];
    assert_eq!(run(&stale).0, 1);
    assert_eq!(run(&["alias", "undo", "sitefit"]).0, 0);
    assert_eq!(fs::read_to_string(&policy).unwrap(), before);
    let (_, out, _) = run(&["alias", "history", "sitefit"]);
    assert!(out.contains("too slow") && out.contains("tester") && out.contains("undo"), "{out}");
    assert_eq!(run(&["alias", "set", "sitefit", "stable", "9.9.9"]).0, 4);
    assert_eq!(run(&["alias", "set", "nosuch", "stable", "1.0.0"]).0, 4);
}

async fn gateway() -> TestGateway {
    TestGateway::with(Setup {
        nodes: vec![simnode::Config::default()],
        config: Some(|config| {
            config.admin.listen = "127.0.0.1:0".parse().map(appserver::config::AdminListen::At).unwrap();
            (config.registry.settle_ms, config.registry.poll_sec) = (200, 1);
        }),
        ..Setup::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_operators_who_saw_the_same_one_moves_it_and_requests_follow() {
    let gateway = gateway().await;
    let address = format!("{}/admin/aliases/sitefit", gateway.operators.clone().unwrap());
    let get = || async { Answered::of(gateway.client.get(&address).send().await.unwrap()).await };
    let seen = get().await;
    let etag = seen.header("etag").to_owned();
    assert_eq!((seen.status, &seen.json()["aliases"]["stable"]), (200, &json!("1.1.0")), "{}", seen.text);
    let post = async |etag: Option<&str>, body: Value| {
        let mut request = gateway.client.post(format!("{address}/stable")).body(body.to_string());
        if let Some(etag) = etag {
            request = request.header("if-match", etag);
        }
        Answered::of(request.send().await.unwrap()).await
    };
    let order = json!({ "to": "1.0.0", "reason": "a drill", "by": "ann" });
    assert_eq!(post(None, order.clone()).await.status, 428);
    let (one, two) = tokio::join!(post(Some(&etag), order.clone()), post(Some(&etag), order.clone()));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412], "{} {}", one.text, two.text);
    let won = if one.status == 200 { one } else { two };
    assert_eq!(won.json()["in_force"], true, "{}", won.text);
    let solved = gateway.solve("sitefit:stable", &crate::support::sitefit()).await;
    assert_eq!(solved.json()["version"], "1.0.0", "{}", solved.text);

    let url = gateway.operators.clone().unwrap();
    let run = |args: &[&str]| {
        let args: Vec<String> =
            args.iter().map(|&arg| arg.to_owned()).chain(["--url".to_owned(), url.clone()]).collect();
        tokio::task::spawn_blocking(move || {
            appserver(Path::new("."), &args.iter().map(String::as_str).collect::<Vec<_>>())
        })
    };
    let (code, out, talk) = run(&["alias", "undo", "sitefit", "--reason", "drill over"]).await.unwrap();
    assert_eq!(code, 0, "{out}{talk}");
    let (_, out, _) = run(&["alias", "history", "sitefit"]).await.unwrap();
    assert!(out.contains("a drill") && out.contains("ann") && out.contains("undo drill over"), "{out}");
    // Degraded for want of a plug-in: no alias may lead there.
    let (code, _, talk) = run(&["alias", "set", "daylight", "stable", "0.1.0"]).await.unwrap();
    assert_eq!(code, 3, "{talk}");
    assert_eq!(run(&["alias", "set", "sitefit", "stable", "7.0.0"]).await.unwrap().0, 4);
    assert_eq!(run(&["alias", "list", "nosuch"]).await.unwrap().0, 4);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_are_none_change_nothing() {
    let gateway = gateway().await;
    let root = gateway.operators.clone().unwrap();
    let policy = gateway.root().join("contracts/sitefit/policy.json");
    let before = fs::read(&policy).unwrap();
    let long = format!("{{\"reason\":\"{}\"}}", "x".repeat(9000));
    for (method, path, body, status) in [
        ("POST", "/admin/aliases/sitefit/stable", "{", 400),
        ("POST", "/admin/aliases/sitefit/stable", "{\"to\":\"1\"}", 400),
        ("POST", "/admin/aliases/sitefit/stable", "{\"too\":\"1.0.0\"}", 400),
        ("POST", "/admin/aliases/sitefit/stable", long.as_str(), 400),
        ("POST", "/admin/aliases/..%2fsitefit/stable", "{}", 404),
        ("POST", "/admin/aliases/../stable", "{}", 404),
        ("POST", "/admin/aliases/sitefit/stable/more", "{}", 404),
        ("DELETE", "/admin/aliases/sitefit/stable", "", 405),
        ("POST", "/admin/aliases/sitefit", "{}", 405),
        ("POST", "/admin/aliases/sitefit/stable", "{\"to\":\"1.0.0\"}", 412),
    ] {
        let request = gateway.client.request(method.parse().unwrap(), format!("{root}{path}"));
        let answer =
            Answered::of(request.header("if-match", "\"old\"").body(body.to_owned()).send().await.unwrap()).await;
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.text);
    }
    let foreign = gateway.client.get(format!("{root}/admin/aliases/sitefit")).header("origin", "http://evil.example");
    assert_eq!(foreign.send().await.unwrap().status().as_u16(), 403);
    // Callers have no such address.
    assert_eq!(gateway.get("/admin/aliases/sitefit").await.status, 404);
    assert_eq!(fs::read(&policy).unwrap(), before);
    gateway.stop().await;
}
