// An issuer for scripts/check-oidc: oidc-provider, a certified implementation, with a key made at each start.
// It gives JWT access tokens to two clients, for the resource that they name.

import { generateKeyPairSync, randomUUID } from "node:crypto";
import Provider from "oidc-provider";

const { PORT, ALGORITHM, SECRET } = process.env;
const KINDS = {
  RS256: ["rsa", { modulusLength: 2048 }],
  ES256: ["ec", { namedCurve: "P-256" }],
  EdDSA: ["ed25519", {}],
};
const ROLES = { administrator: ["user", "admin"], reader: ["user"] };

const { privateKey } = generateKeyPairSync(...KINDS[ALGORITHM]);
const key = { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), alg: ALGORITHM, use: "sig" };
const client = (client_id) => ({
  client_id,
  client_secret: SECRET,
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
  id_token_signed_response_alg: ALGORITHM,
});

const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  clients: Object.keys(ROLES).map(client),
  jwks: { keys: [key] },
  extraTokenClaims: (context, token) => ({ roles: ROLES[token.clientId] }),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (context, resource) => ({
        scope: "",
        audience: resource,
        accessTokenTTL: 300,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: ALGORITHM } },
      }),
    },
  },
});
provider.listen(Number(PORT), "127.0.0.1");
