import { checkKey } from './handle-guard.ts'
import type { KeyValueEntry, KeyValueTable, RangeOptions } from './key-value-store.ts'
import { SortedKeys } from './sorted-keys.ts'

/** Bytes as a string whose order is theirs. */
export const keyText = (key: Buffer): string => key.toString('latin1')

/** The contents of one table of the memory store, by key text. */
export class MemoryTable {
  private readonly values = new Map<string, Buffer>()
  private readonly keys = new SortedKeys()

  get size(): number {
    return this.values.size
  }

  get(key: string): Buffer | undefined {
    return this.values.get(key)
  }

  /** Returns what was there before, for an undo. */
  replace(key: string, value: Buffer | undefined): Buffer | undefined {
    const before = this.values.get(key)
    if (value !== undefined) {
      this.values.set(key, value)
      if (before === undefined) this.keys.add(key)
    } else if (before !== undefined) {
      this.values.delete(key)
      this.keys.remove(key)
    }
    return before
  }

  texts(): string[] {
    return [...this.values.keys()]
  }

  /** Looks its next key up at each step, so a table that changes meanwhile cannot confuse it. */
  *range(options: RangeOptions): Generator<KeyValueEntry> {
    const from = options.from === undefined ? '' : keyText(options.from)
    const to = options.to === undefined ? undefined : keyText(options.to)
    const reverse = options.reverse ?? false
    let left = options.limit ?? Number.POSITIVE_INFINITY
    let key = reverse ? this.keys.below(to) : this.keys.atOrAbove(from)
    while (left-- > 0 && key !== undefined) {
      if (reverse ? key < from : to !== undefined && key >= to) return
      yield { key: Buffer.from(key, 'latin1'), value: Buffer.from(this.values.get(key) as Buffer) }
      key = reverse ? this.keys.below(key) : this.keys.atOrAbove(`${key}\0`)
    }
  }
}

/** What a handle shows of a table. `check` throws when the handle may not read now. */
export function memoryTableView(contents: MemoryTable, check: () => void): KeyValueTable {
  const view = (key: Buffer): Buffer | undefined => {
    checkKey(key)
    check()
    return contents.get(keyText(key))
  }
  return {
    get(key) {
      const value = view(key)
      return value === undefined ? undefined : Buffer.from(value)
    },
    view,
    has: (key) => view(key) !== undefined,
    range(options) {
      check()
      return { [Symbol.iterator]: () => contents.range(options) }
    },
    count() {
      check()
      return contents.size
    },
  }
}
