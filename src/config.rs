//! The configuration: defaults < files < environment < flags, each value with the place it came from.
//!
//! Invariant: only this file reads the environment, and [`Config::check`] reports every fault at once.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// Every setting. `config/appserver.toml` lists the same keys with their defaults and why they are so.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub auth: Auth,
    pub body: Body,
    pub registry: Registry,
    pub solve: Solve,
    pub probe: Probe,
    pub log: Log,
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
    pub drain_sec: u64,
}

/// How callers are told apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    pub mode: AuthMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Service keys from `registry/tenants.json`.
    Keys,
    /// Anybody. Only on a loopback address, unless told by `--insecure-no-auth`.
    Open,
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
}

/// What bounds every solve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Solve {
    pub timeout_sec_max: u64,
    pub wedged_sec_max: u64,
}

/// How nodes are watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Probe {
    pub interval_sec: u64,
    pub timeout_sec: u64,
    pub attest_interval_sec: u64,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
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
}

// === defaults ===

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3000)),
            connections_max: 4096,
            connections_per_ip_max: 256,
            header_timeout_sec: 5,
            drain_sec: 30,
        }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self { mode: AuthMode::Keys }
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
        Self { root: PathBuf::from("registry") }
    }
}

impl Default for Solve {
    fn default() -> Self {
        Self { timeout_sec_max: 95, wedged_sec_max: 900 }
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self { interval_sec: 10, timeout_sec: 5, attest_interval_sec: 600 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

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
        at_least_one("body.bytes_max", self.body.bytes_max);
        at_least_one("body.rate_bytes_per_sec_min", u64::from(self.body.rate_bytes_per_sec_min));
        at_least_one("solve.timeout_sec_max", self.solve.timeout_sec_max);
        at_least_one("solve.wedged_sec_max", self.solve.wedged_sec_max);
        at_least_one("probe.interval_sec", self.probe.interval_sec);
        at_least_one("probe.timeout_sec", self.probe.timeout_sec);
        at_least_one("probe.attest_interval_sec", self.probe.attest_interval_sec);
        if self.body.in_flight_bytes_max < self.body.bytes_max {
            faults.push("`body.in_flight_bytes_max` must be at least `body.bytes_max`".to_owned());
        }
        let mut names = std::collections::BTreeSet::new();
        for (index, node) in self.nodes.iter().enumerate() {
            faults.extend(node.check().map(|fault| format!("`node[{index}]` ({}): {fault}", node.name)));
            if !names.insert(&node.name) {
                faults.push(format!("two nodes are named `{}`", node.name));
            }
        }
        faults
    }
}

impl Node {
    fn check(&self) -> impl Iterator<Item = &'static str> {
        let uri = self.url.parse::<http::Uri>().ok();
        let scheme = uri.as_ref().and_then(http::Uri::scheme_str);
        let bad_url = !matches!(scheme, Some("http" | "https")) || uri.as_ref().and_then(http::Uri::host).is_none();
        let bad_name =
            self.name.is_empty() || !self.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let faults = [
            bad_url.then_some("`url` must be an http or https address"),
            bad_name.then_some("`name` takes letters, digits, `-`, `_` and `.`"),
            (self.slots == Some(0)).then_some("`slots` must be at least 1"),
        ];
        faults.into_iter().flatten()
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    /// The overlay that `appserver dev` brings along.
    Dev,
    File(PathBuf),
    Environment(String),
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Dev => f.write_str("dev overlay"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// The configuration in force, and where each value came from.
#[derive(Debug, Clone)]
pub struct Settings {
    pub config: Config,
    /// By dotted key.
    pub sources: BTreeMap<String, Source>,
    /// The key that nodes ask for. Not part of the configuration, so that no dump of it can show it.
    pub node_key: Option<Secret>,
}

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What the command line says of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub file: Option<PathBuf>,
    /// Values by dotted key, with the flag that set them.
    pub values: Vec<(&'static str, &'static str, Value)>,
    /// Start from the overlay for one laptop.
    pub dev: bool,
}

/// What stands in the environment; a function, so that tests bring their own.
pub trait Environment {
    fn var(&self, name: &str) -> Option<String>;
}

/// The process's own environment.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var_os(name)?.into_string().ok().filter(|value| !value.is_empty())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {message}", path.display())]
    File { path: PathBuf, message: String },
    #[error("{place}: {message}")]
    Value { place: String, message: String },
    #[error("the configuration has faults:\n  {}", .0.join("\n  "))]
    Faults(Vec<String>),
}

const DEV_OVERLAY: &str = include_str!("../config/dev.toml");

/// Puts the configuration together.
///
/// # Errors
/// The first file or value that cannot be read; then every fault of the whole.
pub fn load(flags: &Flags, environment: &dyn Environment) -> Result<Settings, Error> {
    let defaults = Table::try_from(Config::default()).map_err(|error| value_error("defaults", error))?;
    let mut layers = Layers { table: defaults, sources: BTreeMap::new() };
    let mut keys = Vec::new();
    leaves("", &layers.table, &mut keys);
    layers.sources.extend(keys.iter().map(|key| (key.clone(), Source::Default)));
    if flags.dev {
        let overlay = read_table(Path::new("config/dev.toml"), DEV_OVERLAY)?;
        layers.merge(overlay, &Source::Dev);
    }
    let file = flags.file.clone().or_else(|| environment.var("APPSERVER_CONFIG").map(PathBuf::from));
    if let Some(path) = file {
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let table = read_table(&path, &text)?;
        layers.merge(table, &Source::File(path));
    }
    from_environment(&mut layers, &keys, environment)?;
    for (key, flag, value) in &flags.values {
        layers.set(key, value.clone(), Source::Flag(flag));
    }
    let config: Config = layers.table.try_into().map_err(|error| value_error("configuration", error))?;
    let faults = config.check();
    if !faults.is_empty() {
        return Err(Error::Faults(faults));
    }
    let node_key = environment.var("RHINO_COMPUTE_KEY").map(Secret);
    Ok(Settings { config, sources: layers.sources, node_key })
}

/// A file's own table, once it is known that every key in it exists and has the right type.
fn read_table(path: &Path, text: &str) -> Result<Table, Error> {
    let fault = |error: toml::de::Error| Error::File { path: path.to_owned(), message: error.to_string() };
    toml::from_str::<Config>(text).map_err(fault)?;
    toml::from_str(text).map_err(fault)
}

/// `PORT` and `RHINO_COMPUTE_URL`, which existing deployments set, then `APPSERVER_<SECTION>_<KEY>` for every key.
fn from_environment(layers: &mut Layers, keys: &[String], environment: &dyn Environment) -> Result<(), Error> {
    let var = |name: &str| environment.var(name).map(|value| (value, Source::Environment(name.to_owned())));
    if let Some((port, source)) = var("PORT") {
        let port: u16 = port.parse().map_err(|error| value_error("PORT", error))?;
        let listen = layers.get("server.listen").and_then(Value::as_str).unwrap_or_default();
        let mut listen: SocketAddr = listen.parse().map_err(|error| value_error("server.listen", error))?;
        listen.set_port(port);
        layers.set("server.listen", Value::String(listen.to_string()), source);
    }
    if let Some((url, source)) = var("RHINO_COMPUTE_URL") {
        let node = Node { name: "node-1".to_owned(), url, slots: None };
        let node = Value::try_from(node).map_err(|error| value_error("RHINO_COMPUTE_URL", error))?;
        layers.set("node", Value::Array(vec![node]), source);
    }
    for key in keys.iter().filter(|key| key.contains('.')) {
        let name = format!("APPSERVER_{}", key.replace('.', "_").to_uppercase());
        let Some((text, source)) = var(&name) else { continue };
        let value = match layers.get(key) {
            Some(Value::Integer(_)) => Value::Integer(text.parse().map_err(|error| value_error(&name, error))?),
            _ => Value::String(text),
        };
        layers.set(key, value, source);
    }
    Ok(())
}

fn value_error(place: &str, error: impl fmt::Display) -> Error {
    Error::Value { place: place.to_owned(), message: error.to_string() }
}

/// The values so far, as one table.
#[derive(Debug)]
struct Layers {
    table: Table,
    sources: BTreeMap<String, Source>,
}

// === impl Layers ===

impl Layers {
    fn merge(&mut self, overlay: Table, source: &Source) {
        let mut keys = Vec::new();
        leaves("", &overlay, &mut keys);
        let overlay = Self { table: overlay, sources: BTreeMap::new() };
        for key in keys {
            if let Some(value) = overlay.get(&key) {
                self.set(&key, value.clone(), source.clone());
            }
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        match key.split_once('.') {
            Some((section, key)) => self.table.get(section)?.as_table()?.get(key),
            None => self.table.get(key),
        }
    }

    fn set(&mut self, key: &str, value: Value, source: Source) {
        let (table, name) = match key.split_once('.') {
            Some((section, name)) => {
                let section = self.table.entry(section).or_insert_with(|| Value::Table(Table::new()));
                let Some(section) = section.as_table_mut() else { return };
                (section, name)
            }
            None => (&mut self.table, key),
        };
        table.insert(name.to_owned(), value);
        self.sources.insert(key.to_owned(), source);
    }
}

/// The dotted keys of a table; a list of tables counts as one value.
fn leaves(prefix: &str, table: &Table, keys: &mut Vec<String>) {
    for (name, value) in table {
        match value {
            Value::Table(section) => leaves(&format!("{prefix}{name}."), section, keys),
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_) => keys.push(format!("{prefix}{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(&'static [(&'static str, &'static str)]);

    impl Environment for Fixed {
        fn var(&self, name: &str) -> Option<String> {
            self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn the_shipped_file_says_what_the_defaults_are() {
        let text = include_str!("../config/appserver.toml");
        assert_eq!(toml::from_str::<Config>(text).unwrap(), Config::default());
        let mut keys = Vec::new();
        leaves("", &Table::try_from(Config::default()).unwrap(), &mut keys);
        for key in keys.iter().filter(|key| key.contains('.')) {
            let name = key.split_once('.').unwrap().1;
            assert!(text.lines().any(|line| line.starts_with(&format!("{name} = "))), "{key} is not in the file");
        }
    }

    #[test]
    fn a_later_layer_wins_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "[server]\ndrain_sec = 7\nheader_timeout_sec = 9\n").unwrap();
        let environment =
            Fixed(&[("PORT", "3999"), ("APPSERVER_SERVER_DRAIN_SEC", "8"), ("RHINO_COMPUTE_KEY", "s3cret")]);
        let flags = Flags {
            file: Some(file.clone()),
            values: vec![("registry.root", "--registry", Value::String("elsewhere".into()))],
            dev: false,
        };
        let settings = load(&flags, &environment).unwrap();
        assert_eq!(settings.config.server.listen.port(), 3999);
        assert_eq!(settings.config.server.drain_sec, 8);
        assert_eq!(settings.config.server.header_timeout_sec, 9);
        assert_eq!(settings.sources["server.listen"], Source::Environment("PORT".into()));
        assert_eq!(settings.sources["server.header_timeout_sec"], Source::File(file));
        assert_eq!(settings.sources["registry.root"], Source::Flag("--registry"));
        assert_eq!(settings.sources["solve.timeout_sec_max"], Source::Default);
        assert!(!format!("{settings:?}").contains("s3cret"));
    }

    #[test]
    fn a_misspelt_key_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "[server]\ndrain_secs = 7\n").unwrap();
        let flags = Flags { file: Some(file), ..Flags::default() };
        let error = load(&flags, &Fixed(&[])).unwrap_err().to_string();
        assert!(error.contains("drain_secs") && error.contains("a.toml"), "{error}");
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let node = |name: &str, url: &str| Node { name: name.into(), url: url.into(), slots: None };
        let config = Config {
            body: Body { bytes_max: 0, ..Body::default() },
            nodes: vec![node("a", "ftp://x"), node("a", "http://h:6500/"), node("b c", "http://h")],
            ..Config::default()
        };
        assert_eq!(config.check().len(), 4, "{:?}", config.check());
    }

    #[test]
    fn the_compute_url_of_existing_deployments_becomes_the_node() {
        let settings = load(&Flags::default(), &Fixed(&[("RHINO_COMPUTE_URL", "http://win:6500/")])).unwrap();
        assert_eq!(
            settings.config.nodes,
            [Node { name: "node-1".into(), url: "http://win:6500/".into(), slots: None }]
        );
    }
}
