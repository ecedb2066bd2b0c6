//! Over real TLS, with certificates made for the test.

use std::net::SocketAddr;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use reqwest::{Certificate, Client, Identity};
use tandem::gateway::{Tls, TlsError};
use tokio::sync::oneshot;

use super::events::status;
use super::*;

pub type Authority = CertifiedIssuer<'static, KeyPair>;

pub fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key, PEM.
fn signed(params: CertificateParams, authority: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

fn client_params(dns: Option<&str>, common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(dns.map(str::to_owned).into_iter().collect::<Vec<_>>()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// A gateway on a port of its own.
struct Served {
    address: SocketAddr,
    stream: Shared,
    servers: Authority,
    clients: Authority,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

pub fn files(folder: &Path, servers: &Authority, clients: &Authority) -> Tls {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (certificate, key) = signed(params, servers);
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    Tls {
        certificate: write("server.pem", &certificate),
        key: write("server.key", &key),
        client_authority: Some(write("clients.pem", &clients.as_ref().pem())),
    }
}

impl Served {
    async fn start() -> Self {
        // The test's own client needs a provider; the server brings its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (servers, clients) = (authority("servers"), authority("clients"));
        let folder = tempfile::tempdir().unwrap();
        let tls = files(folder.path(), &servers, &clients).load().unwrap();
        let admission = Admission::Proven(Some(tokens()));
        let listener = gateway::listen(([127, 0, 0, 1], 0).into(), &admission).unwrap();
        let address = listener.local_addr().unwrap();
        let Bench { stream, app, .. } = Bench::new(Arc::new(Memory::new(1)), admission).await;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(gateway::serve(listener, Some(tls), app, async {
            let _ = stopped.await;
        }));
        Self { address, stream, servers, clients, stop: Some(stop), task }
    }

    fn client(&self, certificate: Option<(String, String)>) -> Client {
        let authority = Certificate::from_pem(self.servers.as_ref().pem().as_bytes()).unwrap();
        let mut builder = Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .resolve("localhost", self.address)
            .timeout(std::time::Duration::from_secs(10));
        if let Some((certificate, key)) = certificate {
            builder = builder.identity(Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap());
        }
        builder.build().unwrap()
    }

    fn post(&self, client: &Client, router: &str, sequence: u64) -> reqwest::RequestBuilder {
        client
            .post(format!("https://localhost:{}/v1/events", self.address.port()))
            .header(header::CONTENT_TYPE, BATCH_MEDIA_TYPE)
            .body(batch(&[status(router, sequence)]))
    }

    async fn status_with(&self, client: &Client, router: &str) -> u16 {
        self.post(client, router, 1).send().await.unwrap().status().as_u16()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_enough_over_https_and_http2_is_spoken() {
    let served = Served::start().await;
    let client = served.client(None);
    let response = served.post(&client, "r1", 1).bearer_auth(TOKEN_1).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, axum::http::Version::HTTP_2));
    let Acknowledgement { sequence, .. } = response.json().await.unwrap();
    assert_eq!(sequence, Sequence(1));
    let wrong = served.post(&client, "r1", 2).bearer_auth("the-token-of-nobody").send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    let other = served.post(&client, "r1", 2).bearer_auth(TOKEN_2).send().await.unwrap();
    assert_eq!(other.status(), 403);
    assert_eq!(served.status_with(&client, "r1").await, 401, "neither token nor certificate");
    assert_eq!(sequences(&served.stream, Topic::Status).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_names_its_router() {
    let served = Served::start().await;
    let by_name =
        served.client(Some(signed(client_params(Some("r1"), "fleet-certificate"), &served.clients)));
    let by_common_name = served.client(Some(signed(client_params(None, "branch_0042"), &served.clients)));
    assert_eq!(served.status_with(&by_name, "r1").await, 200);
    assert_eq!(served.status_with(&by_common_name, "branch_0042").await, 200);
    assert_eq!(served.status_with(&by_name, "r2").await, 403, "the certificate of another router");
    let both = served.post(&by_name, "r1", 2).bearer_auth(TOKEN_2).send().await.unwrap();
    assert_eq!(both.status(), 403, "the token of another router");
    let nameless = served.client(Some(signed(client_params(None, "no router/name"), &served.clients)));
    assert_eq!(served.status_with(&nameless, "r1").await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_out_of_time_or_of_another_authority_do_not_connect() {
    let served = Served::start().await;
    let mut old = client_params(Some("r1"), "r1");
    (old.not_before, old.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    let mut early = client_params(Some("r1"), "r1");
    early.not_before = rcgen::date_time_ymd(2090, 1, 1);
    let stranger = authority("strangers");
    for certificate in [
        signed(old, &served.clients),
        signed(early, &served.clients),
        signed(client_params(Some("r1"), "r1"), &stranger),
    ] {
        let client = served.client(Some(certificate));
        let outcome = served.post(&client, "r1", 1).bearer_auth(TOKEN_1).send().await;
        assert!(outcome.is_err(), "{outcome:?}");
    }
    assert!(sequences(&served.stream, Topic::Status).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_server_ends_and_lets_go_of_its_address() {
    let mut served = Served::start().await;
    let client = served.client(None);
    assert_eq!(served.status_with(&client, "r1").await, 401);
    served.stop.take().unwrap().send(()).unwrap();
    drop(client);
    tokio::time::timeout(std::time::Duration::from_secs(15), served.task).await.unwrap().unwrap().unwrap();
    std::net::TcpListener::bind(served.address).unwrap();
}

#[test]
fn nobody_listens_openly_where_others_reach_it() {
    let error = gateway::listen(([0, 0, 0, 0], 0).into(), &Admission::Open).unwrap_err();
    assert!(matches!(&error, TlsError::Exposed(_)) && error.to_string().contains("loopback"), "{error}");
    gateway::listen(([127, 0, 0, 1], 0).into(), &Admission::Open).unwrap();
    let taken = gateway::listen(([127, 0, 0, 1], 0).into(), &Admission::Open).unwrap();
    let error = gateway::listen(taken.local_addr().unwrap(), &Admission::Open).unwrap_err();
    assert!(matches!(error, TlsError::Listen { .. }));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (servers, clients) = (authority("servers"), authority("clients"));
    let good = files(folder.path(), &servers, &clients);
    good.load().unwrap();
    let bad = folder.path().join("bad.pem");
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    let wrong = |change: fn(&mut Tls, &Path), content: &str, wanted: &str| {
        std::fs::write(&bad, content).unwrap();
        let mut tls = good.clone();
        change(&mut tls, &bad);
        let error = tls.load().unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    };
    wrong(|tls, bad| tls.certificate = bad.into(), "not PEM", "bad.pem: no certificate");
    wrong(|tls, bad| tls.client_authority = Some(bad.into()), "", "bad.pem: no certificate");
    wrong(|tls, bad| tls.key = bad.into(), "not PEM", "bad.pem");
    wrong(|tls, bad| tls.key = bad.into(), &other_key, "server.pem");
    wrong(|tls, bad| tls.key = bad.with_file_name("missing.key"), "", "missing.key");
}

#[tokio::test(start_paused = true)]
async fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (servers, clients) = (authority("servers"), authority("clients"));
    let tls = files(folder.path(), &servers, &clients);
    let config = tls.load().unwrap();
    let changed_at = |path: &Path, second| {
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    let bench = Bench::open().await;
    let fresh = tokio::spawn(gateway::keep_fresh(Some(bench.gateway), Some((tls.clone(), config.clone()))));
    let look = || tokio::time::sleep(std::time::Duration::from_secs(16));
    look().await;
    let before = config.get_inner();

    std::fs::write(&tls.certificate, "cut off").unwrap();
    changed_at(&tls.certificate, 1);
    look().await;
    assert!(Arc::ptr_eq(&before, &config.get_inner()), "the old one stays in force");

    files(folder.path(), &servers, &clients);
    changed_at(&tls.certificate, 2);
    look().await;
    assert!(!Arc::ptr_eq(&before, &config.get_inner()));
    fresh.abort();
}
