//! Callers who go on calling, and remember what they were told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use chassis::testing::Answer;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Day;
use crate::support::{eventually, new_user};

/// More than the pool has connections.
const READERS: usize = 6;
const WRITERS: usize = 2;

/// Steady calls in the background.
pub(super) struct Load {
    told: Arc<Mutex<Vec<Told>>>,
    done: Arc<AtomicBool>,
    callers: JoinSet<()>,
}

/// One call and what came of it.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) asked: Instant,
    pub(super) answered: Instant,
    pub(super) answer: Answer,
}

impl Load {
    pub(super) fn on(day: &Day) -> Self {
        let mut load = Self { told: Arc::default(), done: Arc::default(), callers: JoinSet::new() };
        for number in 0..READERS + WRITERS {
            let (told, done) = (Arc::clone(&load.told), Arc::clone(&load.done));
            let (client, path) = (day.client().clone(), day.person.path());
            load.callers.spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    let answer = if number < READERS {
                        client.get(&path).send().await
                    } else {
                        let email = format!("{}@example.org", Uuid::now_v7().simple());
                        client.post("/users").json(&new_user(&email)).send().await
                    };
                    let answered = Instant::now();
                    told.lock().unwrap().push(Told { asked, answered, answer });
                }
            });
        }
        load
    }

    /// Waits until so many calls that were made after `since` have had this status.
    pub(super) async fn has(&self, count: usize, status: u16, since: Instant) {
        let enough = async || {
            let told = self.told.lock().unwrap();
            let such = |told: &&Told| told.asked >= since && told.answer.status == status;
            told.iter().filter(such).count() >= count
        };
        eventually(&format!("{count} times {status}"), enough).await;
    }

    /// Ends the calls; gives all that was told.
    pub(super) async fn end(mut self) -> Vec<Told> {
        self.done.store(true, Ordering::Relaxed);
        while let Some(ended) = self.callers.join_next().await {
            ended.unwrap();
        }
        self.told.lock().unwrap().clone()
    }
}
