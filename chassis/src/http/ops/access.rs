//! Who may use the operator's endpoints that change something or tell too much.

use poem::Request;
use poem::http::{HeaderValue, header};

use crate::problem::{Problem, ProblemType};
use crate::settings::{Environment, Secret};

/// Who is let in.
#[derive(Clone)]
pub(super) enum Access {
    Everyone,
    Nobody,
    Bearer(Secret),
}

impl Access {
    /// The bearers of the token; without one everyone in development, and nobody in production.
    pub(super) fn new(token: Option<&Secret>, environment: Environment) -> Self {
        match (token, environment) {
            (Some(token), _) => Self::Bearer(token.clone()),
            (None, Environment::Development) => Self::Everyone,
            (None, Environment::Production) => Self::Nobody,
        }
    }

    pub(super) fn check(&self, request: &Request) -> Result<(), Problem> {
        match self {
            Self::Everyone => Ok(()),
            Self::Nobody => {
                Err(Problem::new(&ProblemType::FORBIDDEN).detail("ops.token is not set"))
            }
            Self::Bearer(token) if bears(request, token) => Ok(()),
            Self::Bearer(_) => {
                let challenge = HeaderValue::from_static("Bearer");
                Err(Problem::new(&ProblemType::UNAUTHORIZED)
                    .header(header::WWW_AUTHENTICATE, challenge))
            }
        }
    }
}

fn bears(request: &Request, token: &Secret) -> bool {
    let sent = request.header(header::AUTHORIZATION).and_then(|value| value.split_once(' '));
    let sent = sent.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let same = |sent: &str| {
        aws_lc_rs::constant_time::verify_slices_are_equal(
            sent.as_bytes(),
            token.expose().as_bytes(),
        )
    };
    sent.is_some_and(|(_, sent)| same(sent.trim()).is_ok())
}
