//! What has expired is deleted in the background, and a database that refuses is told of, not given up on.

use std::time::Duration;

use belvedere::auth::attempts::Attempts;
use belvedere::idempotency::Idempotency;
use belvedere::sessions::Sessions;
use belvedere::settings::Settings;
use belvedere_entity::{login_failure, session};
use chassis::database::Database;
use chassis::recurring::Recurring;
use chrono::{TimeDelta, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{EntityTrait, PaginatorTrait};
use tracing::instrument::WithSubscriber;

use crate::support::{App, eventually};

const PAUSE: Duration = Duration::from_millis(20);

/// The tasks of the service, with a shorter pause.
async fn clean_up(app: &App, database: &Database) -> [Recurring; 3] {
    let lifetimes = Settings::default().auth.lifetimes();
    let tasks = async {
        [
            Idempotency::new(database.clone(), Duration::from_secs(10)).clean_up_every(PAUSE),
            Sessions::new(database.clone(), lifetimes).clean_up_every(PAUSE),
            Attempts::new(database.clone()).clean_up_every(PAUSE),
        ]
    };
    tasks.with_subscriber(app.witness.telemetry().dispatch()).await
}

#[tokio::test]
async fn sessions_and_failed_logins_go_when_their_time_is_over() {
    let app = App::start().await;
    let (_ada, eve) = (app.person().await, "eve@example.org");
    app.log_in(eve, "no quiet heron at all").await.problem(401);
    let database = app.connection().await;
    let over = Expr::value(Utc::now() - TimeDelta::seconds(1));
    let sessions =
        session::Entity::update_many().col_expr(session::Column::ExpiresAt, over.clone());
    let attempts = login_failure::Entity::update_many();
    let attempts = attempts.col_expr(login_failure::Column::ExpiresAt, over);
    sessions.exec(&database).await.unwrap();
    attempts.exec(&database).await.unwrap();
    let _cleaning = clean_up(&app, &database).await;
    eventually("both are gone", async || {
        let sessions = session::Entity::find().count(&database).await.unwrap();
        sessions + login_failure::Entity::find().count(&database).await.unwrap() == 0
    })
    .await;
}

#[tokio::test]
async fn a_task_that_cannot_delete_says_why_and_tries_again() {
    let app = App::start().await;
    let database = app.connection().await;
    database.clone().close().await;
    let _cleaning = clean_up(&app, &database).await;
    for message in
        ["expired idempotency keys stay", "expired sessions stay", "expired login failures stay"]
    {
        let told = || {
            let mut lines = app.witness.lines();
            lines.retain(|line| line["message"] == message);
            lines
        };
        eventually(message, async || told().len() > 1).await;
        let line = &told()[0];
        assert_eq!(line["level"], "WARN");
        assert!(!line["error"].as_str().unwrap().is_empty(), "{line}");
    }
}
