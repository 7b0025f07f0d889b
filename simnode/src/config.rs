//! What a stand-in node is started with.
//!
//! Every delay, bound and identity that the node shows is a value here; nothing is read from the environment.

use crate::faults::Faults;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Installed plug-ins, name to version, as `/plugins/*/installed` lists them.
pub type Plugins = BTreeMap<String, String>;

/// The generation of Rhino.Compute that the node acts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Profile {
    /// Builds up to 0.16: empty error bodies, answers without a content type, a failed GET answers 200.
    #[serde(rename = "0.16")]
    V016,
    /// Builds from 0.17: JSON errors, metering headers, readiness and recycling of children.
    #[default]
    #[serde(rename = "0.17")]
    V017,
}

/// How to start a node. [`Config::default`] is a plain node on a free loopback port.
#[derive(Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the control port listens. It has no authentication, so it belongs on loopback. `None` opens none.
    pub control: Option<SocketAddr>,
    /// How many children the proxy keeps, at least 1.
    pub children: usize,
    pub profile: Profile,
    /// The value that `RhinoComputeKey` must carry on every request.
    pub api_key: Option<String>,
    /// `rhino` of `/version`.
    pub rhino_version: String,
    /// `compute` of `/version`.
    pub compute_version: String,
    /// Plug-ins of Grasshopper. A component of a library that is not listed here does not load.
    pub grasshopper_plugins: Plugins,
    /// Plug-ins of Rhino.
    pub rhino_plugins: Plugins,
    /// From the launch of a child until its port opens.
    pub cold_start: Duration,
    /// Children exit after this long without a call. Zero keeps them for ever.
    pub idle_span: Duration,
    /// How long the proxy waits for a child.
    pub proxy_timeout: Duration,
    /// The greatest request body that the proxy takes, in bytes.
    pub body_bytes_max: usize,
    /// Whether answers carry the metering headers of 0.17.
    pub metering: bool,
    /// Whether the children are launched at start instead of by the first call.
    pub spawn_on_startup: bool,
    /// Makes the node a stub, to measure what stands in front of it: a child evaluates a definition once, and answers
    /// every later solve of it with that answer, whatever the inputs, this long after it arrived or had the lock. Children, the solve lock, the
    /// log and its counts stay as they are. `None` evaluates every solve.
    pub stub: Option<Duration>,
    pub faults: Faults,
    /// How many requests the log keeps; older ones fall out.
    pub log_entries_max: usize,
}

// === impl Profile ===

impl Profile {
    /// The release that `/version` reports unless told otherwise.
    fn compute_version(self) -> &'static str {
        match self {
            Self::V016 => "0.16.14.0",
            Self::V017 => "0.17.2.0",
        }
    }
}

impl std::str::FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "0.16" => Ok(Self::V016),
            "0.17" => Ok(Self::V017),
            _ => Err(format!("`{text}` is no profile; there are 0.16 and 0.17")),
        }
    }
}

// === impl Config ===

impl Config {
    /// The default node of one profile.
    pub fn of(profile: Profile) -> Self {
        Self { profile, compute_version: profile.compute_version().to_owned(), ..Self::default() }
    }
}

impl Default for Config {
    fn default() -> Self {
        let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self {
            listen: loopback,
            control: Some(loopback),
            children: 4,
            profile: Profile::default(),
            api_key: None,
            rhino_version: "8.11.24254.15001".to_owned(),
            compute_version: Profile::default().compute_version().to_owned(),
            grasshopper_plugins: named(&[
                ("Human", "1.7.3"),
                ("Pufferfish", "3.0.0.0"),
                ("RhinoCodePluginGH", "8.11.24254.15001"),
            ]),
            rhino_plugins: named(&[("Hops", "0.16.12.0"), ("RhinoCodePlugin", "8.11.24254.15001")]),
            cold_start: Duration::ZERO,
            idle_span: Duration::from_hours(1),
            proxy_timeout: Duration::from_secs(100),
            body_bytes_max: 52_428_800,
            metering: true,
            spawn_on_startup: false,
            stub: None,
            faults: Faults::default(),
            log_entries_max: 1_024,
        }
    }
}

/// The API key is a secret, and configurations end up in logs.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("control", &self.control)
            .field("children", &self.children)
            .field("profile", &self.profile)
            .field("api_key", &self.api_key.as_ref().map(|_| "…"))
            .field("grasshopper_plugins", &self.grasshopper_plugins)
            .field("cold_start", &self.cold_start)
            .field("idle_span", &self.idle_span)
            .field("proxy_timeout", &self.proxy_timeout)
            .field("stub", &self.stub)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

fn named(plugins: &[(&str, &str)]) -> Plugins {
    plugins.iter().map(|&(name, version)| (name.to_owned(), version.to_owned())).collect()
}
