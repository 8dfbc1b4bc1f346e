//! A small site: each operation has one habit that the stack must cope with.
#![expect(
    clippy::unused_async,
    reason = "poem-openapi awaits every handler, also those that have nothing to wait for"
)]

use chassis::http::input::{Body, Fields, FromFields, MergePatch};
use chassis::problem::{Problem, ProblemType};
use poem::http::Method;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::{Json, PlainText};
use poem_openapi::{ApiResponse, Object, OpenApi, OpenApiService};
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, Span, dispatcher};

use super::gate::Gate;

/// What `/panic` panics with.
pub(crate) const PANIC: &str = "a cogwheel fell out";

/// What the caller of `/fail` must not learn, outermost first.
pub(crate) const CAUSES: [&str; 3] = ["cannot keep the note", "the shelf is full", "no wood left"];

pub(crate) struct Operations(Gate);

/// The one thing that this site knows.
#[derive(Debug, Object)]
pub(crate) struct Note {
    text: String,
}

/// One link of a chain of causes.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Cause {
    text: &'static str,
    source: Option<Box<Cause>>,
}

chassis::statuses! {
    /// Enough for the operations that fail.
    Any = 400, 404, 413, 415, 422;
}

type Fails = chassis::problem::Fails<Any>;

#[derive(ApiResponse)]
enum Bare {
    /// An error without a body, as some handlers write them.
    #[oai(status = 409)]
    Clash,
}

/// The site as poem-openapi serves it.
pub(crate) fn service(gate: Gate) -> OpenApiService<Operations, ()> {
    OpenApiService::new(Operations(gate), "site", "0")
}

/// `POST /login` alone has the smaller budget.
pub(crate) fn strict(method: &Method, route: &str) -> bool {
    method == Method::POST && route == "/login"
}

#[OpenApi]
impl Operations {
    #[oai(path = "/echo", method = "post")]
    async fn echo(&self, note: Body<Note>) -> Result<Json<Note>, Fails> {
        Ok(Json(note.0))
    }

    #[oai(path = "/echo", method = "patch")]
    async fn amend(&self, note: MergePatch<Note>) -> Result<Json<Note>, Fails> {
        Ok(Json(note.0))
    }

    #[oai(path = "/echo/:text", method = "get")]
    async fn say(&self, text: Path<String>, times: Query<Option<u8>>) -> Json<Note> {
        let times = usize::from(times.0.unwrap_or(1));
        Json(Note { text: text.0.repeat(times) })
    }

    #[oai(path = "/echo/:text", method = "delete")]
    async fn forget(&self, text: Path<String>) -> Result<Json<Note>, Fails> {
        let problem = Problem::new(&ProblemType::NOT_FOUND);
        Err(problem.detail(format!("no note says {}", text.0)).into())
    }

    #[oai(path = "/plain", method = "get")]
    async fn plain(&self) -> PlainText<&'static str> {
        PlainText("plain")
    }

    #[oai(path = "/slow", method = "get")]
    async fn slow(&self) -> PlainText<&'static str> {
        self.0.pass().await;
        PlainText("at last")
    }

    #[oai(path = "/panic", method = "get")]
    async fn panic(&self, about: Query<Option<String>>) -> PlainText<&'static str> {
        match about.0 {
            None => panic!("a cogwheel fell out"),
            Some(about) => panic!("a cogwheel fell out over {about}"),
        }
    }

    #[oai(path = "/chatty", method = "get")]
    async fn chatty(&self) -> PlainText<&'static str> {
        tracing::debug!(target: "site::notes", "in the handler");
        tracing::trace!(target: "site::notes", "finer than that");
        tracing::debug!(target: "hyper::proto", "in a library");
        let task = async { tracing::debug!(target: "site_store", "in a task") };
        let task = tokio::spawn(task.in_current_span().with_current_subscriber());
        let (dispatch, span) = (dispatcher::get_default(Clone::clone), Span::current());
        let thread = tokio::task::spawn_blocking(move || {
            dispatcher::with_default(&dispatch, || {
                span.in_scope(|| tracing::debug!(target: "site::hash", "in a thread"));
            });
        });
        task.await.unwrap();
        thread.await.unwrap();
        tracing::info_span!(target: "site", "inner").in_scope(|| ());
        PlainText("said")
    }

    #[oai(path = "/fail", method = "get")]
    async fn fail(&self) -> Result<Json<Note>, Fails> {
        let link = |source, text| Some(Box::new(Cause { text, source }));
        let chain = CAUSES.iter().rev().fold(None, |chain, text| link(chain, text));
        Err(Problem::internal(chain.unwrap()).into())
    }

    #[oai(path = "/bare", method = "get")]
    async fn bare(&self) -> Bare {
        Bare::Clash
    }

    #[oai(path = "/login", method = "post")]
    async fn login(&self) -> PlainText<&'static str> {
        PlainText("welcome")
    }
}

impl FromFields for Note {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let text = fields.required("text")?;
        Some(Self { text })
    }
}
