/** One-key shortcuts, active only while the focus is in the player (WCAG 2.1.4). */

export type Keys = Readonly<Record<string, () => void>>;

const TYPING = 'input:not([type=range]), textarea, select, [contenteditable], dialog';

export function listen(box: HTMLElement, keys: Keys): void {
  box.addEventListener('keydown', (event) => {
    const at = event.target as Element;
    if (event.ctrlKey || event.metaKey || event.altKey || at.closest(TYPING)) return;
    // Space on a focused button is that button's, not the player's.
    if (event.key === ' ' && at.closest('button, a, summary')) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
