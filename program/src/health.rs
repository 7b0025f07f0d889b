//! `health`: a program asks the one that listens whether it is well.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

/// What `health` is for.
pub const ABOUT: &str = "Ask the running program whether it is ready; 0 if it is, 1 if not";
/// What an answer says stands in its first line and a short body.
const ANSWER_BYTES_MAX: u64 = 4096;

/// What `health` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Health {
    /// Ask only whether it lives: for whoever restarts what does not.
    #[arg(long)]
    pub live: bool,
    /// How long it may take to answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub patience: u64,
}

// === impl Health ===

impl Health {
    /// Asks what listens there, on this computer, and tells on standard error why it is not well.
    pub fn run(&self, listen: SocketAddr) -> ExitCode {
        let path = if self.live { "/livez" } else { "/readyz" };
        match ask(here(listen), path, Duration::from_secs(self.patience)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                let _ = writeln!(io::stderr(), "{}{path}: {why}", here(listen));
                ExitCode::FAILURE
            }
        }
    }
}

/// Who listens everywhere is asked over the loopback.
fn here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// One GET, which must be answered with 200 within so long.
///
/// # Errors
/// What was answered instead, or why nothing was.
pub fn ask(address: SocketAddr, path: &str, patience: Duration) -> Result<(), String> {
    let answer = exchange(address, path, patience).map_err(|error| error.to_string())?;
    let answer = String::from_utf8_lossy(&answer);
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
    let first = answer.lines().next().unwrap_or_default();
    if first.is_empty() { Err("no answer".to_owned()) } else { Err(format!("{first}: {body}")) }
}

fn exchange(address: SocketAddr, path: &str, patience: Duration) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers one request so, and tells what it was.
    fn once(answer: &'static str) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            let mut length = 0;
            // The whole head: a socket that is closed with bytes unread is reset.
            while !buffer[..length].ends_with(b"\r\n\r\n") {
                length += stream.read(&mut buffer[length..]).unwrap();
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        });
        (address, asked)
    }

    #[test]
    fn two_hundred_is_well_and_all_else_says_why() {
        let second = Duration::from_secs(1);
        let (address, asked) = once("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n");
        assert_eq!(ask(address, "/readyz", second), Ok(()));
        assert!(asked.join().unwrap().starts_with("GET /readyz HTTP/1.1\r\n"));
        let (address, _) = once("HTTP/1.1 503 Service Unavailable\r\n\r\ndraining\n");
        assert_eq!(ask(address, "/readyz", second).unwrap_err(), "HTTP/1.1 503 Service Unavailable: draining");
        let (address, _) = once("");
        assert_eq!(ask(address, "/readyz", second).unwrap_err(), "no answer");
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(ask(nobody, "/readyz", second).is_err());
    }

    #[test]
    fn one_that_says_nothing_is_not_waited_for() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let begin = std::time::Instant::now();
        assert!(ask(silent.local_addr().unwrap(), "/readyz", Duration::from_millis(100)).is_err());
        assert!(begin.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        for (listen, asked) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("127.0.0.2:1", "127.0.0.2:1")] {
            assert_eq!(here(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
