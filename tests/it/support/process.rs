//! The real binary as a process: what only shows from outside, such as exit codes, signals and lines
//! on stdout.

mod end;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chassis::database::Database;
use chassis::testing::{TestDatabase, Witness};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub(crate) use end::End;

/// Whoever has not come so far by then hangs; machines that run tests are slow.
const DEADLINE: Duration = Duration::from_mins(1);

/// Where a build that counts which lines run writes its counts; without effect in any other.
const PROFILE: &str = "LLVM_PROFILE_FILE";

/// How to start the binary: in a directory of its own, and with nothing of this process's environment
/// but [`PROFILE`].
pub(crate) struct Binary {
    directory: TempDir,
    variables: Vec<(String, String)>,
    database: Option<TestDatabase>,
}

/// The binary while it runs; killed when dropped.
pub(crate) struct Process {
    child: Child,
    lines: UnboundedReceiver<String>,
    /// All of stdout so far.
    seen: String,
    /// JSON lines that nobody has asked for yet.
    passed: Vec<Value>,
    stderr: Option<JoinHandle<String>>,
}

impl Binary {
    /// The defaults, so that its database is a file in its directory; but port 0, and hashes that
    /// cost a thousandth.
    pub(crate) fn new() -> Self {
        let binary =
            Self { directory: TempDir::new().unwrap(), variables: Vec::new(), database: None };
        binary
            .variable("APP_SERVER__ADDR", "127.0.0.1:0")
            .variable("APP_PASSWORD__MEMORY_KIB", "64")
            .variable("APP_PASSWORD__ITERATIONS", "1")
    }

    /// The same on a database of the kind that tests run on.
    pub(crate) async fn with_database() -> Self {
        let database = TestDatabase::create().await;
        let mut binary = Self::new().variable("APP_DATABASE__URL", database.url());
        binary.database = Some(database);
        binary
    }

    /// The same as a production service, which has its key in a file.
    pub(crate) fn in_production(self) -> Self {
        let key = self.file("signing_key.pem", &signing_key());
        self.variable("APP_ENVIRONMENT", "production")
            .variable("APP_AUTH__SIGNING_KEY_FILE", key.display().to_string())
    }

    /// Sets an environment variable; an empty one counts as unset.
    pub(crate) fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Writes a file into the directory.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A path in the directory, which is also where the binary runs.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A way past it, to the database of [`Binary::with_database`].
    pub(crate) async fn connect(&self) -> Database {
        let settings = self.database.as_ref().unwrap().settings();
        Database::connect(&settings, Witness::new("test", "off").telemetry()).await.unwrap()
    }

    /// Starts the service.
    pub(crate) fn serve(&self) -> Process {
        self.start(&["serve"], "")
    }

    /// Starts the service as whoever ignores this signal, named without `SIG`: it will do so as well.
    pub(crate) fn serve_ignoring(&self, signal: &str) -> Process {
        let service = self.command(&["serve"]);
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("trap '' {signal}; exec \"$0\" serve")])
            .arg(service.get_program())
            .current_dir(self.directory.path())
            .env_clear()
            .envs(self.environment());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Process::of(command.spawn().unwrap())
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> End {
        self.start(arguments, "").end().await
    }

    /// Runs a command that reads its standard input.
    pub(crate) async fn run_with_input(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> End {
        self.start(arguments, input).end().await
    }

    /// Any command, for tests that choose its outputs.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_belvedere"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .envs(self.environment());
        command
    }

    /// All that the binary gets of an environment.
    #[expect(clippy::disallowed_methods, reason = "a variable of the build, and no setting")]
    fn environment(&self) -> impl Iterator<Item = (&str, OsString)> {
        let profile = env::var_os(PROFILE).map(|file| (PROFILE, file));
        profile.into_iter().chain(
            self.variables.iter().map(|(name, value)| (name.as_str(), OsString::from(value))),
        )
    }

    /// Starts any command.
    pub(crate) fn start(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Process {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A process that does not read its input may end before it is written.
        let _ = child.stdin.take().unwrap().write_all(input.as_ref());
        Process::of(child)
    }
}

impl Process {
    fn of(mut child: Child) -> Self {
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = unbounded_channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines();
            // Nobody listens any more once the test is over.
            lines.map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, lines, seen: String::new(), passed: Vec::new(), stderr: Some(stderr) }
    }

    /// The number that the system gave it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the ready line; gives the address that it names.
    pub(crate) async fn ready(&mut self) -> SocketAddr {
        let line = self.line("ready").await;
        line["address"].as_str().unwrap().parse().unwrap()
    }

    /// Waits for a JSON line with this message.
    pub(crate) async fn line(&mut self, message: &str) -> Value {
        self.line_where(|line| line["message"] == message).await
    }

    /// Waits for a JSON line of which this is true. Each line is given once, in any order: which of
    /// two tasks speaks first is nobody's promise.
    pub(crate) async fn line_where(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.passed.iter().position(&wanted) {
            return self.passed.remove(at);
        }
        while let Some(line) = self.text().await {
            let line = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
            if wanted(&line) {
                return line;
            }
            self.passed.push(line);
        }
        let stderr = self.stderr.take().unwrap().join().unwrap();
        panic!("it ended without such a line:\n{}{stderr}", self.seen);
    }

    /// Waits for the next line; none at the end of the process.
    pub(crate) async fn text(&mut self) -> Option<String> {
        let line = tokio::time::timeout(DEADLINE, self.lines.recv()).await;
        let line = line.unwrap_or_else(|_| panic!("it hangs after\n{}", self.seen))?;
        self.seen.push_str(&line);
        self.seen.push('\n');
        Some(line)
    }

    /// Sends a signal by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        // The shell has `kill` built in, where an image has no program of that name.
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success(), "{kill}");
    }

    /// Asks it to end as an orchestrator does, and waits for that.
    pub(crate) async fn stop(self) -> End {
        self.signal("TERM");
        self.end().await
    }

    /// Waits until it has ended.
    pub(crate) async fn end(mut self) -> End {
        while self.text().await.is_some() {}
        let status = self.child.wait().unwrap();
        End {
            code: status.code(),
            stdout: std::mem::take(&mut self.seen),
            stderr: self.stderr.take().unwrap().join().unwrap(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A key as `openssl genpkey -algorithm ed25519` writes it.
pub(crate) fn signing_key() -> String {
    let key = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
    let key = BASE64_STANDARD.encode(key.as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n")
}
