// An OpenID Provider with a login form, people, and passwords: panva's oidc-provider,
// which is certified by the OpenID Foundation.  Configured by a JSON file; started by
// tests/simulators/oidc_provider.py.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { Provider } from 'oidc-provider';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const byLogin = new Map(config.people.map((one) => [one.login, one]));
const bySubject = new Map(config.people.map((one) => [one.sub, one]));

const provider = new Provider(config.issuer, {
  clients: config.clients,
  jwks: config.jwks,
  cookies: { keys: ['of a test that is over soon'] },
  claims: {
    openid: ['sub', 'amr'],
    profile: ['preferred_username', 'name'],
    groups: ['groups'],
  },
  scopes: ['openid', 'profile', 'groups'],
  // Claims of scopes are in userinfo, as the standard has it, or in the ID token.
  conformIdTokenClaims: config.conformIdTokenClaims,
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  pkce: { required: () => true },
  // Its own guard refuses loopback, which is where this test lives.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount(ctx, sub) {
    const person = bySubject.get(sub);
    return person && {
      accountId: sub,
      claims: () => ({
        sub, preferred_username: person.name, groups: person.groups, name: person.name,
      }),
    };
  },
  // Everybody has agreed already: a company's own application asks nobody.
  async loadExistingGrant(ctx) {
    const { client, session, provider: it } = ctx.oidc;
    const id = session.grantIdFor(client.clientId);
    if (id) return it.Grant.find(id);
    const grant = new it.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid profile groups');
    await grant.save();
    return grant;
  },
  ttl: { Session: 3600, Interaction: 600, Grant: 3600, AccessToken: 600, IdToken: 600, AuthorizationCode: 60 },
});
provider.on('server_error', (ctx, error) => console.error(error));
provider.on('backchannel.error', (ctx, error) => console.error('backchannel', error));

const form = (uid, said) => `<!doctype html><title>Provider</title><h1>Example Company</h1>
<p>${said}</p><form method="post" action="/interaction/${uid}">
<label>Login <input name="login"></label><label>Secret <input name="secret" type="password"></label>
<button>Log in</button></form>`;

async function interact(req, res) {
  const { uid } = await provider.interactionDetails(req, res);
  let said = '';
  if (req.method === 'POST') {
    let body = '';
    for await (const piece of req) body += piece;
    const fields = new URLSearchParams(body);
    const person = byLogin.get(fields.get('login'));
    if (person && person.secret === fields.get('secret')) {
      const login = { accountId: person.sub, amr: person.amr };
      return provider.interactionFinished(req, res, { login }, { mergeWithLastSubmission: false });
    }
    said = 'Wrong login or secret.';
  }
  res.setHeader('content-type', 'text/html; charset=utf-8');
  return res.end(form(uid, said));
}

const answer = provider.callback();
const serve = (req, res) => {
  if (!req.url.startsWith('/interaction/')) return answer(req, res);
  return interact(req, res).catch((error) => { console.error(error); res.statusCode = 500; res.end(); });
};
const server = config.tls
  ? https.createServer({ cert: readFileSync(config.tls.cert), key: readFileSync(config.tls.key) }, serve)
  : http.createServer(serve);
server.listen(config.port, '127.0.0.1', () => console.log('ready'));
