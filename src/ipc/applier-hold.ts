import type { Scheduler, Timer } from '../kernel/environment.ts'
import { CommanderError, fromWireError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import {
  type ApplierAnswer,
  applierFrames,
  decodeAnswer,
  encodeApplierFrame,
  journalHoldMs,
} from './applier-protocol.ts'
import type { Channel, Transport } from './channel.ts'

const renewMs = journalHoldMs / 6

/** Keeps the journal of a running database as it is, from its last checkpoint on, until it is let go of. */
export interface JournalHold {
  /**
   * Everything up to here is flushed, as the projection applier knows now.
   * @throws CommanderError when the hold is over: `connection_lost`, `timeout`
   */
  flushed(): Promise<Lsn>
  release(): void
}

/** Resolves once the journal is held. @throws CommanderError `connection_lost`, `no_database` */
export async function holdJournal(transport: Transport, address: string, scheduler: Scheduler): Promise<JournalHold> {
  const hold = new HoldConnection(transport, address, scheduler)
  await hold.flushed()
  return hold
}

interface Asked {
  readonly resolve: (flushed: Lsn) => void
  readonly reject: (error: CommanderError) => void
}

class HoldConnection implements JournalHold {
  readonly #scheduler: Scheduler
  #channel: Channel | null = null
  #asked: Asked[] = []
  #over: CommanderError | null = null
  #timer: Timer | null = null

  constructor(transport: Transport, address: string, scheduler: Scheduler) {
    this.#scheduler = scheduler
    transport.connect(address, (channel) => {
      this.#channel = channel
      return {
        frame: (_kind, body) => {
          channel.release(body.length)
          this.#answered(decodeAnswer(body))
        },
        closed: (error) => this.#end(error ?? lost()),
      }
    })
    this.#renewLater()
  }

  flushed(): Promise<Lsn> {
    if (this.#over !== null) return Promise.reject(this.#over)
    return new Promise((resolve, reject) => {
      this.#asked.push({ resolve, reject })
      this.#channel?.send(applierFrames.ask, encodeApplierFrame({ ask: 'hold', request: 1 }))
      this.#channel?.flush()
    })
  }

  release(): void {
    this.#end(lost())
    this.#channel?.close()
  }

  #answered({ error, flushed = 0 }: ApplierAnswer): void {
    const asked = this.#asked.shift()
    if (error === undefined) asked?.resolve(lsn(flushed))
    else {
      const failure = fromWireError(error)
      asked?.reject(failure)
      this.#end(failure)
    }
  }

  #renewLater(): void {
    this.#timer = this.#scheduler.after(renewMs, () => {
      this.flushed().catch(() => {})
      this.#renewLater()
    })
  }

  #end(error: CommanderError): void {
    this.#over ??= error
    this.#timer?.cancel()
    const asked = this.#asked
    this.#asked = []
    for (const { reject } of asked) reject(this.#over)
  }
}

const lost = (): CommanderError =>
  new CommanderError('connection_lost', 'the projection applier has ended the connection that held the journal')
