import { cpSync, existsSync, mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ClientEvent, Database } from '../../src/client.ts'
import { open } from '../../src/index.ts'
import { ClusterWorld, Deposits } from './cluster-world.ts'
import { bank, CommandLine, jsonOf, type Result } from './command-line.ts'
import { RunningDatabase, until } from './running-database.ts'

let cli: CommandLine
let alone: RunningDatabase
let world: ClusterWorld
beforeEach(() => {
  cli = new CommandLine()
  alone = new RunningDatabase({ applications: [{ module: bank }] })
  world = new ClusterWorld()
})
afterEach(async () => {
  await world.remove()
  await alone.remove()
  await cli.remove()
})

const begin = (dataDir: string, metadata: string = world.metadata): Promise<Result> =>
  cli.run('cluster', 'begin', '--data-dir', dataDir, '--metadata', metadata, '--json')

async function eventsOf(client: Database): Promise<ClientEvent[]> {
  const events: ClientEvent[] = []
  for await (const event of client.events()) events.push(event)
  return events
}

/** Sockets and locks are of the processes that ran. */
const copied = (from: string, to: string): void =>
  cpSync(from, to, { recursive: true, filter: (path) => basename(path) !== 'run' })

/** What a database holds that keeps its journal alone, in the directory of the first node to be. */
async function grown(): Promise<{ readonly deposits: readonly number[]; readonly events: readonly ClientEvent[] }> {
  await alone.start()
  const client = await alone.connect()
  const load = new Deposits(client)
  await load.more(500)
  await load.end()
  const events = await eventsOf(client)
  // Without a word: its journal has more than its store.
  await alone.killAll()
  copied(alone.dataDir, world.nodes[0].dataDir)
  return { deposits: load.acknowledged, events }
}

/** What the accounts hold beyond what they held before. */
async function gained(load: Deposits, before: readonly number[]): Promise<number[]> {
  return (await load.balances()).map((balance, caller) => balance - (before[caller] ?? 0))
}

describe('a cluster of a database that kept its journal alone', () => {
  it('has all of it on each node, goes on with it, and at the other node when the first one is killed', async () => {
    const before = await grown()
    const [first, second] = world.nodes
    const begun = jsonOf(await begin(first.dataDir)) as { afterLsn: number }
    expect(begun).toMatchObject({ metadata: world.metadata, dataDir: first.dataDir })
    await world.start()
    expect(second.logged('this node has the store of another one')).toMatchObject([{ node: 'a' }])
    const client = await world.connect()
    const load = new Deposits(client)
    await load.more(100)
    const { leader } = await world.leader()
    expect(leader).toBe(first)
    await leader.killAll()
    await load.more(100)
    await load.end()
    expect(await gained(load, before.deposits)).toEqual(load.acknowledged)
    const events = await eventsOf(client)
    expect(events.slice(0, before.events.length)).toEqual(before.events)
    expect(events).toHaveLength(before.events.length + load.total)
    expect(events[before.events.length]?.lsn).toBeGreaterThan(begun.afterLsn)
  })

  it('may be one that was restored', async () => {
    await alone.start()
    const client = await alone.connect()
    const load = new Deposits(client)
    await load.more(50)
    await load.end()
    const [backup, dataDir] = [join(cli.directory, 'backup'), world.nodes[0].dataDir]
    jsonOf(await cli.run('backup', backup, '--data-dir', alone.dataDir, '--json'))
    jsonOf(await cli.run('restore', backup, '--data-dir', dataDir, '--json'))
    const early = await cli.run('start', ...asNode(dataDir))
    expect(early).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('commanderdb cluster begin') })
    jsonOf(await begin(dataDir))
    await world.start()
    const more = new Deposits(await world.connect())
    await more.more(50)
    await more.end()
    expect(await gained(more, load.acknowledged)).toEqual(more.acknowledged)
  })

  it('may be begun again as long as nobody has led it, and not afterwards', async () => {
    await grown()
    const { dataDir } = world.nodes[0]
    const copy = join(cli.directory, 'copy')
    copied(dataDir, copy)
    const once = jsonOf(await begin(dataDir))
    expect(jsonOf(await begin(dataDir))).toEqual(once)
    // It is of a cluster now: with a journal of its own nobody opens it any more.
    const started = await cli.run('start', '--data-dir', dataDir, '--app', bank, '--no-http')
    expect(started).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('is of a node of the cluster') })
    await expect(open({ dataDir, applications: [] })).rejects.toMatchObject({ code: 'invalid_config' })
    await world.start()
    await world.nodes[0].stop()
    expect(await begin(dataDir)).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('already_exists') })
    expect(await begin(copy)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('of a cluster that was begun before'),
    })
    expect(existsSync(join(copy, 'cluster.json'))).toBe(false)
  })

  it('is refused, and nothing is changed, while it runs, where there is none, and where another cluster is', async () => {
    await alone.start()
    expect((await begin(alone.dataDir)).stderr).toContain('database_locked')
    const nothing = join(cli.directory, 'nothing')
    mkdirSync(nothing)
    expect((await begin(nothing)).stderr).toContain('no_database')
    expect((await cli.run('cluster', 'begin', '--data-dir', nothing)).exitCode).toBe(2)
    await alone.stop()
    await world.servers.start()
    const foreign = await begin(alone.dataDir)
    expect(foreign).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('name an empty metadata store') })
    expect(existsSync(join(alone.dataDir, 'cluster.json'))).toBe(false)
    await alone.start()
    await until('the database to be as before', async () => (await alone.status())?.ready === true)
  })
})

const asNode = (dataDir: string): string[] => [
  ...['--data-dir', dataDir, '--app', bank, '--no-http', '--journal', 'replicated', '--node-id', 'a'],
  ...['--metadata', world.metadata, '--replication-dev', 'true'],
]
