import { type ApplierAnswer, applierFrames, decodeQuestion, encodeApplierFrame } from '../ipc/applier-protocol.ts'
import type { Channel, ChannelHandlers } from '../ipc/channel.ts'
import { unreachable } from '../kernel/assert.ts'
import { CommanderError, toWireError } from '../kernel/errors.ts'
import type { ArchiveByHand } from './archive-by-hand.ts'
import type { ProjectionApplier } from './projection-applier.ts'

/** Answers the gateway and the command line: rebuilds, checkpoints and archiving by hand. */
export class ApplierServer {
  readonly #applier: ProjectionApplier
  readonly #archive: ArchiveByHand | null

  constructor(applier: ProjectionApplier, archive: ArchiveByHand | null = null) {
    this.#applier = applier
    this.#archive = archive
  }

  accept(channel: Channel): ChannelHandlers {
    return {
      frame: (_kind, body) => {
        channel.release(body.length)
        this.#answer(channel, body)
      },
      closed: () => {},
    }
  }

  #answer(channel: Channel, body: Buffer): void {
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
    'the database has no archive: set archive.directory or archive.s3.bucket in its config, and start it again',
  )
}
