//! Tokens of an outside issuer, which runs as a process beside the service. Single tokens that must not pass
//! are tested beside the code.

mod keys;
mod people;
mod refusals;

use belvedere::auth::AuthMode;
use belvedere::users::model::Role;
use belvedere::users::store;
use chassis::http::conditional::Versions;
use chassis::testing::Client;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::issuer::Issuer;
use crate::support::{App, new_user};

/// A service that accepts the tokens of this issuer.
async fn app_of(issuer: &Issuer) -> App {
    let name = issuer.name();
    App::with(|settings| trust(settings, name)).await
}

fn trust(settings: &mut belvedere::settings::Settings, issuer: String) {
    settings.auth.mode = AuthMode::Oidc;
    settings.auth.oidc_issuer = Some(issuer);
}

impl App {
    /// A client whose token has these claims beside the usual ones.
    async fn bearer(&self, issuer: &Issuer, claims: Value) -> Client {
        self.client.with_token(issuer.token(claims).await)
    }

    /// An administrator by claim.
    async fn outside_admin(&self, issuer: &Issuer) -> Client {
        self.bearer(issuer, json!({ "sub": "root", "roles": ["admin"] })).await
    }

    /// Creates a user with this address, through the issuer's administrator; its id.
    async fn created(&self, issuer: &Issuer, email: &str) -> String {
        let admin = self.outside_admin(issuer).await;
        let created = admin.post("/users").json(&new_user(email)).send().await.expect(201);
        created.json()["id"].as_str().unwrap().to_owned()
    }

    /// Gives the user's row a role, past the service.
    async fn set_row_role(&self, id: &str, role: Role) {
        let database = self.connection().await;
        store::set_role(&database, id.parse::<Uuid>().unwrap(), role, &Versions::ANY)
            .await
            .unwrap();
        database.close().await;
    }
}

/// The claims of somebody whose address the issuer has verified.
fn verified(subject: &str, email: &str) -> Value {
    json!({ "sub": subject, "email": email, "email_verified": true })
}
