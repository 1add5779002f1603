// Gets a token of the provider: node client.mjs ISSUER agent RESOURCE, or node client.mjs ISSUER person LOGIN. Prints it.
const [issuer, who, what] = process.argv.slice(2);
const secret = 'a-secret-of-tests-of-some-length';
const basic = (id) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
const found = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();

const token = async (id, fields) => {
  const response = await fetch(found.token_endpoint, {
    method: 'POST',
    headers: { authorization: basic(id) },
    body: new URLSearchParams(fields),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(JSON.stringify(answer));
  return answer;
};

if (who === 'agent') {
  console.log((await token('agent-7', { grant_type: 'client_credentials', resource: what, scope: 'act' })).access_token);
} else {
  // As a browser does: redirects by hand, cookies kept by their path, two forms filled in.
  const jar = new Map();
  const go = async (to, form) => {
    const url = new URL(to, issuer);
    const cookies = [...jar].filter(([, { path }]) => url.pathname.startsWith(path)).map(([name, { value }]) => `${name}=${value}`);
    const response = await fetch(url, {
      redirect: 'manual',
      method: form ? 'POST' : 'GET',
      headers: { cookie: cookies.join('; ') },
      body: form && new URLSearchParams(form),
    });
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...rest] = line.split('; ');
      const path = rest.find((part) => part.toLowerCase().startsWith('path='));
      jar.set(pair.slice(0, pair.indexOf('=')), { value: pair.slice(pair.indexOf('=') + 1), path: path?.slice(5) ?? '/' });
    }
    return response.headers.get('location');
  };
  const redirect_uri = `${issuer}/answered`;
  const ask = new URLSearchParams({ client_id: 'approvals', response_type: 'code', scope: 'openid email', redirect_uri });
  let at = await go(`${found.authorization_endpoint}?${ask}`);
  for (let step = 0; step < 10 && !at.startsWith(redirect_uri); step += 1) {
    if (!new URL(at, issuer).pathname.startsWith('/interaction/')) {
      at = await go(at);
      continue;
    }
    const page = at;
    at = await go(page, step < 2 ? { prompt: 'login', login: what, password: 'any' } : { prompt: 'consent' });
  }
  const code = new URL(at).searchParams.get('code');
  console.log((await token('approvals', { grant_type: 'authorization_code', code, redirect_uri })).id_token);
}
