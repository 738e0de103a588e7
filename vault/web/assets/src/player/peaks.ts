/** Waveform and silences, computed when the call was rendered; as confidential as its sound. */

export interface Peaks {
  readonly duration: number;
  readonly labels: readonly string[];
  readonly channels: readonly Float32Array[];
  readonly silences: readonly (readonly [number, number])[];
}

interface WirePeaks {
  v: number;
  duration_s: number;
  rate_hz: number;
  channels: { label: string; peaks: string }[];
  silences: [number, number][];
}

/** Base64 of signed octets → amplitudes in -1 … 1. */
export function amplitudes(base64: string): Float32Array {
  const octets = atob(base64);
  const result = new Float32Array(octets.length);
  for (let i = 0; i < octets.length; i++) result[i] = ((octets.charCodeAt(i) << 24) >> 24) / 127;
  return result;
}

export async function fetchPeaks(url: string): Promise<Peaks | null> {
  const answer = await fetch(url, { headers: { Accept: 'application/json' } });
  if (!answer.ok) return null;
  const wire = (await answer.json()) as WirePeaks;
  return {
    duration: wire.duration_s,
    labels: wire.channels.map((channel) => channel.label),
    channels: wire.channels.map((channel) => amplitudes(channel.peaks)),
    silences: wire.silences,
  };
}
