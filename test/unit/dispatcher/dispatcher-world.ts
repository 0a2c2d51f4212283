import type { Action, Entry } from '../../../src/actions/action.ts'
import { Dispatcher } from '../../../src/dispatcher/dispatcher.ts'
import type { DispatcherOptions } from '../../../src/dispatcher/options.ts'
import { hash32, partitionCount, partitionOf } from '../../../src/kernel/hash.ts'
import { type Lsn, lsn, revision, type Token, token } from '../../../src/kernel/identifiers.ts'
import { emptyRoot } from '../../../src/state/root.ts'
import { apply, RoleWorld, received, StubFollower, StubJournal } from '../role-world.ts'

/** A dispatcher, and a journal that takes every draft. */
export class DispatcherWorld {
  readonly world = new RoleWorld()
  readonly journal = new StubJournal()
  readonly follower = new StubFollower()
  readonly dispatcher: Dispatcher

  constructor(options: Partial<DispatcherOptions> = {}) {
    const state = emptyRoot({ lookup: () => undefined, keepsPayloads: false })
    this.dispatcher = new Dispatcher(this.world.environment, state, 1, () => {}, options)
    this.dispatcher.start(this.follower.asFollower)
    this.dispatcher.connected()
  }

  /** One batch, applied. Returns the LSN of its first entry. */
  append(...actions: Action[]): Lsn {
    const first = lsn(this.journal.written + 1)
    apply(this.dispatcher, this.journal.append(actions, 9), this.journal.written)
    return first
  }

  /** Commands on counters with these ids; their LSNs. */
  receive(...ids: string[]): Lsn[] {
    const first = this.append(...ids.map((id) => received(id)))
    return ids.map((_, i) => lsn(first + i))
  }

  receiveOne(id: string): Lsn {
    return this.append(received(id))
  }

  /** What the dispatcher drafted becomes entries, and what it drafts then too, until it rests. */
  settle(): Entry[] {
    const all: Entry[] = []
    for (let drafts = this.follower.takeDrafts(); drafts.length > 0; drafts = this.follower.takeDrafts()) {
      all.push(...drafts)
      apply(this.dispatcher, this.journal.accept(drafts), this.journal.written)
    }
    return all
  }

  /** `instance: lsn lsn …` of each entry that starts commands. */
  starts(entries: readonly Entry[] = this.settle()): string[] {
    return entries.flatMap(({ action }) =>
      action.type === 'command/started' ? [`${action.instance}: ${action.commands.join(' ')}`] : [],
    )
  }

  tokenOf(command: Lsn): Token {
    return this.dispatcher.state.commands.byLsn.get(command)?.token ?? token(0)
  }

  instanceOf(command: Lsn): string | undefined {
    return this.dispatcher.state.commands.byLsn.get(command)?.instance
  }

  complete(...commands: Lsn[]): void {
    for (const command of commands) {
      this.append({
        type: 'command/completed',
        ...this.#end(command),
        baseRevision: revision(0),
        eventsVersion: 1,
        events: [],
        latestEvent: null,
        idempotencyKey: 'none',
        snapshot: null,
      })
    }
  }

  fail(command: Lsn, retryDelayMs: number): void {
    this.append({ type: 'command/failed', ...this.#end(command), message: 'no', retryDelayMs })
  }

  park(command: Lsn, blocksAggregate: boolean): void {
    const end = this.#end(command)
    this.append({ type: 'command/parked', ...end, idempotencyKey: 'none', message: 'no', attempts: 5, blocksAggregate })
  }

  #end(command: Lsn) {
    const key = this.dispatcher.state.commands.byLsn.get(command)?.queue.key as string
    const aggregate = { type: 'counter', id: key.slice('counter/'.length) }
    return { command, aggregate, release: this.tokenOf(command), atMs: this.world.nowMs }
  }
}

/** An id whose counter belongs to the instance with this index among `n`. */
export function idOwnedBy(index: number, n: number): string {
  for (let i = 0; ; i++) {
    if (Math.floor((partitionOf(hash32(`counter/${i}`)) * n) / partitionCount) === index) return String(i)
  }
}
