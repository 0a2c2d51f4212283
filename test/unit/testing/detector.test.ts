import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { defineApplication, defineWorkflow, open as openDatabase, type WorkflowContext } from '../../../src/index.ts'
import type { LogFields } from '../../../src/kernel/environment.ts'
import { type TestDatabase, testDatabase } from '../../../src/testing.ts'
import { RecordingLog } from '../ipc/recording-log.ts'

let db: TestDatabase | null = null
afterEach(() => db?.close())

/** Runs it twice, under two ids. */
async function open(run: (context: WorkflowContext) => Promise<unknown>, detector = true): Promise<TestDatabase> {
  const workflow = defineWorkflow({ name: 'job', run })
  db = await testDatabase({
    applications: [defineApplication({ name: 'jobs', aggregates: [], workflows: [workflow] })],
    detector,
  })
  for (const id of ['1', '2']) await db.execute('workflow:job', id, 'start', { input: null })
  await db.settle()
  return db
}

const calls: readonly (readonly [call: string, instead: string, make: () => unknown])[] = [
  ['Date.now', 'context.now()', () => Date.now()],
  ['new Date()', 'new Date(context.now())', () => new Date()],
  ['Math.random', 'context.random()', () => Math.random()],
  ['crypto.randomUUID', 'context.uuid()', () => crypto.randomUUID()],
  ['crypto.randomUUID', 'context.uuid()', () => randomUUID()],
  ['setTimeout', 'context.sleep', () => clearTimeout(setTimeout(() => {}, 1))],
  ['setInterval', 'context.sleep', () => clearInterval(setInterval(() => {}, 1))],
  ['setImmediate', 'context.sleep', () => clearImmediate(setImmediate(() => {}))],
  ['fetch', 'context.request', () => fetch('http://127.0.0.1:1/').catch(() => null)],
]

describe('the detector', () => {
  it.each(calls)('names %s with its place, once, and says to use %s', async (call, instead, make) => {
    const { warnings } = await open(async (context) => {
      await context.request('before', () => null)
      make()
    })
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(`workflow job/1 calls ${call} at `)
    expect(warnings[0]).toMatch(/detector\.test\.ts:\d+:\d+/)
    expect(warnings[0]).toContain(`use ${instead}`)
  })

  it('names each place by itself', async () => {
    const { warnings } = await open(async () => {
      Math.random()
      Math.random()
    })
    expect(warnings).toHaveLength(2)
  })

  it('leaves effects, dates of a given time, and all other code alone', async () => {
    const { warnings, effects } = await open(async (context) => {
      await context.request('real', async () => {
        for (const [, , make] of calls) await make()
        return Date.now()
      })
      return new Date(context.now()).toISOString()
    })
    for (const [, , make] of calls) await make()
    expect(warnings).toEqual([])
    expect(effects).toMatchObject([{ outcome: 'completed' }, { outcome: 'completed' }])
  })

  it('finds nothing where it is turned off', async () => {
    const { warnings } = await open(async () => Date.now(), false)
    expect(warnings).toEqual([])
  })

  it('puts everything back as it was', async () => {
    const before = [Date, Date.now, Math.random, setTimeout, crypto.randomUUID, fetch]
    await open(async () => Date.now())
    expect(Date).not.toBe(before[0])
    expect(new Date()).toBeInstanceOf(Date)
    await db?.close()
    expect([Date, Date.now, Math.random, setTimeout, crypto.randomUUID, fetch]).toEqual(before)
  })
})

/** As loggers do, it looks at the clock. */
class TimedLog extends RecordingLog {
  override warn(fields: LogFields, message: string): void {
    super.warn({ ...fields, time: Date.now() }, message)
  }
}

describe('the embedded database', () => {
  const directory = mkdtempSync(join(tmpdir(), 'commanderdb-detector-'))
  afterAll(() => rmSync(directory, { recursive: true }))

  it.each([
    ['development', undefined, 1],
    ['production', undefined, 0],
    ['production', true, 1],
    ['development', false, 0],
  ] as const)('has the detector where NODE_ENV is %s and it is asked for %s', async (mode, detector, findings) => {
    vi.stubEnv('NODE_ENV', mode)
    const log = new TimedLog()
    const workflow = defineWorkflow({ name: 'job', run: async () => Math.random() })
    const application = defineApplication({ name: 'jobs', aggregates: [], workflows: [workflow] })
    const dataDir = join(directory, `${mode}-${detector}`)
    const embedded = await openDatabase({
      dataDir,
      applications: [application],
      log,
      ...(detector === undefined ? {} : { detector }),
    })
    try {
      await embedded.execute('workflow:job', '1', 'start', { input: null })
      await vi.waitFor(async () => {
        expect(await embedded.read('workflow:job', '1')).toMatchObject({ state: { status: 'completed' } })
      })
      const found = log.lines.filter(({ fields }) => fields['code'] === 'non_deterministic_call')
      expect(found).toHaveLength(findings)
    } finally {
      await embedded.close()
      vi.unstubAllEnvs()
    }
  })
})

describe('a workflow that awaits what its context does not know', () => {
  const gates: Record<string, PromiseWithResolvers<string>> = {}
  const gate = (name: string): PromiseWithResolvers<string> => {
    gates[name] ??= Promise.withResolvers<string>()
    return gates[name]
  }
  afterEach(() => {
    for (const name of Object.keys(gates)) delete gates[name]
  })

  it('is named once, stays active, and goes on when that comes', async () => {
    const { warnings, read, settle } = await open(async (context) => {
      await context.request('before', () => null)
      const came = await gate(context.workflow.id).promise
      await context.request('after', () => came)
      return came
    })
    expect(warnings).toEqual([
      expect.stringMatching(/^workflow job\/1 awaits something that its context does not know/),
    ])
    expect(await read('workflow:job', '1')).toMatchObject({ state: { status: 'running', completedRequests: 1 } })
    gate('1').resolve('here')
    await settle()
    expect(await read('workflow:job', '1')).toMatchObject({ state: { status: 'completed', result: 'here' } })
    expect(await read('workflow:job', '2')).toMatchObject({ state: { status: 'running' } })
  })

  it('ends when that is all it does', async () => {
    const { read, settle } = await open((context) => gate(context.workflow.id).promise)
    gate('2').resolve('here')
    gate('1').reject(new Error('lost'))
    await settle()
    expect(await read('workflow:job', '1')).toMatchObject({ state: { status: 'parked', error: { message: 'lost' } } })
    expect(await read('workflow:job', '2')).toMatchObject({ state: { status: 'completed', result: 'here' } })
  })

  it('is named, too, when it waits for something recorded beside it, and goes on with the next thing that happens', async () => {
    const { warnings, clock, read, settle } = await open((context) =>
      context.race([context.sleep(60_000), gate(context.workflow.id).promise]),
    )
    expect(warnings).toEqual([])
    gate('1').resolve('here')
    await settle()
    expect(warnings).toEqual([expect.stringMatching(/^workflow job\/1 awaits something/)])
    await clock.advance('1m')
    expect(await read('workflow:job', '1')).toMatchObject({ state: { status: 'completed', result: 'here' } })
  })

  it('takes signals meanwhile', async () => {
    const { execute, read, settle } = await open(async (context) => {
      await gate(context.workflow.id).promise
      return context.signal('go')
    })
    await execute('workflow:job', '1', 'signal', { name: 'go', data: 'now' })
    gate('1').resolve('')
    await settle()
    expect(await read('workflow:job', '1')).toMatchObject({ state: { status: 'completed', result: 'now' } })
  })

  it('is parked when it is run again from a history that it cannot come to', async () => {
    const { crash, read, settle } = await open(async (context) => {
      await gate(context.workflow.id).promise
      await context.request('after', () => new Promise(() => {}))
    })
    gate('1').resolve('')
    await settle()
    gates['1'] = Promise.withResolvers()
    crash('application')
    await settle()
    expect(await read('workflow:job', '1')).toMatchObject({
      state: {
        status: 'parked',
        error: { code: 'non_determinism', details: { expected: 'request/after#1', actual: [] } },
      },
    })
  })
})
