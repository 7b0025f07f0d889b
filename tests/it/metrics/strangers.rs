//! Callers who invent names, far more of them than a test of a second can send: on connections that are kept alive, as load generators and
//! scanners keep them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{scrape, series};
use crate::jobs::Bench;
use crate::support::{KEY, Setup};

/// Of each of gateway and API.
const REQUESTS: usize = 100_000;
const CONNECTIONS: usize = 8;

/// One kept connection.
struct Caller {
    address: String,
    sender: SendRequest<Full<Bytes>>,
    /// How often it had to be opened.
    opened: usize,
}

/// One request of a stranger, by its number: method, address, bearer, one more header, body.
type Ask = (&'static str, String, String, Option<(&'static str, String)>, String);

// === impl Caller ===

impl Caller {
    async fn new(address: &str) -> Self {
        Self { address: address.to_owned(), sender: Self::open(address).await, opened: 1 }
    }

    async fn open(address: &str) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// The status.
    async fn ask(&mut self, (method, path, bearer, more, body): Ask) -> u16 {
        if self.sender.ready().await.is_err() {
            self.sender = Self::open(&self.address).await;
            self.opened += 1;
        }
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.address);
        request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
        if let Some((name, value)) = more {
            request = request.header(name, value);
        }
        let answer = self.sender.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        answer.into_body().collect().await.unwrap();
        status
    }
}

fn word() -> String {
    Uuid::new_v4().simple().to_string()
}

fn version() -> String {
    let (major, minor) = Uuid::new_v4().as_u64_pair();
    format!("{}.{}.0", major % 1000, minor % 100_000)
}

/// What a name of a caller's can stand in, at the gateway.
fn at_gateway(number: usize) -> Ask {
    let (name, version, key) = (word(), version(), KEY.to_owned());
    let solve = format!("/gh/{name}:{version}/solve");
    let body = "{}".to_owned();
    match number % 9 {
        0 => ("POST", solve, key, None, body),
        1 => ("POST", solve, key, Some(("x-app-id", word())), body),
        2 => ("POST", "/gh/sitefit:1.0.0/solve".to_owned(), key, Some(("x-app-id", word())), body),
        3 => ("POST", "/gh/sitefit:1.0.0/solve".to_owned(), format!("as_{name}"), None, body),
        4 => ("POST", format!("/gh/sitefit:{version}/solve"), key, Some(("x-request-id", word())), body),
        5 => ("GET", format!("/gh/sitefit:{name}"), key, None, String::new()),
        6 => ("POST", format!("/gh/sitefit:1.0.0/solve?lane={name}"), key, Some(("x-preview-session", word())), body),
        7 => ("POST", "/solve".to_owned(), key, None, format!("{{\"definition\":\"{name}\",\"inputs\":{{}}}}")),
        _ => ("GET", format!("/{name}/{version}"), key, None, String::new()),
    }
}

/// The same at the job API; `tokens` are of a tenant that it knows and of some that nobody does.
fn at_api(number: usize, tokens: &[String]) -> Ask {
    let (app, job, token) = (word(), Uuid::now_v7().to_string(), tokens[0].clone());
    let stranger = tokens[1 + number / 9 % (tokens.len() - 1)].clone();
    let none = String::new;
    match number % 9 {
        0 => ("GET", format!("/{app}/jobs"), token, None, none()),
        1 => ("GET", format!("/sitefit/jobs/status/{job}"), token, None, none()),
        2 => ("GET", format!("/{app}/jobs/status/{job}"), token, None, none()),
        3 => ("GET", format!("/{app}/openapi.json"), token, None, none()),
        4 => ("DELETE", format!("/sitefit/jobs/{job}"), token, None, none()),
        5 => ("GET", "/sitefit/jobs".to_owned(), stranger, None, none()),
        6 => ("GET", format!("/artifacts/{app}/{job}"), token, None, none()),
        7 => {
            let body = format!("{{\"definition\":\"{app}\",\"version\":\"{}\",\"inputs\":{{}}}}", version());
            ("POST", format!("/{app}/jobs/run"), token, Some(("idempotency-key", word())), body)
        }
        _ => ("POST", format!("/{app}/{job}/{}", word()), word(), None, none()),
    }
}

/// Sends them all. The statuses that came, and how often connections were opened.
async fn storm(address: &str, ask: impl Fn(usize) -> Ask + Clone + Send + 'static) -> (BTreeSet<u16>, usize, Duration) {
    let begin = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (address, ask) = (address.to_owned(), ask.clone());
        callers.spawn(async move {
            let (mut caller, mut statuses) = (Caller::new(&address).await, BTreeSet::new());
            for number in 0..REQUESTS / CONNECTIONS {
                statuses.insert(caller.ask(ask(number)).await);
            }
            (statuses, caller.opened)
        });
    }
    let (mut statuses, mut opened) = (BTreeSet::new(), 0);
    while let Some(done) = callers.join_next().await {
        let (seen, times) = done.unwrap();
        statuses.extend(seen);
        opened += times;
    }
    (statuses, opened, begin.elapsed())
}

mod slow {
    use super::*;

    async fn bench() -> Bench {
        let (nodes, config) = (vec![simnode::Config::default()], Some(super::super::watched as fn(&mut _)));
        Bench::idle(Setup { nodes, keys: true, config, ..Setup::default() }).await
    }

    /// What stands in `figures` is the same series before and after the storm, and `counter` has counted all of it.
    async fn add_no_series(
        address: &str,
        counter: &str,
        figures: impl AsyncFn() -> String,
        ask: impl Fn(usize) -> Ask + Clone + Send + 'static,
    ) {
        // A scrape may be counted itself; and every kind of refusal that a name can meet has its series once.
        figures().await;
        for number in 0..9 {
            let status = Caller::new(address).await.ask(ask(number)).await;
            assert!((200..500).contains(&status), "{number}: {status}");
        }
        let before = figures().await;
        let (statuses, opened, took) = storm(address, ask).await;
        let after = figures().await;
        println!("{REQUESTS} requests over {opened} connections in {took:.1?}, answered {statuses:?}");
        println!(
            "{} series before and {} after, {} bytes and {}",
            series(&before).len(),
            series(&after).len(),
            before.len(),
            after.len()
        );
        assert!(statuses.iter().all(|status| (200..500).contains(status)), "{statuses:?}");
        assert_eq!(opened, CONNECTIONS, "connections are kept");
        let differ: Vec<_> = series(&after).symmetric_difference(&series(&before)).copied().collect();
        assert_eq!(differ, [] as [&str; 0]);
        let total = |text: &str| -> usize {
            let lines = text.lines().filter(|line| line.starts_with(counter));
            lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).sum()
        };
        assert!(total(&after) - total(&before) >= REQUESTS, "all of them were counted");
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "slow: 100,000 requests take a minute or two"]
    async fn a_hundred_thousand_invented_apps_tenants_and_versions_add_no_series_to_the_gateway() {
        let bench = bench().await;
        let address = bench.gateway.address.to_string();
        add_no_series(&address, "appserver_requests_total{", async || scrape(&bench.gateway).await, at_gateway).await;
        bench.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "slow: 100,000 requests take a minute or two"]
    async fn a_hundred_thousand_invented_apps_tenants_and_jobs_add_no_series_to_the_api() {
        let bench = bench().await;
        // Tokens that the issuer signs for tenants whom nobody has admitted.
        let mut tokens = vec![bench.issuer.token("user-1", "studio", None, 3600).unwrap()];
        tokens.extend((0..50).map(|_| bench.issuer.token(&word(), &word(), None, 3600).unwrap()));
        // The API gets to know an app, whose name is a label from now on.
        bench.queue("studio").await;
        let figures = async || {
            let answer = bench.gateway.client.get(format!("{}/metrics", bench.base)).send().await.unwrap();
            answer.text().await.unwrap()
        };
        assert!(figures().await.contains("app_id=\"sitefit\""));
        let address = bench.base.trim_start_matches("http://").to_owned();
        add_no_series(&address, "appserver_api_requests_total{", figures, move |number| at_api(number, &tokens)).await;
        bench.stop().await;
    }
}
