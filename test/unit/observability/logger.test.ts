import { Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { createLogOutput } from '../../../src/observability/log-output-adapter.ts'
import { createLogger, type LoggerOptions } from '../../../src/observability/logger-adapter.ts'

describe('the log', () => {
  const setUp = (more: Partial<LoggerOptions> = {}) => {
    const lines: Record<string, unknown>[] = []
    const output = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) }
    return { lines, log: createLogger({ process: 'gateway', role: 'gateway', output, ...more }) }
  }

  it('says on every line which process it is, in which role, when, and how far it was', () => {
    let lsn = 7
    const { lines, log } = setUp({ lsn: () => lsn })
    log.info({ command: 'c1' }, 'one')
    lsn = 8
    log.child({ table: 'x' }).warn({}, 'two')
    expect(lines).toMatchObject([
      { level: 'info', process: 'gateway', role: 'gateway', lsn: 7, command: 'c1', msg: 'one' },
      { level: 'warn', process: 'gateway', role: 'gateway', lsn: 8, table: 'x', msg: 'two' },
    ])
    expect(lines[0]?.['time']).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  })

  it('writes nothing below its level', () => {
    const { lines, log } = setUp({ level: 'warn' })
    log.debug({}, 'no')
    log.info({}, 'no')
    log.error({}, 'yes')
    log.fatal({}, 'yes')
    expect(lines.map(({ level }) => level)).toEqual(['error', 'fatal'])
  })

  it('keeps code, details and causes of an error', () => {
    const { lines, log } = setUp()
    const cause = new Error('the disk is gone')
    log.error({ error: new CommanderError('journal_failed', 'no flush', { details: { at: 4 }, cause }) }, 'failed')
    expect(lines[0]?.['error']).toMatchObject({
      code: 'journal_failed',
      message: 'no flush',
      details: { at: 4 },
      cause: { message: 'the disk is gone' },
    })
  })

  it('begins every line with the level: by that the supervisor knows it', () => {
    const lines: string[] = []
    createLogger({ process: 'a', role: 'b', output: { write: (line) => void lines.push(line) } }).info({}, 'x')
    expect(lines[0]?.startsWith('{"level":')).toBe(true)
  })
})

describe('the log output', () => {
  /** A reader that takes nothing until told to. */
  const stalled = () => {
    const written: string[] = []
    const waiting: (() => void)[] = []
    const stream = new Writable({
      decodeStrings: false,
      write(chunk, _encoding, done) {
        written.push(String(chunk))
        waiting.push(done)
      },
    })
    const resume = (): void => {
      for (let done = waiting.shift(); done !== undefined; done = waiting.shift()) done()
    }
    return { stream, written, resume }
  }

  it('drops lines instead of growing while nobody reads, and says how many', async () => {
    const { stream, written, resume } = stalled()
    const output = createLogOutput(stream, 100)
    for (let n = 0; n < 50; n++) output.write(`line ${n}\n`)
    expect(stream.writableLength).toBeLessThan(120)
    resume()
    await new Promise((resolve) => setImmediate(resolve))
    resume()
    output.write('after\n')
    resume()
    await new Promise((resolve) => setImmediate(resolve))
    resume()
    const kept = written
      .join('')
      .split('\n')
      .filter((line) => line.startsWith('line')).length
    expect(written.join('')).toContain(`"dropped":${50 - kept}`)
    expect(written.join('')).toMatch(/after\n$/)
  })

  it('does not wait for ever for a reader that is gone', async () => {
    const { stream } = stalled()
    const output = createLogOutput(stream)
    output.write('x\n')
    await output.flush(1)
    expect(stream.writableLength).toBeGreaterThan(0)
  })

  it('survives a closed pipe', async () => {
    const stream = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) })
    const output = createLogOutput(stream)
    output.write('x\n')
    await new Promise((resolve) => setImmediate(resolve))
    output.write('y\n')
    await output.flush(1000)
    expect(stream.destroyed).toBe(true)
  })
})
