//! What holds for settings that nobody thought of.

use super::*;
use crate::testing::hold;

/// Lines of files as they come about: half of them known keys, with values of all sorts.
const LINE: &str = "(level|environment|server\\.addr|server\\.body_limit|server\\.rate\\.burst|database\\.passwords|\\[server\\]|[a-z_.]{1,9}) ?=? ?(\"[ -~]{0,9}\"|[0-9]{1,12}|\\[[ -~]{0,6}\\]|[ -~]{0,9})";

#[test]
fn no_file_is_a_panic_and_each_mistake_names_its_line_and_key() {
    hold(proptest::collection::vec(LINE, 0..5), |lines| {
        let file = file(&lines.join("\n"));
        if let Err(error) = load(Some(&file), Environ::default()) {
            assert!(!error.problems().is_empty());
            // A file that is no TOML has lines that are wrong, and no keys yet.
            let keyed = error.problems()[0].key.is_some();
            for problem in error.problems() {
                assert!(matches!(problem.source, Source::File(_, Some(_))));
                assert_eq!(problem.key.is_some(), keyed);
            }
        }
    });
}

#[test]
fn no_variable_is_a_panic_and_each_mistake_names_its_key_or_variable() {
    hold(("APP_[A-Z_]{0,20}|APP_SERVER__(ADDR|BODY_LIMIT|RATE__BURST)", "[ -~]{0,20}"), |pair| {
        let (name, value) = pair;
        if let Err(error) = load(None, Environ::from([(name.clone(), value)])) {
            let source = Source::Environment(name);
            assert!(error.problems().iter().all(|problem| problem.source == source));
        }
    });
}

#[test]
fn what_is_printed_reads_as_the_same_settings() {
    let values = ("[ -~]{0,20}", 0..u32::MAX, 0..u16::MAX, 0..1_000_000_u64);
    hold(values, |(level, burst, port, milliseconds)| {
        let text = format!(
            "level = {}\n[server]\naddr = \"127.0.0.1:{port}\"\nrequest_timeout = \"{milliseconds}ms\"\nrate.burst = {burst}\n",
            Toml::String(level)
        );
        let first = load(Some(&file(&text)), Environ::default()).unwrap();
        let again = load(Some(&file(&first.to_toml())), Environ::default()).unwrap();
        assert_eq!(again.settings.level, first.settings.level);
        assert_eq!(again.settings.server.addr, first.settings.server.addr);
        assert_eq!(again.settings.server.request_timeout, first.settings.server.request_timeout);
        assert_eq!(again.settings.server.rate.burst, burst);
    });
}
