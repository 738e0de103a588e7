/**
 * The session as this page knows it: its token, and news of it between tabs.
 *
 * The cookie is out of reach; the token stands in the page, as the server wrote it.
 * Every proof of who it is gives the session another secret and with it another
 * token: whoever gets one says `renewed`, and every form of every tab has it.
 */

export type News =
  | { readonly kind: 'active' }
  | { readonly kind: 'locked' }
  | { readonly kind: 'renewed'; readonly csrf: string };

const CURRENT = '/api/v1/sessions/current';
const channel = 'BroadcastChannel' in window ? new BroadcastChannel('callvault') : null;

/** Whether somebody is signed in on this page. */
export function isSignedIn(): boolean {
  return document.body.dataset['csrf'] !== undefined;
}

/** Send JSON as this session; the token goes along. */
export function send(path: string, body?: object, method = 'POST'): Promise<Response> {
  const headers: Record<string, string> = { 'X-CSRF-Token': document.body.dataset['csrf'] ?? '' };
  if (body) headers['Content-Type'] = 'application/json';
  return fetch(path, { method, headers, keepalive: true, ...(body && { body: JSON.stringify(body) }) });
}

export function sendToSession(what: string, body?: object): Promise<Response> {
  return send(`${CURRENT}/${what}`, body);
}

export interface Standing {
  readonly locked: boolean;
  readonly fresh?: boolean;
}

/** Ask how the session stands; null if there is none, or nobody answers. */
export async function standing(): Promise<Standing | null> {
  const answer = await fetch(CURRENT).catch(() => null);
  return answer?.ok ? ((await answer.json()) as Standing) : null;
}

/** Put the token of a renewed session in place, here and in every other tab. */
export function renewed(csrf: string): void {
  replaceToken(csrf);
  tell({ kind: 'renewed', csrf });
  document.dispatchEvent(new CustomEvent('session:renewed'));
}

export function tell(news: News): void {
  channel?.postMessage(news);
}

export function onNews(listener: (news: News) => void): void {
  channel?.addEventListener('message', (event: MessageEvent<News>) => {
    if (event.data.kind === 'renewed') replaceToken(event.data.csrf);
    listener(event.data);
  });
}

function replaceToken(csrf: string): void {
  if (isSignedIn()) document.body.dataset['csrf'] = csrf;
  for (const field of document.querySelectorAll<HTMLInputElement>('input[name=csrf]')) field.value = csrf;
}

/** What a proof form asks for, as the API takes it. */
export function proofOf(form: HTMLFormElement): object {
  const fields = new FormData(form);
  const [password, otp] = [String(fields.get('password') ?? ''), String(fields.get('otp') ?? '').trim()];
  return otp ? { password, otp } : { password };
}

/** Say why a proof was refused. */
export function refusalOf(status: number): string {
  if (status === 401) return 'The password or the code is wrong.';
  if (status === 429) return 'Too many tries. Wait a while, then try again.';
  if (status === 0) return 'The vault cannot be reached. Check your connection and try again.';
  return 'That is not possible now: the audit trail or the directory is not available. Try again in a moment.';
}

/** Copy the form that a template of the page holds, into a dialog of its own. */
export function dialogFrom(name: string): HTMLDialogElement | null {
  const template = document.querySelector<HTMLTemplateElement>(`template[data-dialog=${name}]`);
  const dialog = template?.content.firstElementChild?.cloneNode(true);
  if (!(dialog instanceof HTMLDialogElement)) return null;
  for (const field of dialog.querySelectorAll<HTMLInputElement>('input[name=csrf]')) {
    field.value = document.body.dataset['csrf'] ?? '';
  }
  document.body.append(dialog);
  return dialog;
}

/** Wire a dialog's form to *what* of the session; calls back once it is proved. */
export function askFor(dialog: HTMLDialogElement, what: string, proved: () => void): void {
  const form = dialog.querySelector<HTMLFormElement>('form[data-proof-form]');
  const trouble = dialog.querySelector<HTMLElement>('[data-trouble]');
  form?.addEventListener('submit', (event) => {
    event.preventDefault();
    void (async () => {
      const button = form.querySelector<HTMLButtonElement>('button.primary');
      if (button) button.disabled = true;
      const answer = await sendToSession(what, proofOf(form)).catch(() => null);
      if (button) button.disabled = false;
      for (const field of form.querySelectorAll<HTMLInputElement>('input:not([type=hidden], [hidden])')) field.value = '';
      if (answer?.ok) {
        renewed(((await answer.json()) as { csrf: string }).csrf);
        proved();
        return;
      }
      // A session that is over can't be proved for: the way leads out.
      if (answer?.status === 401 && (await fetch(CURRENT).catch(() => null))?.status === 401) {
        leave();
        return;
      }
      if (trouble) {
        trouble.textContent = refusalOf(answer?.status ?? 0);
        trouble.hidden = false;
      }
      form.querySelector<HTMLInputElement>('input[name=password]')?.focus();
    })();
  });
}

/** Go to the sign-in page, and from there back here. */
export function leave(): void {
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}
