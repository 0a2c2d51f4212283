import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { open } from '../../src/embedded/open.ts'
import { defineApplication } from '../../src/sdk/application.ts'
import { defineSchedule } from '../../src/sdk/schedule.ts'
import { defineWorkflow } from '../../src/sdk/workflow.ts'

let directory: string
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-schedules-'))
})
afterEach(() => fs.rmSync(directory, { recursive: true }))

describe('a database with a schedule', () => {
  it('runs a workflow at each of its times, and goes on behind them when it is opened again', async () => {
    const ids: string[] = []
    const tick = defineWorkflow({
      name: 'tick',
      run: async (context, { step }: { step: number }) => {
        await context.request('note', () => ids.push(`${context.workflow.id} ${step}`))
      },
    })
    const schedule = {
      name: 'second',
      cron: '* * * * * *',
      workflow: tick,
      input: { step: 5 },
      overlap: 'allow',
    } as const
    const schedules = [defineSchedule({ ...schedule, catchUp: 'all' })]
    const clock = defineApplication({ name: 'clock', aggregates: [], workflows: [tick], schedules })
    for (const count of [1, 3]) {
      const db = await open({ dataDir: directory, applications: [clock] })
      await vi.waitUntil(() => ids.length >= count, { timeout: 20_000 })
      await db.close()
    }
    const times = ids.map((id) => Date.parse(/^second-(.*) 5$/.exec(id)?.[1] ?? '') / 1_000)
    const [first] = times as [number]
    // A note that was taken and not written is taken again; a time that was left out is not made up for.
    expect([...new Set(times)]).toEqual(Array.from({ length: new Set(times).size }, (_, i) => first + i))
  })
})
