import type { Database } from '../client/options.ts'
import type { SocketDatabase } from '../client/socket-database.ts'
import { CommanderError } from '../kernel/errors.ts'

/** A client of the database in this process, whose closing closes the database. */
export class EmbeddedDatabase implements Database {
  readonly #stop: { run(): Promise<void> }
  readonly #onFailure: ((error: CommanderError) => void) | undefined
  #client: SocketDatabase | null = null
  #failure: CommanderError | null = null
  #closed: Promise<void> | null = null

  constructor(stop: { run(): Promise<void> }, onFailure: ((error: CommanderError) => void) | undefined) {
    this.#stop = stop
    this.#onFailure = onFailure
  }

  serve(client: SocketDatabase): void {
    this.#client = client
  }

  /** A role cannot go on: everything stops, and what is asked from now on fails with the reason. */
  fail(error: CommanderError): void {
    if (this.#failure !== null || this.#closed !== null) return
    this.#failure = error
    this.close().then(
      () => this.#onFailure?.(error),
      () => this.#onFailure?.(error),
    )
  }

  readonly execute: Database['execute'] = (...args: Parameters<SocketDatabase['execute']>) =>
    this.#open().execute(...args)

  readonly read: Database['read'] = (...args: Parameters<SocketDatabase['read']>) => this.#open().read(...args)

  readonly stream: Database['stream'] = (...args) => this.#open().stream(...args)

  readonly events: Database['events'] = (options) => this.#open().events(options)

  readonly subscribe: Database['subscribe'] = (options) => this.#open().subscribe(options)

  readonly eventBatches: Database['eventBatches'] = (options) => this.#open().eventBatches(options)

  readonly projection: Database['projection'] = (...args) => this.#open().projection(...args)

  readonly projections: Database['projections'] = () => this.#open().projections()

  readonly rebuildProjection: Database['rebuildProjection'] = (name) => this.#open().rebuildProjection(name)

  readonly command: Database['command'] = (...args) => this.#open().command(...args)

  readonly commands: Database['commands'] = (...args) => this.#open().commands(...args)

  readonly retryCommand: Database['retryCommand'] = (id) => this.#open().retryCommand(id)

  readonly skipCommand: Database['skipCommand'] = (...args) => this.#open().skipCommand(...args)

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.#client?.close()
    await this.#stop.run()
  }

  #open(): SocketDatabase {
    if (this.#failure !== null) throw this.#failure
    if (this.#client === null || this.#closed !== null) {
      throw new CommanderError('connection_lost', 'the database was closed; open it again', { retryable: false })
    }
    return this.#client
  }
}
