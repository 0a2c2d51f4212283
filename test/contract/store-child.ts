import fs from 'node:fs'
import { open as openLmdb } from 'lmdb'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import type { KeyValueStore } from '../../src/store/key-value-store.ts'
import { numberKey } from '../../src/store/keys.ts'
import { LmdbGate } from '../../src/store/lmdb-gate.ts'
import { openLmdbStore } from '../../src/store/lmdb-store.ts'
import { checkedPosition, historyTables, positionKey, positionOf, writeTransaction } from './store-history.ts'

/** A process of its own for the store's tests: `store-child.ts MODE PATH`. Says what it does, a line each. */
const [mode, path = ''] = process.argv.slice(2)
const say = (line: string | number): void => void fs.writeSync(1, `${line}\n`)
const open = (readOnly: boolean): KeyValueStore =>
  openLmdbStore({ path, tables: historyTables, readOnly, environment: createSystemEnvironment() })

/** Says where it starts, continues the history until it is killed, and says each number once its transaction is done. */
function writeOn(): void {
  const store = open(false)
  const next = (n: number): void =>
    store.write(
      (batch) => writeTransaction(batch, n),
      (error) => {
        if (error !== null) throw error
        say(n)
        next(n + 1)
      },
    )
  const from = positionOf(store)
  say(from)
  next(from + 1)
}

/** Follows the history until it is killed, and says each position once it has checked everything. */
function readOn(): void {
  const store = open(true)
  let last = -1
  const look = (): void => {
    const position = checkedPosition(store)
    if (position < last) throw new Error(`the position fell from ${last} to ${position}`)
    if (position > last) say(position)
    last = position
    setImmediate(look)
  }
  look()
}

/** Keeps one snapshot until it is killed. */
function hold(): void {
  const store = open(true)
  store.snapshot(() => {
    say(positionOf(store))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })
}

/** Writes until there is no more room, then says how that was, and whether reading and writing go on. */
function fillUp(): void {
  const store = open(false)
  let n = 0
  const next = (): void =>
    store.write(
      (batch) => batch.put('alpha', numberKey(++n), Buffer.alloc(50_000, n)),
      (error) => {
        if (error === null) return next()
        const { code, retryable, details, message } = error
        say(JSON.stringify({ code, retryable, details, message, n, count: store.table('alpha').count() }))
        process.once('message', () => afterRoom(store))
        process.send?.('full')
      },
    )
  next()
}

function afterRoom(store: KeyValueStore): void {
  store.write(
    (batch) => batch.put('beta', numberKey(1), numberKey(1)),
    (error) => {
      say(error === null ? 'written' : error.message)
      process.disconnect()
    },
  )
}

const chainLength = 10_000
/** So many of the last transactions are looked for by each. */
const chainLook = 8

/** Writes transactions of which each has to find those before it, and says how many it wrote in the end. */
function writeChain(): void {
  const store = open(false)
  say('open')
  const next = (n: number): void => {
    if (n > chainLength) return say(n - 1)
    store.write(
      (batch) => {
        for (let back = n - 1; back >= Math.max(1, n - chainLook); back--)
          if (batch.get('alpha', numberKey(back)) === undefined) throw new Error(`${n} does not find ${back}`)
        batch.put('alpha', numberKey(n), Buffer.alloc(2000, n))
        batch.put('beta', positionKey, numberKey(n))
      },
      (error) => {
        if (error !== null) throw error
        next(n + 1)
      },
    )
  }
  next(1)
}

/** Opens the store, looks at the end of that chain and closes it, again and again until it is killed. */
function openOn(): void {
  let last = 0
  const look = (): void => {
    const store = open(true)
    store.snapshot(() => {
      const position = positionOf(store)
      if (position < last) throw new Error(`the position fell from ${last} to ${position}`)
      for (let n = Math.max(1, position - 200); n <= position; n++)
        if (store.table('alpha').get(numberKey(n)) === undefined) throw new Error(`at ${position} there is no ${n}`)
      last = position
    })
    void store.close().then(() => setImmediate(look))
  }
  look()
}

/** As `openOn`, by a program that knows of no gate. */
async function openStrangely(): Promise<void> {
  for (;;) {
    try {
      await openLmdb({ path, readOnly: true, maxDbs: historyTables.length }).close()
    } catch {
      // LMDB refuses an open that meets a commit at times.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

const heldMs = 500

/** Holds the gate for a while, and says from when to when. */
function holdGate(): void {
  const gate = new LmdbGate(path)
  gate.hold(() => {
    say(Date.now())
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, heldMs)
    say(Date.now())
  })
}

const modes: Readonly<Record<string, () => void | Promise<void>>> = {
  ...{ writeOn, readOn, hold, fillUp },
  ...{ writeChain, openOn, openStrangely, holdGate },
}
await modes[mode ?? '']?.()
