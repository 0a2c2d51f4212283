import { assert } from '../kernel/assert.ts'
import { checkKey } from './handle-guard.ts'
import type { WriteBatch } from './key-value-store.ts'
import { keyText } from './memory-table.ts'

interface StagedTable {
  cleared: boolean
  /** `undefined`: deleted. */
  readonly changes: Map<string, Buffer | undefined>
}

/** A transaction that has been filled and waits for its commit. */
export class MemoryBatch implements WriteBatch {
  readonly staged: ReadonlyMap<string, StagedTable>
  private readonly before: (table: string, key: string) => Buffer | undefined

  /** `before` answers what this transaction finds when it begins. */
  constructor(tables: readonly string[], before: (table: string, key: string) => Buffer | undefined) {
    this.staged = new Map(tables.map((name) => [name, { cleared: false, changes: new Map() }]))
    this.before = before
  }

  get(table: string, key: Buffer): Buffer | undefined {
    checkKey(key)
    const text = keyText(key)
    const value = this.has(table, text) ? this.staged.get(table)?.changes.get(text) : this.before(table, text)
    return value === undefined ? undefined : Buffer.from(value)
  }

  put(table: string, key: Buffer, value: Buffer): void {
    checkKey(key)
    this.of(table).changes.set(keyText(key), Buffer.from(value))
  }

  delete(table: string, key: Buffer): void {
    checkKey(key)
    this.of(table).changes.set(keyText(key), undefined)
  }

  clear(table: string): void {
    const staged = this.of(table)
    staged.cleared = true
    staged.changes.clear()
  }

  /** Whether this transaction decides what the key is. */
  has(table: string, key: string): boolean {
    const staged = this.of(table)
    return staged.cleared || staged.changes.has(key)
  }

  private of(table: string): StagedTable {
    const staged = this.staged.get(table)
    assert(staged !== undefined, `the store has no table ${table}; name it at open`)
    return staged
  }
}
