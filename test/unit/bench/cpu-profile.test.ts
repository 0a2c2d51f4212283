import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readFunctionTimes } from '../../../bench/cpu-profile.ts'

const frame = (functionName: string): object => ({ functionName, url: '', lineNumber: 0 })

/** (root) calls outer, which calls inner, which calls outer again; 1 ms a sample, the first one at 1,001,000 us. */
const profile = {
  startTime: 1_000_000,
  nodes: [
    { id: 1, callFrame: frame('(root)'), children: [2] },
    { id: 2, callFrame: frame('outer'), children: [3] },
    { id: 3, callFrame: frame('inner'), children: [4] },
    { id: 4, callFrame: frame('outer') },
  ],
  samples: [2, 3, 4, 3],
  timeDeltas: [1000, 1000, 1000, 1000],
}

describe('reading a profile', () => {
  let directory: string
  let path: string
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'cpu-profile-'))
    path = join(directory, 'a.cpuprofile')
    writeFileSync(path, JSON.stringify(profile))
  })
  afterAll(() => rmSync(directory, { recursive: true }))

  test('adds the time of a function in all its places, and counts its own calls to itself once', () => {
    expect(readFunctionTimes(path, 0, Number.MAX_SAFE_INTEGER)).toEqual([
      { name: 'outer', selfMs: 2, totalMs: 4 },
      { name: 'inner', selfMs: 2, totalMs: 3 },
      { name: '(root)', selfMs: 0, totalMs: 4 },
    ])
  })

  test('leaves out samples before and after the measured time', () => {
    expect(readFunctionTimes(path, 1_001_500, 1_002_500)).toEqual([
      { name: 'inner', selfMs: 1, totalMs: 1 },
      { name: '(root)', selfMs: 0, totalMs: 1 },
      { name: 'outer', selfMs: 0, totalMs: 1 },
    ])
  })
})
