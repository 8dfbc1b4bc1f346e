//! TLS on the public listener: what is spoken, who is turned away, new certificates, and the end.

mod ending;
mod openings;
mod replacing;

use chassis::http::settings::ServerSettings;
use chassis::server::Server;
use chassis::testing::Answer;
use rustls::ProtocolVersion;

use crate::support::http2::Http2;
use crate::support::raw::Raw;
use crate::support::tls::{Authority, VERSIONS, connect};
use crate::support::{App, GET};

const HSTS: &str = "strict-transport-security";
const POLICY: &str = "max-age=63072000; includeSubDomains";

#[tokio::test]
async fn both_versions_and_both_protocols_are_spoken() {
    let authority = Authority::new();
    let app = authority.start().await;
    for version in VERSIONS {
        for (offered, agreed) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["http/1.1", "h2"], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&["acme-tls/1", "http/1.1"], Some("http/1.1")),
            (&[], None),
        ] {
            let client = authority.client(&[version], offered);
            let stream = connect(app.client.address(), client).await.unwrap();
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(version.version));
            assert_eq!(session.alpn_protocol(), agreed.map(str::as_bytes), "{offered:?}");
            if agreed == Some("h2") {
                let origin = "https://localhost".to_owned();
                let mut http2 = Http2::over(stream, origin).await;
                let get = http2.request(GET, "/plain");
                assert_eq!(http2.send(get, "").await.expect(200).text(), "plain");
            } else {
                let mut http1 = Raw::over(stream);
                http1.get("/plain", "http1").await;
                assert_eq!(http1.answer().await.expect(200).text(), "plain");
            }
        }
    }
    assert_eq!(VERSIONS[0].version, ProtocolVersion::TLSv1_3);
}

#[tokio::test]
async fn http2_is_understood_without_an_agreement_too() {
    let authority = Authority::new();
    let app = authority.start().await;
    let client = authority.client(&VERSIONS, &[]);
    let stream = connect(app.client.address(), client).await.unwrap();
    let mut http2 = Http2::over(stream, "https://localhost".into()).await;
    let get = http2.request(GET, "/plain");
    let _ = http2.send(get, "").await.expect(200);
}

#[tokio::test]
async fn a_client_that_names_no_host_is_served() {
    let authority = Authority::new();
    let app = authority.start().await;
    let mut client = authority.client(&VERSIONS, &[]);
    client.enable_sni = false;
    let mut connection = Raw::over(connect(app.client.address(), client).await.unwrap());
    connection.get("/plain", "unnamed").await;
    let _ = connection.answer().await.expect(200);
}

#[tokio::test]
async fn requests_are_told_as_https_and_every_answer_says_so() {
    let authority = Authority::new();
    let app = authority.start().await;
    let mut connection = authority.raw(&app).await;
    for (target, status) in
        [("/plain", 200), ("/nowhere", 404), ("/panic", 500), ("/bare", 409), ("/livez", 200)]
    {
        connection.get(target, "secure").await;
        let answer = connection.answer().await.expect(status);
        assert_eq!(answer.header(HSTS), POLICY, "{target}");
    }
    let mut http2 = authority.http2(&app).await;
    let get = http2.request(GET, "/plain").header("x-request-id", "streamed");
    let streamed = http2.send(get, "").await.expect(200);
    assert_eq!(streamed.header(HSTS), POLICY);

    // hyper's own.
    let mut connection = authority.raw(&app).await;
    connection.send("GET /plain HTTP/1.1\r\nbro ken\r\n\r\n").await;
    let refused = connection.answer().await;
    refused.problem(400);
    assert_eq!(refused.header(HSTS), POLICY);
    for answer in [&streamed, &refused] {
        assert_eq!(scheme(&app, answer), "https");
    }
    let schemes = |scheme| {
        let labels = [("url_scheme", scheme)];
        app.witness.metric("http_server_request_duration_seconds", &labels)
    };
    assert_eq!((schemes("http"), schemes("https")), (0.0, 6.0));
}

#[tokio::test]
async fn an_operators_listener_of_its_own_is_plain() {
    let authority = Authority::new();
    let here = "127.0.0.1:0".parse().unwrap();
    let app = authority.start_with(|settings| settings.ops.addr = Some(here)).await;
    let answer = app.ops_client.get("/livez").send().await.expect(200);
    assert_eq!(answer.header(HSTS), "");
    let mut public = authority.raw(&app).await;
    public.get("/livez", "public").await;
    let _ = public.answer().await.expect(404);
}

#[tokio::test]
async fn a_listener_says_what_keeps_it_from_speaking_tls() {
    let authority = Authority::new();
    let mut settings = ServerSettings::default();
    settings.addr.set_port(0);
    authority.secure(&mut settings);
    // After the settings were checked.
    authority.write("tls.key", "");
    let server = Server::bind(settings.addr, &settings).await.unwrap();
    let error = server.with_tls(&settings).unwrap_err().to_string();
    assert!(error.starts_with("server.tls_key_file: expected the path of a PEM file"), "{error}");
}

/// On the span of this answer's request.
fn scheme(app: &App, answer: &Answer) -> String {
    let line = app.witness.request_line(answer.header("x-request-id"));
    let trace_id = line["trace_id"].as_str().unwrap();
    let spans = app.witness.spans_of(trace_id);
    let mut attributes = spans[0].attributes.iter();
    let scheme = attributes.find(|attribute| attribute.key.as_str() == "url.scheme");
    scheme.unwrap().value.to_string()
}
