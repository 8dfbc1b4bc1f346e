//! The public keys, with which other services verify access tokens without asking.

use chassis::problem::Fails;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::{AuthContext, Tag};
use crate::auth::Jwk;

/// Others may keep the keys for five minutes. A key is to be listed for as long before it signs.
const CACHED: &str = "public, max-age=300";

/// `/.well-known/jwks.json`
pub struct KeysApi;

/// The keys that tokens may be signed with (RFC 7517, section 5).
#[derive(Object)]
#[oai(example)]
struct KeySet {
    /// The one that signs now comes first.
    #[oai(validator(max_items = 100))]
    keys: Vec<Key>,
}

/// A public key of Ed25519 (RFC 8037).
#[derive(Object)]
#[oai(example)]
struct Key {
    /// Always `OKP`.
    #[oai(validator(max_length = 3))]
    kty: String,
    /// Always `Ed25519`.
    #[oai(validator(max_length = 7))]
    crv: String,
    /// The key, base64url.
    #[oai(validator(max_length = 43))]
    x: String,
    /// The thumbprint of the key (RFC 7638): `kid` of the tokens.
    #[oai(validator(max_length = 43))]
    kid: String,
    /// Always `EdDSA`.
    #[oai(validator(max_length = 5))]
    alg: String,
    /// Always `sig`.
    #[oai(rename = "use", validator(max_length = 3))]
    usage: String,
}

#[derive(ApiResponse)]
enum Keys {
    /// The keys.
    #[oai(status = 200)]
    Set(
        Json<KeySet>,
        /// How long the keys may be kept.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

chassis::statuses! {
    /// Nothing beyond what can always go wrong.
    KeysFail = 500;
}

#[OpenApi(tag = "Tag::Authentication")]
#[expect(clippy::unused_async, reason = "poem-openapi awaits every handler")]
impl KeysApi {
    /// Read the public keys
    ///
    /// With them other services verify access tokens by themselves. Look here again when a token names a
    /// key that you do not know. None are listed where tokens are issued elsewhere.
    #[oai(path = "/.well-known/jwks.json", method = "get", operation_id = "read_keys")]
    async fn keys(&self, context: Data<&AuthContext>) -> Result<Keys, Fails<KeysFail>> {
        let issues = context.require_local().is_ok();
        let keys = if issues { context.tokens().jwks() } else { Vec::new() };
        let keys = keys.into_iter().map(Key::from).collect();
        Ok(Keys::Set(Json(KeySet { keys }), CACHED.to_owned()))
    }
}

impl From<Jwk> for Key {
    fn from(jwk: Jwk) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: jwk.x,
            kid: jwk.id,
            alg: "EdDSA".to_owned(),
            usage: "sig".to_owned(),
        }
    }
}

impl Example for Key {
    /// The key of RFC 8037, appendix A.
    fn example() -> Self {
        Self::from(Jwk {
            x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned(),
            id: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".to_owned(),
        })
    }
}

impl Example for KeySet {
    fn example() -> Self {
        Self { keys: vec![Key::example()] }
    }
}
