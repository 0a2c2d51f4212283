import { describe, expect, it } from 'vitest'
import { nearestName } from '../../../src/sdk/nearest-name.ts'

const names = ['dataDir', 'http.port', 'journal.segmentBytes', 'limits.payloadBytes', 'archive.directory']

describe('nearestName', () => {
  it.each([
    ['datadir', 'dataDir'],
    ['dataDirectory', 'dataDir'],
    ['port', 'http.port'],
    ['journal.segmentSize', 'journal.segmentBytes'],
    ['limits.payload', 'limits.payloadBytes'],
    ['directory', 'archive.directory'],
  ])('takes %s for %s', (name, nearest) => {
    expect(nearestName(name, names)).toBe(nearest)
  })

  it('has nothing to say without candidates', () => {
    expect(nearestName('x', [])).toBeUndefined()
  })
})
