import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { tracingRefusal } from '../torture/traced-writer.ts'

const program = join(import.meta.dirname, '..', 'fixtures', 'put-into-archive.ts')
const refusal = tracingRefusal()

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'commanderdb-archive-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

/** What the system was asked for below the archive, in order of the calls' ends, temporary names made the same. */
function callsOf(archive: string, name: string): string[] {
  const record = join(directory, 'record')
  const traced = 'trace=write,pwrite64,fsync,fdatasync,link,linkat,rename,renameat,renameat2,mkdir,mkdirat'
  execFileSync('strace', [
    '-f',
    '-y',
    '-qq',
    '-s',
    '9',
    '-e',
    traced,
    '-o',
    record,
    process.execPath,
    program,
    archive,
    name,
  ])
  return readFileSync(record, 'utf8')
    .split('\n')
    .filter((line) => line.includes(archive) && line.includes('= '))
    .map((line) => line.replaceAll(archive, 'A').replaceAll(/\.[0-9a-f-]{36}\.tmp/g, '.tmp'))
}

describe.runIf(refusal === null)('an object in a directory', () => {
  it('is flushed before it has its name, and its name before anybody is told', () => {
    const archive = join(directory, 'archive')
    mkdirSync(join(archive, 'segments'), { recursive: true })
    const calls = callsOf(archive, 'segments/object')
    const at = (pattern: RegExp): number => calls.findIndex((line) => pattern.test(line))
    const written = at(/write(64)?\(\d+<A\/segments\/object\.tmp>.*an object/)
    const flushed = at(/f(data)?sync\(\d+<A\/segments\/object\.tmp>/)
    const linked = at(/link(at)?\(.*A\/segments\/object\.tmp.*A\/segments\/object"/)
    const named = calls.findLastIndex((line) => /fsync\(\d+<A\/segments>/.test(line))
    expect(written, calls.join('\n')).toBeGreaterThanOrEqual(0)
    expect(flushed, calls.join('\n')).toBeGreaterThan(written)
    expect(linked, calls.join('\n')).toBeGreaterThan(flushed)
    expect(named, calls.join('\n')).toBeGreaterThan(linked)
  })

  it('is found after a power failure in directories that were made for it', () => {
    const archive = join(directory, 'archive')
    mkdirSync(archive)
    const calls = callsOf(archive, 'segments/00000001/object')
    const flushes = (path: string): boolean =>
      calls.some((line) => line.includes('fsync(') && line.includes(`<${path}>`))
    expect(flushes('A'), calls.join('\n')).toBe(true)
    expect(flushes('A/segments'), calls.join('\n')).toBe(true)
    expect(flushes('A/segments/00000001'), calls.join('\n')).toBe(true)
  })
})
