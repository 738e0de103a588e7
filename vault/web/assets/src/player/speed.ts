/** Playback rate in named steps, pitch kept. */

const RATES = [0.5, 0.75, 1, 1.25, 1.5, 2, 3] as const;

export class Speed {
  #at: number = RATES.indexOf(1);

  constructor(
    private readonly media: HTMLMediaElement,
    private readonly out: HTMLOutputElement,
  ) {
    media.preservesPitch = true;
  }

  step(by: number): void {
    this.#at = Math.max(0, Math.min(RATES.length - 1, this.#at + by));
    const rate = RATES[this.#at] ?? 1;
    this.media.playbackRate = rate;
    this.out.value = `${rate}×`;
  }
}
