import { digest16 } from '../kernel/checksum.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { AnyAggregate } from '../sdk/aggregate-types.ts'
import type { Application } from '../sdk/application.ts'
import { hostedDefinitions } from '../workflows/workflow-aggregate.ts'

/** An aggregate with what the runtime derives from it once. */
export interface HostedAggregate {
  readonly definition: AnyAggregate
  /** Changes when the code that folds the state changes: a snapshot under another fingerprint is not used. */
  readonly fingerprint: string
}

export function hostedAggregates(application: Application): ReadonlyMap<string, HostedAggregate> {
  return new Map(
    hostedDefinitions(application).map((definition) => [
      definition.name,
      { definition, fingerprint: fingerprintOf(definition) },
    ]),
  )
}

/** The source text of what folds: a snapshot taken by other code may be another state. */
function fingerprintOf(definition: AnyAggregate): string {
  const source = [
    String(definition.version),
    String(definition.initialState),
    ...Object.entries(definition.evolve).flatMap(([type, handler]) => [type, String(handler)]),
    ...Object.entries(definition.upcast ?? {}).flatMap(([type, handler]) => [type, String(handler)]),
  ]
  return digest16(Buffer.from(source.join('\0'))).toString('hex')
}

export function hosted(aggregates: ReadonlyMap<string, HostedAggregate>, type: string): HostedAggregate {
  const found = aggregates.get(type)
  if (found === undefined)
    throw new CommanderError('unknown_aggregate', `no application here defines aggregate "${type}"`)
  return found
}
