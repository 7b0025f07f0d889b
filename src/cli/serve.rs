//! `appserver serve`: the gateway in production.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Exit, say};
use crate::app::{App, Consent};
use crate::config::Flags;
use crate::telemetry;

#[derive(Debug, Default, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Option<SocketAddr>,
    /// The folder that holds contracts/ and tenants.json.
    #[arg(long, value_name = "DIR")]
    pub(super) registry: Option<PathBuf>,
    /// Serve anybody, also on an address that others can reach.
    #[arg(long)]
    pub(super) insecure_no_auth: bool,
}

// === impl Args ===

impl Args {
    pub(super) fn flags(&self, dev: bool) -> Flags {
        let mut values = Vec::new();
        if let Some(listen) = self.listen {
            values.push(("server.listen", "--listen", toml::Value::String(listen.to_string())));
        }
        if let Some(root) = &self.registry {
            values.push(("registry.root", "--registry", toml::Value::String(root.display().to_string())));
        }
        Flags { file: None, values, dev }
    }
}

pub(super) fn run(args: &Args, file: Option<PathBuf>) -> anyhow::Result<Exit> {
    let settings = super::settings(file, args.flags(false))?;
    telemetry::start(&settings.config.log)?;
    let consent = Consent { insecure_no_auth: args.insecure_no_auth };
    tokio::runtime::Runtime::new()?.block_on(async {
        let app = App::build(&settings.config, settings.secrets, consent).await?;
        tracing::info!(address = %app.address(), registry = %settings.config.registry.root.display(), "serving");
        let stop = CancellationToken::new();
        let signalled = tokio::spawn(stop_on_signal(stop.clone()));
        let drained = app.run(stop).await;
        let exit = signalled.await.unwrap_or(Exit::Failed);
        if !drained {
            tracing::warn!("some requests did not finish within the time to drain");
        }
        Ok(if drained || exit == Exit::Interrupted { exit } else { Exit::Failed })
    })
}

/// SIGTERM and Ctrl-C start the drain; the second of either ends the process at once.
pub(super) async fn stop_on_signal(stop: CancellationToken) -> Exit {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return Exit::Failed;
    };
    let exit = tokio::select! {
        _ = terminate.recv() => Exit::Done,
        _ = interrupt.recv() => Exit::Interrupted,
    };
    say("\nstopping: running requests may finish; once more to stop at once");
    stop.cancel();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        telemetry::flush();
        #[expect(clippy::exit, reason = "asked twice: whoever stops the process does not want to wait")]
        std::process::exit(i32::from(Exit::Interrupted as u8));
    });
    exit
}
