/** Random numbers that follow from a seed: splitmix32 (public domain). The same in every process, for ever. */
export class SeededNumbers {
  #state: number

  /** @param seed u32, not 0 */
  constructor(seed: number) {
    this.#state = seed
  }

  /** Uniform integer in [0, 2^32). */
  uint32(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0
    let t = this.#state ^ (this.#state >>> 16)
    t = Math.imul(t, 0x21f0aaad)
    t ^= t >>> 15
    t = Math.imul(t, 0x735a2d97)
    return (t ^ (t >>> 15)) >>> 0
  }

  /** Uniform in [0, 1). */
  fraction(): number {
    return this.uint32() / 4294967296
  }

  /** RFC 9562 version 4. */
  uuid(): string {
    const bytes = Buffer.alloc(16)
    for (let i = 0; i < 4; i++) bytes.writeUInt32BE(this.uint32(), i * 4)
    bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40
    bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
    const hex = bytes.toString('hex')
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  }
}
