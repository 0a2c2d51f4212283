import { describe, expect, it } from 'vitest'
import type { Log } from '../../../src/kernel/environment.ts'
import { ChildOutput } from '../../../src/supervisor/child-output.ts'
import { LineSplitter } from '../../../src/supervisor/line-splitter.ts'

describe('LineSplitter', () => {
  const split = (chunks: readonly string[], lineBytesMax?: number): string[] => {
    const lines: string[] = []
    const splitter = new LineSplitter((line) => lines.push(line), lineBytesMax)
    for (const chunk of chunks) splitter.push(Buffer.from(chunk))
    splitter.end()
    return lines
  }

  it('puts lines together again however they were cut', () => {
    expect(split(['one\ntw', 'o', '\n\nthree\r\nfo', 'ur'])).toEqual(['one', 'two', 'three', 'four'])
  })

  it('hands over a line that is too long in pieces', () => {
    expect(split(['aaaaaaaaaa', 'bb\ncc\n'], 4)).toEqual(['aaaa', 'aaaa', 'aabb', 'cc'])
  })
})

describe('ChildOutput', () => {
  const setUp = () => {
    const passed: string[] = []
    const wrapped: [level: string, stream: unknown, line: string][] = []
    const keep = (level: string) => (fields: Readonly<Record<string, unknown>>, line: string) =>
      void wrapped.push([level, fields['stream'], line])
    const log: Log = {
      debug: keep('debug'),
      info: keep('info'),
      warn: keep('warn'),
      error: keep('error'),
      child: () => log,
    }
    const output = new ChildOutput({ write: (lines) => void passed.push(String(lines)), flush: async () => {} }, log)
    return { output, passed, wrapped }
  }

  it('passes JSON log lines through byte for byte and wraps all other lines', () => {
    const { output, passed, wrapped } = setUp()
    const line = '{"level":"info","process":"gateway","msg":"é"}\n'
    output.stdout.push(Buffer.from(`${line}hello\n{"level":broken\n`))
    output.stderr.push(Buffer.from('Warning: something\n'))
    expect(passed).toEqual([line])
    expect(wrapped).toEqual([
      ['info', 'stdout', 'hello'],
      ['info', 'stdout', '{"level":broken'],
      ['warn', 'stderr', 'Warning: something'],
    ])
  })

  it('remembers the fatal line as the last words', () => {
    const { output } = setUp()
    output.stdout.push(
      Buffer.from('{"level":"fatal","error":{"code":"invalid_module"},"msg":"bank.ts does not load"}\n'),
    )
    output.stderr.push(Buffer.from('TypeError: later\n'))
    expect(output.lastWords).toEqual({ code: 'invalid_module', message: 'bank.ts does not load', retryable: false })
  })

  it('takes the error line of standard error where there is no fatal line', () => {
    const { output } = setUp()
    expect(output.lastWords).toBeUndefined()
    output.stderr.push(
      Buffer.from('SyntaxError: Unexpected token\n    at file.ts:1:1\nFATAL ERROR: heap limit\nNode.js v24\n'),
    )
    expect(output.lastWords?.message).toBe('FATAL ERROR: heap limit')
  })
})
