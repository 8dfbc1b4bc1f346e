//! A connection that is lost at any message of any step: `up` and `down` go on from there. On MySQL,
//! which commits with each change of the schema, it shows whether every statement may be repeated.

use belvedere_migration::{down, pending, up};
use chassis::database::Database;
use sea_orm::DbBackend;

use crate::support::dump::dump;
use crate::support::proxy::{Cut, Proxy};
use crate::support::{Place, on_an_empty_database};

/// Opening a session, its lock, the list of steps, a step, the note of it: far more than this.
const MESSAGES_MIN: usize = 10;
const ALL: usize = usize::MAX;

async fn at_every_message(cut: Cut) {
    on_an_empty_database(async |place: &Place| {
        let direct = place.connect().await;
        // SQLite has no connection to lose.
        if direct.backend() == DbBackend::Sqlite {
            return;
        }
        let nothing = dump(&direct).await;
        up(direct.connection()).await.unwrap();
        let everything = dump(&direct).await;
        assert_ne!(nothing, everything);
        down(direct.connection(), ALL).await.unwrap();

        let interrupted = async |count: usize, work: &dyn Fn(Database) -> Work| {
            let proxy = Proxy::start(place.url(), cut).await;
            let database = place.connect_to(&proxy.url(place.url())).await;
            proxy.cut_at(count);
            work(database).await;
            proxy.has_cut()
        };
        let mut count = 0;
        loop {
            count += 1;
            // It may have done everything but heard nothing of it, so its result says nothing.
            let cut_up = interrupted(count, &|database| {
                Box::pin(async move { drop(up(database.connection()).await) })
            });
            let cut_up = cut_up.await;
            up(direct.connection()).await.unwrap();
            assert_eq!(pending(direct.connection()).await.unwrap(), 0);
            assert_eq!(dump(&direct).await, everything, "up, {cut:?} message {count}");

            let cut_down = interrupted(count, &|database| {
                Box::pin(async move { drop(down(database.connection(), ALL).await) })
            });
            let cut_down = cut_down.await;
            down(direct.connection(), ALL).await.unwrap();
            assert_eq!(dump(&direct).await, nothing, "down, {cut:?} message {count}");
            if !cut_up && !cut_down {
                break;
            }
        }
        assert!(count > MESSAGES_MIN, "only {count} messages were seen");
    })
    .await;
}

type Work = std::pin::Pin<Box<dyn Future<Output = ()>>>;

#[tokio::test]
async fn a_statement_that_does_not_reach_the_server_is_made_up_for() {
    at_every_message(Cut::Before).await;
}

#[tokio::test]
async fn a_statement_whose_success_is_not_heard_of_does_not_hinder() {
    at_every_message(Cut::After).await;
}
