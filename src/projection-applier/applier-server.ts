import { type ApplierAnswer, applierFrames, decodeQuestion, encodeApplierFrame } from '../ipc/applier-protocol.ts'
import type { Channel, ChannelHandlers } from '../ipc/channel.ts'
import { unreachable } from '../kernel/assert.ts'
import { toWireError } from '../kernel/errors.ts'
import type { ProjectionApplier } from './projection-applier.ts'

/** Answers the gateway and the command line: rebuilds and checkpoints by hand. */
export class ApplierServer {
  readonly #applier: ProjectionApplier

  constructor(applier: ProjectionApplier) {
    this.#applier = applier
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
        default:
          unreachable(question)
      }
    } catch (error) {
      reply({ request, error: toWireError(error) })
    }
  }
}
