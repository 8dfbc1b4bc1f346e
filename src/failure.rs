//! Why a command ends without having done what it was asked for.

use chassis::telemetry::TelemetryError;

/// Why a command failed: what it tried, with the causes below it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The settings cannot be used; exit code 2.
    #[error(transparent)]
    Settings(#[from] chassis::settings::SettingsError),
    /// The arguments cannot be used; exit code 2.
    #[error("{0}")]
    Arguments(String),
    /// Telemetry cannot start; exit code 2 where what was set up for it is the reason, else 1.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Something failed while running; exit code 1.
    #[error(transparent)]
    Running(#[from] Box<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    /// Something failed while running.
    pub fn running(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Running(error.into())
    }

    /// Whether arguments or settings are to be changed before it is tried again.
    pub fn is_unusable(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Arguments(_) => true,
            Self::Telemetry(error) => error.is_unusable(),
            Self::Running(_) => false,
        }
    }
}
