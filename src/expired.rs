//! Rows that have expired, deleted in portions that no other statement waits long for.

use chassis::database::Database;
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

/// As many rows as one transaction deletes without being in the way of others.
const BATCH: u64 = 500;

/// Deletes what has expired by then, the oldest first; says how many rows that were. The key is one of
/// bytes.
pub(crate) async fn delete<E: EntityTrait>(
    database: &Database,
    (key, expires_at): (E::Column, E::Column),
    by: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let mut deleted = 0;
    loop {
        let expired = E::find().select_only().column(key).filter(expires_at.lte(by));
        let oldest = expired.order_by_asc(expires_at).limit(BATCH);
        let keys: Vec<Vec<u8>> = oldest.into_tuple().all(database).await?;
        if keys.is_empty() {
            return Ok(deleted);
        }
        // One may have been taken anew since it was read.
        let delete = E::delete_many().filter(key.is_in(keys)).filter(expires_at.lte(by));
        deleted += database.retrying(|| delete.clone().exec(database)).await?.rows_affected;
    }
}
