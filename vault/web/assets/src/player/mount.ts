/** Wires one player: element, waveform, controls, keys, and what to say when it fails. */
import { clockText } from './clock';
import { find } from './find';
import { listen } from './keys';
import { Parties } from './parties';
import { fetchPeaks, type Peaks } from './peaks';
import { SilenceSkipper } from './silence';
import { explain, probe, sourceFor } from './source';
import { Speed } from './speed';
import { draw, follow } from './wave';

const JUMP_S = 10;
const STEP_S = 5;
const NUDGE_S = 0.5;
const READY_TRIES = 60;

export async function mount(box: HTMLElement): Promise<void> {
  const media = find<HTMLAudioElement>('audio', box);
  const say = announcer(box);
  const url = sourceFor(media, box.dataset['audio'] ?? '');
  // The element preloads nothing: until somebody presses Play no sound leaves
  // the vault, and the trail says of nobody that they listened.
  media.src = url;
  const peaks = (await fetchPeaks(box.dataset['peaks'] ?? '')) ?? silentPeaks(box);
  const wave = draw(box, find('[data-wave]', box), media, peaks);
  follow(wave, box, peaks);
  const seek = seeking(wave, media);
  wave.on('interaction', seek);
  controls(box, media, peaks, seek, () => say(''));
  let recovering = false;
  media.addEventListener('error', () => {
    if (recovering) return; // Play was pressed again while we wait
    recovering = true;
    void recover(media, url, say).finally(() => (recovering = false));
  });
  wave.on('ready', () => {
    box.dataset['ready'] = 'yes';
    say('');
    // Space plays at once, unless the reader is already somewhere else.
    if (document.activeElement === document.body) find<HTMLElement>('[data-play]', box).focus();
  });
}

/** Wait while the worker still makes the rendition; false once it is hopeless. */
async function ready(url: string, say: (text: string) => void): Promise<boolean> {
  for (let n = 0; n < READY_TRIES; n++) {
    const trouble = await probe(url);
    if (!trouble) return true;
    say(explain(trouble));
    if (trouble.status !== 409 || trouble.retryAfter <= 0) return false;
    await new Promise((resolve) => setTimeout(resolve, trouble.retryAfter * 1000));
  }
  return false;
}

/** Say why nothing plays; where the rendition is still being made, wait and play it. */
async function recover(media: HTMLMediaElement, url: string, say: (text: string) => void): Promise<void> {
  // A failed element still counts as playing; the button must say Play again.
  media.pause();
  const trouble = await probe(url);
  if (!trouble) {
    say('Playback broke off here. If it does so again at this place, the recording is damaged there.');
    return;
  }
  say(explain(trouble));
  if (trouble.status !== 409 || !(await ready(url, say))) return;
  reload(media);
  say('The recording is ready. Press Play.');
  // Play was pressed to get here; a browser that wants it pressed again says no.
  await media.play().then(() => say(''), () => undefined);
}

/** Forget a failure, not the place. */
function reload(media: HTMLMediaElement): void {
  const at = media.currentTime;
  media.load();
  media.currentTime = at;
}

type Seek = (to: number) => void;

/** Seek without loading: before the first play only the place is kept. */
function seeking(wave: ReturnType<typeof draw>, media: HTMLMediaElement): Seek {
  return (to) => {
    wave.setTime(to);
    // The waveform holds a place back until the element can play.
    if (media.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) media.currentTime = to;
    // An element without data keeps the place, but tells nobody.
    if (media.readyState === HTMLMediaElement.HAVE_NOTHING) media.dispatchEvent(new Event('timeupdate'));
  };
}

function announcer(box: HTMLElement): (text: string) => void {
  const notice = find<HTMLElement>('[data-notice]', box);
  return (text) => {
    notice.textContent = text;
    notice.hidden = text === '';
  };
}

/** A recording whose peaks can't be had still plays: two flat lanes. */
function silentPeaks(box: HTMLElement): Peaks {
  const duration = Number(box.dataset['duration'] ?? 0);
  return { duration, labels: [], channels: [new Float32Array(2)], silences: [] };
}

function controls(box: HTMLElement, media: HTMLAudioElement, peaks: Peaks, seek: Seek, calm: () => void): void {
  const seconds = () => (Number.isFinite(media.duration) ? media.duration : peaks.duration);
  const go = (by: number) => {
    seek(Math.max(0, Math.min(seconds(), media.currentTime + by)));
  };
  const toggle = () => {
    if (!media.paused) {
      media.pause();
      return;
    }
    if (media.error) reload(media);
    calm();
    // The error event says why; the promise would only say that.
    void media.play().catch(() => undefined);
  };
  const speed = new Speed(media, find('[data-rate]', box));
  const toggleSkip = silenceButton(box, new SilenceSkipper(media, peaks.silences));
  const solo = soloButtons(box, new Parties(media));
  playButton(box, media, toggle);
  slider(box, media, seconds, seek);
  for (const button of box.querySelectorAll<HTMLButtonElement>('[data-go]')) {
    button.addEventListener('click', () => go(Number(button.dataset['go'])));
  }
  for (const button of box.querySelectorAll<HTMLButtonElement>('[data-speed]')) {
    button.addEventListener('click', () => speed.step(Number(button.dataset['speed'])));
  }
  const help = find<HTMLDialogElement>('dialog', box);
  find('[data-help]', box).addEventListener('click', () => help.showModal());
  listen(box, {
    ' ': toggle,
    k: toggle,
    j: () => go(-JUMP_S),
    l: () => go(JUMP_S),
    ArrowLeft: () => go(-STEP_S),
    ArrowRight: () => go(STEP_S),
    ',': () => go(-NUDGE_S),
    '.': () => go(NUDGE_S),
    Home: () => go(-seconds()),
    End: () => go(seconds()),
    '<': () => speed.step(-1),
    '>': () => speed.step(1),
    s: toggleSkip,
    '1': () => solo(0),
    '2': () => solo(1),
    '0': () => solo(null),
    '?': () => help.showModal(),
  });
  for (const control of box.querySelectorAll<HTMLButtonElement | HTMLInputElement>('button, input')) {
    control.disabled = false;
  }
}

function playButton(box: HTMLElement, media: HTMLAudioElement, toggle: () => void): void {
  const button = find<HTMLButtonElement>('[data-play]', box);
  button.addEventListener('click', toggle);
  const show = () => {
    button.dataset['playing'] = media.paused ? 'no' : 'yes';
    find('[data-play-text]', button).textContent = media.paused ? 'Play' : 'Pause';
  };
  media.addEventListener('play', show);
  media.addEventListener('pause', show);
  media.addEventListener('ended', show);
}

function slider(box: HTMLElement, media: HTMLAudioElement, seconds: () => number, seek: Seek): void {
  const clock = find<HTMLElement>('[data-clock]', box);
  const input = find<HTMLInputElement>('[data-seek]', box);
  const show = () => {
    const [now, all] = [clockText(media.currentTime), clockText(seconds())];
    clock.textContent = `${now} / ${all}`;
    input.max = String(seconds());
    input.value = String(media.currentTime);
    input.setAttribute('aria-valuetext', `${now} of ${all}`);
  };
  for (const name of ['timeupdate', 'seeked', 'loadedmetadata']) media.addEventListener(name, show);
  input.addEventListener('input', () => {
    seek(Number(input.value));
  });
  show();
}

function silenceButton(box: HTMLElement, skipper: SilenceSkipper): () => void {
  const button = find<HTMLButtonElement>('[data-skip]', box);
  const toggle = () => {
    skipper.on = !skipper.on;
    button.setAttribute('aria-pressed', String(skipper.on));
  };
  button.addEventListener('click', toggle);
  return toggle;
}

function soloButtons(box: HTMLElement, parties: Parties): (channel: number | null) => void {
  const buttons = [...box.querySelectorAll<HTMLButtonElement>('[data-solo]')];
  const solo = (channel: number | null) => {
    if (channel !== null && channel >= buttons.length) return;
    parties.solo(channel === parties.alone ? null : channel);
    for (const button of buttons) {
      button.setAttribute('aria-pressed', String(Number(button.dataset['solo']) === parties.alone));
    }
    for (const lane of box.querySelectorAll<HTMLElement>('[data-lane]')) {
      const muted = parties.alone !== null && Number(lane.dataset['lane']) !== parties.alone;
      lane.dataset['muted'] = muted ? 'yes' : 'no';
    }
  };
  for (const button of buttons) {
    button.addEventListener('click', () => solo(Number(button.dataset['solo'])));
  }
  return solo;
}
