//! Azurite, which stands in for Azure's blob store: `APPSERVER_TEST_AZURITE` names its address, and `./test --slow` starts it.
//!
//! The worker's tests and those of the whole take this file as it is.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};

/// The account that every Azurite has, and its published key.
pub(crate) const ACCOUNT: &str = "devstoreaccount1";
pub(crate) const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

pub(crate) fn azurite() -> Option<String> {
    let found = std::env::var_os("APPSERVER_TEST_AZURITE").map(|address| address.into_string().unwrap());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI must not pass without Azurite");
        eprintln!("SKIPPED: APPSERVER_TEST_AZURITE is not set; ./test --slow sets it");
    }
    found
}

/// One exchange over a socket of its own; gives the status.
pub(crate) fn exchange(address: &str, verb: &str, target: &str, headers: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = body.len();
    write!(
        socket,
        "{verb} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// Makes a container by a request that is signed with the account's key.
pub(crate) fn make_container(address: &str, name: &str) {
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    let version = "2021-08-06";
    let text = format!(
        "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{version}\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    );
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&STANDARD.decode(KEY).unwrap()).unwrap();
    mac.update(text.as_bytes());
    let sig = STANDARD.encode(mac.finalize().into_bytes());
    let headers =
        format!("x-ms-date: {date}\r\nx-ms-version: {version}\r\nAuthorization: SharedKey {ACCOUNT}:{sig}\r\n");
    let (status, answer) = exchange(address, "PUT", &format!("/{ACCOUNT}/{name}?restype=container"), &headers, "");
    assert_eq!(status, 201, "{answer}");
}
