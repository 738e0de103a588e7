/**
 * Which rendition to ask for, and what to say when there is none.
 *
 * FLAC is made for every call; M4A only when a browser needs it, and then the
 * server answers 409 with Retry-After until it is there.
 */

export interface Trouble {
  readonly status: number;
  readonly title: string;
  readonly retryAfter: number;
}

export function sourceFor(media: HTMLMediaElement, url: string): string {
  // WebKit plays FLAC but seeks in it badly; it is given M4A (DESIGN section 6).
  const webkit = navigator.vendor.startsWith('Apple');
  return webkit || media.canPlayType('audio/flac') === '' ? `${url}?format=m4a` : url;
}

/** Ask for one octet: the answer says in words why nothing plays. */
export async function probe(url: string): Promise<Trouble | null> {
  try {
    const answer = await fetch(url, { headers: { Range: 'bytes=0-0' } });
    if (answer.ok) return null;
    if (answer.status === 401) document.dispatchEvent(new CustomEvent('session:refused'));
    const problem = (await answer.json().catch(() => ({}))) as { title?: string };
    return {
      status: answer.status,
      title: problem.title ?? '',
      retryAfter: Number(answer.headers.get('Retry-After') ?? 0),
    };
  } catch {
    return { status: 0, title: '', retryAfter: 0 };
  }
}

const WORDS: Readonly<Record<number, string>> = {
  0: 'The vault cannot be reached. Check your connection and try again.',
  401: 'You have been signed out. Sign in again to listen.',
  403: 'You may not listen to this recording.',
  404: 'This recording is no longer available to you.',
  409: 'This recording is still being prepared. Try again in a moment.',
  410: 'This recording was erased.',
  429: 'Too many requests. Wait a minute, then try again.',
  502: 'This recording is damaged and cannot be played. The finding is on the audit trail.',
  503: 'Playback is refused for now: the audit trail or the key service is not available.',
};

export function explain(trouble: Trouble): string {
  return WORDS[trouble.status] ?? `Playback failed (${trouble.status} ${trouble.title}).`;
}
