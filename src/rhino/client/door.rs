//! New connections to one node: TCP, TLS where the address asks for it, and the task that drives HTTP on it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Uri};
use hyper::client::conn::http1;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use reqwest::Url;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};
use tower::ServiceExt as _;

use super::pace::Heard;
use super::pool::{Line, Rests, Shown};
use super::wire::{Ledger, Wire};
use super::{BuildError, Failure, chain};

/// The way to a node.
pub(super) struct Door {
    connector: HttpConnector,
    address: Uri,
    host: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    timeout: Duration,
}

impl Door {
    pub(super) fn new(base: &Url, timeout: Duration) -> Result<Self, BuildError> {
        let refused = || BuildError::Address(base.to_string());
        let name = base.host_str().ok_or_else(refused)?;
        let host = base.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let tls = if base.scheme() == "https" {
            let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned()).map_err(|_invalid| refused())?;
            Some((tls().map_err(|error| BuildError::Client(error.to_string()))?, name))
        } else {
            None
        };
        let mut connector = HttpConnector::new();
        // The scheme says which port is meant, and no more.
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(timeout));
        // Solves are silent for minutes; a peer that is gone must not look like one that computes.
        connector.set_keepalive(Some(Duration::from_secs(30)));
        connector.set_keepalive_interval(Some(Duration::from_secs(10)));
        connector.set_keepalive_retries(Some(3));
        let address = Uri::try_from(base.as_str()).map_err(|_invalid| refused())?;
        let host = HeaderValue::try_from(host).map_err(|_invalid| refused())?;
        Ok(Self { connector, address, host, tls, timeout })
    }

    /// What requests name as their host.
    pub(super) fn host(&self) -> HeaderValue {
        self.host.clone()
    }

    /// Opens a connection. Its task tells `shown` if the node closes it while it lies idle.
    ///
    /// Cancel safety: dropping it closes what was opened.
    pub(super) async fn open(&self, shown: &Arc<Shown>) -> Result<Line, Failure> {
        let opened = tokio::time::timeout(self.timeout, self.opened(shown)).await;
        opened.unwrap_or_else(|_elapsed| Err(Failure::Connect(format!("none within {} s", self.timeout.as_secs_f32()))))
    }

    async fn opened(&self, shown: &Arc<Shown>) -> Result<Line, Failure> {
        let connected = self.connector.clone().oneshot(self.address.clone()).await;
        let socket = connected.map_err(|error| Failure::Connect(chain(&error)))?.into_inner();
        let (wire, ledger) = Wire::new(socket);
        let Some((connector, name)) = &self.tls else { return line(wire, ledger, shown).await };
        let stream = connector.connect(name.clone(), wire).await.map_err(|error| Failure::Tls(chain(&error)))?;
        line(stream, ledger, shown).await
    }
}

async fn line<I>(io: I, ledger: Arc<Ledger>, shown: &Arc<Shown>) -> Result<Line, Failure>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (heard, pace) = Heard::new(io);
    let (sender, connection) =
        http1::handshake(TokioIo::new(heard)).await.map_err(|error| Failure::Connect(chain(&error)))?;
    let rests = Arc::<Rests>::default();
    let (resting, shown) = (Arc::clone(&rests), Arc::clone(shown));
    // It ends with the connection, which ends when whoever may send on it is dropped.
    tokio::spawn(async move {
        // Whoever sends is told of an error, too.
        let _ = connection.await;
        if let Some(idle) = resting.end() {
            shown.closed_after(idle, Instant::now());
        }
    });
    Ok(Line { sender, ledger, pace, idle: None, rests })
}

/// How nodes are told from others: by the system's certificates.
fn tls() -> Result<TlsConnector, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("address", &self.address).finish_non_exhaustive()
    }
}
