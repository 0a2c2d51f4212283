import { crc32 } from '../kernel/checksum.ts'

/** What happened in a simulation, as a number that differs as soon as anything does. */
export class Trace {
  #hash = 0x811c9dc5
  readonly #print: ((line: string) => void) | null

  /** @param print gets every line too. */
  constructor(print: ((line: string) => void) | null = null) {
    this.#print = print
  }

  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0')
  }

  note(atMs: number, who: string, what: string, bytes?: Buffer): void {
    const sum = bytes === undefined ? 0 : crc32(bytes)
    const line = `${atMs.toFixed(3)} ${who} ${what}${bytes === undefined ? '' : ` ${bytes.length} bytes ${sum.toString(16)}`}`
    for (let i = 0; i < line.length; i++) this.#hash = Math.imul(this.#hash ^ line.charCodeAt(i), 0x01000193)
    this.#print?.(line)
  }
}
