//! The keys of the section `password`.

use std::thread::available_parallelism;

use argon2::Params;

use crate::settings::{Report, Secret};

/// More could neither be hashed nor wait in any sensible time.
const MOST: usize = 65_536;

/// RFC 9106 recommends 2 GiB where there is plenty; what is much more ends the process at the first login.
const MEMORY_KIB_MAX: u32 = 4 * 1024 * 1024;

crate::settings! {
    /// Cost of a password hash, how many may run, and the length of passwords.
    pub struct PasswordSettings {
        /// Memory of one argon2id hash in KiB; the default is OWASP's minimum.
        pub memory_kib: u32 = 19_456,
        /// Passes of argon2id over its memory; the default is OWASP's minimum for 19 MiB.
        pub iterations: u32 = 2,
        /// Lanes of argon2id.
        pub parallelism: u32 = 1,
        /// Hashes at once; the number of cores without it.
        pub max_concurrent: Option<usize> = None,
        /// Hashes that wait for a turn; further ones are answered 503.
        pub queue: usize = 64,
        /// argon2's secret input, kept apart from the database.
        pub pepper: Option<Secret> = None,
        /// Fewest characters of a new password; 15 is NIST SP 800-63B-4's minimum for a single factor.
        pub min_length: usize = 15,
        /// Most characters of a new password.
        pub max_length: usize = 256,
    }
}

impl PasswordSettings {
    /// Rejects what argon2 cannot do and what no password could satisfy.
    pub fn check(&self, report: &mut Report) {
        let lanes = Params::MIN_P_COST..=MEMORY_KIB_MAX / Params::MIN_M_COST;
        let least = self.parallelism.clamp(*lanes.start(), *lanes.end()) * Params::MIN_M_COST;
        if self.memory_kib < least {
            let allowed = format!("at least {} times password.parallelism", Params::MIN_M_COST);
            report.reject("password.memory_kib", allowed);
        } else if self.memory_kib > MEMORY_KIB_MAX {
            report.reject("password.memory_kib", format!("at most {MEMORY_KIB_MAX} (4 GiB)"));
        }
        if self.iterations < Params::MIN_T_COST {
            report.reject("password.iterations", format!("at least {}", Params::MIN_T_COST));
        }
        if !lanes.contains(&self.parallelism) {
            let allowed = format!("{} to {}", lanes.start(), lanes.end());
            report.reject("password.parallelism", allowed);
        }
        if !(1..=MOST).contains(&self.max_concurrent.unwrap_or(1)) {
            report.reject("password.max_concurrent", format!("1 to {MOST}"));
        }
        if self.queue > MOST {
            report.reject("password.queue", format!("at most {MOST}"));
        }
        if self.min_length == 0 || self.min_length > self.max_length {
            report.reject("password.min_length", "1 to password.max_length");
        }
        // Every character is hashed, and each request may send so many.
        if self.max_length > 4096 {
            report.reject("password.max_length", "at most 4096");
        }
    }

    /// How many hashes may run at once.
    pub(super) fn turns(&self) -> usize {
        let cores = || available_parallelism().map_or(1, usize::from);
        self.max_concurrent.unwrap_or_else(cores)
    }

    /// What every hash begins with that has the present parameters.
    pub fn present_prefix(&self) -> String {
        let Self { memory_kib, iterations, parallelism, .. } = self;
        format!("$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}$")
    }

    pub(super) fn params(&self) -> argon2::Result<Params> {
        Params::new(self.memory_kib, self.iterations, self.parallelism, None)
    }
}
