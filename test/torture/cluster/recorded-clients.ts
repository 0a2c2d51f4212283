import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ClientEvent,
  type Database,
  type ErrorCode,
  isCommanderError,
  type StreamOptions,
} from '../../../src/client.ts'
import { SeededRandom } from '../../../src/testing/seeded-random.ts'
import { until } from '../../process/running-database.ts'
import { type Movement, movementOf } from '../movements.ts'
import type { Append, AppendOutcome, History, LogEntry, Read, ReadMode } from './history.ts'

/** Who calls. */
export interface Connections {
  /** Knows all nodes, and finds the one that leads. */
  readonly everywhere: Database
  /** Each knows one node, which sends it to the one that leads. */
  readonly nodes: readonly Database[]
  /** Each knows one node, and only reads: it stays there. */
  readonly readers: readonly Database[]
}

const callers = 12
const callersOfNode = 2
/** Shorter than most faults last, so that callers give up on calls that then take effect all the same. */
const timeoutMs = 3000
const retryPauseMs = 20
const readPauseMs = 10
/** A read begins a little before what the session has seen last, so that one that shows less is noticed. */
const readAgain = 3

interface Reading {
  readonly mode: ReadMode
  readonly options: StreamOptions
}

/** How readers read, each in a session of its own. */
const reading: readonly Reading[] = [
  { mode: 'known', options: { minLsn: 0 } },
  { mode: 'linearizable', options: { consistency: 'linearizable' } },
]

/** Clients of a cluster that send commands and read, and keep all that they did and were told. */
export class RecordedClients implements History {
  readonly appends: Append[] = []
  readonly reads: Read[] = []
  readonly errors = new Map<ErrorCode, number>()
  /** What no client may ever see. */
  readonly violations: string[] = []
  acknowledged = 0
  readonly #seed: number
  readonly #random: SeededRandom
  readonly #seen = new Map<string, number>()
  #sent = 0
  #lastAnswerMs = 0
  #longestSilenceMs = 0
  #isRunning = false
  #isAbandoned = false
  #ended: Promise<unknown> = Promise.resolve()

  constructor(seed: number) {
    this.#seed = seed
    this.#random = new SeededRandom(seed)
  }

  start({ everywhere, nodes, readers }: Connections): void {
    this.#isRunning = true
    this.#lastAnswerMs = performance.now()
    this.#ended = Promise.all([
      ...Array.from({ length: callers }, () => this.#call(everywhere, true)),
      ...nodes.flatMap((node) => Array.from({ length: callersOfNode }, () => this.#call(node, false))),
      ...readers.flatMap((reader, n) => reading.map((how) => this.#read(reader, `reader ${n} ${how.mode}`, how))),
    ])
  }

  /** Resolves when every call has ended. */
  async pause(): Promise<void> {
    this.#isRunning = false
    await this.#ended
  }

  /** Makes no more calls, and waits for none. */
  abandon(): void {
    this.#isRunning = false
    this.#isAbandoned = true
  }

  /** Resolves once so many more commands were acknowledged. */
  async more(count: number): Promise<void> {
    const enough = this.acknowledged + count
    await until(`${count} more answers`, () => {
      if (this.violations.length > 0) throw new Error(this.violations[0])
      return this.acknowledged >= enough
    })
  }

  /** Of what was acknowledged. */
  get highestLsn(): number {
    return this.appends.reduce((highest, { outcome }) => Math.max(highest, outcome.kind === 'ok' ? outcome.lsn : 0), 0)
  }

  takeLongestSilenceMs(): number {
    const longest = this.#longestSilenceMs
    this.#longestSilenceMs = 0
    return longest
  }

  async #call(client: Database, isPatient: boolean): Promise<void> {
    while (this.#isRunning) {
      const movement = movementOf(this.#seed, this.#sent++)
      const startMs = performance.now()
      const outcome = await this.#execute(client, movement, isPatient && movement.idempotencyKey !== null)
      const endMs = performance.now()
      const { n, account, amount } = movement
      this.appends.push({ id: `${n}`, key: account, bytes: JSON.stringify({ n, amount }), startMs, endMs, outcome })
      if (outcome.kind !== 'ok') continue
      this.#longestSilenceMs = Math.max(this.#longestSilenceMs, endMs - this.#lastAnswerMs)
      this.#lastAnswerMs = endMs
      this.acknowledged++
    }
  }

  /** With a key it is sent until it is answered, and must take effect once. */
  async #execute(client: Database, movement: Movement, isRepeated: boolean): Promise<AppendOutcome> {
    const { n, account, amount, isRefused, idempotencyKey } = movement
    const key = isRepeated ? { idempotencyKey: idempotencyKey as string } : {}
    for (;;) {
      try {
        const command = isRefused ? 'refuse' : 'move'
        const outcome = await client.execute('ledger', account, command, { n, amount }, { ...key, timeoutMs })
        if (outcome.outcome === 'completed') return { kind: 'ok', lsn: outcome.events[0]?.lsn ?? 0 }
        if (outcome.outcome !== 'rejected') this.violations.push(`movement ${n} ended as ${JSON.stringify(outcome)}`)
        return { kind: 'not' }
      } catch (error) {
        const code = this.#counted(error, n)
        await sleep(retryPauseMs)
        if (!isRepeated || this.#isAbandoned || this.violations.length > 0)
          return code === 'not_leader' ? { kind: 'not' } : { kind: 'unknown' }
      }
    }
  }

  #counted(error: unknown, n: number): ErrorCode | null {
    if (this.#isAbandoned) return null
    if (!isCommanderError(error)) {
      this.violations.push(`movement ${n} failed: ${String(error)}`)
      return null
    }
    this.errors.set(error.code, (this.errors.get(error.code) ?? 0) + 1)
    // The one error of a cluster that is not to be answered by just calling again: the caller has to look first.
    if (!error.retryable && error.code !== 'indeterminate')
      this.violations.push(`movement ${n} failed with an error that is not to be retried: ${error.message}`)
    return error.code
  }

  async #read(client: Database, session: string, { mode, options }: Reading): Promise<void> {
    while (this.#isRunning) {
      const key = movementOf(this.#seed, this.#random.integer(0, Math.max(0, this.#sent - 1))).account
      const from = Math.max(1, (this.#seen.get(`${session} ${key}`) ?? 0) + 1 - readAgain)
      const startMs = performance.now()
      const page = await client.stream('ledger', key, { from, ...options }).catch(() => null)
      await sleep(readPauseMs)
      if (page === null) continue
      const entries = page.events.map(entryOf)
      this.reads.push({ session, mode, key, startMs, endMs: performance.now(), from, entries })
      this.#seen.set(`${session} ${key}`, from - 1 + entries.length)
    }
  }
}

export function entryOf({ lsn, aggregate, data }: ClientEvent): LogEntry {
  return { lsn, id: `${(data as { n: number }).n}`, key: aggregate.id, bytes: JSON.stringify(data) }
}
