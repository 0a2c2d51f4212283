const none = Number.NEGATIVE_INFINITY
const capacityMin = 64
/** 2^32 divided by the golden ratio: neighbouring keys land far apart (Knuth, TAOCP 3, 6.4). */
const fibonacci = 0x9e3779b1

/**
 * A map from safe integers, for entries that come and go by the ten thousand a second. It keeps its two
 * arrays: a `Map` makes new tables as it goes, and each old one, until the next full collection, keeps everything alive
 * that it ever pointed to. Open addressing with linear probing, at most half full; deleting shifts back.
 * In no order.
 */
export class NumberMap<Value> {
  #keys: Float64Array
  #values: (Value | undefined)[]
  #shift: number
  #size = 0

  constructor() {
    this.#keys = new Float64Array(capacityMin).fill(none)
    this.#values = new Array(capacityMin).fill(undefined)
    this.#shift = 32 - Math.log2(capacityMin)
  }

  get size(): number {
    return this.#size
  }

  get(key: number): Value | undefined {
    return this.#values[this.#slotOf(key)]
  }

  has(key: number): boolean {
    return this.#keys[this.#slotOf(key)] === key
  }

  set(key: number, value: Value): void {
    let slot = this.#slotOf(key)
    if (this.#keys[slot] !== key) {
      if (this.#size * 2 >= this.#keys.length) {
        this.#grow()
        slot = this.#slotOf(key)
      }
      this.#keys[slot] = key
      this.#size++
    }
    this.#values[slot] = value
  }

  delete(key: number): boolean {
    let hole = this.#slotOf(key)
    if (this.#keys[hole] !== key) return false
    this.#size--
    const mask = this.#keys.length - 1
    for (let next = (hole + 1) & mask; this.#keys[next] !== none; next = (next + 1) & mask) {
      const home = this.#homeOf(this.#keys[next] as number)
      // What lies at or behind its home, seen from the hole, stays.
      if (((next - home) & mask) < ((next - hole) & mask)) continue
      this.#keys[hole] = this.#keys[next] as number
      this.#values[hole] = this.#values[next]
      hole = next
    }
    this.#keys[hole] = none
    this.#values[hole] = undefined
    return true
  }

  clear(): void {
    this.#keys.fill(none)
    this.#values.fill(undefined)
    this.#size = 0
  }

  /** As of now: what changes while a caller goes through it does not show. */
  keys(): number[] {
    const keys: number[] = []
    for (const key of this.#keys) if (key !== none) keys.push(key)
    return keys
  }

  /** As of now. */
  values(): Value[] {
    const values: Value[] = []
    for (let slot = 0; slot < this.#keys.length; slot++) {
      if (this.#keys[slot] !== none) values.push(this.#values[slot] as Value)
    }
    return values
  }

  /** As of now. */
  entries(): [number, Value][] {
    return this.keys().map((key) => [key, this.get(key) as Value])
  }

  [Symbol.iterator](): IterableIterator<[number, Value]> {
    return this.entries()[Symbol.iterator]()
  }

  #homeOf(key: number): number {
    return Math.imul(key, fibonacci) >>> this.#shift
  }

  /** Where the key is, or where it would be put. */
  #slotOf(key: number): number {
    const keys = this.#keys
    const mask = keys.length - 1
    let slot = this.#homeOf(key)
    while (keys[slot] !== key && keys[slot] !== none) slot = (slot + 1) & mask
    return slot
  }

  #grow(): void {
    const keys = this.#keys
    const values = this.#values
    this.#keys = new Float64Array(keys.length * 2).fill(none)
    this.#values = new Array(keys.length * 2).fill(undefined)
    this.#shift--
    for (let old = 0; old < keys.length; old++) {
      const key = keys[old] as number
      if (key === none) continue
      const slot = this.#slotOf(key)
      this.#keys[slot] = key
      this.#values[slot] = values[old]
    }
  }
}
