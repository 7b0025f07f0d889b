//! A connection to the broker for one queue: TCP, TLS, AMQP, and the right to use the queue, kept up while it lives.
//!
//! Invariant: nothing here waits longer than [`PATIENCE`], and a line that was dropped leaves no task and no socket.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::primitives::Timestamp;
use fe2o3_amqp::{Connection, Session};
use fe2o3_amqp_cbs::client::CbsClient;
use fe2o3_amqp_cbs::token::CbsToken;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, ClientConfig, pki_types::ServerName};

use super::{Address, Fault};
use crate::servicebus::tap::{Answers, Tap};

/// The longest wait for one word of the broker.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a token is good for; it is replaced when three quarters have gone.
const TOKEN_LASTS: Duration = Duration::from_hours(1);
/// What Azure calls a token that is a shared access signature.
const TOKEN_TYPE: &str = "servicebus.windows.net:sastoken";
/// A message of ours has some hundred bytes.
const FRAME_BYTES_MAX: u32 = 64 * 1024;
/// The broker is told to speak at least so often; one that does not is gone.
const IDLE: Duration = Duration::from_mins(2);

/// A connection, and a session on it for whoever asked.
pub(super) struct Line {
    pub(super) session: SessionHandle<()>,
    // Ended in this order.
    _rights: Rights,
    _connection: ConnectionHandle<()>,
}

/// Renews the token until it is dropped.
struct Rights(JoinHandle<()>);

impl Drop for Rights {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// === impl Line ===

impl Line {
    /// Connects, and shows the right to use the queue. Settlements' answers are told to `answers`.
    pub(super) async fn open(address: &Address, queue: &str, answers: Answers) -> Result<Self, Fault> {
        if !address.is_for(queue) {
            return Err(Fault::Refused(format!("queue `{queue}`: the connection string's EntityPath is another")));
        }
        let whole = async {
            let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(gone)?;
            stream.set_nodelay(true).map_err(gone)?;
            if address.tls {
                let name = ServerName::try_from(address.host.clone()).map_err(gone)?;
                let stream = tls()?.connect(name, stream).await.map_err(gone)?;
                Self::on(Tap::new(stream, answers), address, queue).await
            } else {
                Self::on(Tap::new(stream, answers), address, queue).await
            }
        };
        timeout(PATIENCE, whole).await.map_err(|_late| Fault::Gone("it did not answer in time".to_owned()))?
    }

    async fn on<S>(stream: S, address: &Address, queue: &str) -> Result<Self, Fault>
    where
        S: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin + 'static,
    {
        let mut connection = Connection::builder()
            .container_id(format!("appserver-{}", uuid::Uuid::now_v7()))
            .hostname(address.host.as_str())
            .scheme("amqp")
            .sasl_profile(SaslProfile::Anonymous)
            .max_frame_size(FRAME_BYTES_MAX)
            .idle_time_out(u32::try_from(IDLE.as_millis()).unwrap_or(u32::MAX))
            .open_with_stream(stream)
            .await
            .map_err(gone)?;
        let mut rights = Session::begin(&mut connection).await.map_err(gone)?;
        let mut cbs = CbsClient::attach(&mut rights).await.map_err(gone)?;
        let address = address.clone();
        let audience = address.audience(queue);
        show(&mut cbs, &address, &audience).await?;
        let session = Session::begin(&mut connection).await.map_err(gone)?;
        let kept = tokio::spawn(async move {
            // The session lives as long as its client.
            let _rights = rights;
            keep(cbs, address, audience).await;
        });
        Ok(Self { session, _rights: Rights(kept), _connection: connection })
    }
}

/// Shows a token for the audience, new.
async fn show(cbs: &mut CbsClient, address: &Address, audience: &str) -> Result<(), Fault> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let until = now + TOKEN_LASTS;
    let ends = Timestamp::from_milliseconds(i64::try_from(until.as_millis()).unwrap_or(i64::MAX));
    let token = CbsToken::new(address.token(audience, until), TOKEN_TYPE, ends);
    let shown = timeout(PATIENCE, cbs.put_token(audience, token)).await;
    match shown {
        Ok(Ok(())) => Ok(()),
        Ok(Err(fe2o3_amqp_management::error::Error::Status(status))) => {
            Err(Fault::Refused(format!("the shared access key ({})", status.code.0)))
        }
        Ok(Err(error)) => Err(gone(error)),
        Err(_late) => Err(Fault::Gone("it did not answer in time".to_owned())),
    }
}

async fn keep(mut cbs: CbsClient, address: Address, audience: String) {
    let mut pause = TOKEN_LASTS * 3 / 4;
    loop {
        sleep(pause).await;
        pause = match show(&mut cbs, &address, &audience).await {
            Ok(()) => TOKEN_LASTS * 3 / 4,
            Err(fault) => {
                // The token that is shown is good for a quarter of an hour yet; then the broker ends the links, and a new line is made.
                tracing::warn!(%fault, audience, "the right to use a queue of Service Bus cannot be renewed; trying again");
                Duration::from_secs(30)
            }
        };
    }
}

/// How servers are told from others: by the system's certificates.
fn tls() -> Result<TlsConnector, Fault> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let config = if let Some(config) = CONFIG.get() {
        config
    } else {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(gone)?
            .with_platform_verifier()
            .map_err(gone)?
            .with_no_client_auth();
        CONFIG.get_or_init(|| Arc::new(config))
    };
    Ok(TlsConnector::from(Arc::clone(config)))
}

/// What the library says is for the log, and means that the line is of no more use.
pub(super) fn gone(error: impl std::fmt::Display) -> Fault {
    Fault::Gone(error.to_string())
}
