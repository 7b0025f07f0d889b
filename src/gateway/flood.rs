//! Seen → Seen: a share of requests for each address, before anybody is looked up: what keeps guesses and floods cheap.
//!
//! Invariant: what it keeps is bounded whatever addresses come, and a header counts only where a trusted proxy wrote it.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use http::{HeaderMap, HeaderName, Request};
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt as _};
use tower_governor::GovernorError;
use tower_governor::governor::{GovernorConfig, GovernorConfigBuilder};
use tower_governor::key_extractor::KeyExtractor;

use super::Error;
use super::observe::Peer;
use super::shared::Shared;
use super::stage::{BoxFuture, Reply, Seen};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Addresses are spread over this many buckets by a secret hash, so that no flood of addresses takes more than
/// 2^20 × 32 bytes = 32 MiB. Of 10,000 addresses at one time one in a hundred shares its bucket, and none can choose with whom.
const BUCKETS: u64 = 1 << 20;

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: u128,
    bits: u8,
}

/// What an address may send, in all.
#[derive(Debug, Clone)]
pub struct Guard {
    config: Arc<GovernorConfig<Address, NoOpMiddleware>>,
    address: Address,
}

/// Finds the bucket of a request's address.
#[derive(Debug, Clone)]
struct Address {
    proxies: Arc<[Network]>,
    hasher: RandomState,
}

pub fn layer<S>(guard: Guard) -> impl Layer<S, Service = Flood<Shared<S>>> + Clone {
    layer_fn(move |inner| Flood { inner: Shared::new(inner), guard: guard.clone() })
}

#[derive(Debug, Clone)]
pub struct Flood<S> {
    inner: S,
    guard: Guard,
}

impl<S> Service<Seen> for Flood<S>
where
    S: Service<Seen, Response = Reply, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Reply;
    type Error = Error;
    type Future = BoxFuture<Reply>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, seen: Seen) -> Self::Future {
        if let Err(refusal) = self.guard.admit(seen.http()) {
            return Box::pin(std::future::ready(Err(refusal)));
        }
        Box::pin(self.inner.clone().oneshot(seen))
    }
}

// === impl Guard ===

impl Guard {
    /// `per_sec` requests a second from one address, and `burst` at once; `X-Forwarded-For` is believed from `proxies` only.
    ///
    /// Both numbers are at least 1.
    pub fn new(per_sec: u32, burst: u32, proxies: Vec<Network>) -> Self {
        let address = Address { proxies: proxies.into(), hasher: RandomState::new() };
        let config = GovernorConfigBuilder::default()
            .period(Duration::from_secs(1) / per_sec.max(1))
            .burst_size(burst.max(1))
            .key_extractor(address.clone())
            .finish()
            .expect("neither the period nor the burst is 0");
        Self { config: Arc::new(config), address }
    }

    fn admit<T>(&self, http: &Request<T>) -> Result<(), Error> {
        // A request that came through no socket has no address; it is the process's own.
        let Ok(key) = self.address.extract(http) else { return Ok(()) };
        let limiter = self.config.limiter();
        let refused = |not_until: governor::NotUntil<_>| {
            let retry_after = not_until.wait_time_from(limiter.clock().now());
            Error::AddressLimited { retry_after }
        };
        limiter.check_key(&key).map_err(refused)
    }

    /// Forgets the addresses that may send their whole burst again. Called now and then by one task.
    pub fn sweep(&self) {
        self.config.limiter().retain_recent();
        self.config.limiter().shrink_to_fit();
    }
}

// === impl Address ===

impl KeyExtractor for Address {
    type Key = u32;

    fn extract<T>(&self, http: &Request<T>) -> Result<u32, GovernorError> {
        let peer = http.extensions().get::<Peer>().ok_or(GovernorError::UnableToExtractKey)?;
        let client = client(peer.0.ip(), http.headers(), &self.proxies);
        let bucket = self.hasher.hash_one(neighbourhood(client)) % BUCKETS;
        Ok(u32::try_from(bucket).unwrap_or(0))
    }
}

/// Who really sent it: from the end of `X-Forwarded-For`, the first address that is no trusted proxy's. What stands before
/// that one was written by whoever sent it, and may say anything.
fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let trusted = |address: IpAddr| proxies.iter().any(|network| network.contains(address));
    let mut client = peer;
    let lines = headers.get_all(&FORWARDED_FOR).iter().rev();
    let mut hops = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
    while trusted(client) {
        let Some(Ok(hop)) = hops.next().map(|hop| hop.trim().parse()) else { break };
        client = hop;
    }
    client
}

/// The part of an address that one caller can be expected to have alone: all of IPv4, the /64 of IPv6.
fn neighbourhood(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

// === impl Network ===

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let differing = self.address ^ bits(address);
        differing.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
    }
}

impl std::str::FromStr for Network {
    type Err = &'static str;

    /// `10.0.0.0/8`, `2001:db8::/32`, or one address.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_no_address| "not an address")?;
        let most: u8 = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(most), str::parse).map_err(|_no_number| "the length is not a number")?;
        if length > most {
            return Err("the length is more than the address has bits");
        }
        Ok(Self { address: bits(address), bits: 128 - most + length })
    }
}

/// IPv4 as IPv6 writes it, so that one comparison serves both.
fn bits(address: IpAddr) -> u128 {
    let address: Ipv6Addr = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    address.to_bits()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn request(peer: &str, forwarded: &[&str]) -> Request<()> {
        let mut request = Request::new(());
        request.extensions_mut().insert(Peer(SocketAddr::new(ip(peer), 9)));
        for line in forwarded {
            request.headers_mut().append(FORWARDED_FOR, line.parse().unwrap());
        }
        request
    }

    #[test]
    fn c12_a_forwarded_address_counts_only_where_a_trusted_proxy_wrote_it() {
        let proxies: Vec<Network> = ["10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().unwrap()).to_vec();
        let cases: &[(&str, &[&str], &str)] = &[
            ("1.2.3.4", &["9.9.9.9"], "1.2.3.4"),
            ("10.1.1.1", &["9.9.9.9"], "9.9.9.9"),
            ("10.1.1.1", &["6.6.6.6, 9.9.9.9"], "9.9.9.9"),
            ("10.1.1.1", &["6.6.6.6", "9.9.9.9, 10.2.2.2"], "9.9.9.9"),
            ("10.1.1.1", &["9.9.9.9, nonsense"], "10.1.1.1"),
            ("10.1.1.1", &[], "10.1.1.1"),
            ("::ffff:10.1.1.1", &["9.9.9.9"], "9.9.9.9"),
            ("2001:db8::1", &["2001:db9::1"], "2001:db9::1"),
        ];
        for (peer, forwarded, expected) in cases {
            let request = request(peer, forwarded);
            assert_eq!(client(ip(peer), request.headers(), &proxies), ip(expected), "{peer} {forwarded:?}");
        }
        assert!("10.0.0.0/33".parse::<Network>().is_err() && "x".parse::<Network>().is_err());
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains(ip("1.2.3.4")));
        assert!("::/0".parse::<Network>().unwrap().contains(ip("1.2.3.4")));
    }

    #[test]
    fn o9_an_address_has_its_burst_and_neighbours_in_ipv6_share_it() {
        let guard = Guard::new(1, 3, Vec::new());
        let admitted = |peers: &[&str]| peers.iter().filter(|peer| guard.admit(&request(peer, &[])).is_ok()).count();
        assert_eq!(admitted(&["1.1.1.1"; 9]), 3);
        assert_eq!(admitted(&["2.2.2.2"; 2]), 2);
        assert_eq!(admitted(&["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::ffff:4"]), 3);
        let Err(Error::AddressLimited { retry_after }) = guard.admit(&request("1.1.1.1", &[])) else { panic!() };
        assert!(retry_after > Duration::from_millis(900) && retry_after <= Duration::from_secs(1));
    }

    /// Random addresses; how many buckets they took.
    fn buckets(addresses: u32) -> usize {
        let guard = Guard::new(1, 3, Vec::new());
        for address in 0..addresses {
            let _ = guard.admit(&request(&IpAddr::from(address.to_be_bytes()).to_string(), &[]));
        }
        guard.config.limiter().len()
    }

    #[test]
    fn o9_addresses_are_spread_over_a_bounded_number_of_buckets() {
        let taken = buckets(20_000);
        assert!((19_000..=20_000).contains(&taken), "{taken}");
    }

    mod slow {
        #[test]
        #[ignore = "slow: a million addresses"]
        fn o9_a_million_addresses_fit_the_bound() {
            let taken = super::buckets(1_000_000);
            assert!(taken < usize::try_from(super::BUCKETS).unwrap(), "{taken}");
        }
    }
}
