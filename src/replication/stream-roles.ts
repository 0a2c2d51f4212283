import type { Timer } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Epoch } from '../kernel/identifiers.ts'
import {
  type MetadataChange,
  type MetadataStore,
  type MetadataValue,
  type MetadataWatch,
  metadataKeys,
} from './metadata-store.ts'
import type { RoleState } from './role-state.ts'
import { type StreamRecord, StreamRole, type StreamRolesOptions } from './stream-role.ts'

/** So many times in each lease is looked whether something is due. */
const ticksPerLease = 20

/**
 * What this node is to each stream: the part of a SingleWriteJournal that knows who leads. It decides when to try to lead; the
 * trying and the leading are the runner's.
 */
export class StreamRoles {
  readonly #o: StreamRolesOptions
  readonly #roles = new Map<string, StreamRole>()
  readonly #watches: readonly MetadataWatch[]
  #timer: Timer | undefined
  #isClosed = false

  constructor(options: StreamRolesOptions) {
    this.#o = options
    const { store } = options
    this.#watches = [
      this.#watch(
        store,
        metadataKeys.streams,
        (role, value) => (value === null ? role.goneSeen() : role.recordSeen(value)),
        (role) => role.allSeen(),
      ),
      this.#watch(store, metadataKeys.leases, (role, value) => role.leaseSeen(value)),
      this.#watch(store, metadataKeys.suggestions, (role, value) => role.suggestionSeen(value)),
    ]
    this.#plan()
  }

  /** As far as this node has heard; before it has heard anything a follower of epoch 0. */
  state(stream: string): RoleState {
    return this.#role(stream).state
  }

  /** The newest one that was seen; null: none. */
  record(stream: string): StreamRecord | null {
    return this.#role(stream).record
  }

  /** The present state first, then each change, of which the epoch never falls. Ends on `return`, and with `close`. */
  observeState(stream: string): AsyncIterable<RoleState> {
    const role = this.#role(stream)
    return role.observers.observe(() => role.state)
  }

  /**
   * From now on this node wants to lead; whether and when it does, `observeState` says. Who leads is left alone while its
   * lease lasts.
   * @throws CommanderError `not_found`: there is no such stream; `metadata_unavailable`
   */
  async campaign(stream: string): Promise<void> {
    const found = await this.#o.store.get(metadataKeys.stream(stream))
    if (found === null) throw new CommanderError('not_found', `there is no stream ${stream}: create it first`)
    const role = this.#role(stream)
    role.recordSeen(found)
    role.want()
  }

  /** The same, without a look at whether there is such a stream. */
  want(stream: string): void {
    this.#role(stream).want()
  }

  /** From now on this node does not want to lead, whatever it does by now. */
  unwant(stream: string): void {
    this.#role(stream).unwant()
  }

  /**
   * Lets another node lead, at once.
   * @throws CommanderError `metadata_unavailable`: it leads still, or others learn of it when its lease is over
   */
  async resign(stream: string): Promise<void> {
    await this.#role(stream).resign()
  }

  /** By the runner: its try is over. `promised` is the epoch that it was refused for. */
  lost(stream: string, promised: Epoch): void {
    this.#role(stream).lost(promised)
  }

  /** By the runner: it led, and was refused for a higher epoch, or gave up the lead. */
  deposed(stream: string, promised: Epoch): void {
    this.#role(stream).deposed(promised)
  }

  /** By the runner: its own swap was made, and `leads` says what it means. The watch would show it later. */
  recorded(stream: string, value: MetadataValue): void {
    this.#role(stream).recordSeen(value)
  }

  /** Leases end; whoever leads goes on doing so until somebody takes the next epoch. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    for (const watch of this.#watches) watch.close()
    await Promise.all([...this.#roles.values()].map((role) => role.close()))
  }

  #role(stream: string): StreamRole {
    const known = this.#roles.get(stream)
    if (known !== undefined) return known
    const role = new StreamRole(this.#o, stream)
    this.#roles.set(stream, role)
    return role
  }

  #watch(
    store: MetadataStore,
    prefix: string,
    see: (role: StreamRole, value: MetadataValue | null) => void,
    seen: (role: StreamRole) => void = () => {},
  ): MetadataWatch {
    return store.watch(prefix, {
      values: (changed: readonly MetadataChange[]) => {
        for (const { key, value } of changed) see(this.#role(key.slice(prefix.length)), value)
        for (const role of this.#roles.values()) seen(role)
      },
      // It goes on by itself. Nothing that is known meanwhile is worth less than before: all of it is a hint.
      lost: () => {},
    })
  }

  #plan(): void {
    const { environment, leaseMs } = this.#o
    this.#timer = environment.scheduler.after(leaseMs / ticksPerLease, () => {
      if (this.#isClosed) return
      for (const role of this.#roles.values()) role.tick()
      this.#plan()
    })
  }
}
