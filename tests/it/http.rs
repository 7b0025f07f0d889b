//! Hostile and broken HTTP, written byte by byte: what is not a request never becomes a solve.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::support::{Setup, TestGateway};

/// Sends bytes and reads until the gateway closes, or is silent for a moment.
async fn raw(gateway: &TestGateway, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(Ok(count)) = timeout(Duration::from_millis(700), stream.read(&mut chunk)).await {
        if count == 0 {
            break;
        }
        answer.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn malformed_requests_are_refused_and_none_reaches_a_node() {
    let gateway = TestGateway::start().await;
    let line = "POST /gh/sitefit:1.0.0/solve HTTP/1.1\r\n";
    let cases: &[(&str, String, &[u16])] = &[
        ("no host", format!("{line}Content-Length: 2\r\n\r\n{{}}"), &[400]),
        ("two hosts", format!("{line}Host: a\r\nHost: b\r\nContent-Length: 2\r\n\r\n{{}}"), &[400]),
        ("a host that is none", format!("{line}Host: a b\r\nContent-Length: 2\r\n\r\n{{}}"), &[400]),
        ("user in host", format!("{line}Host: u@a\r\nContent-Length: 2\r\n\r\n{{}}"), &[400]),
        (
            "target and host differ",
            "POST http://b/gh/sitefit:1.0.0/solve HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}".into(),
            &[400],
        ),
        ("two lengths", format!("{line}Host: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"), &[400]),
        ("a length that is none", format!("{line}Host: a\r\nContent-Length: +2\r\n\r\n{{}}"), &[400]),
        ("garbage", "\x00\x01\x02garbage\r\n\r\n".into(), &[400, 0]),
        ("TRACE", "TRACE /gh/sitefit:1.0.0/solve HTTP/1.1\r\nHost: a\r\n\r\n".into(), &[405]),
        ("CONNECT", "CONNECT sitefit:1 HTTP/1.1\r\nHost: sitefit:1\r\n\r\n".into(), &[400, 404, 405]),
        ("a long path", format!("POST /gh/{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(70_000)), &[400, 414, 431]),
        ("many headers", format!("{line}Host: a\r\n{}\r\n", "X-A: b\r\n".repeat(101)), &[431]),
        ("a large header", format!("{line}Host: a\r\nX-A: {}\r\n\r\n", "b".repeat(70_000)), &[431]),
    ];
    for (what, bytes, allowed) in cases {
        let answer = raw(&gateway, bytes.as_bytes()).await;
        assert!(allowed.contains(&status(&answer)), "{what}: {answer}");
    }
    let solves = gateway.nodes[0].log().into_iter().filter(|entry| entry.path == "/grasshopper").count();
    assert_eq!(solves, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_after_an_early_refusal_is_never_read_as_a_request() {
    let gateway = TestGateway::start().await;
    let inner = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    let request =
        format!("POST /gh/nosuch:1.0.0/solve HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{inner}", inner.len());
    let answer = raw(&gateway, request.as_bytes()).await;
    assert_eq!((status(&answer), answer.matches("HTTP/1.1 ").count()), (404, 1), "{answer}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_is_sent() {
    let gateway = TestGateway::start().await;
    let head =
        "POST /gh/sitefit:1.0.0/solve HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 90000000\r\n\r\n";
    let answer = raw(&gateway, head.as_bytes()).await;
    assert_eq!(status(&answer), 413, "{answer}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_caller_that_drips_its_headers_is_cut() {
    let gateway = TestGateway::with(Setup {
        nodes: vec![simnode::Config::default()],
        config: Some(|config| config.server.header_timeout_sec = 1),
        ..Setup::default()
    })
    .await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let begin = Instant::now();
    stream.write_all(b"POST /gh/sitefit:1.0.0/solve HTTP/1.1\r\n").await.unwrap();
    // The other half drips while this one waits for the end.
    let (mut reader, mut writer) = stream.into_split();
    let drip = tokio::spawn(async move {
        while writer.write_all(b"X-A: b\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(8), reader.read_to_end(&mut rest)).await.expect("the connection stays open");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    drip.abort();
    gateway.stop().await;
}

#[tokio::test]
async fn connections_from_one_address_are_capped() {
    let gateway = TestGateway::with(Setup {
        nodes: vec![simnode::Config::default()],
        config: Some(|config| config.server.connections_per_ip_max = 3),
        ..Setup::default()
    })
    .await;
    // The stand-in's own connections are the gateway's, not callers'.
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        open.push(stream);
    }
    assert_eq!(status(&raw(&gateway, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await), 0, "the fourth is closed");
    drop(open);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(status(&raw(&gateway, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await), 200);
    gateway.stop().await;
}

#[tokio::test]
async fn both_versions_of_http_are_served_on_one_port() {
    let gateway = TestGateway::start().await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let answer = client
        .post(format!("{}/gh/sitefit:1.0.0/solve", gateway.base))
        .body(crate::support::sitefit().to_string())
        .send()
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    gateway.stop().await;
}
