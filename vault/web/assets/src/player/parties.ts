/**
 * One gain per party, both mixed to both ears: "solo" mutes the other party.
 *
 * The graph is made on the first play, because browsers suspend an
 * AudioContext that no gesture asked for.
 */
export class Parties {
  #context: AudioContext | undefined;
  readonly #gains: GainNode[] = [];
  #alone: number | null = null;

  constructor(private readonly media: HTMLMediaElement) {
    media.addEventListener('play', () => this.#wake());
  }

  get alone(): number | null {
    return this.#alone;
  }

  /** Hear only *channel* (0 left, 1 right), or everybody again with null. */
  solo(channel: number | null): void {
    this.#alone = channel;
    this.#apply();
  }

  #wake(): void {
    if (!this.#context) {
      this.#context = new AudioContext();
      const source = this.#context.createMediaElementSource(this.media);
      const split = this.#context.createChannelSplitter(2);
      source.connect(split);
      for (const channel of [0, 1]) {
        const gain = this.#context.createGain();
        split.connect(gain, channel);
        gain.connect(this.#context.destination);
        this.#gains.push(gain);
      }
      this.#apply();
    }
    void this.#context.resume();
  }

  #apply(): void {
    this.#gains.forEach((gain, channel) => {
      gain.gain.value = this.#alone === null || this.#alone === channel ? 1 : 0;
    });
  }
}
