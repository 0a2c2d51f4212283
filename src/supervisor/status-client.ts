import type { Channel, Transport } from '../ipc/channel.ts'
import type { Scheduler } from '../kernel/environment.ts'
import { CommanderError, fromWireError, type WireError } from '../kernel/errors.ts'
import {
  type ControlAnswer,
  type ControlOrder,
  controlAddressOf,
  type DatabaseStatus,
  decodeAnswer,
  encodeControl,
  kindAnswer,
  kindRequest,
} from './control-protocol.ts'

export interface ControlClientOptions {
  readonly transport: Transport
  readonly scheduler: Scheduler
  /** Absolute path of the data directory. */
  readonly dataDir: string
  /** Default 5000. */
  readonly timeoutMs?: number
}

/**
 * Asks the supervisor of a data directory how its database is.
 *
 * @throws CommanderError `no_database` when none runs there, `timeout` when the supervisor does not answer
 */
export async function requestStatus(options: ControlClientOptions): Promise<DatabaseStatus> {
  return statusIn(await requestControl(options, { verb: 'status' }))
}

/** Tells the supervisor to drain and stop; resolves when it has begun to, with the status at that moment. */
export async function requestStop(options: ControlClientOptions): Promise<DatabaseStatus> {
  return statusIn(await requestControl(options, { verb: 'stop' }))
}

function statusIn(answer: AnswerOfControl): DatabaseStatus {
  if ('status' in answer) return answer.status
  throw new CommanderError('protocol_violation', 'the supervisor answered something else than its status')
}

export type AnswerOfControl = Exclude<ControlAnswer, { readonly error: WireError }>

const timeoutDefaultMs = 5000
const requestId = 1

/** @throws CommanderError as `requestStatus`, and what the supervisor answers */
export function requestControl(options: ControlClientOptions, order: ControlOrder): Promise<AnswerOfControl> {
  const { verb } = order
  const { transport, scheduler, dataDir, timeoutMs = timeoutDefaultMs } = options
  return new Promise((resolve, reject) => {
    let channel: Channel | undefined
    const timer = scheduler.after(timeoutMs, () => {
      reject(
        new CommanderError(
          'timeout',
          `the supervisor of ${dataDir} did not answer ${verb} within ${timeoutMs} ms; try again`,
        ),
      )
      channel?.close()
    })
    transport.connect(controlAddressOf(dataDir), (opened) => {
      channel = opened
      opened.send(kindRequest, encodeControl({ id: requestId, ...order }))
      return {
        frame(kind, body) {
          opened.release(body.length)
          const answer = kind === kindAnswer ? decodeAnswer(body) : undefined
          if (answer?.id !== requestId) return
          if ('error' in answer) reject(fromWireError(answer.error))
          else resolve(answer)
          opened.close()
        },
        closed(error) {
          timer.cancel()
          reject(
            error ??
              new CommanderError('connection_lost', `the supervisor of ${dataDir} closed before it answered ${verb}`),
          )
        },
      }
    })
  })
}
