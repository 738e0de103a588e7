/** Setting up second factors: an authenticator app, passkeys, recovery codes. */
import './factors.css';
import { created } from './passkeys';
import { ask } from './proof';
import { renewed } from './session';

const FACTORS = '/api/v1/factors';
const trouble = document.querySelector<HTMLElement>('[data-trouble]');

/** Do one thing at a time, and say what went wrong. */
function run(button: HTMLButtonElement | null, step: () => Promise<void>): void {
  if (button?.disabled) return;
  if (button) button.disabled = true;
  if (trouble) trouble.hidden = true;
  step()
    .catch((error: unknown) => {
      if (!trouble) return;
      trouble.textContent = error instanceof Error ? error.message : String(error);
      trouble.hidden = false;
      trouble.scrollIntoView({ block: 'nearest' });
    })
    .finally(() => {
      if (button) button.disabled = false;
    });
}

/** Send, and return what came back, or raise what the vault says about it. */
async function call<Answer>(path: string, body?: object, method = 'POST'): Promise<Answer> {
  const answer = await ask(path, body, method).catch(() => null);
  if (!answer) throw new Error('The vault cannot be reached. Check your connection and try again.');
  if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as Answer;
  const problem = (await answer.json().catch(() => ({}))) as { detail?: string };
  const said = problem.detail ?? 'That did not work.';
  throw new Error(`${said.charAt(0).toUpperCase()}${said.slice(1)}${/[.!?]$/.test(said) ? '' : '.'}`);
}

interface Added {
  readonly session?: { readonly csrf: string };
}

/** The first factor makes a half sign-in whole: its session has another token. */
function shownAgain(added: Added): void {
  if (added.session) renewed(added.session.csrf);
  location.reload();
}

/** Draw the code anew, shape by shape: no string becomes markup in these pages. */
function picture(svg: string): SVGSVGElement {
  const of = (name: string) => new RegExp(` ${name}="([^"]+)"`).exec(svg)?.[1] ?? '';
  const [drawn, path] = (['svg', 'path'] as const).map((name) => document.createElementNS('http://www.w3.org/2000/svg', name));
  drawn?.setAttribute('viewBox', of('viewBox'));
  drawn?.setAttribute('role', 'img');
  drawn?.setAttribute('aria-label', 'QR code for an authenticator app');
  for (const name of ['transform', 'stroke', 'd']) if (of(name)) path?.setAttribute(name, of(name));
  if (path) drawn?.append(path);
  return drawn as SVGSVGElement;
}

const setup = document.querySelector<HTMLElement>('[data-app-setup]');
document.querySelector<HTMLButtonElement>('[data-begin-app]')?.addEventListener('click', (event) => {
  run(event.currentTarget as HTMLButtonElement, async () => {
    const begun = await call<{ secret: string; svg: string }>(`${FACTORS}/totp`);
    setup?.querySelector('[data-app-picture]')?.replaceChildren(picture(begun.svg));
    const key = setup?.querySelector('[data-app-key]');
    if (key) key.textContent = begun.secret.replace(/(.{4})(?=.)/g, '$1 ');
    if (setup) setup.hidden = false;
    setup?.querySelector('input')?.focus();
  });
});

document.querySelector<HTMLFormElement>('[data-confirm-app]')?.addEventListener('submit', (event) => {
  event.preventDefault();
  const form = event.currentTarget as HTMLFormElement;
  run(form.querySelector('button'), async () => {
    const otp = String(new FormData(form).get('otp') ?? '').trim();
    shownAgain(await call<Added>(`${FACTORS}/totp/confirmation`, { otp }));
  });
});

document.querySelector<HTMLFormElement>('[data-add-passkey]')?.addEventListener('submit', (event) => {
  event.preventDefault();
  const form = event.currentTarget as HTMLFormElement;
  run(form.querySelector('button'), async () => {
    const name = String(new FormData(form).get('name') ?? '').trim();
    const { options } = await call<{ options: PublicKeyCredentialCreationOptionsJSON }>(`${FACTORS}/passkeys`);
    const credential = await created(options);
    shownAgain(await call<Added>(`${FACTORS}/passkeys/confirmation`, { name, credential }));
  });
});

const question = document.querySelector<HTMLDialogElement>('dialog[data-confirm]');

/** Whether somebody means it. */
function meant(text: string, verb: string): Promise<boolean> {
  return new Promise((resolve) => {
    const [asked, yes] = [question?.querySelector('[data-confirm-text]'), question?.querySelector('[data-confirm-yes]')];
    if (!question || !asked || !yes) return resolve(false);
    asked.textContent = text;
    yes.textContent = verb;
    question.returnValue = '';
    question.addEventListener('close', () => resolve(question.returnValue === 'yes'), { once: true });
    question.showModal();
  });
}

for (const button of document.querySelectorAll<HTMLButtonElement>('[data-remove]')) {
  button.addEventListener('click', () => {
    run(button, async () => {
      if (!(await meant(`Remove ${button.dataset['what'] ?? 'it'}?`, 'Remove'))) return;
      await call(button.dataset['remove'] ?? '', undefined, 'DELETE');
      location.reload();
    });
  });
}

const codes = document.querySelector<HTMLElement>('[data-codes]');
document.querySelector<HTMLButtonElement>('[data-make-codes]')?.addEventListener('click', (event) => {
  const button = event.currentTarget as HTMLButtonElement;
  run(button, async () => {
    const hasSome = Number(button.dataset['left']) > 0;
    if (hasSome && !(await meant('Make new recovery codes? The ones you have stop working.', 'Make new ones'))) return;
    const made = await call<{ codes: string[] }>(`${FACTORS}/recovery-codes`);
    const rows = made.codes.map((code) => Object.assign(document.createElement('li'), { textContent: code }));
    codes?.querySelector('[data-codes-list]')?.replaceChildren(...rows);
    if (codes) codes.hidden = false;
    const left = document.querySelector('[data-codes-left]');
    if (left) left.textContent = `${made.codes.length} unused.`;
    button.dataset['left'] = String(made.codes.length);
    codes?.scrollIntoView({ block: 'nearest' });
  });
});
document.querySelector('[data-print]')?.addEventListener('click', () => print());
