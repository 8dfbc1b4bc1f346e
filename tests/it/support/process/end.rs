//! What is left of a process: its exit code and what it wrote.

use serde_json::Value;

/// What the binary left.
#[derive(Debug)]
pub(crate) struct End {
    /// None where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl End {
    /// Fails unless the exit code is this one; hands the rest on.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless stderr tells each of these.
    #[track_caller]
    pub(crate) fn complains_of(&self, causes: &[&str]) {
        for cause in causes {
            assert!(self.stderr.contains(cause), "{cause:?} is not in\n{}", self.stderr);
        }
    }

    /// Fails when one of these stands in either output.
    #[track_caller]
    pub(crate) fn is_silent_about(&self, secrets: &[&str]) {
        for secret in secrets {
            let told = self.stdout.contains(secret) || self.stderr.contains(secret);
            assert!(!told, "{secret} is told:\n{}{}", self.stdout, self.stderr);
        }
    }

    /// The lines of stderr that are JSON: the log of a command.
    pub(crate) fn stderr_lines(&self) -> Vec<Value> {
        self.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The lines of stdout as JSON; fails when one is not.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        self.stdout.lines().map(parse).collect()
    }
}
