//! What the hook for panics writes. It belongs to a whole process, so the test is one: this binary
//! starts itself anew with one of its ignored tests.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use chassis::http::{Site, StackSettings};
use chassis::server::Server;
use chassis::settings::{Environ, Environment};
use chassis::telemetry::logs::{LogFormat, LogSettings};
use chassis::telemetry::traces::TracingSettings;
use chassis::telemetry::{Identity, Telemetry};
use chassis::testing::{Client, object};

use crate::support::PATIENCE;
use crate::support::gate::Gate;
use crate::support::site::{self, PANIC};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const CANARY: &str = "canary@example.org";

/// Whose error repeats the text, as many do.
struct Unparsable;

impl FromStr for Unparsable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Err(text.to_owned())
    }
}

#[test]
fn a_panic_is_one_line_that_quotes_the_source_and_nobody_else() {
    let (stdout, stderr) = run("panics::in_a_process_of_its_own");
    assert!(!stdout.contains("canary") && !stderr.contains("canary"), "{stdout}{stderr}");
    let panics: Vec<_> = stderr.lines().map(object).collect();
    let messages: Vec<_> = panics.iter().map(|line| line.get("exception.message")).collect();
    let literal = "a literal\nof {two} lines".into();
    assert_eq!(messages, [Some(&literal), None, None, None], "{stderr}");
    for line in &panics {
        assert_eq!((&line["level"], &line["message"]), (&"ERROR".into(), &"panic".into()));
        assert!(line["code.file.path"].as_str().unwrap().ends_with("panics.rs"), "{stderr}");
        assert!(line["code.line.number"].is_number(), "{stderr}");
    }
}

#[test]
fn a_panic_in_a_handler_has_the_ids_of_its_request() {
    let (_, stderr) = run("panics::serving_in_a_process_of_its_own");
    let lines: Vec<_> = stderr.lines().map(object).collect();
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["panic", "request"], "{stderr}");
    let (panic, request) = (&lines[0], &lines[1]);
    assert_eq!(panic["exception.message"], PANIC);
    assert_eq!(panic["request_id"], "panicking-1");
    assert_eq!(panic["trace_id"], TRACEPARENT[3..35]);
    for key in ["request_id", "trace_id", "span_id", "trace_flags"] {
        assert_eq!(panic[key], request[key], "{key}");
    }
}

/// What a test of this file said, alone in a process.
#[expect(clippy::disallowed_methods, reason = "a variable of the build, and no setting")]
fn run(test: &str) -> (String, String) {
    let itself = std::env::current_exe().unwrap();
    let child = ["--exact", test, "--ignored", "--nocapture"];
    // Where a build that counts which lines run writes its counts; without effect in any other.
    let profile = std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file));
    let output = Command::new(itself).args(child).env_clear().envs(profile).output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{stdout}{stderr}");
    (stdout, stderr)
}

/// Telemetry of this whole process, with its lines on stderr. Within a runtime.
fn install() -> Telemetry {
    let identity = Identity {
        name: "panicking".to_owned(),
        version: "1.2.3".to_owned(),
        environment: Environment::Production,
    };
    let log = LogSettings { format: LogFormat::Json, ..LogSettings::default() };
    let environ = Environ::from([("OTEL_TRACES_EXPORTER", "none")]);
    let telemetry = Telemetry::start_into(
        std::io::stderr(),
        false,
        &identity,
        &log,
        &TracingSettings::default(),
        &environ,
    )
    .unwrap();
    telemetry.install();
    telemetry
}

#[test]
#[ignore = "run by a test above, for it changes the whole process"]
fn in_a_process_of_its_own() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let telemetry = install();
    let panics: [fn(); 4] = [
        || panic!("a literal\nof {{two}} lines"),
        || panic!("formatted: {CANARY}"),
        || panic_any(CANARY.to_owned()),
        || CANARY.parse::<Unparsable>().map(drop).unwrap(),
    ];
    for panic in panics {
        assert!(catch_unwind(AssertUnwindSafe(panic)).is_err());
    }
    assert!(runtime.block_on(telemetry.shutdown(Duration::from_secs(20))));
}

#[test]
#[ignore = "run by a test above, for it changes the whole process"]
fn serving_in_a_process_of_its_own() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let telemetry = install();
        let api = site::service(Gate::default());
        let stack = StackSettings::default();
        let site = Site::new(&api.spec(), api).unwrap().build(&stack, &telemetry).unwrap();
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(here, &stack.server).await.unwrap().serve(site, &telemetry);
        let call = Client::new(server.address()).get("/panic");
        let call = call.header("x-request-id", "panicking-1").header("traceparent", TRACEPARENT);
        call.send().await.problem(500);
        server.stop(PATIENCE).await;
        assert!(telemetry.shutdown(PATIENCE).await);
    });
}
