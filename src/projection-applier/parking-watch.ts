import { payloadOf } from '../actions/decode.ts'
import { keyOf, nameOf, referenceOf } from '../actions/entry-layout.ts'
import { BoundedWarnings } from '../kernel/bounded-warnings.ts'
import type { Environment } from '../kernel/environment.ts'
import type { PendingCommand } from '../state/commands.ts'
import type { WorkflowEvent } from '../workflows/workflow-events.ts'
import { workflowNameOf } from '../workflows/workflow-names.ts'

/** What waits for a person from now on is said in the log, and counted since the process began. */
export class ParkingWatch {
  readonly #warnings: BoundedWarnings
  commands = 0
  workflows = 0

  constructor(environment: Environment) {
    this.#warnings = new BoundedWarnings(
      environment,
      'further commands or workflows were parked, which are not logged for a while: commanderdb status counts them, commanderdb command list and commanderdb workflow list --status parked name them',
    )
  }

  /** The `command/parked` at `o`. @param command null where it is not pending any more */
  command(b: Buffer, o: number, command: PendingCommand | null): void {
    this.commands++
    const id = String(referenceOf(b, o))
    const key = keyOf(b, o)
    const { message: reason, attempts } = payloadOf(b, o) as { readonly message: string; readonly attempts: number }
    const name = command?.source == null ? null : nameOf(command.source, command.at)
    const what = name === null ? `a command on ${key}` : `${name} on ${key}`
    this.#warnings.warn(
      { code: 'command_parked', command: id, aggregate: key, name, attempts, reason },
      `command ${id}, ${what}, is parked and waits for a person: mend the cause, and commanderdb command retry ${id}`,
    )
  }

  workflowEvent(key: string, event: WorkflowEvent): void {
    if (event.type !== 'workflow/parked') return
    this.workflows++
    const workflow = workflowNameOf(key)
    const { error, operation } = event.data
    this.#warnings.warn(
      { code: 'workflow_parked', workflow, operation, error },
      `workflow ${workflow} is parked and waits for a person: mend the cause, and commanderdb workflow retry ${workflow}`,
    )
  }
}
