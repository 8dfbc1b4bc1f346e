//! How many users have a hash with other parameters than the present ones, of however many users.

use std::time::Duration;

use belvedere_entity::user::{Column, Entity};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use tokio::time::sleep;
use uuid::Uuid;

/// A statement over so many takes milliseconds, a million at once most of a second; nobody is to wait behind
/// it, or be warned of a slow statement.
const BATCH: u64 = 10_000;
/// Between two of them the database works for others: a million users take ten seconds in all.
const BREATH: Duration = Duration::from_millis(50);

/// The number of users whose hash does not begin so, in steps along the primary key.
pub async fn count_outdated(db: &impl ConnectionTrait, present: &str) -> Result<u64, DbErr> {
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
