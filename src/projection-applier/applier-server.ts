import {
  type ApplierAnswer,
  applierFrames,
  decodeQuestion,
  encodeApplierFrame,
  journalHoldMs,
} from '../ipc/applier-protocol.ts'
import type { Channel, ChannelHandlers } from '../ipc/channel.ts'
import { unreachable } from '../kernel/assert.ts'
import type { Scheduler, Timer } from '../kernel/environment.ts'
import { CommanderError, toWireError } from '../kernel/errors.ts'
import type { ArchiveByHand } from './archive-by-hand.ts'
import type { ProjectionApplier } from './projection-applier.ts'

/** Answers the gateway and the command line: rebuilds, checkpoints and archiving by hand, and what a backup needs. */
export class ApplierServer {
  readonly #applier: ProjectionApplier
  readonly #scheduler: Scheduler
  readonly #archive: ArchiveByHand | null

  constructor(applier: ProjectionApplier, scheduler: Scheduler, archive: ArchiveByHand | null = null) {
    this.#applier = applier
    this.#scheduler = scheduler
    this.#archive = archive
  }

  accept(channel: Channel): ChannelHandlers {
    const hold = new ConnectionHold(this.#applier, this.#scheduler)
    return {
      frame: (_kind, body) => {
        channel.release(body.length)
        this.#answer(channel, body, hold)
      },
      closed: () => hold.release(),
    }
  }

  #answer(channel: Channel, body: Buffer, hold: ConnectionHold): void {
    const question = decodeQuestion(body)
    const { request } = question
    const reply = (answer: ApplierAnswer): void => channel.send(applierFrames.answer, encodeApplierFrame(answer))
    try {
      switch (question.ask) {
        case 'rebuild':
          this.#applier.rebuild(question.name, () => reply({ request }))
          return
        case 'checkpoint':
          this.#applier.takeCheckpoint((upTo, error) => {
            reply(error === null ? { request, upTo } : { request, error: toWireError(error) })
          })
          return
        case 'archive':
          if (this.#archive === null) throw noArchive()
          this.#archive.ask((error, archived) => {
            reply(error === null ? { request, ...archived } : { request, error: toWireError(error) })
          })
          return
        case 'hold':
          hold.renew()
          reply({ request, flushed: this.#applier.flushed })
          return
        default:
          unreachable(question)
      }
    } catch (error) {
      reply({ request, error: toWireError(error) })
    }
  }
}

function noArchive(): CommanderError {
  return new CommanderError(
    'invalid_config',
    'the database has no archive: set archive.directory or archive.s3.bucket in its config, and start it again. If it has, its journal ' +
      'is a replicated one, of which the node that leads archives each segment by itself, and nobody by hand: see status',
  )
}

/** Ends with its connection, and when its peer says nothing for a while: a stopped backup must not fill the disk. */
class ConnectionHold {
  readonly #applier: ProjectionApplier
  readonly #scheduler: Scheduler
  #release: (() => void) | null = null
  #timer: Timer | null = null
  #isOver = false

  constructor(applier: ProjectionApplier, scheduler: Scheduler) {
    this.#applier = applier
    this.#scheduler = scheduler
  }

  renew(): void {
    if (this.#isOver) {
      const message = `the backup said nothing for ${journalHoldMs} ms, so the journal waits for it no longer; begin again`
      throw new CommanderError('timeout', message)
    }
    this.#release ??= this.#applier.holds.hold(this.#applier.checkpoint)
    this.#timer?.cancel()
    this.#timer = this.#scheduler.after(journalHoldMs, () => this.release())
  }

  release(): void {
    this.#timer?.cancel()
    this.#isOver = true
    this.#release?.()
    this.#release = null
  }
}
