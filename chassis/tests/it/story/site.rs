//! A site with a database, whose handlers do what handlers of users do: start tasks and threads, open
//! spans of their own, ask the database within them, fail, panic and wait.

use std::sync::{Arc, Mutex};

use chassis::database::{Database, is_unavailable};
use chassis::problem::Problem;
use chassis::testing::{TestDatabase, Witness};
use poem_openapi::payload::PlainText;
use poem_openapi::{OpenApi, OpenApiService};
use sea_orm::{ConnectionTrait, TransactionSession, TransactionTrait};
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, Span, dispatcher, info, info_span};

use crate::sql_comments::mirrored;
use crate::support::gate::Gate;
use crate::support::{App, Settings};

chassis::statuses! {
    /// Nobody has to be told.
    Any = 404;
}

type Fails = chassis::problem::Fails<Any>;
type Answer = Result<PlainText<&'static str>, Fails>;

/// A running site, and what its database has seen.
pub(super) struct World {
    pub(super) app: App,
    seen: Seen,
    _database: TestDatabase,
}

/// The texts of statements, as the database repeated them.
type Seen = Arc<Mutex<Vec<String>>>;

struct Operations {
    gate: Gate,
    database: Database,
    seen: Seen,
}

impl World {
    pub(super) async fn with(change: impl FnOnce(&mut Settings), connections: u32) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let (witness, gate) = (Witness::new(settings.name, "info"), Gate::default());
        let test = TestDatabase::create().await;
        let mut of_database = test.settings();
        of_database.sql_comments = true;
        of_database.max_connections = connections;
        if connections == 1 {
            of_database.acquire_timeout = std::time::Duration::from_secs(1);
        }
        let database = Database::connect(&of_database, witness.telemetry()).await.unwrap();
        let seen = Seen::default();
        let operations = Operations { gate: gate.clone(), database, seen: Arc::clone(&seen) };
        let api = OpenApiService::new(operations, "story", "0");
        let app = App::serve(&api.spec(), api, settings, witness, gate).await;
        Self { app, seen, _database: test }
    }

    /// What the database has seen since it was asked last.
    pub(super) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

#[OpenApi]
impl Operations {
    #[oai(path = "/ask", method = "get")]
    async fn ask(&self) -> Answer {
        self.look().await;
        Ok(PlainText("asked"))
    }

    #[oai(path = "/ask-briefly", method = "get")]
    async fn ask_briefly(&self) -> Answer {
        let asked = self.database.execute_unprepared("SELECT 1").await;
        asked.map_err(|error| {
            assert!(is_unavailable(&error), "{error}");
            Problem::unavailable(1).error_type("database_unavailable").cause(error)
        })?;
        Ok(PlainText("asked"))
    }

    #[oai(path = "/hold", method = "get")]
    async fn hold(&self) -> Answer {
        let transaction = self.database.begin().await.unwrap();
        self.gate.pass().await;
        transaction.rollback().await.unwrap();
        Ok(PlainText("let go"))
    }

    #[oai(path = "/wait", method = "get")]
    async fn wait(&self) -> Answer {
        self.look().await;
        self.gate.pass().await;
        Ok(PlainText("at last"))
    }

    #[oai(path = "/fail", method = "get")]
    async fn fail(&self) -> Answer {
        self.look().await;
        Err(Problem::internal("the shelf is full").into())
    }

    #[oai(path = "/panic", method = "get")]
    async fn panic(&self) -> Answer {
        self.look().await;
        panic!("a cogwheel fell out");
    }

    /// Everything that a handler may start before it answers.
    #[oai(path = "/busy", method = "get")]
    async fn busy(&self) -> Answer {
        info!("in the handler");
        info!(target: "some_library::pool", "in a library");
        let task = async { info!("in a task") }.in_current_span();
        let other = async { info!("in an instrumented task") }.instrument(Span::current());
        let task = tokio::spawn(task.with_current_subscriber());
        let other = tokio::spawn(other.with_current_subscriber());
        let (dispatch, span) = (dispatcher::get_default(Clone::clone), Span::current());
        let thread = tokio::task::spawn_blocking(move || {
            dispatcher::with_default(&dispatch, || span.in_scope(|| info!("in a thread")));
        });
        let (task, other, thread) = tokio::join!(task, other, thread);
        task.and(other).and(thread).unwrap();
        self.outer().instrument(info_span!("outer")).await;
        Ok(PlainText("done"))
    }

    /// Goes on after its answer.
    #[oai(path = "/leave", method = "get")]
    #[expect(clippy::unused_async, reason = "poem-openapi wants every handler to be async")]
    async fn leave(&self) -> Answer {
        let gate = self.gate.clone();
        let later = async move {
            gate.pass().await;
            info!("after the answer");
            info_span!("inner").in_scope(|| info!("within"));
        };
        let later = later.instrument(info_span!("outliving")).with_current_subscriber();
        tokio::spawn(later);
        Ok(PlainText("see you"))
    }
}

impl Operations {
    async fn look(&self) {
        let text = mirrored(&self.database).await;
        self.seen.lock().unwrap().push(text);
    }

    async fn outer(&self) {
        info!("in a span");
        async {
            info!("in a span of a span");
            self.look().await;
        }
        .instrument(info_span!("inner"))
        .await;
    }
}
