import { connect, type Database } from '../../../src/client.ts'
import { type RunningDatabase, until } from '../../process/running-database.ts'
import { checkHistory, type Finding } from './check-history.ts'
import type { LogEntry } from './history.ts'
import { type Connections, entryOf, type RecordedClients } from './recorded-clients.ts'

/** Connections of a test to the nodes of a cluster. */
export class NodeClients {
  readonly #nodes: readonly RunningDatabase[]
  readonly #clients: Database[] = []

  constructor(nodes: readonly RunningDatabase[]) {
    this.#nodes = nodes
  }

  /** To these nodes, whichever leads. */
  async connect(nodes: readonly RunningDatabase[] = this.#nodes): Promise<Database> {
    const client = await connect({ dataDir: nodes.map(({ dataDir }) => dataDir), timeoutMs: 120_000 })
    this.#clients.push(client)
    return client
  }

  async connections(): Promise<Connections> {
    const toEach = (): Promise<readonly Database[]> => Promise.all(this.#nodes.map((node) => this.connect([node])))
    return { everywhere: await this.connect(), nodes: await toEach(), readers: await toEach() }
  }

  /** While nobody calls: the whole history against what each node has in the end, and these against each other. */
  async check(load: RecordedClients): Promise<readonly Finding[]> {
    const [first = [], ...others] = await this.#logs(load.highestLsn)
    const findings = [first, ...others].flatMap((log) => checkHistory(load, log))
    for (const log of others) {
      const text = difference(first, log)
      if (text !== null) findings.push({ badness: 'misread', text })
    }
    return findings
  }

  async close(): Promise<void> {
    for (const client of this.#clients) await client.close()
  }

  async #logs(upToLsn: number): Promise<readonly (readonly LogEntry[])[]> {
    const logs: LogEntry[][] = []
    let lsn = upToLsn
    for (const node of this.#nodes) {
      const client = await this.connect([node])
      await until('the end of all commands', async () => (await client.commands('pending', 1)).length === 0)
      await until('a node that has all', () =>
        client.read('ledger', 'account-0', { minLsn: lsn }).then(
          () => true,
          () => false,
        ),
      )
      const log: LogEntry[] = []
      for await (const batch of client.eventBatches()) log.push(...batch.map(entryOf))
      lsn = Math.max(lsn, log.at(-1)?.lsn ?? 0)
      logs.push(log)
    }
    return logs
  }
}

function difference(one: readonly LogEntry[], other: readonly LogEntry[]): string | null {
  const length = Math.max(one.length, other.length)
  for (let i = 0; i < length; i++) {
    const [here, there] = [JSON.stringify(one[i]), JSON.stringify(other[i])]
    if (here !== there) return `event ${i + 1} is ${here} at one node and ${there} at another`
  }
  return null
}
