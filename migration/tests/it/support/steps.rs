//! Migrations of a test's own, through the runner that runs the service's.

use std::sync::Arc;

use belvedere_migration::{MigrationError, Migrator, Runner};
use chassis::database::Database;
use sea_orm_migration::prelude::{
    DbErr, MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait,
};
use sea_orm_migration::sea_orm::ConnectionTrait;
use tokio::sync::Semaphore;

tokio::task_local! {
    static STEPS: Vec<Step>;
    static FIRST: usize;
}

/// The steps of [`given`].
pub(crate) struct Given;

/// The first steps of the service, as many as [`first`] says.
pub(crate) struct First;

/// A migration of a few statements.
#[derive(Clone)]
pub(crate) struct Step {
    name: &'static str,
    up: Vec<&'static str>,
    down: Vec<&'static str>,
    use_transaction: Option<bool>,
    gate: Option<Gate>,
}

/// Where a step waits for the test.
#[derive(Clone)]
pub(crate) struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

/// Runs `work` with these steps for [`Given`].
pub(crate) async fn given<T>(steps: &[&Step], work: impl Future<Output = T>) -> T {
    STEPS.scope(steps.iter().map(|step| (*step).clone()).collect(), work).await
}

/// Applies these steps.
pub(crate) async fn up(db: &Database, steps: &[&Step]) -> Result<Vec<String>, MigrationError> {
    given(steps, Runner::<Given>::new(db.connection()).up()).await
}

/// Applies the first `count` steps of the service.
pub(crate) async fn first(db: &Database, count: usize) -> Result<Vec<String>, MigrationError> {
    FIRST.scope(count, Runner::<First>::new(db.connection()).up()).await
}

impl Step {
    pub(crate) fn new(name: &'static str, up: &[&'static str]) -> Self {
        let (up, down) = (up.to_vec(), Vec::new());
        Self { name, up, down, use_transaction: None, gate: None }
    }

    pub(crate) fn down(self, down: &[&'static str]) -> Self {
        Self { down: down.to_vec(), ..self }
    }

    pub(crate) fn without_transaction(self) -> Self {
        Self { use_transaction: Some(false), ..self }
    }

    /// Waits at this gate after its statements.
    pub(crate) fn then_at(self, gate: &Gate) -> Self {
        Self { gate: Some(gate.clone()), ..self }
    }

    async fn run(&self, manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
        for statement in statements {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        if let Some(gate) = &self.gate {
            gate.arrived.add_permits(1);
            gate.open.acquire().await.unwrap().forget();
        }
        Ok(())
    }
}

impl Gate {
    pub(crate) fn new() -> Self {
        let closed = || Arc::new(Semaphore::new(0));
        Self { arrived: closed(), open: closed() }
    }

    /// Returns once a step waits here.
    pub(crate) async fn arrival(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    /// Lets a step pass.
    pub(crate) fn open(&self) {
        self.open.add_permits(1);
    }
}

impl MigratorTrait for Given {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let boxed = |step: &Step| Box::new(step.clone()) as Box<dyn MigrationTrait>;
        STEPS.with(|steps| steps.iter().map(boxed).collect())
    }
}

impl MigratorTrait for First {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        Migrator::migrations().into_iter().take(FIRST.get()).collect()
    }
}

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        self.run(manager, &self.up).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        self.run(manager, &self.down).await
    }

    fn use_transaction(&self) -> Option<bool> {
        self.use_transaction
    }
}
