/** Jumps over spans in which nobody speaks, leaving a breath on both sides. */
import type { Peaks } from './peaks';

const LEAD_S = 0.15;
const TAIL_S = 0.1;

export class SilenceSkipper {
  on = false;

  constructor(media: HTMLMediaElement, silences: Peaks['silences']) {
    media.addEventListener('timeupdate', () => {
      if (!this.on || media.paused) return;
      const now = media.currentTime;
      const span = silences.find(([start, stop]) => now >= start + LEAD_S && now < stop - LEAD_S);
      if (span) media.currentTime = span[1] - TAIL_S;
    });
  }
}
