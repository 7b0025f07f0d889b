//! Each way of failing, over a real socket, against a peer that plays one script.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

mod closing;

/// What a peer does once a request has arrived.
enum Then {
    Write(&'static str),
    Reset,
    Close,
    Stay,
}

struct Peer {
    url: Url,
    task: JoinHandle<Vec<String>>,
}

impl Peer {
    /// Serves one connection after the other; each plays the whole script for its first request.
    async fn start(connections: usize, script: &'static [Then]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let task = tokio::spawn(async move {
            let mut requests = Vec::new();
            for _ in 0..connections {
                let (mut socket, _) = listener.accept().await.unwrap();
                requests.push(request(&mut socket).await);
                play(socket, script).await;
            }
            requests
        });
        Self { url, task }
    }

    fn client(&self) -> Client {
        Client::new(options(self.url.clone())).unwrap()
    }
}

fn options(url: Url) -> Options {
    Options {
        url,
        key: Key::new("geheim-4711"),
        connect_timeout: Duration::from_secs(2),
        idle_timeout: Duration::from_millis(150),
        idle_connections: 1,
    }
}

async fn request(socket: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = socket.read(&mut chunk).await.unwrap();
        read.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if count == 0 || body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return text;
        }
    }
}

async fn play(mut socket: TcpStream, script: &[Then]) {
    for then in script {
        match then {
            Then::Write(text) => socket.write_all(text.as_bytes()).await.unwrap(),
            Then::Close => return,
            Then::Reset => {
                socket.set_zero_linger().unwrap();
                return;
            }
            Then::Stay => {
                // Until the client gives up.
                let _ = socket.read(&mut [0; 1]).await;
            }
        }
    }
}

async fn failure(script: &'static [Then], limit: usize) -> Failure {
    let peer = Peer::start(1, script).await;
    let failure = peer.client().solve(Bytes::from_static(b"{}"), limit, None).await.unwrap_err();
    peer.task.await.unwrap();
    failure
}

#[tokio::test]
async fn a_request_carries_the_key_the_path_and_the_body_and_nothing_is_asked_twice() {
    const FAILED: &str = "HTTP/1.1 500 X\r\ncontent-type: a/b\r\ncontent-length: 2\r\n\r\nno";
    let peer = Peer::start(1, &[Then::Write(FAILED), Then::Close]).await;
    let mut options = options(peer.url.clone());
    options.url.set_path("/compute");
    let reply = Client::new(options).unwrap().solve(Bytes::from_static(b"{\"a\":1}"), 10, None).await.unwrap();
    assert_eq!((reply.status, reply.content_type.as_deref(), &reply.body[..]), (500, Some("a/b"), &b"no"[..]));
    let requests = peer.task.await.unwrap();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert!(request.starts_with("POST /compute/grasshopper HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nrhinocomputekey: geheim-4711\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
}

const BEGUN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc";
const ANNOUNCED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nabc";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n12345678\r\n8\r\n12345678\r\n";

#[tokio::test]
async fn each_failure_has_its_own_kind() {
    assert!(matches!(failure(&[Then::Close], 10).await, Failure::Reset(_)));
    assert!(matches!(failure(&[Then::Reset], 10).await, Failure::Reset(_)));
    assert!(matches!(failure(&[Then::Write("HTTP/1.1 200 OK\r\nconte"), Then::Reset], 10).await, Failure::Reset(_)));
    assert!(matches!(failure(&[Then::Write("SSH-2.0-OpenSSH_9\r\n\r\n"), Then::Close], 10).await, Failure::NotHttp(_)));
    assert!(matches!(failure(&[Then::Write(BEGUN), Then::Close], 10).await, Failure::Cut(_)));
    assert_eq!(failure(&[Then::Write(BEGUN), Then::Stay], 10).await, Failure::Idle(Duration::from_millis(150)));
    assert_eq!(failure(&[Then::Write(ANNOUNCED), Then::Close], 10).await, Failure::TooLarge(10));
    assert_eq!(failure(&[Then::Write(CHUNKED), Then::Stay], 10).await, Failure::TooLarge(10));
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    let peer = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // Held until the client has gone, so that what it saw was the answer and no reset.
        let _ = socket.read_to_end(&mut Vec::new()).await;
    });
    let failure = Client::new(options(url)).unwrap().get("healthcheck", 10).await.unwrap_err();
    assert!(matches!(failure, Failure::Tls(_)) && failure.nothing_was_sent(), "{failure:?}");
    peer.await.unwrap();
}

#[tokio::test]
async fn a_closed_port_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new(options(Url::parse(&format!("http://{address}/")).unwrap())).unwrap();
    let failure = client.get("healthcheck", 10).await.unwrap_err();
    assert!(matches!(failure, Failure::Connect(_)) && failure.nothing_was_sent(), "{failure:?}");
}

#[tokio::test]
async fn redirects_are_answers_and_not_followed() {
    const MOVED: &str = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let peer = Peer::start(1, &[Then::Write(MOVED), Then::Close]).await;
    assert_eq!(peer.client().get("version", 10).await.unwrap().status, 302);
    peer.task.await.unwrap();
}

#[test]
fn a_key_never_shows() {
    let key = Key::new("geheim-4711").unwrap();
    let client = Client::new(options(Url::parse("http://h:1").unwrap())).unwrap();
    let shown = format!("{key:?} {client:?}");
    assert!(!shown.contains("4711"), "{shown}");
    assert!(Key::new("two\nlines").is_none());
}

#[test]
fn an_address_that_is_no_base_is_refused() {
    for wrong in ["ftp://h/", "http://h/?a=1", "http://user:pw@h/", "data:text/plain,x"] {
        let built = Client::new(options(Url::parse(wrong).unwrap()));
        assert!(matches!(built, Err(BuildError::Address(_))), "{wrong}");
    }
}
