import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock, systemRandom } from '../../../src/kernel/system-environment.ts'
import { openIdentity, readIdentity } from '../../../src/store/identity-adapter.ts'

const environment = { clock: systemClock, random: systemRandom }
let parent: string
let directory: string

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'identity-'))
  directory = join(parent, 'data')
})
afterEach(() => rmSync(parent, { recursive: true, force: true }))

describe('a directory without a database', () => {
  it('gets an identity that stays', () => {
    expect(readIdentity(directory)).toBeUndefined()
    const identity = openIdentity(directory, environment)
    expect(identity).toMatchObject({ format: 1, databaseId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string })
    expect(openIdentity(directory, environment)).toEqual(identity)
    expect(readIdentity(directory)).toEqual(identity)
    expect(statSync(directory).mode & 0o777).toBe(0o700)
  })

  it('is left alone by reading', () => {
    readIdentity(directory)
    expect(() => statSync(directory)).toThrow('ENOENT')
  })

  it('may hold what a crash at the first start has left', () => {
    mkdirSync(join(directory, 'run'), { recursive: true })
    writeFileSync(join(directory, 'identity.json.new'), '{"databa')
    expect(openIdentity(directory, environment).format).toBe(1)
  })
})

describe('a directory of something else', () => {
  const refused = (advice: RegExp): void => {
    const attempt = (): unknown => openIdentity(directory, environment)
    expect(attempt).toThrow(
      expect.objectContaining({ code: 'foreign_database', message: expect.stringMatching(advice) as string }),
    )
    expect(attempt).toThrow(directory)
  }

  it('is refused when it is not empty', () => {
    mkdirSync(join(directory, 'journal'), { recursive: true })
    refused(/there is journal.*choose an empty directory/)
  })

  it('is refused when it is a file', () => {
    writeFileSync(directory, '')
    refused(/cannot be listed/)
  })

  it.each([
    ['empty', ''],
    ['cut', '{"databaseId":"0198'],
    ['null', 'null'],
    ['without an id', '{"format":1,"createdAt":"2026-01-01T00:00:00.000Z"}'],
    [
      'with a wrong format',
      '{"databaseId":"b41d2f08-6d1f-4d8e-9d0a-0c8f3c2a1b00","format":"1","createdAt":"2026-01-01T00:00:00.000Z"}',
    ],
    ['with a wrong time', '{"databaseId":"b41d2f08-6d1f-4d8e-9d0a-0c8f3c2a1b00","format":1,"createdAt":"yesterday"}'],
  ])('is refused when its identity is %s, and the file is kept', (_what, text) => {
    mkdirSync(directory)
    writeFileSync(join(directory, 'identity.json'), text)
    refused(/damaged/)
    expect(readFileSync(join(directory, 'identity.json'), 'utf8')).toBe(text)
  })

  it('is refused when it was made by a newer version', () => {
    openIdentity(directory, environment)
    const path = join(directory, 'identity.json')
    writeFileSync(path, readFileSync(path, 'utf8').replace('"format": 1', '"format": 2'))
    expect(() => openIdentity(directory, environment)).toThrow(expect.objectContaining({ code: 'unsupported_version' }))
  })
})
