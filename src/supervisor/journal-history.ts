/** How far a process is behind the journal. */
export interface Lag {
  readonly lsns: number
  /** Of the journal. */
  readonly bytes: number
  /** How long the oldest entry that it has not applied was known to be written, at least. */
  readonly ms: number
}

interface Sample {
  readonly atMs: number
  readonly written: number
  /** Since the first sample. */
  readonly bytes: number
}

const samplesMax = 3600
const noLag: Lag = { lsns: 0, bytes: 0, ms: 0 }

/**
 * What the journal writer reported, by the second, to say of any LSN how many bytes and how much time lie behind it. A
 * lag that reaches further back than an hour of samples is given as of the oldest one.
 */
export class JournalHistory {
  #samples: Sample[] = []
  #writerBytes = 0
  #bytes = 0

  /** @param writerBytes what the present journal writer has written since it began */
  note(atMs: number, written: number, writerBytes: number): void {
    const last = this.#samples.at(-1)
    this.#bytes += writerBytes >= this.#writerBytes ? writerBytes - this.#writerBytes : writerBytes
    this.#writerBytes = writerBytes
    if (last !== undefined && written < last.written) this.#samples = [] // entries were lost with their medium
    if (last?.written === written) return
    this.#samples.push({ atMs, written, bytes: this.#bytes })
    if (this.#samples.length > samplesMax) this.#samples.shift()
  }

  lagOf(applied: number, nowMs: number): Lag {
    const last = this.#samples.at(-1)
    if (last === undefined || applied >= last.written) return noLag
    // The first sample that holds an entry that is not applied.
    let low = 0
    let high = this.#samples.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#samples[middle] as Sample).written > applied) high = middle
      else low = middle + 1
    }
    const first = this.#samples[low] as Sample
    const before = this.#samples[low - 1] ?? first
    const entries = first.written - before.written
    const share = entries === 0 ? 0 : (applied - before.written) / entries
    const appliedBytes = before.bytes + Math.max(0, share) * (first.bytes - before.bytes)
    return {
      lsns: last.written - applied,
      bytes: Math.round(last.bytes - appliedBytes),
      ms: Math.max(0, Math.round(nowMs - first.atMs)),
    }
  }
}
