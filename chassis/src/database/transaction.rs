//! A transaction whose statements are measured like all others. Dropped without a commit, it is
//! rolled back.

use std::fmt::{Debug, Display};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, IsolationLevel,
    QueryResult, Statement, TransactionError, TransactionOptions, TransactionSession,
    TransactionTrait,
};

use super::comment::Comments;
use super::error::is_timeout;
use super::observer::Observer;
use super::statement::Summary;
use super::watchdog::unresponsive;

/// A transaction of a [`Database`](super::Database); usable wherever entities take a connection.
pub struct Transaction {
    inner: DatabaseTransaction,
    observer: Observer,
    comments: Comments,
    /// The database did not answer: its connection will be closed, and nothing is asked on it again.
    /// Shared by nested transactions.
    lost: Arc<AtomicBool>,
}

/// What sea-orm's `transaction(..)` takes, boxed for one borrow of the transaction.
type Work<'c, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>;

impl Transaction {
    /// Begins through `connection`, which is the pool, or a transaction for a nested one.
    pub(super) async fn begin<C>(
        connection: &C,
        observer: &Observer,
        comments: Comments,
        options: TransactionOptions,
        lost: Arc<AtomicBool>,
    ) -> Result<Self, DbErr>
    where
        C: TransactionTrait<Transaction = DatabaseTransaction>,
    {
        let begun = connection.begin_with_options(options);
        let inner = measured(observer, &lost, Summary::of_step("BEGIN"), begun).await?;
        Ok(Self { inner, observer: observer.clone(), comments, lost })
    }

    async fn observe<T>(
        &self,
        summary: Summary,
        work: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        measured(&self.observer, &self.lost, summary, work).await
    }

    /// Runs `work`, then commits, or rolls back where it failed.
    pub(super) async fn run<F, T, E>(self, work: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Self) -> Work<'c, T, E> + Send,
        T: Send,
        E: Display + Debug + Send,
    {
        match work(&self).await {
            Ok(value) => {
                self.commit().await.map_err(TransactionError::Connection)?;
                Ok(value)
            }
            Err(error) => {
                self.rollback().await.map_err(TransactionError::Connection)?;
                Err(TransactionError::Transaction(error))
            }
        }
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let summary = Summary::of_prepared(&statement);
        let work = async { self.inner.execute_raw(self.comments.on(statement)).await };
        self.observe(summary, work).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let work = async { self.inner.execute_unprepared(&self.comments.on_text(sql)).await };
        self.observe(Summary::of_text(sql), work).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let summary = Summary::of_prepared(&statement);
        let work = async { self.inner.query_one_raw(self.comments.on(statement)).await };
        self.observe(summary, work).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let summary = Summary::of_prepared(&statement);
        let work = async { self.inner.query_all_raw(self.comments.on(statement)).await };
        self.observe(summary, work).await
    }
}

#[async_trait]
impl TransactionTrait for Transaction {
    type Transaction = Self;

    async fn begin(&self) -> Result<Self, DbErr> {
        self.begin_with_options(TransactionOptions::default()).await
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<Self, DbErr> {
        let options = TransactionOptions { isolation_level, access_mode, ..Default::default() };
        self.begin_with_options(options).await
    }

    async fn begin_with_options(&self, options: TransactionOptions) -> Result<Self, DbErr> {
        let lost = Arc::clone(&self.lost);
        Self::begin(&self.inner, &self.observer, self.comments, options, lost).await
    }

    async fn transaction<F, T, E>(&self, work: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Self) -> Work<'c, T, E> + Send,
        T: Send,
        E: Display + Debug + Send,
    {
        self.transaction_with_config(work, None, None).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        work: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Self) -> Work<'c, T, E> + Send,
        T: Send,
        E: Display + Debug + Send,
    {
        let begun = self.begin_with_config(isolation_level, access_mode).await;
        begun.map_err(TransactionError::Connection)?.run(work).await
    }
}

#[async_trait]
impl TransactionSession for Transaction {
    async fn commit(self) -> Result<(), DbErr> {
        let Self { inner, observer, lost, .. } = self;
        measured(&observer, &lost, Summary::of_step("COMMIT"), inner.commit()).await
    }

    async fn rollback(self) -> Result<(), DbErr> {
        let Self { inner, observer, lost, .. } = self;
        if lost.load(Ordering::Relaxed) {
            // The server rolls back what its client has left.
            return Ok(());
        }
        measured(&observer, &lost, Summary::of_step("ROLLBACK"), inner.rollback()).await
    }
}

/// One silence is enough: whoever asks again would wait as long again.
async fn measured<T>(
    observer: &Observer,
    lost: &AtomicBool,
    summary: Summary,
    work: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, DbErr> {
    if lost.load(Ordering::Relaxed) {
        return Err(unresponsive());
    }
    let result = observer.observe(summary, work).await;
    if result.as_ref().is_err_and(is_timeout) {
        lost.store(true, Ordering::Relaxed);
    }
    result
}
