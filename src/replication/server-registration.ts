import { CommanderError } from '../kernel/errors.ts'
import type { ClusterRegistry, NewServer } from './cluster-registry.ts'
import { type MetadataStore, type MetadataWatch, metadataKeys } from './metadata-store.ts'
import { decodeServer } from './registered-server.ts'

export interface RegistrationOptions {
  readonly store: MetadataStore
  readonly registry: ClusterRegistry
  readonly server: NewServer
  /** It may no longer vote. Once, with the reason. */
  readonly lost: (error: CommanderError) => void
}

/**
 * A journal server's own view of its registration, from its start to its end. While the metadata store cannot be reached it stays
 * what it was: it is still the same server, and who is deregistered is in no group.
 */
export class ServerRegistration {
  readonly #o: RegistrationOptions
  #watch: MetadataWatch | null = null
  #isRegistered = false

  constructor(options: RegistrationOptions) {
    this.#o = options
  }

  /** I17: whether it may promise and acknowledge. */
  get mayVote(): boolean {
    return this.#isRegistered
  }

  /** @throws CommanderError `foreign_cluster`, `unknown_identity`, `metadata_unavailable` */
  async begin(): Promise<void> {
    const { registry, store, server } = this.#o
    await registry.register(server)
    this.#isRegistered = true
    const key = metadataKeys.server(server.id)
    this.#watch = store.watch(key, {
      values: (changed) => {
        for (const change of changed) if (change.key === key) this.#see(change.value?.value ?? null)
      },
      lost: () => {},
    })
  }

  end(): void {
    this.#watch?.close()
  }

  #see(text: string | null): void {
    const { id, identity } = this.#o.server
    const known = text === null ? null : decodeServer(text)
    if (!this.#isRegistered || known?.identity === identity) return
    this.#isRegistered = false
    const now = known === null ? 'it was deregistered' : `${known.identity} is registered under its id`
    const message = `journal server ${id} (${identity}) does not vote any more: ${now}. End it, or start it again`
    this.#o.lost(new CommanderError('unknown_identity', message, { details: { id, identity } }))
  }
}
