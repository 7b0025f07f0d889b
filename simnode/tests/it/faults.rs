//! Each fault as its victim sees it, over raw sockets where the bytes matter.

use crate::support::{adder, client, get, pointed, post, send, start, try_post, until, upload};
use serde_json::json;
use simnode::{Config, Entry, Fault, Faults, Plugins, Rule, Running, State};
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn with(faults: impl Into<Faults>) -> Running {
    start(Config { faults: faults.into(), ..Config::default() }).await
}

/// Sends `GET /healthcheck` and reads to the end, at most for `patience`. Gives the bytes and how the reading ended:
/// nothing for an orderly end, the error, or `TimedOut`.
async fn raw(node: &Running, patience: Duration) -> (Vec<u8>, Option<ErrorKind>) {
    let mut stream = TcpStream::connect(node.address()).await.unwrap();
    stream.write_all(b"GET /healthcheck HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(patience, stream.read_to_end(&mut bytes)).await;
    let end = match read {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.kind()),
        Err(_) => Some(ErrorKind::TimedOut),
    };
    (bytes, end)
}

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn refuse_closes_the_listener_until_the_rule_is_gone() {
    let node = with(Vec::<Rule>::new()).await;
    let mut open = TcpStream::connect(node.address()).await.unwrap();
    get(&node, "/healthcheck").await;
    node.set_faults(Fault::Refuse.always()).await;
    let refused = TcpStream::connect(node.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(matches!(open.read(&mut [0; 8]).await, Err(_) | Ok(0)), "open connections go as well");
    node.set_faults(Faults::default()).await;
    assert_eq!(get(&node, "/healthcheck").await.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn a_node_can_start_refusing() {
    let node = with(Fault::Refuse.always()).await;
    assert!(TcpStream::connect(node.address()).await.is_err());
    node.stop().await;
}

#[tokio::test]
async fn reset_on_accept_is_counted_by_connection() {
    let node = with(Fault::ResetOnAccept.always().times(2)).await;
    for _ in 0..2 {
        assert!(send(client().get(format!("{}/healthcheck", node.url()))).await.is_err());
    }
    assert_eq!(get(&node, "/healthcheck").await.status, 200);
    assert_eq!(node.log().len(), 1, "no request arrived on the others");
    node.stop().await;
}

#[tokio::test]
async fn reset_cuts_after_exactly_so_many_bytes() {
    let whole = {
        let node = with(Faults::default()).await;
        let (bytes, end) = raw(&node, PATIENCE).await;
        assert_eq!(end, None);
        node.stop().await;
        bytes.len()
    };
    for byte in [0, 1, 40, whole - 1] {
        let node = with(Fault::Reset { byte: byte as u64 }.always()).await;
        let (bytes, end) = raw(&node, PATIENCE).await;
        assert_eq!((bytes.len(), end), (byte, Some(ErrorKind::ConnectionReset)));
        node.stop().await;
    }
}

#[tokio::test]
async fn stall_sends_so_many_bytes_and_keeps_the_connection_open() {
    let node = with(Fault::Stall { byte: 30 }.always()).await;
    let (bytes, end) = raw(&node, Duration::from_millis(500)).await;
    assert_eq!((bytes.len(), end), (30, Some(ErrorKind::TimedOut)));
    node.stop().await;
}

#[tokio::test]
async fn drip_sends_at_the_rate_asked_for() {
    let node = with(Fault::Drip { bytes_per_second: 1_000 }.always()).await;
    let before = Instant::now();
    let (bytes, end) = raw(&node, PATIENCE).await;
    assert_eq!(end, None);
    assert!(bytes.ends_with(b"Healthy\r\n0\r\n\r\n"), "{}", String::from_utf8_lossy(&bytes));
    let least = Duration::from_micros(bytes.len() as u64 * 1_000 * 3 / 4);
    assert!(before.elapsed() >= least && before.elapsed() < least * 20, "{:?} for {}", before.elapsed(), bytes.len());
    node.stop().await;
}

#[tokio::test]
async fn endless_chunked_never_ends() {
    let node = with(Fault::EndlessChunked.at("/healthcheck")).await;
    let (bytes, end) = raw(&node, Duration::from_millis(600)).await;
    assert!(bytes.len() > 100_000 && end == Some(ErrorKind::TimedOut), "{} {end:?}", bytes.len());
    node.stop().await;
}

#[tokio::test]
async fn wrong_content_length_promises_more_or_less_than_follows() {
    for (off_by, claimed) in [(10, "17"), (-3, "4")] {
        let node = with(Fault::WrongContentLength { off_by }.always()).await;
        let (bytes, end) = raw(&node, PATIENCE).await;
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.contains(&format!("Content-Length: {claimed}\r\n")) && text.ends_with("\r\n\r\nHealthy"),
            "{text}"
        );
        assert_eq!(end, None);
        let seen = send(client().get(format!("{}/healthcheck", node.url()))).await;
        assert!(if off_by > 0 { seen.is_err() } else { seen.unwrap().text == "Heal" });
        node.stop().await;
    }
}

#[tokio::test]
async fn garbage_is_no_http() {
    let node = with(Fault::Garbage.always()).await;
    let (bytes, end) = raw(&node, PATIENCE).await;
    assert!(!bytes.is_empty() && !bytes.starts_with(b"HTTP") && end.is_none());
    assert!(send(client().get(format!("{}/healthcheck", node.url()))).await.is_err());
    node.stop().await;
}

#[tokio::test]
async fn answers_are_spoilt_under_a_head_that_fits_them() {
    let html = "text/html";
    let node = with(Faults::default()).await;
    let whole = post(&node, "/grasshopper", &upload(&adder(), &[])).await;
    let cases = [
        (Fault::EmptyError, 500, "", None),
        (Fault::OkWithText { text: "Something broke".into() }, 200, "Something broke", None),
        (Fault::TruncatedJson { keep: 20 }, 200, &whole.text[..20], Some("application/json; charset=utf-8")),
    ];
    for (fault, status, text, content_type) in cases {
        node.set_faults(fault.always()).await;
        let answer = post(&node, "/grasshopper", &upload(&adder(), &[])).await;
        assert_eq!((answer.status, answer.text.as_str(), answer.header("content-type")), (status, text, content_type));
    }
    node.set_faults(Fault::BadGatewayPage.always()).await;
    let page = get(&node, "/version").await;
    assert_eq!((page.status, page.header("content-type")), (502, Some(html)));
    assert!(page.text.contains("502") && page.header("server").unwrap().starts_with("Microsoft-IIS"));
    node.set_faults(Fault::OkWithErrors { errors: vec!["no: component \"x\" (y)".into()] }.always()).await;
    let lying = post(&node, "/grasshopper", &upload(&adder(), &[])).await;
    assert_eq!((lying.status, lying.data("RH_OUT:sum").as_str()), (200, "7.0"));
    assert_eq!(lying.json()["errors"], json!(["no: component \"x\" (y)"]));
    node.set_faults(Fault::Huge { bytes: 3_000_000 }.always()).await;
    let huge = get(&node, "/version").await;
    assert!(huge.text.len() >= 3_000_000 && huge.json()["values"] == json!([]));
    node.stop().await;
}

#[tokio::test]
async fn delay_holds_the_answer_back() {
    let node = with(Fault::Delay { ms: 120 }.at("/healthcheck").nth(1)).await;
    let before = Instant::now();
    get(&node, "/healthcheck").await;
    assert!(before.elapsed() >= Duration::from_millis(120));
    assert_eq!(node.log()[0].faults, ["delay"]);
    node.stop().await;
}

#[tokio::test]
async fn wrong_plugins_change_the_list_and_nothing_else() {
    let lie = Plugins::from([("LadybugX".to_owned(), "1.2.0".to_owned())]);
    let node = with(Fault::WrongPlugins { grasshopper: Some(lie), rhino: None }.always()).await;
    assert_eq!(get(&node, "/plugins/gh/installed").await.json(), json!({"LadybugX": "1.2.0"}));
    assert!(get(&node, "/plugins/rhino/installed").await.json().get("Hops").is_some());
    node.stop().await;
}

#[tokio::test]
async fn stale_pointer_forgets_before_it_looks() {
    let node = with(Fault::StalePointer.at("/grasshopper").nth(2)).await;
    let first = post(&node, "/grasshopper", &upload(&adder(), &[])).await;
    let pointer = first.json()["pointer"].as_str().unwrap().to_owned();
    assert_eq!(post(&node, "/grasshopper", &pointed(&pointer, &[])).await.status, 400);
    assert_eq!(post(&node, "/grasshopper", &upload(&adder(), &[])).await.status, 200);
    assert_eq!(post(&node, "/grasshopper", &pointed(&pointer, &[])).await.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn restart_goes_down_under_the_request_and_is_back_at_once() {
    let node = with(Fault::Restart.at("/grasshopper").nth(1)).await;
    assert!(!try_post(&node, "/grasshopper", &upload(&adder(), &[])).await.unwrap_err().is_timeout());
    assert_eq!(post(&node, "/grasshopper", &upload(&adder(), &[])).await.status, 200);
    assert_eq!(node.state().restarts, 1);
    until(&node, "the tasks of the old life end", |node| node.state().in_flight == 0).await;
    node.stop().await;
}

#[tokio::test]
async fn the_control_port_sets_faults_and_shows_log_and_state() {
    let node = with(Faults::default()).await;
    let control = node.control_url().unwrap();
    let faults =
        json!({"seed": 3, "rules": [{"fault": {"kind": "empty_error"}, "when": {"endpoint": "/version", "times": 1}}]});
    let put = send(client().put(format!("{control}/faults")).body(faults.to_string())).await.unwrap();
    assert_eq!(put.status, 204);
    assert_eq!(get(&node, "/version").await.status, 500);
    assert_eq!(get(&node, "/version").await.status, 200);
    let shown = send(client().get(format!("{control}/faults"))).await.unwrap();
    assert_eq!(serde_json::from_str::<Faults>(&shown.text).unwrap(), node.faults());
    let wrong = send(client().put(format!("{control}/faults")).body("{\"rules\":1}")).await.unwrap();
    assert!(wrong.status == 400 && wrong.text.starts_with("these are no faults: "));
    let log: Vec<Entry> =
        serde_json::from_str(&send(client().get(format!("{control}/log"))).await.unwrap().text).unwrap();
    assert_eq!(log.iter().map(|entry| entry.status).collect::<Vec<_>>(), [Some(500), Some(200)]);
    for action in ["forget", "restart"] {
        assert_eq!(send(client().post(format!("{control}/{action}"))).await.unwrap().status, 204);
    }
    let state: State =
        serde_json::from_str(&send(client().get(format!("{control}/state"))).await.unwrap().text).unwrap();
    assert_eq!((state.restarts, state.requests), (1, 2));
    assert_eq!(send(client().get(format!("{control}/"))).await.unwrap().status, 404);
    node.stop().await;
}
