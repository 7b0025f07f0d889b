//! Limits seen from outside: rates, framing, slow and absent callers, spoofed headers, and a process without descriptors.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::json;
use simnode::{Fault, Faults, Rule, When};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use crate::support::{KEY, Setup, TestGateway, edit_policy, set_rates, sitefit};

const LINE: &str = "POST /gh/sitefit:1.0.0/solve HTTP/1.1\r\n";

/// A whole request that is right, with these lines besides.
fn request(lines: &str, body: &str) -> String {
    format!("{LINE}Host: a\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Sends bytes and reads until the gateway closes (true) or has been silent for a while (false).
async fn raw(gateway: &TestGateway, bytes: &[u8]) -> (String, bool) {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    let closed = loop {
        match timeout(Duration::from_millis(1500), stream.read(&mut chunk)).await {
            Err(_silent) => break false,
            Ok(Ok(0) | Err(_)) => break true,
            Ok(Ok(count)) => answer.extend_from_slice(&chunk[..count]),
        }
    };
    (String::from_utf8_lossy(&answer).into_owned(), closed)
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Solves that reached the only node, probes and warming aside.
fn solves(gateway: &TestGateway) -> usize {
    gateway.nodes[0].log().into_iter().filter(|entry| entry.path == "/grasshopper").count()
}

fn slow_node(ms: u64) -> simnode::Config {
    let when = When { endpoint: Some("/grasshopper".into()), ..When::default() };
    let rules = vec![Rule { fault: Fault::Delay { ms }, when }];
    simnode::Config { faults: Faults { seed: 1, rules }, ..simnode::Config::default() }
}

async fn with(edit: fn(&Path), config: fn(&mut appserver::config::Config)) -> TestGateway {
    let nodes = vec![simnode::Config::default()];
    TestGateway::with(Setup { nodes, edit: Some(edit), config: Some(config), ..Setup::default() }).await
}

#[tokio::test]
async fn the_rate_of_a_lane_is_held_and_told() {
    let gateway = with(|root| set_rates(root, 3.0), |_| ()).await;
    for left in (0..3).rev() {
        let answer = gateway.solve("sitefit:1.0.0", &sitefit()).await;
        assert_eq!((answer.status, answer.header("ratelimit-policy")), (200, "\"preview\";q=3;w=1"), "{}", answer.text);
        // A slow machine may have earned one back.
        assert!(answer.header("ratelimit").starts_with("\"preview\";r="), "{left}");
    }
    // The batch lane has its own: three a minute, of which none comes back while this runs. Wrong inputs count as well.
    let mut statuses = Vec::new();
    for body in ["{}", "{", "{}", "{}"] {
        let answer = gateway.post("/gh/sitefit:1.0.0/solve?lane=batch", body).await;
        assert_eq!(answer.header("ratelimit-policy"), "\"batch\";q=3;w=60");
        let left = 3_usize.saturating_sub(statuses.len() + 1);
        assert!(
            answer.header("ratelimit").starts_with(&format!("\"batch\";r={left};t=")),
            "{}",
            answer.header("ratelimit")
        );
        statuses.push(answer.status);
        if statuses.len() == 4 {
            assert_eq!(answer.problem(), (429, "rate_limited".to_owned()));
            let after: u64 = answer.header("retry-after").parse().unwrap();
            assert!((17..=24).contains(&after), "{after}: 20 s less what has passed, and a fifth at most");
        }
    }
    assert_ne!(statuses[2], 429);
    gateway.stop().await;
}

#[tokio::test]
async fn a_shadow_policy_counts_and_lets_pass() {
    fn edit(root: &Path) {
        set_rates(root, 1.0);
        edit_policy(&root.join("contracts/sitefit"), |policy| policy["shadow"] = json!(true));
    }
    let gateway = with(edit, |_| ()).await;
    for round in 0..3 {
        let answer = gateway.post("/gh/sitefit:1.0.0/solve?lane=batch", sitefit().to_string()).await;
        assert_eq!(answer.status, 200, "{round}: {}", answer.text);
        assert!(answer.header("ratelimit").starts_with("\"batch\";r=0;"));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn o9_an_address_is_stopped_before_it_is_known_and_cannot_lend_itself_another() {
    let nodes = vec![simnode::Config::default()];
    let config =
        |config: &mut appserver::config::Config| (config.address.requests_per_sec_max, config.address.burst) = (1, 5);
    let gateway = TestGateway::with(Setup { nodes, keys: true, config: Some(config), ..Setup::default() }).await;
    let target = format!("{}/gh/sitefit:1.0.0/solve", gateway.base);
    let mut counts = BTreeMap::new();
    for number in 0..20 {
        let guess = gateway.client.post(&target).bearer_auth(format!("guess-{number}"));
        let guess = guess.header("X-Forwarded-For", format!("9.9.9.{number}")).header("Forwarded", "for=9.9.9.9");
        *counts.entry(guess.send().await.unwrap().status().as_u16()).or_insert(0) += 1;
    }
    assert!(counts[&401] >= 5 && counts[&401] <= 8 && counts[&429] >= 12, "{counts:?}");
    let refused = gateway.solve("sitefit:1.0.0", &sitefit()).await;
    assert_eq!((refused.problem(), refused.header("retry-after")), ((429, "address_limited".to_owned()), "1"));
    assert_eq!(gateway.get("/livez").await.status, 200, "what an orchestrator asks is not counted");
    gateway.stop().await;
}

/// Leaves in the middle of a solve of 4 s; says how long the gateway takes to notice.
async fn noticed_within(ahead: &[u8]) -> Duration {
    let nodes = vec![simnode::Config::default()];
    let gateway = TestGateway::with(Setup { nodes, ..Setup::default() }).await;
    let slow = slow_node(4000).faults;
    gateway.nodes[0].set_faults(slow).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(request("X-Request-Id: leaver\r\n", &sitefit().to_string()).as_bytes()).await.unwrap();
    let running = || gateway.nodes[0].log().iter().any(|entry| entry.path == "/grasshopper" && entry.status.is_none());
    while !running() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stream.write_all(ahead).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begin = Instant::now();
    let local = stream.local_addr().unwrap();
    drop(stream);
    // The kernel keeps the pair until the gateway has closed its end.
    while still_open(gateway.address.port(), local.port()) && begin.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begin.elapsed()
}

/// Whether the gateway's end of a connection is open, by the kernel's own list. State 08 is `CLOSE_WAIT`, 01 `ESTABLISHED`.
fn still_open(gateway: u16, caller: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().skip(1).any(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let port = |column: &str| column.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
        port(columns[1]) == Some(gateway) && port(columns[2]) == Some(caller) && ["01", "08"].contains(&columns[3])
    })
}

#[tokio::test]
async fn o4_a_caller_that_leaves_is_noticed_at_once() {
    let noticed = noticed_within(b"").await;
    assert!(noticed < Duration::from_millis(300), "{noticed:?}");
}

#[tokio::test]
async fn o5_a_caller_that_leaves_after_a_pipelined_byte_is_noticed() {
    for ahead in [&b"X"[..], b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let noticed = noticed_within(ahead).await;
        assert!(noticed < Duration::from_millis(500), "{noticed:?}");
    }
}

#[tokio::test]
async fn a_second_request_before_the_first_answer_is_not_read() {
    let gateway = TestGateway::start().await;
    let second = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    let first = request("", &sitefit().to_string());
    let (answer, closed) = raw(&gateway, format!("{first}{second}").as_bytes()).await;
    assert_eq!((status(&answer), answer.matches("HTTP/1.1 ").count(), closed), (200, 1, true), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close\r\n"), "{answer}");
    gateway.stop().await;
}

#[tokio::test]
async fn one_connection_serves_one_request_after_another() {
    let gateway = TestGateway::start().await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let body = sitefit().to_string();
    for (round, lines) in ["", "X-A: b\r\n", "Expect: 100-continue\r\n", ""].into_iter().enumerate() {
        // In pieces, as a network may bring it.
        for piece in request(lines, &body).as_bytes().chunks(7 + round * 20) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = String::new();
        while !answer.contains("\"receipt\"") || !answer.ends_with('}') {
            let mut chunk = [0; 4096];
            let count = timeout(Duration::from_secs(10), stream.read(&mut chunk)).await.unwrap().unwrap();
            assert_ne!(count, 0, "round {round}: {answer}");
            answer.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
        }
        assert!(answer.contains("HTTP/1.1 200"), "round {round}: {answer}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn c1_a_caller_that_drips_its_body_is_told_408_and_cut() {
    let gateway = with(|_| (), |config| config.body.grace_sec = 1).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!("{LINE}Host: a\r\nContent-Length: 10000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let drip = tokio::spawn(async move {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let (begin, mut answer) = (Instant::now(), Vec::new());
    let _ = timeout(Duration::from_secs(8), reader.read_to_end(&mut answer)).await.expect("it stays open");
    assert_eq!(status(&String::from_utf8_lossy(&answer)), 408);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    drip.abort();
    gateway.stop().await;
}

#[tokio::test]
async fn c2_what_could_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    let gateway = TestGateway::start().await;
    let body = sitefit().to_string();
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = format!("Content-Length: {}\r\n", body.len());
    let te = "Transfer-Encoding: chunked\r\n";
    let post = |lines: &str, body: &str| format!("{LINE}Host: a\r\n{lines}\r\n{body}");
    let cases: &[(&str, String, u16)] = &[
        ("bare LF", request("", &body).replace("\r\n", "\n"), 400),
        ("one bare LF", request("X-A: b\n", &body), 400),
        ("a bare CR", request("X-A: b\rc\r\n", &body), 400),
        ("a NUL", request("X-A: b\0c\r\n", &body), 400),
        ("a folded header", request("X-A: b\r\n c\r\n", &body), 400),
        ("a space before the colon", request("X-A : b\r\n", &body), 400),
        ("a header without a name", request(": b\r\n", &body), 400),
        ("a header without a colon", request("X-A\r\n", &body), 400),
        ("chunks and a length", post(&format!("{te}{length}"), &chunked), 400),
        ("a length and chunks", post(&format!("{length}{te}"), &chunked), 400),
        ("chunks twice", post(&format!("{te}{te}"), &chunked), 400),
        ("chunks of another coding", post("Transfer-Encoding: gzip, chunked\r\n", &chunked), 400),
        ("chunks, misspelt", post("Transfer-Encoding: \x0bchunked\r\n", &chunked), 400),
        ("an identity coding", post("Transfer-Encoding: identity\r\n", &body), 400),
        ("two equal lengths", request(&length, &body), 400),
        ("a list of lengths", post(&format!("Content-Length: {0}, {0}\r\n", body.len()), &body), 400),
        ("a negative length", post("Content-Length: -1\r\n", &body), 400),
        ("chunks of HTTP/1.0", post(te, &chunked).replace("HTTP/1.1", "HTTP/1.0"), 400),
        ("HTTP/1.2", request("", &body).replace("HTTP/1.1", "HTTP/1.2"), 400),
        ("HTTP/0.9", "GET /livez\r\n\r\n".into(), 400),
        ("no host", request("", &body).replace("Host: a\r\n", ""), 400),
        ("an empty host", request("", &body).replace("Host: a", "Host: "), 400),
        ("two hosts", request("Host: a\r\n", &body), 400),
        ("an absolute target of another host", request("", &body).replace("POST /", "POST http://b/"), 400),
        ("TRACE", request("", &body).replace("POST", "TRACE"), 405),
        ("CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".into(), 404),
        (
            "Upgrade",
            request("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", &body),
            501,
        ),
        ("WebSocket", request("Connection: Upgrade\r\nUpgrade: websocket\r\n", &body), 501),
    ];
    for (what, bytes, expected) in cases {
        let (answer, closed) = raw(&gateway, bytes.as_bytes()).await;
        assert_eq!(status(&answer), *expected, "{what}: {answer}");
        // Where the request was read whole and is merely not wanted, the connection is as good as before.
        assert!(closed || answer.contains("request_id"), "{what} leaves the connection open: {answer}");
    }
    assert_eq!(solves(&gateway), 0);
    // What is unusual and yet can be read in one way only is served.
    for bytes in [
        post(te, &chunked),
        post(te, &chunked.replacen("\r\n", ";name=value\r\n", 1)),
        request("", &body).replace("HTTP/1.1", "HTTP/1.0"),
        format!("\r\n{}", request("Connection: close\r\n", &body)),
        request("Connection: close\r\n", &body).replace("POST /", "POST http://a/"),
    ] {
        let (answer, _) = raw(&gateway, bytes.as_bytes()).await;
        assert_eq!(status(&answer), 200, "{bytes}: {answer}");
    }
    assert_eq!(solves(&gateway), 5);
    gateway.stop().await;
}

#[tokio::test]
async fn c3_a_body_that_was_refused_unread_is_never_a_request() {
    let gateway =
        TestGateway::with(Setup { nodes: vec![simnode::Config::default()], keys: true, ..Setup::default() }).await;
    let inner = format!("{LINE}Host: a\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 2\r\n\r\n{{}}");
    let chunked = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    let large = "Content-Length: 90000000\r\n";
    let authorized = format!("Authorization: Bearer {KEY}\r\n");
    let cases = [
        ("401", format!("{LINE}Host: a\r\nContent-Length: {}\r\n\r\n{inner}", inner.len()), 401),
        ("401 and more", format!("{LINE}Host: a\r\nContent-Length: {}\r\n\r\n{inner}{inner}", inner.len()), 401),
        ("401 in chunks", format!("{LINE}Host: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}{inner}"), 401),
        ("413", format!("{LINE}Host: a\r\n{authorized}{large}\r\n{inner}"), 413),
        ("415", format!("{LINE}Host: a\r\n{authorized}Content-Encoding: gzip\r\n{large}\r\n{inner}"), 415),
    ];
    for (what, bytes, expected) in cases {
        let (answer, _) = raw(&gateway, bytes.as_bytes()).await;
        assert_eq!((status(&answer), answer.matches("HTTP/1.1 ").count()), (expected, 1), "{what}: {answer}");
    }
    assert_eq!(solves(&gateway), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn c4_heads_over_their_limits_are_refused() {
    let gateway = TestGateway::start().await;
    let body = sitefit().to_string();
    let cases = [
        ("headers", request(&"X-A: b\r\n".repeat(70), &body), 431),
        ("bytes of headers", request(&format!("X-A: {}\r\n", "b".repeat(17_000)), &body), 431),
        ("a value of 64 KiB", request(&format!("X-A: {}\r\n", "b".repeat(65_536)), &body), 431),
        ("cookies", request(&format!("Cookie: {}\r\n", "c=d; ".repeat(4000)), &body), 431),
        ("an address of 8 KiB", request("", &body).replace(":1.0.0", &"1".repeat(8000)), 414),
        ("a query of 8 KiB", request("", &body).replace("/solve", &format!("/solve?{}", "x".repeat(8000))), 414),
    ];
    for (what, bytes, expected) in cases {
        let (answer, _) = raw(&gateway, bytes.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{what}: {}", &answer[..answer.len().min(500)]);
    }
    assert_eq!(solves(&gateway), 0);
    let (answer, _) = raw(&gateway, request(&format!("X-A: {}\r\n", "b".repeat(12_000)), &body).as_bytes()).await;
    assert_eq!(status(&answer), 200, "{answer}");
    gateway.stop().await;
}

#[tokio::test]
async fn c5_a_body_over_its_limit_is_cut() {
    let gateway = with(|_| (), |config| config.body.bytes_max = 1000).await;
    let head = format!("{LINE}Host: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
    let (answer, _) = raw(&gateway, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "the final status comes first: {answer}");
    let mut chunks = format!("{LINE}Host: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400));
    chunks.push_str(&chunk.repeat(300));
    let (answer, closed) = raw(&gateway, chunks.as_bytes()).await;
    assert_eq!((status(&answer), closed), (413, true), "{answer}");
    assert_eq!(solves(&gateway), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn c11_no_spelling_of_an_address_leads_elsewhere() {
    let gateway = TestGateway::start().await;
    let closing = request("Connection: close\r\n", &sitefit().to_string());
    for target in [
        "/gh/../gh/sitefit:1.0.0/solve",
        "/gh/%2e%2e/gh/sitefit:1.0.0/solve",
        "/gh/sitefit%3a1.0.0/solve",
        "/gh/sitefit:1.0.0%2fsolve",
        "/gh/sitefit:1.0.0%252fsolve",
        "/gh//sitefit:1.0.0/solve",
        "//gh/sitefit:1.0.0/solve",
        "/gh/sitefit:1.0.0;x/solve",
        "/gh/sitefit:1.0.0\\solve",
        "/gh/sitefit:1.0.0/solve.",
        "/gh/sitefit:1.0.0./solve",
        "/gh/sitefit:1.0.0/solve/.",
        "/gh/sitefit%00:1.0.0/solve",
        "/gh/sitef\u{131}t:1.0.0/solve",
        "/livez/../gh/sitefit:1.0.0/solve",
        "*",
    ] {
        let (answer, _) = raw(&gateway, closing.replace("/gh/sitefit:1.0.0/solve", target).as_bytes()).await;
        assert!([400, 404].contains(&status(&answer)), "{target}: {answer}");
    }
    assert_eq!(solves(&gateway), 0);
    gateway.stop().await;
}

/// Stands between the gateway and a node: keeps what the gateway sends, and adds headers of the node's own to what it answers.
async fn eavesdropper(node: std::net::SocketAddr) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, sent) = (format!("http://{}/", listener.local_addr().unwrap()), Arc::new(Mutex::new(Vec::new())));
    let kept = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((gateway, _)) = listener.accept().await {
            let (mut from_gateway, mut to_gateway) = gateway.into_split();
            let (mut from_node, mut to_node) = TcpStream::connect(node).await.unwrap().into_split();
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut chunk = vec![0; 1 << 16];
                while let Ok(count @ 1..) = from_gateway.read(&mut chunk).await {
                    kept.lock().unwrap().extend_from_slice(&chunk[..count]);
                    let _ = to_node.write_all(&chunk[..count]).await;
                }
            });
            tokio::spawn(async move {
                let mut chunk = vec![0; 1 << 16];
                while let Ok(count @ 1..) = from_node.read(&mut chunk).await {
                    let mut answer = chunk[..count].to_vec();
                    if answer.starts_with(b"HTTP/1.1 ") {
                        let line = answer.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                        answer.splice(line..line, NODES_OWN.bytes());
                    }
                    let _ = to_gateway.write_all(&answer).await;
                }
            });
        }
    });
    (url, sent)
}

/// What a node may say of itself, and no caller needs to hear.
const NODES_OWN: &str = "Set-Cookie: canary=b\r\nServer: Kestrel\r\nAccess-Control-Allow-Origin: *\r\nAlt-Svc: h3=\":1\"\r\n\
                         X-Powered-By: canary\r\nX-Request-Id: canary\r\n";

/// Headers that claim to be somebody, or that a proxy in between would act on.
const SPOOFED: [(&str, &str); 10] = [
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Forwarded-Host", "evil.test"),
    ("X-Forwarded-Proto", "https"),
    ("X-Original-URL", "/livez"),
    ("X-HTTP-Method-Override", "GET"),
    ("X-Tenant", "studio"),
    ("X_App_Id", "yieldcheck"),
    ("Cookie", "canary=1"),
    ("Connection", "authorization"),
    ("X-Canary", "canary"),
];

#[tokio::test]
async fn c12_headers_that_claim_something_have_no_effect() {
    let nodes = vec![simnode::Config::default()];
    let gateway = TestGateway::with(Setup { nodes, keys: true, ..Setup::default() }).await;
    let target = format!("{}/gh/yieldcheck:stable/solve", gateway.base);
    let mut request = gateway.client.post(&target).bearer_auth("as_kiosk_key").body("{}");
    for (name, value) in SPOOFED {
        request = request.header(name, value);
    }
    assert_eq!(request.send().await.unwrap().status(), 404, "the kiosk's key does not reach this app");
    let other = gateway.client.post(&target).bearer_auth("as_kiosk_key").header("X-Tenant-Id", "studio").body("{}");
    assert_eq!(other.send().await.unwrap().status(), 403, "only a worker's key acts for another tenant");
    let nobody = gateway.client.post(&target).header("X-Tenant-Id", "studio").body("{}").send().await.unwrap();
    assert_eq!(nobody.status(), 401);
    gateway.stop().await;
}

#[tokio::test]
async fn c12_no_header_passes_through_in_either_direction() {
    static URL: OnceLock<String> = OnceLock::new();
    let node = simnode::Node::start(simnode::Config::default()).await.unwrap();
    let (url, sent) = eavesdropper(node.address()).await;
    URL.set(url).unwrap();
    let config = |config: &mut appserver::config::Config| {
        let url = URL.get().unwrap().clone();
        config.nodes = vec![appserver::config::Node { name: "node".into(), url, slots: Some(1), pools: Vec::new() }];
    };
    let gateway = TestGateway::with(Setup { config: Some(config), ..Setup::default() }).await;
    gateway.until(appserver::admin::Health::serves).await;
    let mut request =
        gateway.client.post(format!("{}/gh/sitefit:1.0.0/solve", gateway.base)).body(sitefit().to_string());
    for (name, value) in SPOOFED {
        request = request.header(name, value);
    }
    let answer = request.bearer_auth("canary").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    for name in ["set-cookie", "server", "access-control-allow-origin", "alt-svc", "x-powered-by"] {
        assert!(!answer.headers().contains_key(name), "{name}");
    }
    let headers = format!("{:?}", answer.headers());
    assert!(!headers.contains("canary"), "{headers}");
    let sent = String::from_utf8_lossy(&sent.lock().unwrap()).to_lowercase();
    assert!(sent.contains("post /grasshopper"), "the proxy saw the solve");
    for (name, _) in SPOOFED.iter().filter(|(name, _)| *name != "Connection") {
        assert!(!sent.contains(&format!("\n{}:", name.to_lowercase())), "{name} reached the node");
    }
    assert!(!sent.contains("canary") && !sent.contains("evil.test"), "{sent}");
    gateway.stop().await;
    node.stop().await;
}

/// The processor time that a process has taken, in clock ticks of 10 ms.
fn ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test]
async fn b3_without_descriptors_the_accept_loop_rests_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let program = env!("CARGO_BIN_EXE_appserver");
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", &format!("ulimit -n 64 && exec {program} serve --listen {free}")]);
    command.current_dir(crate::support::repository()).env_remove("PORT").env_remove("APPSERVER_CONFIG");
    command.env("APPSERVER_SERVER_HEADER_TIMEOUT_SEC", "60");
    command.stdin(std::process::Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let alive = || async {
        let mut stream = TcpStream::connect(free).await.ok()?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        timeout(Duration::from_millis(500), stream.read_to_string(&mut answer)).await.ok()?.ok()?;
        Some(status(&answer))
    };
    let until_alive = |within: Duration| async move {
        let begin = Instant::now();
        while alive().await != Some(200) {
            assert!(begin.elapsed() < within, "not alive within {within:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    until_alive(Duration::from_secs(20)).await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(TcpStream::connect(free).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(alive().await, None, "no descriptor is left for another caller");
    let before = ticks(child.id().unwrap());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let taken = ticks(child.id().unwrap()) - before;
    assert!(taken < 40, "{taken} ticks of 200: the accept loop spins");
    drop(held);
    until_alive(Duration::from_secs(2)).await;
    child.kill().await.unwrap();
}
