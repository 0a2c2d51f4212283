import type { AggregateReference } from '../actions/action.ts'
import type { RequestPolicy } from '../sdk/workflow.ts'
import type { Effect, WorkflowCommandOutcome } from '../sdk/workflow-types.ts'
import type { Failure } from './failure.ts'
import type { Operation, OperationNameKind } from './operation.ts'

/** What undoes a request, or a command. */
export type Compensation =
  | { readonly name: string; readonly effect: Effect<unknown>; readonly policy: RequestPolicy }
  | { readonly to: AggregateReference; readonly command: string; readonly data: unknown }

export interface CompensationHost {
  nameOf(kind: OperationNameKind, name: string): string
  open<Result>(operation: Operation): Promise<Result>
}

/** Carries them out, the last one first. @returns the failure, with what could not be undone, for a person */
export async function compensate(
  host: CompensationHost,
  compensations: readonly Compensation[],
  failure: Failure,
): Promise<Failure> {
  const notCompensated: string[] = []
  for (const compensation of compensations.toReversed()) {
    if ('effect' in compensation) {
      const { name, effect, policy } = compensation
      await host.open({ kind: 'request', id: host.nameOf('compensation', name), effect, policy })
      continue
    }
    const { to, command, data } = compensation
    const name = `${command} ${to.type}/${to.id}`
    const id = host.nameOf('compensation', name)
    const outcome = await host.open<WorkflowCommandOutcome>({
      kind: 'command',
      id,
      to,
      command,
      data,
      expectedRevision: null,
    })
    if (outcome.outcome === 'rejected') notCompensated.push(`${name}: ${outcome.code}: ${outcome.message}`)
    if (outcome.outcome === 'skipped') notCompensated.push(`${name}: ${outcome.message}`)
  }
  return notCompensated.length === 0 ? failure : { ...failure, notCompensated }
}
