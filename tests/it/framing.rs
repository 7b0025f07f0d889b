//! Requests damaged at random, against a reader of HTTP/1 that knows the grammar only: what a node solves, some caller has asked for.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use appserver::config::Config;
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Setup, TestGateway, edit_policy, set_rates};

const LINE: &str = "POST /gh/sitefit:1.0.0/solve HTTP/1.1";

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % most as u64).unwrap()
    }
}

/// A solve under the name of its project, by which it is known again at the node.
fn solve(project: &str) -> String {
    json!({ "inputs": { "project_name": project, "site_width": 30, "site_depth": 40 } }).to_string()
}

fn chunked(body: &str) -> String {
    let (first, rest) = body.split_at(body.len() / 3);
    format!("{:x}\r\n{first}\r\n{:x};a=b\r\n{rest}\r\n0\r\n\r\n", first.len(), rest.len())
}

/// A request that is right, and behind it or inside its body another, which nobody may take for one.
fn request(number: usize, dice: &mut Dice) -> Vec<u8> {
    let (asked, smuggled) = (solve(&format!("asked {number}")), solve(&format!("smuggled {number}")));
    let inner = format!("{LINE}\r\nHost: a\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len());
    let (asked_chunked, inner_bytes) = (chunked(&asked), inner.len());
    let by_length = format!("Content-Length: {}", asked.len());
    let text = match dice.below(6) {
        0 => format!("{LINE}\r\nHost: a\r\n{by_length}\r\n\r\n{asked}"),
        1 => format!("{LINE}\r\nHost: a\r\n{by_length}\r\nX-A: b\r\n\r\n{asked}{inner}"),
        2 => format!("{LINE}\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{asked_chunked}"),
        3 => format!("{LINE}\r\nHost: a\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n{asked_chunked}{inner}"),
        // A body that is another request: right by its length, and no JSON.
        4 => format!("{LINE}\r\nHost: a\r\nContent-Length: {inner_bytes}\r\n\r\n{inner}"),
        _ => format!("{LINE}\r\nHost: a\r\nX-A: b\r\n{by_length}\r\n\r\n{asked}0\r\n\r\n{inner}"),
    };
    text.into_bytes()
}

/// Does one thing to the head, or to the bytes around the chunks, that a careless or hostile sender might.
fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    const BYTES: [u8; 20] = [
        b'\r', b'\n', b' ', b'\t', b':', b';', b',', 0, 0x0b, 0x0c, 0x7f, 0x80, 0xff, b'0', b'1', b'9', b'a', b'/',
        b'"', b'+',
    ];
    const LINES: [&str; 22] = [
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\tchunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "transfer_encoding: chunked\r\n",
        "Content-Length: 0\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length : 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 0x5\r\n",
        "Host: b\r\n",
        "Host:\r\n",
        "X-A: b\r\n c\r\n",
        "X-A: b\n",
        "Connection: keep-alive, content-length\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "Expect: 100-continue\r\n",
        "\r\n",
    ];
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    // Mostly in the head; at times where chunks begin and end.
    let within = if dice.below(5) == 0 { bytes.len() } else { head };
    let at = dice.below(within.max(1)).min(bytes.len());
    let starts: Vec<usize> = (1..head).filter(|at| bytes[at - 1] == b'\n').collect();
    let line = starts.get(dice.below(starts.len().max(1))).copied().unwrap_or(0);
    match dice.below(6) {
        0 if at < bytes.len() => bytes[at] = BYTES[dice.below(BYTES.len())],
        1 => bytes.insert(at, BYTES[dice.below(BYTES.len())]),
        2 if at < bytes.len() => drop(bytes.remove(at)),
        3 => {
            let end = bytes[line..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| line + end + 1);
            let again = bytes[line..end].to_vec();
            bytes.splice(line..line, again);
        }
        _ => drop(bytes.splice(line..line, LINES[dice.below(LINES.len())].bytes())),
    }
}

/// The body of the first request, if the bytes begin with one that the grammar of RFC 9112 allows and that has one meaning.
fn read(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes;
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        rest = after;
    }
    let (line, mut rest) = line(rest)?;
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_one = words.next().is_none() && !method.is_empty() && method.iter().copied().all(is_token);
    let old = version == b"HTTP/1.0";
    if !is_one || !target.iter().all(u8::is_ascii_graphic) || target.is_empty() || !(old || version == b"HTTP/1.1") {
        return None;
    }
    let (mut hosts, mut length, mut chunks) = (0, None, 0);
    loop {
        let (field, after) = self::line(rest)?;
        rest = after;
        if field.is_empty() {
            break;
        }
        let (name, value) = self::field(field)?;
        match name.to_ascii_lowercase().as_slice() {
            b"host" if value.is_empty() => return None,
            b"host" => hosts += 1,
            b"content-length" if length.is_none() && !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                length = Some(std::str::from_utf8(value).ok()?.parse::<usize>().ok()?);
            }
            b"transfer-encoding" if value.eq_ignore_ascii_case(b"chunked") => chunks += 1,
            b"content-length" | b"transfer-encoding" => return None,
            _ => {}
        }
    }
    match (hosts, length, chunks) {
        (1, length, 0) => Some(rest.get(..length.unwrap_or(0))?.to_vec()),
        (1, None, 1) if !old => unchunked(rest),
        _ => None,
    }
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        // What stands behind a size is skipped, whatever it is but an end of a line: no reader makes anything else of it.
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let (size, after) = (&rest[..end], &rest[end + 2..]);
        let digits = size.split(|byte| *byte == b';').next()?;
        if size.iter().any(|byte| b"\r\n".contains(byte)) {
            return None;
        }
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?.trim_end_matches([' ', '\t']), 16).ok()?;
        if digits.starts_with(b"+") || after.len() < size {
            return None;
        }
        let (data, after) = after.split_at(size);
        if size > 0 {
            body.extend_from_slice(data);
            rest = after.strip_prefix(b"\r\n")?;
            continue;
        }
        // The parser takes whatever comes before an empty line for trailers, which nobody reads; and the connection is closed after a body in
        // chunks, so that nothing behind one is ever read as a request.
        let ends = after.starts_with(b"\r\n") || after.windows(4).any(|four| four == b"\r\n\r\n");
        return ends.then_some(body);
    }
}

/// Up to the first CRLF, without any other control characters but tabs.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let is_text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    bytes[..end].iter().all(is_text).then_some((&bytes[..end], &bytes[end + 2..]))
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    (!name.is_empty() && name.iter().copied().all(is_token)).then_some((name, value))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The project that a body asks for.
fn project(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body["inputs"]["project_name"].as_str().map(str::to_owned)
}

/// Sends all of it and waits for an answer, or for none.
async fn send(address: std::net::SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_zero_linger().unwrap();
    // It may be refused before it is read.
    let _ = stream.write_all(bytes).await;
    let _ = timeout(Duration::from_millis(100), stream.read(&mut [0; 1024])).await;
}

/// Damages so many requests, and holds what the node solved against what was asked.
async fn fuzzed(count: usize) {
    let edit: fn(&Path) = |root| {
        set_rates(root, 100_000.0);
        edit_policy(&root.join("contracts/sitefit"), |policy| {
            (policy["max_concurrency"], policy["preview_seats"]) = (json!(16), json!(16));
        });
    };
    let node =
        simnode::Config { children: 16, log_entries_max: 4096, stub: Some(Duration::ZERO), ..Default::default() };
    let config: fn(&mut Config) = |config| {
        (config.address.requests_per_sec_max, config.address.burst) = (1_000_000, 1_000_000);
    };
    let setup = Setup { nodes: vec![node], edit: Some(edit), config: Some(config), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    let (mut dice, mut legal, mut solved, mut seen) = (Dice(7), 0, 0, 0);
    for batch in 0..count.div_ceil(1000) {
        let mut allowed = HashSet::new();
        let mut sent = Vec::new();
        for number in batch * 1000..count.min((batch + 1) * 1000) {
            let mut bytes = request(number, &mut dice);
            for _ in 0..dice.below(3) {
                damage(&mut bytes, &mut dice);
            }
            if let Some(project) = read(&bytes).as_deref().and_then(project) {
                allowed.insert(project);
                legal += 1;
            }
            sent.push(bytes);
        }
        let sent = Arc::new(sent);
        stream::iter(0..sent.len())
            .map(|index| {
                let (sent, address) = (Arc::clone(&sent), gateway.address);
                tokio::spawn(async move { send(address, &sent[index]).await })
            })
            .buffer_unordered(64)
            .for_each(async |done| done.unwrap())
            .await;
        // What nobody waits for any more is solved all the same.
        gateway.until(|health| health.nodes.iter().all(|node| node.running == 0)).await;
        let log = gateway.nodes[0].log();
        for entry in log.iter().filter(|entry| entry.number > seen && entry.path == "/grasshopper") {
            let body = entry.body.as_ref().unwrap();
            let Some(project) = asked_of(body) else { continue };
            let by = |bytes: &&Vec<u8>| String::from_utf8_lossy(bytes).contains(&project);
            let bytes = sent.iter().find(by).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            assert!(allowed.contains(&project), "{project:?} was solved, of {bytes:?}");
            solved += 1;
        }
        seen = log.last().map_or(seen, |entry| entry.number);
    }
    println!("{count} requests, {legal} of them legal, {solved} solved");
    assert!(solved > count / 50, "{solved} solves are no test");
    gateway.stop().await;
}

/// The project that a node was asked to solve; none for the gateway's own solves of examples.
fn asked_of(body: &Value) -> Option<String> {
    let trees = body["values"].as_array()?;
    let tree = trees.iter().find(|tree| tree["ParamName"] == "RH_IN:project_name")?;
    let data = tree["InnerTree"].as_object()?.values().next()?[0]["data"].as_str()?;
    let project: String = serde_json::from_str(data).ok()?;
    (project.contains("asked") || project.contains("smuggled")).then_some(project)
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_a_node_solves_nothing_of_damaged_requests_that_nobody_has_asked_for() {
    fuzzed(3_000).await;
}

mod slow {
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "slow: a million damaged requests"]
    async fn c2_a_node_solves_nothing_of_a_million_damaged_requests_that_nobody_has_asked_for() {
        super::fuzzed(if cfg!(debug_assertions) { 100_000 } else { 1_000_000 }).await;
    }
}
