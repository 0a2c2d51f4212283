import { CommanderError, fromWireError } from '../kernel/errors.ts'
import {
  type ApplierAnswer,
  type ApplierQuestion,
  applierFrames,
  decodeAnswer,
  encodeApplierFrame,
} from './applier-protocol.ts'
import type { Transport } from './channel.ts'

type Question =
  | { readonly ask: 'rebuild'; readonly name: string }
  | { readonly ask: 'checkpoint' }
  | { readonly ask: 'archive' }

/** Asks the projection applier one question over a connection of its own. */
export function askApplier(transport: Transport, address: string, question: Question): Promise<ApplierAnswer> {
  return new Promise((resolve, reject) => {
    transport.connect(address, (channel) => {
      channel.send(applierFrames.ask, encodeApplierFrame({ ...question, request: 1 } as ApplierQuestion))
      return {
        frame: (_kind, body) => {
          channel.release(body.length)
          const answer = decodeAnswer(body)
          channel.close()
          if (answer.error === undefined) resolve(answer)
          else reject(fromWireError(answer.error))
        },
        closed: (error) =>
          reject(error ?? new CommanderError('connection_lost', 'the projection applier ended the connection')),
      }
    })
  })
}
