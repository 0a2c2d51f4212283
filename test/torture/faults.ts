import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../../src/client.ts'
import { unreachable } from '../../src/kernel/assert.ts'
import type { SeededRandom } from '../../src/testing/seeded-random.ts'
import { isAlive, type RunningDatabase, until } from '../process/running-database.ts'
import type { LedgerLoad } from './ledger-load.ts'
import type { SmallDisk } from './small-disk.ts'
import { type Injection, injectedFailureIn, TracedWriter } from './traced-writer.ts'

export const children = [
  'journal-writer',
  'dispatcher',
  'projection-applier',
  'application-ledger-1',
  'application-ledger-2',
  'gateway',
] as const

export type FaultKind =
  | { readonly kind: 'kill'; readonly names: readonly string[] }
  /** Once more while it comes back from the first time. */
  | { readonly kind: 'killTwice'; readonly names: readonly string[] }
  | { readonly kind: 'killSupervisor' }
  | { readonly kind: 'killAll' }
  | { readonly kind: 'stop'; readonly name: string; readonly forMs: number }
  | { readonly kind: 'failCall'; readonly injection: Injection }
  | { readonly kind: 'fillDisk'; readonly forMs: number }

export interface Scene {
  readonly database: RunningDatabase
  readonly load: LedgerLoad
  readonly client: Database
  readonly random: SeededRandom
  /** Null where none could be mounted. */
  readonly disk: SmallDisk | null
  readonly violation: (text: string) => void
}

/** The row of the table that a fault counts in. */
export function rowOf(fault: FaultKind): string {
  switch (fault.kind) {
    case 'kill':
      return fault.names.length === 1 ? `kill -9 ${fault.names[0]}` : 'kill -9 of several'
    case 'killTwice':
      return 'kill -9 again while it starts'
    case 'killSupervisor':
      return 'kill -9 supervisor'
    case 'killAll':
      return 'kill -9 of all'
    case 'stop':
      return `SIGSTOP ${fault.name}`
    case 'failCall':
      return `${fault.injection.error} from ${fault.injection.call}`
    case 'fillDisk':
      return 'full disk'
    default:
      return unreachable(fault)
  }
}

export const isKill = ({ kind }: FaultKind): boolean => kind.startsWith('kill')

/** Lets the fault happen, and resolves when its cause is over. */
export async function strike(fault: FaultKind, scene: Scene): Promise<void> {
  const { database } = scene
  switch (fault.kind) {
    case 'kill':
      return kill(scene, fault.names)
    case 'killTwice':
      await kill(scene, fault.names)
      await sleep(scene.random.integer(0, 600))
      return kill(scene, fault.names)
    case 'killSupervisor':
      await database.status()
      await database.signal('supervisor', 'SIGKILL')
      await database.gone()
      return database.start()
    case 'killAll':
      await database.killAll()
      return database.start()
    case 'stop':
      return stop(scene, fault.name, fault.forMs)
    case 'failCall':
      return failCall(scene, fault.injection)
    case 'fillDisk':
      return fillDisk(scene, fault.forMs)
    default:
      return unreachable(fault)
  }
}

/** All of them at one moment; resolves when each has a successor. */
async function kill({ database }: Scene, names: readonly string[]): Promise<void> {
  const status = await until('a status', () => database.status())
  const killed = status.processes.filter(({ name, pid }) => names.includes(name) && pid !== null)
  for (const { pid } of killed) signal(pid as number, 'SIGKILL')
  await succeeded(
    database,
    killed.map(({ pid }) => pid as number),
  )
}

async function succeeded(database: RunningDatabase, formerPids: readonly number[]): Promise<void> {
  await until('successors of the processes that were killed', async () => {
    const processes = (await database.status())?.processes
    return processes?.every(({ pid }) => pid !== null && !formerPids.includes(pid))
  })
}

async function stop({ database }: Scene, name: string, forMs: number): Promise<void> {
  const pid = await database.signal(name, 'SIGSTOP')
  await sleep(forMs)
  signal(pid, 'SIGCONT')
}

/** Its supervisor may have been quicker. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as { code?: string }).code !== 'ESRCH') throw error
  }
}

/** A flush or write fails once: the writer ends without another try, and its successor goes by what is on the medium. */
async function failCall({ database, violation }: Scene, injection: Injection): Promise<void> {
  const pid = await database.pidOf('journal-writer')
  const file = join(database.directory, `calls-${pid}`)
  const writer = await TracedWriter.attach(pid, file, injection)
  try {
    const failure = await until('a call to fail', () => injectedFailureIn(writer.record))
    if (injection.error === 'ENOSPC' || !failure.isOfSegment) return
    await until('the end of the writer', () => !isAlive(pid))
    const { later = [] } = injectedFailureIn(writer.record) ?? {}
    await writer.detach()
    await succeeded(database, [pid])
    if (later.length > 0) violation(`after a failed ${injection.call} the writer went on: ${later.join(' | ')}`)
  } finally {
    await writer.detach()
  }
}

/**
 * Commands are refused for what it is, or wait for a store that says why it is not written to; reads are answered, and
 * all goes on by itself once there is room.
 */
async function fillDisk({ database, load, client, disk, violation }: Scene, forMs: number): Promise<void> {
  if (disk === null) return
  const supervisor = await database.pidOf('supervisor')
  const before = load.errorsOf('journal_full')
  const waitedBefore = load.errorsOf('timeout')
  const saysWhy = (): boolean => database.logged('nothing is applied until there is room').length > 0
  try {
    await until('commands to be refused, or to wait, for the full disk', () => {
      disk.fill()
      return load.errorsOf('journal_full') > before || (load.errorsOf('timeout') > waitedBefore && saysWhy())
    })
    await sleep(forMs)
    const { events } = await client.stream('ledger', 'account-0', { minLsn: 0 })
    const { revision } = await client.read('ledger', 'account-0', { minLsn: 0 })
    if (events.some((event, i) => event.revision !== i + 1) || revision < events.length)
      violation(`a full disk: account-0 is read at revision ${revision} with ${events.length} events`)
    if ((await database.pidOf('supervisor')) !== supervisor) violation('the full disk ended the supervisor')
  } finally {
    disk.makeRoom()
  }
}
