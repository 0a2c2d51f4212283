import type { Database } from '../client/options.ts'
import type { SocketDatabase } from '../client/socket-database.ts'
import type { ApplierAnswer } from '../ipc/applier-protocol.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { AnyWorkflow } from '../sdk/workflow-types.ts'

/** What operators ask of the projection applier. */
type AskByHand = (what: 'checkpoint' | 'archive') => Promise<ApplierAnswer>

/** A client of the database in this process, whose closing closes the database. */
export class EmbeddedDatabase implements Database {
  readonly #stop: { run(): Promise<void> }
  readonly #onFailure: ((error: CommanderError) => void) | undefined
  #client: SocketDatabase | null = null
  #ask: AskByHand | null = null
  #failure: CommanderError | null = null
  #closed: Promise<void> | null = null

  constructor(stop: { run(): Promise<void> }, onFailure: ((error: CommanderError) => void) | undefined) {
    this.#stop = stop
    this.#onFailure = onFailure
  }

  serve(client: SocketDatabase, ask: AskByHand): void {
    this.#client = client
    this.#ask = ask
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

  readonly execute: Database['execute'] = (...args: Parameters<SocketDatabase['execute']>) => {
    const reason = this.#reason()
    return reason === null ? this.#open().execute(...args) : Promise.reject(reason)
  }

  readonly read: Database['read'] = async (...args: Parameters<SocketDatabase['read']>) => this.#open().read(...args)

  readonly stream: Database['stream'] = async (...args) => this.#open().stream(...args)

  readonly streamLife: Database['streamLife'] = async (...args) => this.#open().streamLife(...args)

  readonly closeStream: Database['closeStream'] = async (...args) => this.#open().closeStream(...args)

  readonly archiveStream: Database['archiveStream'] = async (...args) => this.#open().archiveStream(...args)

  readonly deleteStream: Database['deleteStream'] = async (...args) => this.#open().deleteStream(...args)

  readonly events: Database['events'] = (options) => this.#open().events(options)

  readonly subscribe: Database['subscribe'] = (options) => this.#open().subscribe(options)

  readonly eventBatches: Database['eventBatches'] = (options) => this.#open().eventBatches(options)

  readonly projection: Database['projection'] = async (...args) => this.#open().projection(...args)

  readonly projections: Database['projections'] = async () => this.#open().projections()

  readonly schedules: Database['schedules'] = async () => this.#open().schedules()

  readonly queues: Database['queues'] = async () => this.#open().queues()

  readonly rebuildProjection: Database['rebuildProjection'] = async (name) => this.#open().rebuildProjection(name)

  readonly command: Database['command'] = async (...args) => this.#open().command(...args)

  readonly commands: Database['commands'] = async (...args) => this.#open().commands(...args)

  readonly retryCommand: Database['retryCommand'] = async (id) => this.#open().retryCommand(id)

  readonly skipCommand: Database['skipCommand'] = async (...args) => this.#open().skipCommand(...args)

  async checkpoint(): Promise<{ readonly upTo: number }> {
    const { upTo = 0 } = await this.#byHand('checkpoint')
    return { upTo }
  }

  async archive(): Promise<{ readonly upTo: number; readonly location: string }> {
    const { upTo = 0, location = '' } = await this.#byHand('archive')
    return { upTo, location }
  }

  #byHand(what: 'checkpoint' | 'archive'): Promise<ApplierAnswer> {
    const reason = this.#reason()
    if (reason !== null || this.#ask === null) throw reason
    return this.#ask(what)
  }

  readonly workflow: Database['workflow'] = (definition: AnyWorkflow | string) => this.#open().workflow(definition)

  readonly workflows: Database['workflows'] = async (options) => this.#open().workflows(options)

  readonly resolveAwakeable: Database['resolveAwakeable'] = async (...args) => this.#open().resolveAwakeable(...args)

  readonly rejectAwakeable: Database['rejectAwakeable'] = async (...args) => this.#open().rejectAwakeable(...args)

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.#client?.close()
    await this.#stop.run()
  }

  /** @throws CommanderError why it cannot be asked */
  #open(): SocketDatabase {
    const reason = this.#reason()
    if (reason !== null) throw reason
    return this.#client as SocketDatabase
  }

  #reason(): CommanderError | null {
    if (this.#failure !== null) return this.#failure
    if (this.#client !== null && this.#closed === null) return null
    return new CommanderError('connection_lost', 'the database was closed; open it again', { retryable: false })
  }
}
