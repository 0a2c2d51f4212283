import { assert } from '../kernel/assert.ts'
import { keyBytesMax } from './store-limits.ts'

/** What a handle of a store may be asked for at the moment; the same rules for every implementation. */
export class HandleGuard {
  readonly readOnly: boolean
  private readonly path: string
  private closed = false
  private writing = false
  private snapshots = 0

  constructor(path: string, readOnly: boolean) {
    this.path = path
    this.readOnly = readOnly
  }

  get isClosed(): boolean {
    return this.closed
  }

  close(): void {
    this.closed = true
  }

  reopen(): void {
    this.closed = false
    this.writing = false
    this.snapshots = 0
  }

  checkRead(): void {
    assert(!this.closed, `the store ${this.path} is closed`)
    assert(!this.writing, 'read through the batch, not through a table, while a transaction is being filled')
  }

  checkWrite(): void {
    assert(!this.closed, `the store ${this.path} is closed`)
    assert(!this.readOnly, `the store ${this.path} is open for reading only`)
    assert(!this.writing, 'a transaction cannot be begun inside another one')
    assert(this.snapshots === 0, 'a transaction cannot be begun inside a snapshot')
  }

  checkRefresh(): void {
    this.checkRead()
    assert(this.snapshots === 0, 'a snapshot cannot be refreshed')
  }

  fill<T>(run: () => T): T {
    this.writing = true
    try {
      return run()
    } finally {
      this.writing = false
    }
  }

  snapshot<T>(read: () => T): T {
    this.snapshots++
    try {
      return read()
    } finally {
      this.snapshots--
    }
  }
}

export function checkKey(key: Buffer): void {
  assert(key.length >= 1 && key.length <= keyBytesMax, `a key has 1 to ${keyBytesMax} bytes, not ${key.length}`)
}
