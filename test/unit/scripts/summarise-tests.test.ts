import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const script = resolve(import.meta.dirname, '..', '..', '..', 'scripts', 'summarise-tests.ts')

interface TestFile {
  readonly status: string
  readonly assertionResults: readonly { readonly status: string }[]
}

function summarise(...results: string[]): { line: string; exitCode: number | null } {
  const directory = mkdtempSync(join(tmpdir(), 'commanderdb-results-'))
  try {
    const paths = results.map((_text, index) => join(directory, `${index}.json`))
    for (const [index, path] of paths.entries()) writeFileSync(path, results[index] ?? '')
    const run = spawnSync(process.execPath, [script, ...paths], { encoding: 'utf8' })
    return { line: run.stdout.trim(), exitCode: run.status }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const summariseFiles = (...testResults: TestFile[]) => summarise(JSON.stringify({ testResults }))
const tests = (...statuses: string[]) => statuses.map((status) => ({ status }))

describe('the summary of a test run', () => {
  it('adds up the files of every project, without the skipped tests', () => {
    expect(
      summariseFiles(
        { status: 'passed', assertionResults: tests('passed', 'passed', 'skipped') },
        { status: 'passed', assertionResults: tests('passed') },
      ),
    ).toEqual({ line: '3 passed, 0 failed', exitCode: 0 })
  })

  it('fails for a failed test', () => {
    expect(summariseFiles({ status: 'failed', assertionResults: tests('passed', 'failed') })).toEqual({
      line: '1 passed, 1 failed',
      exitCode: 1,
    })
  })

  it('fails for a file that did not load, although it has no failed test', () => {
    expect(
      summariseFiles(
        { status: 'passed', assertionResults: tests('passed') },
        { status: 'failed', assertionResults: [] },
      ),
    ).toEqual({ line: '1 passed, 1 failed', exitCode: 1 })
  })

  it('adds several runs up, and fails when one of them did not take place', () => {
    const [tested, mutants] = [2, 3].map((count) =>
      JSON.stringify({ testResults: [{ status: 'passed', assertionResults: tests(...Array(count).fill('passed')) }] }),
    ) as [string, string]
    expect(summarise(tested, mutants)).toEqual({ line: '5 passed, 0 failed', exitCode: 0 })
    expect(summarise(tested, '')).toEqual({ line: '2 passed, 0 failed', exitCode: 1 })
  })

  it('fails when no test ran, and when the tests were never reached', () => {
    expect(summariseFiles()).toEqual({ line: '0 passed, 0 failed', exitCode: 1 })
    expect(summarise('')).toEqual({ line: '0 passed, 0 failed', exitCode: 1 })
  })
})
