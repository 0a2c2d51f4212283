import type { ApplicationRegistered, EndOfIncarnation } from '../actions/action.ts'
import type { Environment, Scheduler, Timer } from '../kernel/environment.ts'
import type { AnyAggregate } from '../sdk/aggregate-types.ts'
import type { Application } from '../sdk/application.ts'
import type { RootState } from '../state/root.ts'
import { partitionOf } from '../workflows/partition.ts'
import { hostedDefinitions } from '../workflows/workflow-aggregate.ts'

export interface Registrant {
  readonly environment: Environment
  readonly application: Application
  /** For example `bank-1`. */
  readonly instance: string
  /** Number of this process incarnation. */
  readonly origin: number
  /** As of the store's root; keeps payloads. */
  readonly state: RootState
  /** How the former incarnation of this instance ended. */
  readonly former: EndOfIncarnation
}

/** What this process says when it begins to work, or begins anew. */
export function registrationOf(registrant: Registrant): ApplicationRegistered {
  const { application, instance, origin, state, former, environment } = registrant
  const known = state.applications.byInstance.get(instance)
  const definitions = hostedDefinitions(application)
  return {
    type: 'application/registered',
    instance,
    application: application.name,
    incarnation: origin,
    aggregateTypes: definitions.map(({ name }) => name),
    aggregateVersions: definitions.map(({ version }) => version),
    // What ended is a connection, not an incarnation: the commands under way have nothing to do with it.
    former: known?.incarnation === origin ? 'stopped' : former,
    ...schedulesOf(application, environment.clock.wallMs()),
    ...queuesOf(definitions),
  }
}

function schedulesOf({ schedules }: Application, atMs: number): Pick<ApplicationRegistered, 'schedules'> {
  if (schedules.length === 0) return {}
  const definitions = schedules.map(({ name, cron, timezone, overlap, catchUp, workflow, input }) => {
    const form = { name, cron, timezone, overlap, catchUp, workflow: workflow.name, input }
    const { queue } = workflow
    return queue === undefined ? form : { ...form, partition: partitionOf(queue, input, '', `schedule "${name}"`) }
  })
  return { schedules: { atMs, definitions } }
}

function queuesOf(definitions: readonly AnyAggregate[]): Pick<ApplicationRegistered, 'queues'> {
  const queues = definitions.flatMap(({ name: type, queues: ofType = {} }) =>
    Object.entries(ofType).flatMap(([command, queue]) => {
      if (queue === undefined) return []
      const { partitionKey: _, ...queueLimits } = queue
      return [{ type, command, ...queueLimits }]
    }),
  )
  return queues.length === 0 ? {} : { queues }
}

const registerDelayMs = 100

/** A registration that was undone or refused is made again after a moment. */
export class DelayedRegistration {
  readonly #scheduler: Scheduler
  readonly #register: () => void
  #timer: Timer | null = null

  constructor(scheduler: Scheduler, register: () => void) {
    this.#scheduler = scheduler
    this.#register = register
  }

  later(): void {
    this.#timer ??= this.#scheduler.after(registerDelayMs, this.#register)
  }

  cancel(): void {
    this.#timer?.cancel()
    this.#timer = null
  }
}
