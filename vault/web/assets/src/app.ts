/**
 * What every page gets: htmx for partial updates, times in the reader's zone,
 * the theme switch, and arrow keys on lists.  Pages work without it.
 */
import 'htmx.org';
import './app.css';
import { localTimes } from './times';
import { rememberTheme } from './theme';
import { walkRows } from './rows';

rememberTheme();
localTimes(document);
walkRows();
// htmx 4 says `htmx:after:swap` on the document once new content is in place.
document.addEventListener('htmx:after:swap', () => localTimes(document));
