import { SocketDatabase } from '../../src/client/socket-database.ts'
import { isCommanderError } from '../../src/kernel/errors.ts'
import type { SimulatedProcess } from '../../src/testing/simulated-process.ts'
import type { Cluster } from './cluster.ts'

export type Bug = (what: string, error: unknown) => void

/** What anybody may be answered while parts of the database are down. */
const usual: ReadonlySet<string> = new Set([
  'timeout',
  'connection_lost',
  'not_ready',
  'no_database',
  'overloaded',
  'journal_full',
  'invalid_input',
  'stream_deleted',
  'archive_unavailable',
])

/** A client process that sends no commands of the load. */
export class Visitor {
  readonly process: SimulatedProcess
  readonly database: SocketDatabase
  readonly #cluster: Cluster
  readonly #bug: Bug

  constructor(name: string, cluster: Cluster, bug: Bug) {
    this.#cluster = cluster
    this.#bug = bug
    this.process = cluster.host.start(name, true)
    const { environment } = this.process
    const transport = cluster.host.transportOf(this.process)
    this.database = new SocketDatabase({ environment, transport, addresses: ['gateway'], timeoutMs: 5_000 })
  }

  /** Connects, however long that takes, and then runs. */
  start(run: () => Promise<void>): void {
    const opened = async (): Promise<void> => {
      for (;;) {
        try {
          await this.database.open()
          break
        } catch {
          await this.pause(100)
        }
      }
      await run()
    }
    opened().catch((error: unknown) => {
      if (this.process.isAlive) this.#bug(this.process.name, error)
    })
  }

  pause(mostMs: number): Promise<void> {
    const { random } = this.#cluster.host
    return new Promise((resolve) => this.process.environment.scheduler.after(random.fraction() * mostMs, resolve))
  }

  #isOfDamage(code: string): boolean {
    return code === 'journal_corrupt' && this.#cluster.mayBeDamaged
  }

  /** @returns whether it went well */
  async attempt(who: string, run: () => Promise<void>, alsoUsual: readonly string[] = []): Promise<boolean> {
    try {
      await run()
      return true
    } catch (error) {
      const isUsual =
        isCommanderError(error) &&
        (usual.has(error.code) || alsoUsual.includes(error.code) || this.#isOfDamage(error.code))
      if (!isUsual) this.#bug(who, error)
      return false
    }
  }
}
