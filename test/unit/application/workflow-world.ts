import type { Action, CommandReceived, Entry, EventDraft } from '../../../src/actions/action.ts'
import { defineApplication } from '../../../src/index.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import type { AnyWorkflow } from '../../../src/sdk/workflow-types.ts'
import { turn } from '../../../src/testing/turn-adapter.ts'
import { workflowType } from '../../../src/workflows/workflow-names.ts'
import { apply, mark, received } from '../role-world.ts'
import { ApplicationWorld, origin, type WorldOptions } from './application-world.ts'

/** An effect that was begun: with what, and how it is ended. */
export interface Effect {
  readonly name: string
  readonly key: string
  readonly attempt: number
  readonly signal: AbortSignal
  readonly done: (result?: unknown) => void
  readonly failed: (error: Error) => void
}

/** An application process with workflows whose effects end when the test says so. */
export class WorkflowWorld {
  readonly app: ApplicationWorld
  readonly effects: Effect[] = []
  readonly #name: string

  constructor(workflows: readonly AnyWorkflow[], options: WorldOptions = {}) {
    this.app = ApplicationWorld.registered({
      ...options,
      application: defineApplication({ name: 'test', aggregates: [], workflows }),
    })
    this.#name = (workflows[0] as AnyWorkflow).name
  }

  key(id = 'a'): string {
    return `${workflowType(this.#name)}/${id}`
  }

  /** Entries of others. Promises settle afterwards, not before every turn's end as in `ApplicationWorld`. */
  append(...actions: Action[]): Lsn {
    const { runtime, journal } = this.app
    const first = lsn(journal.written + 1)
    apply(runtime, journal.append(actions, 9), journal.written)
    return first
  }

  /** A command for a workflow, received and started here. */
  async send(
    command: string,
    data: unknown,
    receivedAtMs = this.app.world.nowMs,
    id = 'a',
    more: Partial<CommandReceived> = {},
  ): Promise<Lsn> {
    const aggregate = { type: workflowType(this.#name), id }
    const at = this.append(received(id, command, data, { aggregate, receivedAtMs, ...more }))
    this.append({ type: 'command/started', instance: 'test-1', commands: [at] })
    await this.settle()
    return at
  }

  start(input: unknown = null): Promise<Lsn> {
    return this.send('start', { input })
  }

  /** Everything that can go on without the journal writer does, a turn at a time, and promises settle in between. */
  async settle(): Promise<void> {
    const { scheduler } = this.app.world
    do {
      scheduler.turn()
      await turn()
    } while (scheduler.pendingTurns > 0)
  }

  /** The drafts become entries. They are not flushed. */
  async accept(): Promise<readonly Action[]> {
    const { follower, runtime, journal } = this.app
    const drafts = follower.takeDrafts()
    if (drafts.length > 0) apply(runtime, journal.accept(drafts, origin), journal.written)
    await this.settle()
    return drafts.map(({ action }) => action)
  }

  /** Some of the drafts become entries. */
  async enter(drafts: readonly (Entry | undefined)[]): Promise<void> {
    const { runtime, journal } = this.app
    const some = drafts.filter((draft) => draft !== undefined)
    apply(runtime, journal.accept(some, origin), journal.written)
    await this.settle()
  }

  /** Somebody else's entry in the place of a draft of this process. */
  async enterAction(action: Action): Promise<void> {
    this.append(action)
    await this.settle()
  }

  flush(): void {
    const { journal, runtime, filled } = this.app
    runtime.watermark(mark(journal.written, journal.written, filled.applied))
  }

  /** Everything drafted is written and flushed, and so on until nothing more is. @returns what was drafted */
  async write(): Promise<Action[]> {
    const all: Action[] = []
    for (;;) {
      await this.settle()
      const actions = await this.accept()
      if (actions.length === 0) return all
      all.push(...actions)
      this.flush()
    }
  }

  /** As `write`, and the store has it too. @returns what was drafted */
  async store(): Promise<Action[]> {
    const all: Action[] = []
    for (;;) {
      all.push(...(await this.write()))
      const { journal, runtime, filled } = this.app
      if (filled.applied === journal.written) return all
      filled.fill(journal)
      runtime.watermark(mark(journal.written, journal.written, journal.written))
      await this.settle()
    }
  }

  async advance(byMs: number): Promise<void> {
    this.app.world.scheduler.advance(byMs)
    await this.settle()
  }

  /** The process is gone, and another one of its name has registered: what is under way is to be resumed. */
  async crash({ isStored = true } = {}): Promise<void> {
    this.effects.splice(0)
    this.append({ type: 'application/deregistered', instance: 'test-1', reason: 'crashed' })
    this.app.runtime.connected()
    await (isStored ? this.store() : this.write())
  }

  async resume(id = 'a'): Promise<void> {
    const activation = this.app.runtime.state.activations.byKey.get(this.key(id))
    if (activation === undefined) throw new Error(`${id} has nothing to do`)
    this.append({ type: 'workflow/resumed', instance: 'test-1', activations: [activation.lsn] })
    await this.settle()
  }

  /** An effect that the test ends. */
  effect(name: string): (context: { effectKey: string; attempt: number; signal: AbortSignal }) => Promise<never> {
    return ({ effectKey, attempt, signal }) =>
      new Promise<never>((done, failed) => {
        this.effects.push({ name, key: effectKey, attempt, signal, done: done as (result?: unknown) => void, failed })
      })
  }

  /** The events of a workflow's stream as the drafts had them. */
  static eventsOf(actions: readonly Action[]): readonly EventDraft[] {
    return actions.flatMap((action) => ('events' in action ? action.events : []))
  }
}

/** Each event as `type operation`. */
export const summaryOf = (actions: readonly Action[]): string[] =>
  WorkflowWorld.eventsOf(actions).map(({ type, data }) => {
    const { operation, attempt } = data as { operation?: string; attempt?: number }
    return [type, operation, attempt].filter((part) => part !== undefined && part !== null).join(' ')
  })
