//! `/docs`, `/openapi.json` and `/openapi.yaml` as files: compressed, cached, and without power.

use std::io::Read;

use chassis::testing::Answer;
use poem::http::Method;

use crate::support::App;

const PAGES: [(&str, &str); 3] = [
    ("/docs", "text/html; charset=utf-8"),
    ("/openapi.json", "application/json; charset=utf-8"),
    ("/openapi.yaml", "application/yaml; charset=utf-8"),
];

#[tokio::test]
async fn the_page_may_run_its_own_scripts_by_their_hashes_and_nothing_else() {
    let app = App::start().await;
    let page = app.client.get("/docs").send().await.expect(200);
    let policy = page.header("content-security-policy");
    let sources = |directive: &str| -> Vec<&str> {
        let found = policy.split("; ").find_map(|part| part.strip_prefix(directive));
        found.expect(policy).split_whitespace().collect()
    };
    let text = page.text();
    // Whatever ends an element ends it, whatever stands in it.
    for (directive, end) in [("script-src", "</script>"), ("style-src", "</style>")] {
        let hashes = sources(directive);
        let is_hash = |source: &&str| source.starts_with("'sha256-");
        assert!(hashes.iter().all(is_hash), "{policy}");
        assert_eq!(hashes.len(), text.matches(end).count(), "{directive}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(sources("default-src"), ["'none'"]);
    assert_eq!(sources("connect-src"), ["'self'"]);
    assert_eq!(sources("img-src"), ["data:"]);
    assert_eq!(sources("frame-ancestors"), ["'none'"]);
    assert!(text.starts_with("<!DOCTYPE html>"));
}

#[tokio::test]
async fn a_reader_who_has_the_present_version_is_told_so() {
    let app = App::start().await;
    for (path, media_type) in PAGES {
        let whole = app.client.get(path).send().await.expect(200);
        assert_eq!(whole.header("content-type"), media_type);
        assert_eq!(whole.header("cache-control"), "no-cache");
        let tag = whole.header("etag").to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let call = app.client.get(path).header("if-none-match", &known);
            let answer = call.send().await.expect(304);
            assert_eq!(answer.header("etag"), tag);
            assert_eq!(answer.header("vary"), "accept-encoding");
            assert!(answer.body.is_empty());
        }
        let old = app.client.get(path).header("if-none-match", "\"old\"");
        assert_eq!(old.send().await.expect(200).body, whole.body);
    }
}

#[tokio::test]
async fn gzip_is_sent_to_those_who_take_it() {
    let app = App::start().await;
    for (path, _) in PAGES {
        let plain = app.client.get(path).send().await.expect(200);
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        let zipped = accepting(&app, path, "br, gzip").await;
        assert_eq!(zipped.header("content-encoding"), "gzip", "{path}");
        assert_eq!(unzipped(&zipped), plain.body, "{path}");
        assert!(zipped.body.len() * 2 < plain.body.len(), "{path}");
        assert_ne!(zipped.header("etag"), plain.header("etag"), "{path}");
        assert_eq!(zipped.header("vary"), "accept-encoding", "{path}");
        for unwilling in ["identity", "br", "gzip;q=0"] {
            let answer = accepting(&app, path, unwilling).await;
            assert_eq!(answer.header("content-encoding"), "", "{path} {unwilling}");
        }
    }
}

#[tokio::test]
async fn head_tells_the_length_of_what_get_would_send() {
    let app = App::start().await;
    for (path, _) in PAGES.into_iter().chain([("/", ""), ("/problems/not-found", "")]) {
        for encoding in ["identity", "gzip"] {
            let get = accepting(&app, path, encoding).await;
            let head = app.client.call(Method::HEAD, path);
            let head = head.header("accept-encoding", encoding).send().await.expect(200);
            let length = get.body.len().to_string();
            assert_eq!(head.header("content-length"), length, "{path} {encoding}");
            assert_eq!(get.header("content-length"), length, "{path} {encoding}");
            for header in ["content-type", "content-encoding", "etag", "content-security-policy"] {
                assert_eq!(head.header(header), get.header(header), "{path} {header}");
            }
            assert!(head.body.is_empty());
        }
    }
}

#[tokio::test]
async fn an_operator_can_switch_them_off() {
    let app = App::with(|settings| settings.docs.enabled = false).await;
    for (path, _) in PAGES {
        app.client.get(path).send().await.problem(404);
    }
    let links = &app.client.get("/").send().await.expect(200).json()["links"];
    assert!(links.get("docs").is_none() && links.get("openapi").is_none(), "{links}");
    // Problems are still explained.
    let _ = app.client.get("/problems/not-found").send().await.expect(200);
}

async fn accepting(app: &App, path: &str, encoding: &str) -> Answer {
    let call = app.client.get(path).header("accept-encoding", encoding);
    call.send().await.expect(200)
}

fn unzipped(answer: &Answer) -> Vec<u8> {
    let mut text = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(&*answer.body);
    decoder.read_to_end(&mut text).unwrap();
    text
}
