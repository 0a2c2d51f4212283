import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { open } from '../../src/embedded/open.ts'
import { defineAggregate, defineApplication, defineSchedule, defineWorkflow } from '../../src/index.ts'

let directory: string
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-queues-'))
})
afterEach(() => fs.rmSync(directory, { recursive: true }))

describe('a database with queues', () => {
  it('executes everything that waits in them, in the end', async () => {
    const counter = defineAggregate({
      name: 'counter',
      initialState: () => 0,
      decide: { add: (data: { by: number }) => ({ type: 'added', data }) },
      evolve: { added: (state, { by }: { by: number }) => state + by },
      queues: { add: { concurrency: 2, partitionKey: (_, id) => id.slice(0, 1) } },
    })
    const db = await open({
      dataDir: directory,
      applications: [defineApplication({ name: 'c', aggregates: [counter] })],
    })
    const ids = Array.from({ length: 200 }, (_, i) => `${'ab'[i % 2]}${i % 20}`)
    const outcomes = await Promise.all(ids.map((id) => db.execute(counter, id, 'add', { by: 1 })))
    expect(new Set(outcomes.map(({ outcome }) => outcome))).toEqual(new Set(['completed']))
    expect((await db.read(counter, 'a0')).state).toBe(10)
    await db.close()
  })

  it('runs no more workflows at once than the queue has slots, children and scheduled ones alike', async () => {
    const running = new Map<string, number>()
    const most = new Map<string, number>()
    let done = 0
    const part = defineWorkflow({
      name: 'part',
      run: async (context, { of }: { of: string }) => {
        await context.request('begin', () => {
          running.set(of, (running.get(of) ?? 0) + 1)
          most.set(of, Math.max(most.get(of) ?? 0, running.get(of) ?? 0))
        })
        await context.sleep(20)
        await context.request('end', () => {
          running.set(of, (running.get(of) ?? 0) - 1)
          done++
        })
      },
      queue: { concurrency: 2, partitionKey: ({ of }) => of },
    })
    const whole = defineWorkflow({
      name: 'whole',
      run: async (context) => {
        const { id } = context.workflow
        const parts = Array.from({ length: 12 }, (_, i) => ({ name: `${id}/${i}`, of: i % 3 === 0 ? 'x' : 'y' }))
        await context.all(parts.map(({ name, of }) => context.executeChild(part, name, { of })))
      },
      queue: { concurrency: 1 },
    })
    const schedules = [defineSchedule({ name: 'each', cron: '* * * * * *', workflow: whole, overlap: 'skip' })]
    const application = defineApplication({ name: 'w', aggregates: [], workflows: [part, whole], schedules })
    const db = await open({ dataDir: directory, applications: [application] })
    await vi.waitUntil(() => done >= 12, { timeout: 20_000 })
    await db.close()
    expect([...most].sort()).toEqual([
      ['x', 2],
      ['y', 2],
    ])
  })
})
