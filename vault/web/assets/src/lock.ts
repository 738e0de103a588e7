/**
 * The idle lock: after a while without anybody the page is covered, not left.
 *
 * Nothing of it is seen, read out or reached: it is out of view and out of the
 * accessibility tree, and what media had buffered is dropped.  It stays as it was
 * (place, forms, position of the player) for whoever proves that they are its reader.
 * The server locks the session by its own clock; this only shows it.
 */
import { askFor, dialogFrom, isSignedIn, leave, onNews, sendToSession, standing, tell } from './session';

const TICK_MS = 1000;
const TELL_EVERY_MS = 15_000;
const WARN_MS = 60_000;
const SIGNS_OF_LIFE = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart'];

let screen: HTMLDialogElement | null = null;
let resume: (() => void)[] = [];

export function watchIdle(): void {
  const idleMs = Number(document.body.dataset['idleS'] ?? 0) * 1000;
  if (!isSignedIn() || !idleMs) return;
  const clock = new IdleClock();
  const warning = new Warning();
  let told = Date.now();

  const alive = () => {
    if (screen) return;
    clock.restart();
    warning.hide();
    if (Math.abs(Date.now() - told) < TELL_EVERY_MS) return;
    told = Date.now();
    tell({ kind: 'active' });
    void sendToSession('activity').then((answer) => (answer.status === 401 ? check() : undefined), () => undefined);
  };
  const tick = () => {
    if (screen) return;
    const left = idleMs - clock.idleMs();
    if (left <= 0) lock({ tellOthers: true });
    else if (left <= WARN_MS && idleMs > 2 * WARN_MS) warning.show();
  };
  for (const name of SIGNS_OF_LIFE) addEventListener(name, alive, { passive: true, capture: true });
  setInterval(tick, TICK_MS);
  // A computer that slept, or a tab in the background, has no ticks.
  document.addEventListener('visibilitychange', tick);
  addEventListener('pageshow', (event) => (event.persisted ? void check() : undefined));
  document.addEventListener('session:renewed', () => {
    clock.restart();
    unlock();
  });
  document.addEventListener('session:refused', () => void check());
  onNews((news) => {
    if (news.kind === 'locked') lock({ tellOthers: false });
    else clock.restart();
    warning.hide();
    if (news.kind === 'renewed') unlock();
  });
  const button = document.querySelector<HTMLButtonElement>('button[data-lock-now]');
  if (!button) return;
  button.hidden = false;
  button.addEventListener('click', () => lock({ tellOthers: true }));
}

/** The server refused: cover a page whose session is locked, leave where it is over. */
async function check(): Promise<void> {
  const now = await standing();
  if (now?.locked) lock({ tellOthers: false });
  else if (!now) leave();
}

function lock({ tellOthers }: { tellOthers: boolean }): void {
  if (screen) return;
  screen = dialogFrom('lock');
  if (!screen) return;
  askFor(screen, 'unlock', () => undefined);
  if (tellOthers) {
    tell({ kind: 'locked' });
    void sendToSession('lock').catch(() => undefined);
  }
  const here = document.activeElement;
  const title = document.title;
  document.documentElement.dataset['locked'] = '';
  document.title = 'Locked · Callvault';
  const covered = [...document.body.children].filter((one) => one !== screen && !one.hasAttribute('inert'));
  for (const one of covered) one.setAttribute('inert', '');
  resume = [...document.querySelectorAll<HTMLMediaElement>('audio, video')].map(suspend);
  resume.push(() => {
    delete document.documentElement.dataset['locked'];
    document.title = title;
    for (const one of covered) one.removeAttribute('inert');
    if (here instanceof HTMLElement) here.focus({ preventScroll: true });
  });
  const cover = screen;
  cover.addEventListener('cancel', (event) => event.preventDefault());
  // A browser closes a dialog at the second Escape, whatever anybody says.
  cover.addEventListener('close', () => (screen === cover ? cover.showModal() : undefined));
  cover.showModal();
  cover.querySelector<HTMLInputElement>('input[name=password]')?.focus();
}

function unlock(): void {
  if (!screen) return;
  const cover = screen;
  screen = null;
  cover.close();
  cover.remove();
  for (const step of resume) step();
  resume = [];
}

/** Stop a player and drop what it holds; return how it stands there again, paused. */
function suspend(media: HTMLMediaElement): () => void {
  const [source, at, rate] = [media.getAttribute('src'), media.currentTime, media.playbackRate];
  media.pause();
  if (source === null) return () => undefined;
  media.removeAttribute('src');
  media.load();
  // Loading takes back the events that were still to come.
  media.dispatchEvent(new Event('pause'));
  return () => {
    media.src = source;
    media.load();
    media.currentTime = at;
    media.playbackRate = rate;
    // An element without data keeps the place, but tells nobody.
    media.dispatchEvent(new Event('timeupdate'));
  };
}

/** How long nobody was here, whatever happens to the clock. */
class IdleClock {
  private wall = Date.now();
  private steady = performance.now();

  restart(): void {
    this.wall = Date.now();
    this.steady = performance.now();
  }

  idleMs(): number {
    // The steady clock stops while a computer sleeps, the other one may be put back.
    return Math.max(Date.now() - this.wall, performance.now() - this.steady);
  }
}

/** A word before the page is covered. */
class Warning {
  private shown: HTMLElement | null = null;

  show(): void {
    if (this.shown) return;
    this.shown = document.createElement('p');
    this.shown.className = 'notice warn soon';
    this.shown.setAttribute('role', 'status');
    this.shown.textContent = 'Are you still here? This page locks in a minute.';
    document.body.append(this.shown);
  }

  hide(): void {
    this.shown?.remove();
    this.shown = null;
  }
}
