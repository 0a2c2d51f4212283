import { open, readdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Random } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { makeDirectory } from '../kernel/make-directory-adapter.ts'
import type { Orchestrator, ProvisionedServer } from '../replication/orchestrator.ts'
import type { ChildSpecification } from './child-specification.ts'
import {
  doneName,
  firstToProvision,
  freeSlot,
  isThere,
  readSlots,
  removedName,
  serversName,
  slotName,
} from './server-slots.ts'
import type { SupervisedChild } from './supervised-child.ts'

/** The supervision, as far as it is needed here. */
export interface DynamicChildren {
  readonly children: readonly SupervisedChild[]
  add(specification: ChildSpecification): void
  remove(name: string): Promise<void>
}

export interface HostOrchestratorOptions {
  readonly children: DynamicChildren
  /** Of all journal servers of this host: `servers/<id>` for each, `removed/<id>` for the data of those that were. Made when absent. */
  readonly directory: string
  readonly random: Random
  /**
   * The process of one server, with its data in `dataDir`. Not essential: that one ends takes nothing else down. Its name
   * is that of no other child.
   * @param slot of the servers of this host no two have the same one, from 1 on, and each keeps its own: for its port
   */
  readonly specificationOf: (id: string, dataDir: string, slot: number) => ChildSpecification
  /** Ids of those that are provisioned when nothing ever was: at the first start. Default: none. */
  readonly first?: readonly string[]
}

/**
 * Journal servers as processes of this host. That a server is provisioned is its directory: it is there before the process is, is found again
 * at the next start, and is moved aside when the process has ended. The slot lies in it.
 */
export class HostOrchestrator implements Orchestrator {
  readonly #o: HostOrchestratorOptions
  readonly #servers: string
  readonly #removed: string
  /** Ids with the names of their processes. */
  readonly #names = new Map<string, string>()
  #slots = new Map<string, number>()
  /** One change at a time. */
  #turn: Promise<unknown> = Promise.resolve()

  /** Starts those that were provisioned before. */
  static async open(options: HostOrchestratorOptions): Promise<HostOrchestrator> {
    const orchestrator = new HostOrchestrator(options)
    await makeDirectory(orchestrator.#servers)
    await makeDirectory(orchestrator.#removed)
    await flushDirectory(resolve(options.directory))
    await orchestrator.#provisionFirst(options.first ?? [])
    const ids = (await readdir(orchestrator.#servers)).sort()
    orchestrator.#slots = await readSlots(orchestrator.#servers, ids)
    for (const id of ids) await orchestrator.#start(id)
    return orchestrator
  }

  private constructor(options: HostOrchestratorOptions) {
    this.#o = options
    this.#servers = join(resolve(options.directory), serversName)
    this.#removed = join(resolve(options.directory), removedName)
  }

  async list(): Promise<readonly ProvisionedServer[]> {
    return [...this.#names]
      .map(([id, name]) => ({ id, child: this.#o.children.children.find((child) => child.name === name) }))
      .map(({ id, child }) => ({ id, state: stateOf(child) }))
  }

  provision(count: number): Promise<readonly string[]> {
    return this.#alone(async () => {
      const ids: string[] = []
      for (let n = 0; n < count; n++) {
        const id = await this.#freshId()
        await makeDirectory(join(this.#servers, id))
        await flushDirectory(this.#servers)
        await this.#start(id)
        ids.push(id)
      }
      return ids
    })
  }

  deprovision(id: string): Promise<void> {
    return this.#alone(async () => {
      const name = this.#names.get(id)
      if (name === undefined) throw new CommanderError('not_found', `this host has no journal server ${id}`)
      await this.#o.children.remove(name)
      await rename(join(this.#servers, id), join(this.#removed, id))
      await flushDirectory(this.#removed)
      await flushDirectory(this.#servers)
      this.#names.delete(id)
      this.#slots.delete(id)
    })
  }

  /** A start that ends in between goes on at the next one. */
  async #provisionFirst(first: readonly string[]): Promise<void> {
    const directory = resolve(this.#o.directory)
    const ids = await firstToProvision(directory, first)
    if (ids === null) return
    for (const id of ids) await makeDirectory(join(this.#servers, id))
    await flushDirectory(this.#servers)
    await writeFile(join(directory, doneName), `${first.join('\n')}\n`, { flush: true })
    await flushDirectory(directory)
  }

  async #slotOf(id: string): Promise<number> {
    const known = this.#slots.get(id)
    if (known !== undefined) return known
    const slot = freeSlot(id, this.#o.first ?? [], this.#slots)
    this.#slots.set(id, slot)
    await writeFile(join(this.#servers, id, slotName), `${slot}\n`, { flush: true })
    return slot
  }

  async #start(id: string): Promise<void> {
    const specification = this.#o.specificationOf(id, join(this.#servers, id), await this.#slotOf(id))
    this.#names.set(id, specification.name)
    this.#o.children.add(specification)
  }

  /** Never one that was used on this host; on another one by chance, of which registration tells. */
  async #freshId(): Promise<string> {
    for (;;) {
      const id = `server-${this.#o.random.uuid().slice(0, 8)}`
      if (!this.#names.has(id) && !(await isThere(join(this.#removed, id)))) return id
    }
  }

  #alone<Result>(run: () => Promise<Result>): Promise<Result> {
    const turn = this.#turn.then(run)
    this.#turn = turn.catch(() => {})
    return turn
  }
}

/** One that was removed and waits for its turn to be moved aside has no process. */
function stateOf(child: SupervisedChild | undefined): ProvisionedServer['state'] {
  if (child === undefined || child.state === 'stopping' || child.state === 'stopped') return 'stopping'
  if (child.degraded) return 'failing'
  return child.state === 'ready' ? 'ready' : 'starting'
}

async function flushDirectory(path: string): Promise<void> {
  for (const at of [path, dirname(path)]) {
    const file = await open(at, 'r')
    await file.sync().finally(() => file.close())
  }
}
