//! The configuration: defaults < files < environment < flags, each value with the place it came from.
//!
//! Invariant: only `config::load` reads the environment, and [`Config::check`] reports every fault at once.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

mod load;
mod record;
mod stray;

pub use load::{Environment, Error, Flags, ProcessEnvironment, Secret, Secrets, Settings, Source, load};
pub use record::Record;
pub use stray::stray_variables;

/// Less than this the parser's own buffer does not go.
const HEAD_BYTES_LEAST: usize = 8192;

/// Every setting. `config/appserver.toml` lists the same keys with their defaults and why they are so.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub auth: Auth,
    pub address: Address,
    pub body: Body,
    pub faces: Faces,
    pub registry: Registry,
    pub solve: Solve,
    pub cache: Cache,
    pub record: Record,
    pub probe: Probe,
    pub recovery: Recovery,
    pub retry: Retry,
    pub admin: Admin,
    pub nodes_file: NodesFile,
    pub warm: Warm,
    pub log: Log,
    pub trace: Trace,
    /// The Rhino.Compute servers.
    #[serde(rename = "node")]
    pub nodes: Vec<Node>,
}

/// How connections are taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    pub listen: SocketAddr,
    pub connections_max: usize,
    pub connections_per_ip_max: usize,
    pub header_timeout_sec: u64,
    pub headers_max: usize,
    pub head_bytes_max: usize,
    pub uri_bytes_max: usize,
    pub write_timeout_sec: u64,
    pub linger_sec: u64,
    pub drain_sec: u64,
}

/// Addresses and bodies of other servers, for clients that exist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faces {
    pub enabled: bool,
}

impl Default for Faces {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// How callers are told apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    pub mode: AuthMode,
    /// Where the issuer of users' tokens publishes its keys; no tokens are taken where it is empty.
    pub jwks_url: String,
    pub issuer: String,
    pub audience: String,
    pub leeway_sec: u64,
    pub tenant_claim: String,
    pub apps_claim: String,
    pub role_claim: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Service keys from `registry/tenants.json`.
    Keys,
    /// Anybody. Only on a loopback address, unless told by `--insecure-no-auth`.
    Open,
}

/// What one address may send, before it is known who asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Address {
    pub requests_per_sec_max: u32,
    pub burst: u32,
    pub trusted_proxies: Vec<String>,
}

/// How much of request bodies is taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Body {
    pub bytes_max: u64,
    pub in_flight_bytes_max: u64,
    pub grace_sec: u64,
    pub rate_bytes_per_sec_min: u32,
}

/// Where the contracts are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    pub root: PathBuf,
    pub watch: bool,
    pub poll_sec: u64,
    pub settle_ms: u64,
    pub mutable_versions: bool,
    /// Nowhere if empty.
    pub state_dir: PathBuf,
}

/// What bounds every solve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Solve {
    pub timeout_sec_max: u64,
    pub wedged_sec_max: u64,
}

/// What is kept of answers, per app; a policy's `cache` and a manifest's `cache` go before these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    pub enabled: bool,
    pub preview_bytes_max: u64,
    pub batch_bytes_max: u64,
    pub preview_ttl_sec: u64,
    pub batch_ttl_sec: u64,
    pub failure_ttl_sec: u64,
    pub followers_max: usize,
    pub bodies_bytes_max: u64,
}

/// How nodes are watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Probe {
    pub interval_sec: u64,
    pub timeout_sec: u64,
    pub attest_interval_sec: u64,
}

/// How nodes that failed solves are left out, and taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recovery {
    pub ejection_sec: u64,
    pub ejection_sec_max: u64,
    pub slow_start_first_sec: u64,
    pub slow_start_sec: u64,
}

/// How many solves may be sent to a second node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    pub percent_max: u32,
    pub floor: u32,
}

/// Where operators change things.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    pub listen: AdminListen,
    /// The SHA-256 digest of the key that opens what is the customers'; empty where nothing is opened.
    pub key_sha256: String,
}

/// A listener that may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AdminListen {
    #[default]
    Off,
    At(SocketAddr),
}

/// A list of nodes beside the configuration, followed while the gateway runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodesFile {
    /// Empty where there is none.
    pub path: PathBuf,
    pub poll_sec: u64,
}

/// What a version must show before it is called ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Warm {
    pub enabled: bool,
    pub at_once: usize,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub filter: String,
    pub format: logs::Format,
}

/// Where spans are told, in OpenTelemetry's words. Its headers hold keys, so they come by the environment only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trace {
    /// None are kept where it and the next are empty.
    pub endpoint: String,
    /// The whole address, in its place.
    pub traces_endpoint: String,
    pub protocol: String,
    pub timeout_ms: u64,
    /// `otlp`, or `none`, whatever the endpoint is.
    pub exporter: String,
    pub service_name: String,
    pub resource_attributes: String,
    pub sampler: String,
    pub sampler_arg: f64,
}

/// One Rhino.Compute server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub name: String,
    pub url: String,
    /// How many solves it runs at once: its children. The node is asked where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Its labels; `default` where there are none. A solve goes to nodes with the label that its app's policy names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<String>,
}

// === defaults ===

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3000)),
            connections_max: 4096,
            connections_per_ip_max: 256,
            header_timeout_sec: 5,
            headers_max: 64,
            head_bytes_max: 16 * 1024,
            uri_bytes_max: 4096,
            write_timeout_sec: 30,
            linger_sec: 0,
            drain_sec: 30,
        }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            mode: AuthMode::Keys,
            jwks_url: String::new(),
            issuer: String::new(),
            audience: "authenticated".to_owned(),
            leeway_sec: 30,
            tenant_claim: "app_metadata.tenant_id".to_owned(),
            apps_claim: "app_metadata.apps".to_owned(),
            role_claim: "app_metadata.role".to_owned(),
        }
    }
}

impl Default for Address {
    fn default() -> Self {
        Self { requests_per_sec_max: 1000, burst: 2000, trusted_proxies: Vec::new() }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self {
            bytes_max: 50 * 1024 * 1024,
            in_flight_bytes_max: 256 * 1024 * 1024,
            grace_sec: 5,
            rate_bytes_per_sec_min: 1024,
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            root: PathBuf::from("registry"),
            watch: true,
            poll_sec: 10,
            settle_ms: 1000,
            mutable_versions: false,
            state_dir: PathBuf::new(),
        }
    }
}

impl Default for Solve {
    fn default() -> Self {
        Self { timeout_sec_max: 95, wedged_sec_max: 900 }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            enabled: true,
            preview_bytes_max: 32 * 1024 * 1024,
            batch_bytes_max: 64 * 1024 * 1024,
            preview_ttl_sec: 3600,
            batch_ttl_sec: 86_400,
            failure_ttl_sec: 60,
            followers_max: 1024,
            bodies_bytes_max: 16 * 1024 * 1024,
        }
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self { interval_sec: 10, timeout_sec: 5, attest_interval_sec: 600 }
    }
}

impl Default for Recovery {
    fn default() -> Self {
        Self { ejection_sec: 15, ejection_sec_max: 300, slow_start_first_sec: 2, slow_start_sec: 30 }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { percent_max: 10, floor: 3 }
    }
}

impl Default for NodesFile {
    fn default() -> Self {
        Self { path: PathBuf::new(), poll_sec: 2 }
    }
}

impl Default for Warm {
    fn default() -> Self {
        Self { enabled: true, at_once: 2 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: logs::Format::Auto }
    }
}

impl Default for Trace {
    fn default() -> Self {
        let usual = trace::Flags::default();
        Self {
            endpoint: usual.endpoint,
            traces_endpoint: usual.traces_endpoint,
            protocol: usual.protocol,
            timeout_ms: 10_000,
            exporter: usual.exporter,
            service_name: usual.service_name,
            resource_attributes: usual.resource_attributes,
            sampler: usual.sampler,
            sampler_arg: usual.sampler_arg,
        }
    }
}

/// A definition error may come from something that its author mends without a new version: a file, a licence.
const FAILURE_TTL_SEC_MAX: u64 = 60;

// === impl Config ===

impl Config {
    /// What is wrong with the values, all of it, each with its key.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut at_least_one = |key: &str, value: u64| {
            if value == 0 {
                faults.push(format!("`{key}` must be at least 1"));
            }
        };
        at_least_one("server.connections_max", self.server.connections_max as u64);
        at_least_one("server.connections_per_ip_max", self.server.connections_per_ip_max as u64);
        at_least_one("server.header_timeout_sec", self.server.header_timeout_sec);
        at_least_one("server.headers_max", self.server.headers_max as u64);
        at_least_one("server.uri_bytes_max", self.server.uri_bytes_max as u64);
        at_least_one("server.write_timeout_sec", self.server.write_timeout_sec);
        at_least_one("address.requests_per_sec_max", u64::from(self.address.requests_per_sec_max));
        at_least_one("address.burst", u64::from(self.address.burst));
        at_least_one("body.bytes_max", self.body.bytes_max);
        at_least_one("body.rate_bytes_per_sec_min", u64::from(self.body.rate_bytes_per_sec_min));
        at_least_one("registry.poll_sec", self.registry.poll_sec);
        at_least_one("registry.settle_ms", self.registry.settle_ms);
        at_least_one("solve.timeout_sec_max", self.solve.timeout_sec_max);
        at_least_one("solve.wedged_sec_max", self.solve.wedged_sec_max);
        at_least_one("probe.interval_sec", self.probe.interval_sec);
        at_least_one("probe.timeout_sec", self.probe.timeout_sec);
        at_least_one("probe.attest_interval_sec", self.probe.attest_interval_sec);
        at_least_one("warm.at_once", self.warm.at_once as u64);
        at_least_one("nodes_file.poll_sec", self.nodes_file.poll_sec);
        at_least_one("recovery.ejection_sec", self.recovery.ejection_sec);
        if self.recovery.ejection_sec_max < self.recovery.ejection_sec {
            faults.push("`recovery.ejection_sec_max` must be at least `recovery.ejection_sec`".to_owned());
        }
        if self.recovery.slow_start_sec < self.recovery.slow_start_first_sec {
            faults.push("`recovery.slow_start_sec` must be at least `recovery.slow_start_first_sec`".to_owned());
        }
        if matches!(self.admin.listen, AdminListen::At(address) if !address.ip().is_loopback()) {
            faults.push("`admin.listen` must be a loopback address: nobody is asked for a key there".to_owned());
        }
        faults.extend(self.record.check(&self.admin));
        if !self.auth.jwks_url.is_empty() && (self.auth.issuer.is_empty() || self.auth.audience.is_empty()) {
            faults.push(
                "`auth.jwks_url` needs `auth.issuer` and `auth.audience`: tokens of anybody else are not for us"
                    .to_owned(),
            );
        }
        if self.auth.leeway_sec > 30 {
            faults.push("`auth.leeway_sec` must be at most 30".to_owned());
        }
        if self.retry.percent_max > 100 {
            faults.push("`retry.percent_max` must be at most 100: a solve is sent a second time at most".to_owned());
        }
        if self.body.in_flight_bytes_max < self.body.bytes_max {
            faults.push("`body.in_flight_bytes_max` must be at least `body.bytes_max`".to_owned());
        }
        faults.extend(check_nodes(&self.nodes, &[]));
        if self.server.head_bytes_max < HEAD_BYTES_LEAST {
            faults.push(format!("`server.head_bytes_max` must be at least {HEAD_BYTES_LEAST}"));
        }
        if self.server.uri_bytes_max > self.server.head_bytes_max {
            faults.push("`server.uri_bytes_max` must be at most `server.head_bytes_max`".to_owned());
        }
        if self.cache.failure_ttl_sec > FAILURE_TTL_SEC_MAX {
            faults.push(format!("`cache.failure_ttl_sec` must be at most {FAILURE_TTL_SEC_MAX}"));
        }
        if let Err(error) = self.log.filter.parse::<logs::Filter>() {
            faults.push(format!("`log.filter`: {error}"));
        }
        if let Err(error) = self.trace.flags(None).settings("") {
            faults.push(format!("`trace`: {error}"));
        }
        faults
    }
}

/// What is wrong with a list of nodes that stands beside another.
fn check_nodes(nodes: &[Node], others: &[Node]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut names: std::collections::BTreeSet<_> = others.iter().map(|node| &node.name).collect();
    for (index, node) in nodes.iter().enumerate() {
        faults.extend(node.check().map(|fault| format!("`node[{index}]` ({}): {fault}", node.name)));
        if !names.insert(&node.name) {
            faults.push(format!("two nodes are named `{}`", node.name));
        }
    }
    faults
}

// === impl Trace ===

impl Trace {
    /// The same, with the headers that the environment has.
    pub fn flags(&self, headers: Option<&Secret>) -> trace::Flags {
        let own = self.clone();
        trace::Flags {
            endpoint: own.endpoint,
            traces_endpoint: own.traces_endpoint,
            headers: headers.map(|headers| headers.expose().to_owned()).unwrap_or_default(),
            protocol: own.protocol,
            timeout: own.timeout_ms.to_string(),
            exporter: own.exporter,
            service_name: own.service_name,
            resource_attributes: own.resource_attributes,
            sampler: own.sampler,
            sampler_arg: own.sampler_arg,
            ..trace::Flags::default()
        }
    }
}

impl TryFrom<String> for AdminListen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let address = text.parse().map_err(|error| format!("`{text}` is neither an address nor `off`: {error}"))?;
        Ok(Self::At(address))
    }
}

impl From<AdminListen> for String {
    fn from(listen: AdminListen) -> Self {
        match listen {
            AdminListen::Off => "off".to_owned(),
            AdminListen::At(address) => address.to_string(),
        }
    }
}

impl Admin {
    /// The digest of the key, where there is one.
    pub fn key(&self) -> Option<contract::Digest> {
        self.key_sha256.parse().ok()
    }
}

impl NodesFile {
    /// Whether there is one.
    pub fn is_set(&self) -> bool {
        !self.path.as_os_str().is_empty()
    }

    /// The nodes that such a file lists beside others.
    ///
    /// # Errors
    /// When it is no list of nodes, or the list has faults: all of them. A file without a list is no empty list, as one
    /// that has just been cut off has none; `node = []` is.
    pub fn parse(text: &str, others: &[Node]) -> Result<Vec<Node>, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Listed {
            node: Vec<Node>,
        }
        let listed: Listed = toml::from_str(text).map_err(|error| error.to_string())?;
        let faults = check_nodes(&listed.node, others);
        if faults.is_empty() { Ok(listed.node) } else { Err(faults.join("; ")) }
    }
}

impl Node {
    fn check(&self) -> impl Iterator<Item = &'static str> {
        let uri = self.url.parse::<http::Uri>().ok();
        let scheme = uri.as_ref().and_then(http::Uri::scheme_str);
        let bad_url = !matches!(scheme, Some("http" | "https")) || uri.as_ref().and_then(http::Uri::host).is_none();
        let is_name =
            |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let faults = [
            bad_url.then_some("`url` must be an http or https address"),
            (!is_name(&self.name)).then_some("`name` takes letters, digits, `-`, `_` and `.`"),
            (self.slots == Some(0)).then_some("`slots` must be at least 1"),
            (!self.pools.iter().all(|pool| is_name(pool))).then_some("`pools` take letters, digits, `-`, `_` and `.`"),
        ];
        faults.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_told_at_once() {
        let node = |name: &str, url: &str| Node { name: name.into(), url: url.into(), slots: None, pools: Vec::new() };
        let config = Config {
            body: Body { bytes_max: 0, ..Body::default() },
            nodes: vec![node("a", "ftp://x"), node("a", "http://h:6500/"), node("b c", "http://h")],
            ..Config::default()
        };
        assert_eq!(config.check().len(), 4, "{:?}", config.check());
    }
}
