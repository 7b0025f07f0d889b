//! Nodes behind TLS: asked where the system knows their certificate, and never where it does not.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::logs::Gateway;
use crate::support::sitefit;

/// What stands in front of a node and speaks TLS for it, under a certificate of its own for this name.
struct Front {
    url: String,
    certificate: String,
    /// Connections whose handshake went well.
    opened: Arc<AtomicUsize>,
}

impl Front {
    async fn start(name: &str, node: &str) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let (acceptor, listener) =
            (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let (opened, node) =
            (Arc::new(AtomicUsize::new(0)), node.trim_start_matches("http://").trim_end_matches('/').to_owned());
        let count = Arc::clone(&opened);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, node, count) = (acceptor.clone(), node.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    let Ok(mut outer) = acceptor.accept(socket).await else { return };
                    count.fetch_add(1, Ordering::Relaxed);
                    let mut inner = TcpStream::connect(node).await.unwrap();
                    // It ends with either side.
                    let _ = copy_bidirectional(&mut outer, &mut inner).await;
                });
            }
        });
        Self { url, certificate: cert.pem(), opened }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_behind_tls_solves_where_its_certificate_is_known_and_is_sent_nothing_where_it_is_not() {
    let node = simnode::Node::start(simnode::Config::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("known.pem");
    for (name, is_known, solves) in
        [("localhost", true, true), ("localhost", false, false), ("elsewhere.example", true, false)]
    {
        let front = Front::start(name, &node.url()).await;
        let other = Front::start("localhost", &node.url()).await;
        fs::write(&known, if is_known { &front.certificate } else { &other.certificate }).unwrap();
        let environment = [("SSL_CERT_FILE", known.to_str().unwrap())];
        let gateway = Gateway::start_in(&front.url, "info", &environment, solves).await;
        let asked = node.log().len();
        let request = reqwest::Client::new().post(format!("{}/gh/sitefit:1.0.0/solve", gateway.url));
        let answer = request.body(sitefit().to_string()).send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(status == 200, solves, "{name} {is_known}: {text}");
        if solves {
            let opened = front.opened.load(Ordering::Relaxed);
            assert!((1..10).contains(&opened), "connections are used again: {opened}");
        } else {
            assert_eq!(status, 503, "{text}");
            assert_eq!((front.opened.load(Ordering::Relaxed), node.log().len()), (0, asked), "nothing was sent");
            let mut told = String::new();
            for _ in 0..500 {
                let page = reqwest::get(format!("{}/health/registry", gateway.operators)).await.unwrap();
                told = page.text().await.unwrap();
                if told.contains("certificate") {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            assert!(told.contains("certificate"), "{told}");
        }
    }
    node.stop().await;
}
