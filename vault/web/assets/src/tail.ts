/**
 * New entries of the trail, put on top of the list as they are logged.
 *
 * Off until somebody presses the button.  What was new is said to screen readers as a
 * count, at most every few seconds; rows come without moving what is being read.
 */
import { localTimes } from './times';

interface Fact {
  readonly name: string;
  readonly text: string;
  readonly whole: string;
  readonly href: string;
}
interface Entry {
  readonly index: number;
  readonly href: string;
  readonly time: string;
  readonly action: string;
  readonly actor: string;
  readonly who: string;
  readonly who_href: string;
  readonly via: string;
  readonly result: string;
  readonly has_text: boolean;
  readonly facts: readonly Fact[];
}

const MOST_ROWS = 500;
const SAY_EVERY_MS = 4000;

export function followTrail(): void {
  const place = document.querySelector<HTMLElement>('[data-tail]');
  const body = document.querySelector<HTMLElement>('[data-tail-body]');
  const blank = document.querySelector<HTMLTemplateElement>('[data-tail-row]');
  const button = place?.querySelector<HTMLButtonElement>('[data-tail-switch]');
  const said = place?.querySelector<HTMLElement>('[data-tail-said]');
  if (!place || !body || !blank || !button || !said || !('EventSource' in window)) return;

  let source: EventSource | null = null;
  let last = Number(place.dataset['after'] ?? '0');
  let fresh = 0;
  let saying = 0;

  const say = (): void => {
    saying = 0;
    if (fresh) said.textContent = `${fresh} new`;
  };
  const take = (event: MessageEvent<string>): void => {
    const entry = JSON.parse(event.data) as Entry;
    last = Math.max(last, entry.index);
    if (body.querySelector(`[data-index="${entry.index}"]`)) return;
    body.prepend(rowOf(blank, entry));
    localTimes(body);
    while (body.childElementCount > MOST_ROWS) body.lastElementChild?.remove();
    document.querySelector('[data-tail-table]')?.removeAttribute('hidden');
    document.querySelector('[data-tail-empty]')?.remove();
    fresh += 1;
    saying ||= window.setTimeout(say, SAY_EVERY_MS);
  };
  const show = (follows: boolean): void => {
    button.setAttribute('aria-pressed', String(follows));
    button.textContent = follows ? 'Pause' : 'Follow live';
  };
  const stop = (why: string): void => {
    source?.close();
    source = null;
    show(false);
    said.textContent = why;
  };
  const start = (): void => {
    const address = new URL(place.dataset['tail'] ?? '', location.href);
    address.searchParams.set('after', String(last));
    source = new EventSource(address);
    source.addEventListener('message', take);
    // Cut off, it comes back by itself; refused, it is over.
    source.addEventListener('error', () => {
      if (source?.readyState === EventSource.CLOSED) stop('Ended: press to go on.');
    });
    show(true);
    said.textContent = 'Following';
  };

  button.addEventListener('click', () => (source ? stop(fresh ? `Paused after ${fresh} new` : 'Paused') : start()));
  document.addEventListener('session:refused', () => stop('Ended: the session is locked or over.'));
  place.hidden = false;
}

function rowOf(blank: HTMLTemplateElement, entry: Entry): HTMLElement {
  const row = (blank.content.cloneNode(true) as DocumentFragment).firstElementChild as HTMLElement;
  const cell = <T extends HTMLElement>(name: string): T => row.querySelector<T>(`[data-cell=${name}]`)!;
  row.dataset['index'] = String(entry.index);
  row.dataset['fresh'] = '';
  link(cell('index'), String(entry.index), entry.href).setAttribute('aria-label', `Entry ${entry.index}`);
  const time = cell<HTMLTimeElement>('time');
  time.dateTime = entry.time;
  time.textContent = entry.time;
  link(cell('action'), entry.action, `/audit?query=${encodeURIComponent(`action:${entry.action}`)}`);
  link(cell('who'), entry.who, entry.who_href).title = entry.actor;
  cell('via').textContent = entry.via;
  const result = cell('result');
  result.textContent = entry.result;
  result.classList.add(entry.result);
  const facts = cell('facts');
  for (const fact of entry.facts) facts.append(factOf(fact), ' ');
  if (entry.has_text && blank.dataset['texts'] !== undefined) {
    const text = link(document.createElement('a'), 'Read the text', `/audit/${entry.index}/text`);
    text.dataset['proof'] = '';
    text.setAttribute('aria-label', `Read the text of entry ${entry.index}`);
    facts.append(text);
  }
  return row;
}

function factOf(fact: Fact): HTMLElement {
  const whole = document.createElement('span');
  whole.className = 'fact';
  const name = document.createElement('span');
  name.className = 'muted';
  name.textContent = fact.name;
  const text = fact.href ? link(document.createElement('a'), fact.text, fact.href) : document.createElement('span');
  text.textContent = fact.text;
  if (fact.whole) text.title = fact.whole;
  else if (fact.href) text.className = 'id mono';
  whole.append(name, ' ', text);
  return whole;
}

function link(anchor: HTMLAnchorElement, text: string, href: string): HTMLAnchorElement {
  anchor.textContent = text;
  // Ours alone: a path, whatever an entry says.
  anchor.href = href.startsWith('/') && !href.startsWith('//') ? href : '#';
  return anchor;
}
