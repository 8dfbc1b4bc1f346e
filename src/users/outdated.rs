//! How many users still have a hash with other parameters than the present ones: those who have not logged
//! in since the parameters changed. `password_hashes_outdated` tells it, so that an operator knows when old
//! ones are gone.

use std::time::Duration;

use belvedere_entity::user::{Column, Entity};
use chassis::database::Database;
use chassis::password::PasswordSettings;
use chassis::problem::chain;
use chassis::recurring::Recurring;
use chassis::telemetry::Metrics;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use tokio::time::sleep;
use uuid::Uuid;

/// Hashes change with logins, and nobody waits for the last one by the minute.
const EVERY: Duration = Duration::from_hours(1);
/// A statement over so many takes milliseconds, a million at once most of a second; nobody is to wait behind
/// it, or be warned of a slow statement.
const BATCH: u64 = 10_000;
/// Between two of them the database works for others: a million users take ten seconds in all.
const BREATH: Duration = Duration::from_millis(50);

/// Counts them soon and then every hour, until the handle is dropped.
pub fn count_every_hour(
    database: &Database,
    settings: &PasswordSettings,
    metrics: &Metrics,
) -> Recurring {
    let (database, present) = (database.clone(), settings.present_prefix());
    let gauge = metrics.password_hashes_outdated.clone();
    Recurring::soon_and_every(EVERY, move || {
        let (database, present, gauge) = (database.clone(), present.clone(), gauge.clone());
        async move {
            match count(&database.reader(), &present).await {
                Ok(count) => gauge.set(i64::try_from(count).unwrap_or(i64::MAX)),
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(error, "outdated password hashes were not counted");
                }
            }
        }
    })
}

/// The number of users whose hash does not begin so, in steps along the primary key.
pub async fn count(db: &impl ConnectionTrait, present: &str) -> Result<u64, DbErr> {
    let outdated = || Entity::find().filter(Column::PasswordHash.not_like(format!("{present}%")));
    let (mut count, mut behind) = (0, Uuid::nil());
    loop {
        let last = Entity::find().select_only().column(Column::Id).filter(Column::Id.gt(behind));
        let last = last.order_by_asc(Column::Id).offset(BATCH - 1).limit(1);
        let last: Option<Uuid> = last.into_tuple().one(db).await?;
        let batch = outdated().filter(Column::Id.gt(behind));
        let Some(last) = last else {
            return Ok(count + batch.count(db).await?);
        };
        count += batch.filter(Column::Id.lte(last)).count(db).await?;
        behind = last;
        sleep(BREATH).await;
    }
}
