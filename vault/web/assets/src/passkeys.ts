/**
 * Passkeys in the forms that take a password: to sign in, to unlock, to prove again.
 *
 * A form says by its action what it is for.  On the sign-in page the browser offers
 * passkeys beside names, too, where it can (conditional mediation).
 */
import { isSignedIn, renewed } from './session';

const SESSIONS = '/api/v1/sessions';
let waiting: AbortController | null = null;

export function takePasskeys(): void {
  if (!('PublicKeyCredential' in window) || !('parseRequestOptionsFromJSON' in PublicKeyCredential)) return;
  document.documentElement.dataset['passkeys'] = '';
  document.addEventListener('click', (event) => {
    const button = (event.target as Element).closest<HTMLButtonElement>('button[data-passkey]');
    const form = button?.closest('form');
    if (button && form) void byButton(form, button);
  });
  const entry = document.querySelector<HTMLFormElement>('form[action="/sign-in"]:has([data-passkey])');
  if (entry) void offerBesideNames(entry);
}

/** Ask the browser's authenticator to make a passkey. */
export async function created(options: PublicKeyCredentialCreationOptionsJSON): Promise<object> {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const made = await navigator.credentials.create({ publicKey }).catch(named);
  return (made as PublicKeyCredential).toJSON() as object;
}

async function byButton(form: HTMLFormElement, button: HTMLButtonElement): Promise<void> {
  button.disabled = true;
  say(form, '');
  // One request at a time: the one that waits beside the names makes way.
  waiting?.abort();
  waiting = null;
  try {
    await handIn(form, await answered(form, {}));
  } catch (error) {
    say(form, error instanceof Error ? error.message : String(error));
  } finally {
    button.disabled = false;
  }
}

async function offerBesideNames(form: HTMLFormElement): Promise<void> {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  waiting = new AbortController();
  // Nobody asked for this: only what comes of a passkey that was picked is told.
  const shown = await answered(form, { mediation: 'conditional', signal: waiting.signal }).catch(() => null);
  if (!shown) return;
  await handIn(form, shown).catch((error: unknown) => say(form, error instanceof Error ? error.message : String(error)));
}

interface Shown {
  readonly path: string;
  readonly body: object;
}

/** Get a challenge, and have the authenticator answer it. */
async function answered(form: HTMLFormElement, how: CredentialRequestOptions): Promise<Shown> {
  const purpose = form.dataset['purpose'] ?? (form.getAttribute('action') ?? '').slice(1);
  const signingIn = purpose === 'sign-in';
  const path = signingIn ? `${SESSIONS}/passkey` : `${SESSIONS}/current/passkey`;
  const asked = signingIn ? {} : { purpose };
  const { options } = await post<{ options: PublicKeyCredentialRequestOptionsJSON }>(form, path, asked);
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  const shown = await navigator.credentials.get({ ...how, publicKey }).catch(named);
  return { path, body: { ...asked, credential: (shown as PublicKeyCredential).toJSON() as object } };
}

/** Hand the answer in, and go on. */
async function handIn(form: HTMLFormElement, shown: Shown): Promise<void> {
  const { csrf } = await post<{ csrf: string }>(form, `${shown.path}/confirmation`, shown.body);
  if (isSignedIn()) renewed(csrf);
  const next = form.querySelector<HTMLInputElement>('input[name=next]')?.value;
  if (next) location.assign(next);
}

async function post<Answer>(form: HTMLFormElement, path: string, body: object): Promise<Answer> {
  const csrf = form.querySelector<HTMLInputElement>('input[name=csrf]')?.value ?? document.body.dataset['csrf'] ?? '';
  const empty = Object.keys(body).length === 0;
  const answer = await fetch(path, {
    method: 'POST',
    headers: { 'X-CSRF-Token': csrf, ...(empty ? {} : { 'Content-Type': 'application/json' }) },
    ...(empty ? {} : { body: JSON.stringify(body) }),
  }).catch(() => null);
  if (answer?.ok) return (await answer.json()) as Answer;
  throw new Error(refusal(answer?.status ?? 0));
}

function refusal(status: number): string {
  if (status === 0) return 'The vault cannot be reached. Check your connection and try again.';
  if (status === 401) return 'The passkey was not accepted. Try again, or use your password.';
  if (status === 404) return 'You have no passkey yet: use your password.';
  if (status === 409) return 'Passkeys do not work under this address.';
  if (status === 429) return 'Too many tries. Wait a while, then try again.';
  return 'That is not possible now. Try again in a moment.';
}

/** What browsers throw says little, and differently in each. */
function named(error: unknown): never {
  const name = error instanceof DOMException ? error.name : '';
  if (name === 'InvalidStateError') throw new Error('This device has a passkey of yours already.');
  if (name === 'NotAllowedError') throw new Error('No passkey was used: it was cancelled, took too long, or did not verify you.');
  if (name === 'SecurityError') throw new Error('Passkeys do not work under this address.');
  throw error;
}

function say(form: HTMLFormElement, text: string): void {
  const place = form.querySelector<HTMLElement>('[data-passkey-trouble]');
  if (!place) return;
  place.textContent = text;
  place.hidden = !text;
}
