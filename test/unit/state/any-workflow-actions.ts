import type {
  Action,
  AggregateReference,
  CommandReceived,
  Message,
  WorkflowEffects,
} from '../../../src/actions/action.ts'
import { parseAggregateKey } from '../../../src/actions/aggregate-key.ts'
import { pack } from '../../../src/actions/message-pack.ts'
import { type Lsn, revision } from '../../../src/kernel/identifiers.ts'
import type { Activation } from '../../../src/state/activations.ts'
import type { RootState } from '../../../src/state/root.ts'

export const workflowOf = 'workflow:w'

interface WorkflowPart {
  readonly workflow?: WorkflowEffects
  readonly messages?: readonly Message[]
}

/** What the processes would write about workflows, at random. */
export class AnyWorkflowActions {
  readonly #random: () => number
  readonly #state: RootState
  readonly #forwarded: CommandReceived[] = []

  constructor(random: () => number, state: RootState) {
    this.#random = random
    this.#state = state
  }

  any(atMs: number): Action | null {
    const roll = this.#random()
    if (roll < 0.35) return this.#forward(atMs)
    if (roll < 0.45) return this.#one(this.#forwarded) ?? null
    if (roll < 0.75) return this.#advance(atMs)
    return this.#resume()
  }

  received(action: CommandReceived): void {
    if (action.forwarded !== undefined) this.#forwarded.push(action)
  }

  /** What a command that completes says of its workflow; of other aggregates nothing. */
  effectsOf({ aggregate, command }: { readonly aggregate: AggregateReference; readonly command: Lsn }): WorkflowPart {
    if (aggregate.type !== workflowOf) return {}
    const { activations, commands } = this.#state
    const active = activations.byKey.get(`${workflowOf}/${aggregate.id}`)
    const isAssigned = commands.byLsn.get(command)?.instance !== 'dispatcher'
    const roll = this.#random()
    if (active === undefined) return roll < 0.7 && isAssigned ? { workflow: { activates: true } } : {}
    // As when it is cancelled by force, or set aside.
    return roll < 0.2 ? { workflow: { releases: true, ends: true }, messages: this.#messages() } : {}
  }

  #forward(atMs: number): Action | null {
    const message = this.#one([...this.#state.outbox.bySource.values()].flat())
    if (message === undefined) return null
    const { source, index, to, command, data, reply } = message
    return {
      type: 'command/received',
      aggregate: parseAggregateKey(to),
      command,
      data: { bytes: data.length },
      receivedAtMs: atMs,
      call: null,
      idempotencyKey: null,
      expectedRevision: null,
      metadata: null,
      forwarded: { source, index },
      ...(reply === null ? {} : { reply }),
    }
  }

  #advance(atMs: number): Action | null {
    const activation = this.#one(this.#active.filter(({ token }) => token !== 0))
    if (activation === undefined) return null
    const releases = this.#random() < 0.4
    const attempt = { operation: 'request/a#1', attempt: 2, atMs }
    const events =
      this.#random() < 0.5 ? [{ type: 'request/started', data: attempt }] : [{ type: 'status/set', data: {} }]
    return {
      type: 'workflow/advanced',
      aggregate: parseAggregateKey(activation.key),
      activation: activation.lsn,
      token: activation.token,
      atMs,
      baseRevision: revision(0),
      events,
      messages: this.#messages(),
      snapshot: null,
      ...(releases ? { workflow: { releases } } : {}),
    }
  }

  #resume(): Action | null {
    const released = this.#active.filter(({ token }) => token === 0)
    const some = this.#random() < 0.9 ? released : this.#active
    const activations = some.slice(0, 1 + this.#below(3)).map(({ lsn }) => lsn)
    const instances = [...this.#state.applications.byInstance.keys()]
    const instance = this.#random() < 0.1 ? 'gone-1' : this.#one(instances)
    if (activations.length === 0 || instance === undefined) return null
    return { type: 'workflow/resumed', instance, activations }
  }

  get #active(): Activation[] {
    return [...this.#state.activations.byKey.values()]
  }

  #messages(): Message[] {
    return Array.from({ length: this.#below(3) }, (_, i) => ({
      to: { type: this.#random() < 0.5 ? 'counter' : workflowOf, id: `${this.#below(6)}` },
      command: 'add',
      data: Buffer.from(pack({ amount: i })),
      ...(this.#random() < 0.7 ? { operation: `command/add#${i}` } : {}),
    }))
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n)
  }

  #one<Item>(items: readonly Item[]): Item | undefined {
    return items[this.#below(items.length)]
  }
}
