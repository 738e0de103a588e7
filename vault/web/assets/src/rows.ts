/** Arrow keys (or j and k) move between the rows of a list, "/" goes to its first filter. */

const TYPING = 'input, textarea, select, [contenteditable], dialog, [data-recording]';

export function walkRows(): void {
  document.addEventListener('keydown', (event) => {
    const at = event.target as Element;
    if (event.ctrlKey || event.metaKey || event.altKey || at.closest(TYPING)) return;
    const list = document.querySelector('[data-rows], [data-tail-body]');
    if (!list) return;
    if (event.key === '/') {
      event.preventDefault();
      document.querySelector<HTMLElement>('[data-filters] input, [data-filters] select')?.focus();
      return;
    }
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (!step) return;
    const links = [...list.querySelectorAll<HTMLAnchorElement>('a[data-row], a[data-walk]')];
    const next = links[links.indexOf(document.activeElement as HTMLAnchorElement) + step] ?? links[0];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}
