//! The documented API: Swagger UI at `/docs`, the `OpenAPI` document in JSON and YAML, and a page
//! behind every problem type.
//!
//! Swagger UI's page has its scripts and styles inline. A policy that names them by their hashes,
//! computed when the page is made, runs exactly these and nothing else.

mod amend;

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use poem::http::HeaderValue;
use poem_openapi::{OpenApi, OpenApiService, Webhook};

use super::asset::{Asset, Source};
use crate::problem::ProblemType;

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";
const YAML: &str = "application/yaml; charset=utf-8";

crate::settings! {
    /// The interactive documentation.
    pub struct DocsSettings {
        /// Serves `/docs`, `/openapi.json` and `/openapi.yaml`.
        pub enabled: bool = true,
    }
}

/// The `OpenAPI` document in its three forms.
#[derive(Clone)]
pub struct Documents {
    /// `OpenAPI` 3.0, JSON.
    pub json: String,
    /// The same as YAML.
    pub yaml: String,
    /// Makes Swagger UI's page; large, so only made when it is served.
    swagger_ui: Arc<dyn Fn() -> String + Send + Sync>,
}

/// poem-openapi wrote a document that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// As JSON.
    #[error("the OpenAPI document is no JSON")]
    Json(#[from] serde_json::Error),
    /// As YAML.
    #[error("the OpenAPI document cannot be written as YAML")]
    Yaml(#[from] serde_yaml::Error),
}

impl Documents {
    /// What `api` describes. It is made twice, because its page is.
    pub fn of<T, W>(
        api: impl Fn() -> OpenApiService<T, W> + Send + Sync + 'static,
    ) -> Result<Self, DocumentError>
    where
        T: OpenApi,
        W: Webhook,
    {
        let mut document = serde_json::from_str(&api().spec())?;
        amend::amend(&mut document);
        let json = serde_json::to_string_pretty(&document)?;
        let shown = json.clone();
        Ok(Self {
            yaml: serde_yaml::to_string(&document)?,
            json,
            // The page has the document inline, as poem-openapi wrote it.
            swagger_ui: Arc::new(move || {
                let api = api();
                api.swagger_ui_html().replacen(&api.spec(), &shown, 1)
            }),
        })
    }

    /// The pages that `docs.enabled` switches.
    pub(super) fn assets(self) -> [(&'static str, &'static str, Asset); 3] {
        let Self { json, yaml, swagger_ui } = self;
        let text = |content_type, text: String| {
            let make = move || Source { content_type, text: text.clone(), security_policy: None };
            Asset::new(make)
        };
        [
            ("/openapi.json", JSON, text(JSON, json)),
            ("/openapi.yaml", YAML, text(YAML, yaml)),
            ("/docs", HTML, Asset::new(move || swagger_page(swagger_ui()))),
        ]
    }
}

/// The page that `type` of a problem leads to.
pub(super) fn problem_page(kind: &'static ProblemType) -> Asset {
    Asset::new(move || Source {
        content_type: HTML,
        text: format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
             <body>\n<h1>{title}</h1>\n<p>Status {status}</p>\n<p>{about}</p>\n</body>\n</html>\n",
            title = kind.title,
            status = kind.status.as_u16(),
            about = kind.about,
        ),
        security_policy: None,
    })
}

fn swagger_page(html: String) -> Source {
    // Without a doctype browsers fall back to the quirks of the last century.
    let text =
        if html.trim_start().starts_with("<!") { html } else { format!("<!DOCTYPE html>\n{html}") };
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hashes(&text, "script"),
        hashes(&text, "style"),
    );
    Source { content_type: HTML, security_policy: HeaderValue::from_str(&policy).ok(), text }
}

/// The sources of all inline elements of one kind (CSP level 3, section 2.3.1).
fn hashes(html: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}"), format!("</{element}>"));
    let mut sources = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find(&open) {
        rest = &rest[start..];
        let Some((body, after)) =
            rest.split_once('>').and_then(|(_, inner)| inner.split_once(&close))
        else {
            break;
        };
        sources
            .push(format!("'sha256-{}'", BASE64_STANDARD.encode(digest(&SHA256, body.as_bytes()))));
        rest = after;
    }
    sources.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_inline_element_is_named_by_its_hash() {
        let page = "<style>a{}</style><script charset=\"UTF-8\">alert(1)</script><script></script>";
        // Computed with: printf 'alert(1)' | openssl dgst -sha256 -binary | base64
        assert_eq!(
            hashes(page, "script"),
            "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
        );
        assert_eq!(hashes(page, "style").matches("sha256-").count(), 1);
    }
}
