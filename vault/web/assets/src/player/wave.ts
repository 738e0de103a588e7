/**
 * The split waveform: a picture of the call, never its only control.
 *
 * It is drawn from the peaks and so downloads no sound; the slider and the
 * buttons below it do the same for keyboards and screen readers.
 */
import WaveSurfer from 'wavesurfer.js';
import Timeline from 'wavesurfer.js/plugins/timeline';
import type { Peaks } from './peaks';

const LANE_HEIGHT_PX = 72;
// More than two for every bar of the widest screen there is.
const SAMPLES_AT_LEAST = 4096;

export function draw(box: HTMLElement, container: HTMLElement, media: HTMLMediaElement, peaks: Peaks): WaveSurfer {
  const style = getComputedStyle(box);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const lanes = [
    { waveColor: color('--first-ahead'), progressColor: color('--first') },
    { waveColor: color('--second-ahead'), progressColor: color('--second') },
  ];
  const wave = WaveSurfer.create({
    container,
    media,
    peaks: peaks.channels.map((channel) => stretched(channel)),
    duration: peaks.duration,
    height: LANE_HEIGHT_PX,
    barWidth: 2,
    barGap: 1,
    barRadius: 1,
    barMinHeight: 1,
    // Telephone speech seldom comes near full scale; both lanes grow alike, so
    // that a silent party is never blown up into a talking one.
    barHeight: 1.5,
    cursorWidth: 2,
    cursorColor: color('--cursor'),
    dragToSeek: true,
    splitChannels: lanes.slice(0, peaks.channels.length),
    plugins: [Timeline.create({ height: 20, secondaryLabelOpacity: 1, style: { color: color('--muted'), fontSize: '11px' } })],
  });
  dress(wave);
  return wave;
}

/**
 * What wavesurfer.js 8.0.1 would put into a `<style>` of its own, which the content
 * security policy does not let in: a sheet that is constructed needs no exception.
 */
function dress(wave: WaveSurfer): void {
  const root = wave.getWrapper().getRootNode();
  if (!(root instanceof ShadowRoot)) return;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { user-select: none; min-width: 1px; }
    .scroll { overflow-x: auto; overflow-y: hidden; width: 100%; position: relative; }
    .noScrollbar { scrollbar-color: transparent; scrollbar-width: none; }
    .noScrollbar::-webkit-scrollbar { display: none; }
    .wrapper { position: relative; overflow: visible; z-index: 2; }
    .canvases { min-height: ${LANE_HEIGHT_PX}px; pointer-events: none; }
    .canvases > div { position: relative; }
    canvas { display: block; position: absolute; top: 0; image-rendering: pixelated; }
    .progress { pointer-events: none; position: absolute; z-index: 2; top: 0; left: 0; width: 0; height: 100%; overflow: hidden; }
    .progress > div { position: relative; }
    .cursor { pointer-events: none; position: absolute; z-index: 5; top: 0; left: 0; height: 100%; border-radius: 2px; }
  `);
  root.adoptedStyleSheets = [sheet];
}

/**
 * Repeat the amplitudes of a short call until every bar has some of its own:
 * a bar without one is drawn as a gap, and a steady tone looks like lost packets.
 */
function stretched(channel: Float32Array): Float32Array {
  const times = Math.ceil(SAMPLES_AT_LEAST / Math.max(1, channel.length));
  if (times <= 1) return channel;
  const result = new Float32Array(channel.length * times);
  channel.forEach((amplitude, at) => result.fill(amplitude, at * times, (at + 1) * times));
  return result;
}

/** Colours are painted into a canvas, so a change of theme paints again. */
export function follow(wave: WaveSurfer, box: HTMLElement, peaks: Peaks): void {
  const repaint = () => {
    const style = getComputedStyle(box);
    const color = (name: string) => style.getPropertyValue(name).trim();
    wave.setOptions({
      cursorColor: color('--cursor'),
      splitChannels: [
        { waveColor: color('--first-ahead'), progressColor: color('--first') },
        { waveColor: color('--second-ahead'), progressColor: color('--second') },
      ].slice(0, peaks.channels.length),
    });
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);
  new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ['data-theme'] });
}
