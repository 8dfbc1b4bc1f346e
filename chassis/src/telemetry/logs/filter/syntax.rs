//! What a filter may say: the syntax of `EnvFilter`, without what it takes and nobody means.
//!
//! To `EnvFilter` each word is a target, so that a mistyped level would log nothing at all and say
//! nothing of it. Here a filter has to name a level, and a word that resembles one is refused.

use std::cmp::Reverse;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// What `log.level` may be, for messages about it.
pub(in crate::telemetry::logs) const ALLOWED: &str = "a level (off, error, warn, info, debug, trace), target=level pairs, or both, separated by commas";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Text that is no filter.
#[derive(Debug, thiserror::Error)]
#[error("allowed are {ALLOWED}{hint}")]
pub struct InvalidFilter {
    hint: String,
    source: Option<ParseError>,
}

impl InvalidFilter {
    /// What is wrong with it, as the end of a sentence that says what is allowed.
    pub(in crate::telemetry::logs) fn hint(&self) -> &str {
        &self.hint
    }
}

/// Checks a filter without following it.
pub(crate) fn parse(text: &str) -> Result<EnvFilter, InvalidFilter> {
    // A blank would be part of a target, which nothing has.
    let directives: Vec<_> = text.split(',').map(str::trim).collect();
    let wrong = directives.iter().find_map(|directive| objection(directive));
    let wrong = wrong.or_else(|| levelless(&directives));
    if let Some(hint) = wrong {
        return Err(InvalidFilter { hint, source: None });
    }
    EnvFilter::builder()
        .parse(directives.join(","))
        .map_err(|error| InvalidFilter { hint: String::new(), source: Some(error) })
}

/// What is wrong with one directive. Those about spans (`target[span{field=value}]=level`) are left to
/// `EnvFilter`.
fn objection(directive: &str) -> Option<String> {
    if directive.is_empty() || directive.contains('[') {
        return None;
    }
    let (target, level) = match directive.split_once('=') {
        None if is_level(directive) => return None,
        None => (directive, None),
        Some((target, level)) => (target, Some(level)),
    };
    let told = |word: &str, what: &str| Some(format!("; `{}` is {what}", word.escape_debug()));
    match (level, resembled(level.unwrap_or(target))) {
        (Some(""), _) => told(directive, "without a level"),
        (Some(level), _) if is_level(level) && is_target(target) => None,
        (Some(level), None) if !is_level(level) => told(level, "no level"),
        (Some(word), Some(near)) if !is_level(word) => {
            told(word, &format!("no level, the nearest is `{near}`"))
        }
        (None, Some(near)) => told(target, &format!("no level, the nearest is `{near}`")),
        _ if is_target(target) => None,
        _ => told(target, "neither a level nor a target"),
    }
}

/// Of nothing at all, and of targets alone, `EnvFilter` makes filters that switch everything else off.
fn levelless(directives: &[&str]) -> Option<String> {
    let gives_level = |directive: &&str| is_level(directive) || directive.contains('=');
    if directives.iter().any(gives_level) {
        return None;
    }
    let target = directives.iter().find(|directive| !directive.is_empty());
    Some(match target {
        Some(target) => {
            let target = target.escape_debug();
            format!("; `{target}` is no level, and what a target alone logs is `{target}=trace`")
        }
        None => String::new(),
    })
}

/// `EnvFilter` takes the numbers from 0 to 5 as well, and to it nothing is a level too.
fn is_level(word: &str) -> bool {
    !word.is_empty() && word.parse::<LevelFilter>().is_ok()
}

/// The level that a word was probably meant to be: one that it differs from by two slips, or that it
/// begins with (`warning`).
fn resembled(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let slips = |level: &str| strsim::damerau_levenshtein(level, &word);
    let longer = |level: &str| {
        word.starts_with(level) && word.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    // Most words of three letters are two slips from `off`.
    let near = |level: &&str| slips(level) <= if *level == "off" { 1 } else { 2 } || longer(level);
    LEVELS.into_iter().filter(near).min_by_key(|level| (Reverse(longer(level)), slips(level)))
}

/// Targets are paths of modules, or names in their likeness.
fn is_target(text: &str) -> bool {
    text.split("::").all(|part| {
        part.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && part.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c))
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    #[test]
    fn a_filter_that_names_a_level_is_one() {
        for good in [
            "info",
            "OFF",
            "Debug",
            "3",
            "info,sqlx",
            "sqlx,info",
            "info,sqlx=warn",
            " info , sqlx=warn",
            "info,",
            "belvedere=trace",
            "belvedere::users=debug",
            "info,chassis::health=off,hyper,h2,tower_http,aws-lc-rs,tracing",
            "[request{id}]=debug",
            "belvedere[request{name=\"a\"}]=debug",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_names_none_is_refused_with_what_is_wrong() {
        for (bad, hint) in [
            ("", ""),
            (" ", ""),
            (",", ""),
            ("inof", "; `inof` is no level, the nearest is `info`"),
            ("wran", "; `wran` is no level, the nearest is `warn`"),
            ("WARNING", "; `WARNING` is no level, the nearest is `warn`"),
            ("information", "; `information` is no level, the nearest is `info`"),
            ("err", "; `err` is no level, the nearest is `error`"),
            ("of", "; `of` is no level, the nearest is `off`"),
            ("inof,sqlx=debug", "; `inof` is no level, the nearest is `info`"),
            ("info,sqlx=wran", "; `wran` is no level, the nearest is `warn`"),
            ("a=loud", "; `loud` is no level"),
            ("info,sqlx=", "; `sqlx=` is without a level"),
            ("info;debug", "; `info;debug` is neither a level nor a target"),
            ("info;sqlx=debug", "; `info;sqlx` is neither a level nor a target"),
            ("info sqlx=debug", "; `info sqlx` is neither a level nor a target"),
            ("6", "; `6` is neither a level nor a target"),
            ("=,=", "; `=` is without a level"),
            ("so=so=so", "; `so=so` is no level"),
            ("sqlx", "; `sqlx` is no level, and what a target alone logs is `sqlx=trace`"),
            (
                "verbose,sqlx",
                "; `verbose` is no level, and what a target alone logs is `verbose=trace`",
            ),
        ] {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.hint(), hint, "{bad}");
            assert!(error.to_string().starts_with("allowed are a level (off, error,"), "{error}");
        }
    }

    #[test]
    fn blanks_belong_to_nothing() {
        let same = |text: &str| parse(text).unwrap().to_string();
        assert_eq!(same(" info , sqlx=warn"), same("info,sqlx=warn"));
        assert_eq!(same(" info "), "info");
    }
}
