//! How many users still have a hash with other parameters than the present ones: those who have not logged
//! in since the parameters changed. `password_hashes_outdated` tells it, so that an operator knows when old
//! ones are gone.

use std::error::Error;
use std::time::Duration;

use chassis::database::Database;
use chassis::password::PasswordSettings;
use chassis::problem::chain;
use chassis::recurring::Recurring;
use chassis::telemetry::Metrics;

use super::store;
use crate::telemetry::PASSWORD_HASHES_OUTDATED;

/// Hashes change with logins, and nobody waits for the last one by the minute.
const EVERY: Duration = Duration::from_hours(1);

/// Counts them soon and then every hour, until the handle is dropped. Fails where something counts them already.
pub fn count_every_hour(
    database: &Database,
    settings: &PasswordSettings,
    metrics: &Metrics,
) -> Result<Recurring, Box<dyn Error + Send + Sync>> {
    let (database, present) = (database.clone(), settings.present_prefix());
    let gauge = metrics.registrar().gauge(&PASSWORD_HASHES_OUTDATED)?;
    Ok(Recurring::soon_and_every("count outdated password hashes", EVERY, move || {
        let (database, present, gauge) = (database.clone(), present.clone(), gauge.clone());
        async move {
            match store::count_outdated(&database.reader(), &present).await {
                Ok(count) => gauge.set(i64::try_from(count).unwrap_or(i64::MAX)),
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(error, "outdated password hashes were not counted");
                }
            }
        }
    }))
}
