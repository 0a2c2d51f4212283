import { asCommanderError, CommanderError } from '../kernel/errors.ts'
import { type Epoch, type Lsn, lsn } from '../kernel/identifiers.ts'
import type { ReplicationLeader } from './replication-leader.ts'
import type { Appended, AppendOptions } from './single-write-journal.ts'

/** A lead, as whoever numbers for it sees it. */
export interface NumberedLead extends ReplicationLeader {
  readonly epoch: Epoch
  /** Of the next entry. */
  readonly nextLsn: Lsn
}

interface Waiting {
  readonly payload: Buffer
  readonly entryCount: number
  readonly options: AppendOptions
  resolve(appended: Appended): void
  reject(error: CommanderError): void
}

interface Outstanding {
  readonly appended: Appended
  resolve(appended: Appended): void
  reject(error: CommanderError): void
}

/**
 * The appends of all writers of a stream that this node leads, in the order of their calls, from the election to the end of the
 * lead.
 *
 * - W1: resolved once a later leader must have it; when the lead is lost before, nobody here can tell.
 * - W2: what was not numbered yet when the lead was lost is certainly nowhere.
 */
export class AppendQueue {
  readonly #lead: NumberedLead
  readonly #stream: string
  readonly #notLeading: () => CommanderError
  #waiting: Waiting[] = []
  #outstanding: Outstanding[] = []
  #isClosing = false

  /** @param notLeading what those are told who come when the lead is over */
  constructor(lead: NumberedLead, stream: string, notLeading: () => CommanderError) {
    this.#lead = lead
    this.#stream = stream
    this.#notLeading = notLeading
    lead.onMoved(() => this.#moved())
  }

  append(payload: Buffer, entryCount: number, options: AppendOptions): Promise<Appended> {
    if (this.#isClosing || this.#lead.failed !== null) return Promise.reject(this.#notLeading())
    return new Promise((resolve, reject) => {
      this.#waiting.push({ payload, entryCount, options, resolve, reject })
      this.#take()
    })
  }

  /** The lead is about to be given up: nothing more is taken. What is under way goes on. */
  close(): void {
    this.#isClosing = true
    for (const { reject } of this.#waiting.splice(0)) reject(this.#notLeading()) // W2
  }

  #take(): void {
    const lead = this.#lead
    while (lead.failed === null && lead.hasRoom) {
      const next = this.#waiting.shift()
      if (next === undefined) break
      this.#append(next)
    }
    lead.flush()
  }

  #append({ payload, entryCount, options, resolve, reject }: Waiting): void {
    const lead = this.#lead
    const { ack = 'committed', expectLsn } = options
    const first = lead.nextLsn
    if (expectLsn !== undefined && expectLsn !== first) return reject(notNext(this.#stream, expectLsn, first))
    const appended = { first, last: lsn(first + entryCount - 1), epoch: lead.epoch }
    try {
      lead.append({ firstLsn: first, entryCount, payload })
    } catch (error) {
      // Not taken, for want of room; or the lead was lost by now.
      return reject(lead.failed === null ? asCommanderError(error) : this.#notLeading())
    }
    if (ack === 'written') resolve(appended)
    else this.#outstanding.push({ appended, resolve, reject })
  }

  #moved(): void {
    const { committed, failed } = this.#lead
    const open = this.#outstanding.findIndex(({ appended }) => appended.last > committed)
    const done = this.#outstanding.splice(0, open === -1 ? this.#outstanding.length : open)
    for (const { appended, resolve } of done) resolve(appended)
    if (failed === null) return this.#take()
    const left = this.#outstanding.splice(0)
    for (const { appended, reject } of left) reject(unknown(this.#stream, appended, failed)) // W1
    this.close()
  }
}

const notNext = (stream: string, expected: Lsn, next: Lsn): CommanderError =>
  new CommanderError('invalid_input', `the next entry of ${stream} is ${next}, not ${expected}: nothing was appended`, {
    details: { expected, next },
  })

const unknown = (stream: string, { first, last, epoch }: Appended, cause: CommanderError): CommanderError =>
  new CommanderError(
    'indeterminate',
    `the lead of ${stream} was lost while the entries ${first} to ${last} were under way: the next leader has them, or not`,
    { details: { first, last, epoch }, cause },
  )
