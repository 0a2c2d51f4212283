import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemRandom } from '../../../src/kernel/system-environment.ts'
import { HostOrchestrator } from '../../../src/supervisor/host-orchestrator.ts'
import { FakeWorld, specification } from './fake-world.ts'

let directory: string
let world: FakeWorld
let orchestrator: HostOrchestrator
let slots: Map<string, number>

/** The supervisor of another life of the host. */
async function boot(first: readonly string[] = []): Promise<void> {
  world = new FakeWorld([specification('writer')])
  world.supervision.start()
  world.report('writer')
  orchestrator = await HostOrchestrator.open({
    children: world.supervision,
    directory,
    random: systemRandom,
    first,
    specificationOf: (id, dataDir, slot) => {
      slots.set(id, slot)
      return specification(`journal-server-${id}`, { config: { id, dataDir }, essential: false })
    },
  })
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'commanderdb-orchestrator-'))
  slots = new Map()
  await boot()
})
afterEach(() => rmSync(directory, { recursive: true }))

/** Ends what was told to end, however many turns of the event loop that takes. */
async function settled<Result>(promise: Promise<Result>): Promise<Result> {
  let isSettled = false
  const done = (): void => {
    isSettled = true
  }
  promise.then(done, done)
  while (!isSettled) {
    world.time.advance(0)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return promise
}

describe('the orchestrator of a host', () => {
  it('starts as many journal servers as it is asked for, each with a directory of its own', async () => {
    const ids = await orchestrator.provision(3)
    expect(new Set(ids).size).toBe(3)
    expect(world.alive).toEqual(['writer', ...ids.map((id) => `journal-server-${id}`)])
    expect(readdirSync(join(directory, 'servers')).sort()).toEqual([...ids].sort())
    expect(await orchestrator.list()).toEqual(ids.map((id) => ({ id, state: 'starting' })))
    world.report(`journal-server-${ids[0]}`)
    expect((await orchestrator.list())[0]).toEqual({ id: ids[0], state: 'ready' })
  })

  it('says which of them ends again and again', async () => {
    const [id] = await orchestrator.provision(1)
    for (let life = 0; life < 15; life++) {
      world.last(`journal-server-${id}`).exit({ code: 1, signal: null })
      world.time.advance(5000)
      world.report('writer')
    }
    expect(await orchestrator.list()).toEqual([{ id, state: 'failing' }])
    expect(world.last('writer').alive).toBe(true)
  })

  it('ends one, sets its data aside, and never uses its id again', async () => {
    const [gone = '', stays = ''] = await orchestrator.provision(2)
    writeFileSync(join(directory, 'servers', gone, 'segment'), 'entries')
    await settled(orchestrator.deprovision(gone))
    expect(world.alive).toEqual(['writer', `journal-server-${stays}`])
    expect(existsSync(join(directory, 'removed', gone, 'segment'))).toBe(true)
    expect((await orchestrator.list()).map(({ id }) => id)).toEqual([stays])
    await expect(settled(orchestrator.deprovision(gone))).rejects.toMatchObject({ code: 'not_found' })
  })

  it('starts those again that were there, at the next start of the host, and not those that were ended', async () => {
    const [gone = '', stays = ''] = await orchestrator.provision(2)
    await settled(orchestrator.deprovision(gone))
    await boot()
    expect(world.alive).toEqual(['writer', `journal-server-${stays}`])
    const [more = ''] = await orchestrator.provision(1)
    expect((await orchestrator.list()).map(({ id }) => id)).toEqual([stays, more])
  })

  it('does one thing after the other, whoever asks at the same time', async () => {
    const [[one = ''], [two = '']] = await settled(Promise.all([orchestrator.provision(1), orchestrator.provision(1)]))
    await settled(Promise.all([orchestrator.deprovision(one), orchestrator.deprovision(two)]))
    expect(await orchestrator.list()).toEqual([])
    expect(readdirSync(join(directory, 'removed')).sort()).toEqual([one, two].sort())
  })

  it('begins with those that the config names, once, and goes on with what it finds', async () => {
    await boot(['n-1', 'n-2'])
    expect((await orchestrator.list()).map(({ id }) => id)).toEqual(['n-1', 'n-2'])
    await settled(orchestrator.deprovision('n-1'))
    await boot(['n-1', 'n-2', 'n-3'])
    expect((await orchestrator.list()).map(({ id }) => id)).toEqual(['n-2'])
  })

  it('takes over the directories of those that were there before there was an orchestrator', async () => {
    for (const id of ['n-1', 'n-2']) mkdirSync(join(directory, 'servers', id))
    writeFileSync(join(directory, 'servers', 'n-2', 'data'), 'entries')
    await boot(['n-1', 'n-2'])
    expect((await orchestrator.list()).map(({ id }) => id)).toEqual(['n-1', 'n-2'])
    expect([...slots]).toEqual([
      ['n-1', 1],
      ['n-2', 2],
    ])
    expect(existsSync(join(directory, 'servers', 'n-2', 'data'))).toBe(true)
  })

  it('gives each a slot of its own, which it keeps, and which is free again when it is ended', async () => {
    await boot(['n-1', 'n-2'])
    const [more = ''] = await orchestrator.provision(1)
    expect(slots.get(more)).toBe(3)
    await settled(orchestrator.deprovision('n-1'))
    slots.clear()
    await boot(['n-1', 'n-2'])
    expect(Object.fromEntries(slots)).toEqual({ 'n-2': 2, [more]: 3 })
    const [another = ''] = await orchestrator.provision(1)
    expect(slots.get(another)).toBe(1)
  })

  it('gives one of two that have the same slot another one', async () => {
    await boot(['n-1', 'n-2'])
    writeFileSync(join(directory, 'servers', 'n-2', 'slot'), '1\n')
    await boot(['n-1', 'n-2'])
    expect(slots.get('n-1')).toBe(1)
    expect(slots.get('n-2')).toBe(2)
  })
})
