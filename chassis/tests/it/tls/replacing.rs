//! Certificates that are replaced while connections live.

use std::sync::Arc;

use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;

use crate::support::raw::Raw;
use crate::support::tls::{Authority, VERSIONS, connect, shown};
use crate::support::{App, GET, eventually};

async fn until_changed(app: &App, times: usize) {
    let changed = || {
        let told = "TLS certificate changed: new connections get it";
        app.witness.lines().iter().filter(|line| line["message"] == told).count() == times
    };
    eventually("the new certificate", changed).await;
}

async fn shown_by(authority: &Authority, app: &App) -> CertificateDer<'static> {
    shown(&authority.raw(app).await)
}

#[tokio::test]
async fn new_connections_get_the_new_certificate_and_old_ones_live_on() {
    let authority = Authority::new();
    let first = authority.issue();
    let app = authority.start().await;
    let mut old = authority.raw(&app).await;
    let mut old_http2 = authority.http2(&app).await;
    assert_eq!(shown(&old), first);

    let second = authority.issue();
    until_changed(&app, 1).await;
    assert_eq!(shown_by(&authority, &app).await, second);
    old.get("/plain", "old").await;
    let _ = old.answer().await.expect(200);
    let get = old_http2.request(GET, "/plain");
    let _ = old_http2.send(get, "").await.expect(200);
    assert_eq!(shown(&old), first);
}

#[tokio::test]
async fn a_broken_pair_is_told_and_the_last_good_one_stays() {
    let authority = Authority::new();
    let first = authority.issue();
    let app = authority.start().await;
    authority.write("tls.crt", "nonsense");
    let told = "TLS certificate cannot be replaced: the old one stays";
    let refusals = || {
        let mut lines = app.witness.lines();
        lines.retain(|line| line["message"] == told);
        lines
    };
    eventually("the complaint", || !refusals().is_empty()).await;
    assert_eq!(shown_by(&authority, &app).await, first);
    let error = refusals()[0]["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("server.tls_cert_file: expected the path of a PEM file"), "{error}");

    let second = authority.issue();
    until_changed(&app, 1).await;
    assert_eq!(shown_by(&authority, &app).await, second);
    assert_eq!(refusals().len(), 1);
}

#[tokio::test]
async fn a_session_is_resumed_until_the_certificate_is_replaced() {
    let authority = Authority::new();
    let app = authority.start().await;
    for (version, replaced) in VERSIONS.into_iter().zip(1..) {
        let client = Arc::new(authority.client(&[version], &[]));
        let kind = async || {
            let stream = connect(app.client.address(), client.clone()).await.unwrap();
            let mut connection = Raw::over(stream);
            // What a session is resumed by has come with the answer at the latest.
            connection.get("/plain", "resumed").await;
            let _ = connection.answer().await.expect(200);
            connection.stream().get_ref().1.handshake_kind().unwrap()
        };
        assert!(kind().await != HandshakeKind::Resumed);
        assert_eq!(kind().await, HandshakeKind::Resumed, "{version:?}");
        authority.issue();
        until_changed(&app, replaced).await;
        assert!(kind().await != HandshakeKind::Resumed, "{version:?}");
    }
}
