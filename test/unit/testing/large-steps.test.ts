import { afterEach, describe, expect, it } from 'vitest'
import { type AnyWorkflow, defineApplication, defineWorkflow, TerminalError } from '../../../src/index.ts'
import { type TestDatabase, testDatabase } from '../../../src/testing.ts'

let db: TestDatabase
afterEach(() => db.close())

async function open(...workflows: AnyWorkflow[]): Promise<void> {
  db = await testDatabase({ applications: [defineApplication({ name: 'a', aggregates: [], workflows })] })
}

const large = (): string => 'x'.repeat(5_000_000)

/** What is larger than may be recorded at once. */
const values = {
  'an input of the next run': ['invalid_input', (context) => context.continueAsNew(large())],
  'a result': ['result_invalid', async () => large()],
  'a status': ['invalid_input', async (context) => context.setStatus(large())],
  'the data of a command': [
    'invalid_input',
    (context) => context.command('workflow:other', '1', 'signal', { name: 'a', data: large() }),
  ],
  'the input of a child': ['invalid_input', (context) => context.startChild(other, '2', large())],
} satisfies Record<string, readonly [string, Parameters<typeof defineWorkflow>[0]['run']]>

const other = defineWorkflow({ name: 'other', run: async (context, _: unknown) => context.signal('never') })

describe('a value of a workflow that is larger than may be recorded', () => {
  it.each(Object.entries(values))('parks it once: %s', async (_, [code, run]) => {
    const job = defineWorkflow({ name: 'job', run: run as never })
    await open(job, other)
    await db.execute('workflow:job', '1', 'start', { input: 0 })
    await db.clock.advance('1m')
    const { status, error, run: runs } = await db.workflow('job').get('1')
    expect({ status, code: error?.code, runs }).toEqual({ status: 'parked', code, runs: 1 })
    expect(error?.message).toMatch(/has 50000\d+ bytes; at most 1048576 can be recorded/)
  })
})

describe('a step of a workflow that cannot be recorded', () => {
  it('is none where only the details of a failed request are', async () => {
    const job = defineWorkflow({
      name: 'job',
      run: async (context, _: unknown) =>
        context.request('a', () => {
          throw new TerminalError('no', 'it is so', { all: large() })
        }),
    })
    await open(job)
    await db.execute('workflow:job', '1', 'start', { input: 0 })
    await db.settle()
    const { status, error } = await db.workflow('job').get('1')
    expect([status, error]).toEqual([
      'failed',
      {
        code: 'no',
        message: 'it is so',
        details: { leftOut: expect.stringMatching(/^what was here has 50000\d+ bytes/) },
      },
    ])
  })

  it('is tried once, and again when somebody has mended the code', async () => {
    let isMended = false
    let runs = 0
    const job = defineWorkflow({
      name: 'job',
      run: async (context, _: unknown) => {
        runs++
        if (!isMended) context.setStatus(large())
        return 'mended'
      },
    })
    await open(job, other)
    await db.execute('workflow:job', '1', 'start', { input: 0 })
    await db.clock.advance('1h')
    expect([runs, (await db.workflow('job').get('1')).error?.code]).toEqual([1, 'invalid_input'])
    isMended = true
    await db.workflow('job').retry('1')
    expect(await db.workflow('job').result('1')).toBe('mended')
    expect(runs).toBe(2)
  })
})

describe('signals that a run has not taken', () => {
  /** Goes on in a new run when it is told to, and takes its signals there. */
  const job = defineWorkflow({
    name: 'job',
    run: async (context, count: number) => {
      if (context.workflow.run === 1) {
        await context.signal('next')
        return context.continueAsNew(count)
      }
      for (let i = 0; i < count; i++) await context.signal('kept')
      return context.workflow.run
    },
  })

  async function signalled(count: number, data: unknown): Promise<void> {
    await open(job)
    const jobs = db.workflow(job)
    await jobs.start('1', count)
    for (let i = 0; i < count; i++) await jobs.signal('1', 'kept', data)
    await jobs.signal('1', 'next')
    await db.settle()
  }

  it('are written in one entry with the beginning of the next one, more than a command may decide on', async () => {
    await signalled(1_500, 0)
    expect(await db.workflow(job).result('1')).toBe(2)
    const { events } = await db.stream('workflow:job', '1')
    const first = events.findIndex(({ type }) => type === 'workflow/continued')
    const group = events.slice(first, first + 1_501)
    expect(group.filter(({ type }) => type === 'signal/received')).toHaveLength(1_500)
    expect(new Set(group.map(({ lsn }) => lsn)).size).toBe(1)
  })

  it('park a workflow when they are more than an entry holds', async () => {
    await signalled(10, 'x'.repeat(500_000))
    const { status, run, error } = await db.workflow(job).get('1')
    expect([status, run, error?.code]).toEqual(['parked', 1, 'payload_too_large'])
    expect(error?.message).toMatch(/workflow\/continued, with 10 events that the run has not taken, has 500\d{4} bytes/)
  })
})
