/** `<time datetime>` is UTC in the page; the reader sees their own, and on hover which zone that is and UTC. */

const WITH_ZONE = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' });
const DATE_TIME = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

export function localTimes(root: ParentNode): void {
  for (const element of root.querySelectorAll<HTMLTimeElement>('time[datetime]:not([data-local])')) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime()) || !element.dateTime.includes('T')) continue;
    element.title = `${WITH_ZONE.format(moment)} = ${element.dateTime} (UTC)`;
    element.textContent = DATE_TIME.format(moment);
    element.dataset['local'] = '';
  }
}
