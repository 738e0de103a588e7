/**
 * What every page gets: htmx for partial updates, times in the reader's zone,
 * the theme switch, arrow keys on lists, the idle lock and fresh proofs.  Pages work
 * without it.
 */
import 'htmx.org';
import './trusted';
import './app.css';
import { copyOnPress } from './copy';
import { watchIdle } from './lock';
import { askForProofs } from './proof';
import { takePasskeys } from './passkeys';
import { onNews } from './session';
import { followTrail } from './tail';
import { localTimes } from './times';
import { rememberTheme } from './theme';
import { walkRows } from './rows';

rememberTheme();
localTimes(document);
walkRows();
// htmx 4 says `htmx:after:swap` on the document once new content is in place.
document.addEventListener('htmx:after:swap', () => localTimes(document));
watchIdle();
askForProofs();
takePasskeys();
copyOnPress();
followTrail();
// What the server refuses is no new content: the session is locked, or over.
document.addEventListener('htmx:before:response', (event) => {
  const { ctx } = (event as CustomEvent<{ ctx: { response: { status: number } } }>).detail;
  if (ctx.response.status !== 401) return;
  event.preventDefault();
  document.dispatchEvent(new CustomEvent('session:refused'));
});
// The page that a locked session gets goes on once another tab unlocked it.
const waiting = document.querySelector<HTMLInputElement>('form[data-unlock-page] input[name=next]');
if (waiting) onNews((news) => (news.kind === 'renewed' ? location.assign(waiting.value) : undefined));
