//! `simnode`: one stand-in node on a port, until Ctrl-C or SIGTERM.

use anyhow::{Context, bail};
use clap::Parser;
use simnode::{Config, Faults, Node, Plugins, Profile};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A stand-in for Rhino.Compute that needs no Rhino.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 6_500)]
    port: u16,
    /// The address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// The loopback port for faults, log and state; 0 takes a free one. Without it there is none.
    #[arg(long)]
    control_port: Option<u16>,
    /// How many children the node keeps.
    #[arg(long, default_value_t = 4)]
    children: usize,
    /// The generation of Rhino.Compute to act as: 0.16 or 0.17.
    #[arg(long, default_value = "0.17")]
    profile: Profile,
    /// The environment variable that holds the key every request must carry.
    #[arg(long, value_name = "NAME")]
    key_env: Option<String>,
    /// A JSON file with faults.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// A JSON file `{"rhino": "8.11.…", "grasshopper": {"Name": "1.0"}, "rhino_plugins": {}}` of what is installed.
    #[arg(long, value_name = "FILE")]
    plugins: Option<PathBuf>,
    /// Milliseconds from the launch of a child until its port opens.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    cold_start_ms: u64,
    /// Launch the children at start instead of at the first call.
    #[arg(long)]
    spawn_on_startup: bool,
    /// Be a stub, to measure what stands in front of the node: evaluate a definition once in each child, and answer
    /// every later solve of it with that answer after so many milliseconds, whatever the inputs.
    #[arg(long, value_name = "MS")]
    stub: Option<u64>,
    /// Leave the metering headers of 0.17 out, as a node without metering does.
    #[arg(long)]
    no_metering: bool,
    /// Seconds after which idle children exit; 0 keeps them.
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS")]
    idle_span: u64,
    /// Seconds that the proxy waits for a child.
    #[arg(long, default_value_t = 100, value_name = "SECONDS")]
    proxy_timeout: u64,
}

/// What the file of `--plugins` may say; what it leaves out stays as it is.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Installed {
    rhino: Option<String>,
    grasshopper: Option<Plugins>,
    rhino_plugins: Option<Plugins>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let node = Node::start(config(&arguments)?).await.context("the node cannot listen")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", node.url())?;
    if let Some(control) = node.control_url() {
        writeln!(out, "control {control}")?;
    }
    out.flush()?;
    drop(out);
    terminated().await?;
    node.stop().await;
    Ok(())
}

fn config(arguments: &Arguments) -> anyhow::Result<Config> {
    let mut config = Config {
        listen: SocketAddr::new(arguments.address, arguments.port),
        control: arguments.control_port.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        children: arguments.children,
        cold_start: Duration::from_millis(arguments.cold_start_ms),
        spawn_on_startup: arguments.spawn_on_startup,
        stub: arguments.stub.map(Duration::from_millis),
        metering: !arguments.no_metering,
        idle_span: Duration::from_secs(arguments.idle_span),
        proxy_timeout: Duration::from_secs(arguments.proxy_timeout),
        ..Config::of(arguments.profile)
    };
    if let Some(name) = &arguments.key_env {
        config.api_key = Some(key(name)?);
    }
    if let Some(file) = &arguments.faults {
        config.faults = read::<Faults>(file)?;
    }
    if let Some(file) = &arguments.plugins {
        let installed: Installed = read(file)?;
        config.rhino_version = installed.rhino.unwrap_or(config.rhino_version);
        config.grasshopper_plugins = installed.grasshopper.unwrap_or(config.grasshopper_plugins);
        config.rhino_plugins = installed.rhino_plugins.unwrap_or(config.rhino_plugins);
    }
    Ok(config)
}

#[expect(clippy::disallowed_methods, reason = "this binary has no other place that reads the environment")]
fn key(name: &str) -> anyhow::Result<String> {
    match std::env::var(name) {
        Ok(key) if !key.is_empty() => Ok(key),
        Ok(_) => bail!("the variable {name} is empty, and an empty key would let everybody in"),
        Err(error) => Err(error).with_context(|| format!("the variable {name} holds no key")),
    }
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("cannot use {}", file.display()))
}

/// Returns at Ctrl-C, and on Unix at SIGTERM.
async fn terminated() -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupt = tokio::signal::ctrl_c() => interrupt?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}
