/**
 * A fresh proof before what leaves the vault or can't be undone.
 *
 * Links and forms marked `data-proof` wait for it; `ask` repeats a request that was
 * refused for want of it.  Without this script the server asks on a page of its own.
 */
import { askFor, dialogFrom, isSignedIn, send, standing } from './session';

export function askForProofs(): void {
  if (!isSignedIn()) return;
  document.addEventListener('click', (event) => {
    const link = (event.target as Element).closest<HTMLAnchorElement>('a[data-proof]');
    if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    void proven().then((given) => (given ? location.assign(link.href) : undefined));
  });
  document.addEventListener('submit', (event) => {
    const form = event.target as HTMLFormElement;
    if (form.dataset['proof'] === undefined || form.dataset['proof'] === 'given') return;
    event.preventDefault();
    event.stopImmediatePropagation();
    void proven().then((given) => {
      if (!given) return;
      form.dataset['proof'] = 'given';
      form.requestSubmit(event.submitter);
      form.dataset['proof'] = '';
    });
  }, { capture: true });
}

/** Whether the reader proved of late who they are, or does so now. */
export async function proven(): Promise<boolean> {
  const now = await standing();
  // Whatever else is wrong, the request itself is told.
  return now === null || now.locked || now.fresh !== false ? true : prove();
}

/** Send JSON; where a fresh proof is wanted, ask for it and send again. */
export async function ask(path: string, body?: object, method = 'POST'): Promise<Response> {
  const answer = await send(path, body, method);
  if (answer.status === 401) document.dispatchEvent(new CustomEvent('session:refused'));
  if (answer.status !== 403) return answer;
  const problem = (await answer.clone().json().catch(() => ({}))) as { type?: string };
  if (problem.type !== '/problems/step-up-required' || !(await prove())) return answer;
  return send(path, body, method);
}

function prove(): Promise<boolean> {
  const dialog = dialogFrom('proof');
  if (!dialog) return Promise.resolve(false);
  return new Promise((resolve) => {
    let given = false;
    const done = () => {
      given = true;
      dialog.close();
    };
    askFor(dialog, 'step-up', done);
    // A passkey proves it without this form.
    document.addEventListener('session:renewed', done, { once: true });
    dialog.querySelector('[data-leave]')?.addEventListener('click', () => dialog.close());
    dialog.addEventListener('close', () => {
      document.removeEventListener('session:renewed', done);
      dialog.remove();
      resolve(given);
    });
    dialog.showModal();
    dialog.querySelector<HTMLInputElement>('input[name=password]')?.focus();
  });
}
