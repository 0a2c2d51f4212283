import { CommanderError } from '../kernel/errors.ts'
import type { Orchestrator, ProvisionedServer } from '../replication/orchestrator.ts'
import { type ControlClientOptions, requestControl } from './status-client.ts'

/** A process that is ended is given its time to stop first. */
const timeoutMsDefault = 60_000

/** The orchestrator of a host, asked from another process of it: the supervisor does what it says. */
export class ControlOrchestrator implements Orchestrator {
  readonly #options: ControlClientOptions

  /** @throws CommanderError of every method: as `requestStatus`, and `not_found` where the supervisor starts no journal servers */
  constructor(options: ControlClientOptions) {
    this.#options = { timeoutMs: timeoutMsDefault, ...options }
  }

  async list(): Promise<readonly ProvisionedServer[]> {
    const answer = await requestControl(this.#options, { verb: 'servers' })
    return 'servers' in answer ? answer.servers : wrongAnswer()
  }

  async provision(count: number): Promise<readonly string[]> {
    const answer = await requestControl(this.#options, { verb: 'provision', count })
    return 'changed' in answer ? answer.changed : wrongAnswer()
  }

  async deprovision(server: string): Promise<void> {
    const answer = await requestControl(this.#options, { verb: 'deprovision', server })
    if (!('changed' in answer)) wrongAnswer()
  }
}

function wrongAnswer(): never {
  throw new CommanderError('protocol_violation', 'the supervisor answered something that was not asked')
}
