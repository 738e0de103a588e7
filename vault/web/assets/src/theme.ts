/** Light, dark or the system's: the choice is kept in this browser only. */

const KEY = 'callvault-theme';
const NEXT: Record<string, string> = { '': 'dark', dark: 'light', light: '' };
const NAMES: Record<string, string> = { '': 'System', dark: 'Dark', light: 'Light' };

function stored(): string {
  try {
    const choice = localStorage.getItem(KEY) ?? '';
    return choice in NEXT ? choice : '';
  } catch {
    return ''; // storage may be forbidden; the system's choice is fine
  }
}

function show(choice: string, button: HTMLButtonElement | null): void {
  if (choice) document.documentElement.dataset['theme'] = choice;
  else delete document.documentElement.dataset['theme'];
  if (button) button.textContent = `Theme: ${NAMES[choice]}`;
}

export function rememberTheme(): void {
  const button = document.querySelector<HTMLButtonElement>('button[data-theme-switch]');
  let choice = stored();
  show(choice, button);
  if (!button) return;
  button.hidden = false;
  button.addEventListener('click', () => {
    choice = NEXT[choice] ?? '';
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // kept for this page only
    }
    show(choice, button);
  });
}
