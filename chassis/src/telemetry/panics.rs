//! A panic as one log line. What the caller gets for it is decided in `http`.

use std::panic::PanicHookInfo;

/// Replaces the hook of the process, which would print several lines to stderr.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(log));
}

fn log(info: &PanicHookInfo<'_>) {
    let location = info.location();
    // A formatted payload may quote what a caller sent; only a literal of the source is safe.
    let text = info.payload().downcast_ref::<&'static str>();
    tracing::error!(
        exception.message = text,
        code.file.path = location.map(std::panic::Location::file),
        code.line.number = location.map(std::panic::Location::line),
        thread.name = std::thread::current().name(),
        "panic"
    );
}
