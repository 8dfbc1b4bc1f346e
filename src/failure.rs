//! Why a command ends without having done what it was asked for.

/// Why a command failed: what it tried, with the causes below it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The settings cannot be used; exit code 2.
    #[error(transparent)]
    Settings(#[from] chassis::settings::SettingsError),
    /// The arguments cannot be used; exit code 2.
    #[error("{0}")]
    Arguments(String),
    /// Something failed while running; exit code 1.
    #[error(transparent)]
    Running(#[from] Box<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    /// Something failed while running.
    pub fn running(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Running(error.into())
    }
}
