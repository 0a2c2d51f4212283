import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { slotsToBe } from '../../../src/supervisor/server-slots.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'commanderdb-slots-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const provisioned = (id: string, slot?: number): void => {
  mkdirSync(join(directory, 'servers', id), { recursive: true })
  if (slot !== undefined) writeFileSync(join(directory, 'servers', id, 'slot'), `${slot}\n`)
}
const toBe = async (...first: readonly string[]): Promise<object> =>
  Object.fromEntries(await slotsToBe(directory, first))

describe('the slots of the journal servers that a host is about to run', () => {
  it('are those of the first ones at the first start, for which nothing is made', async () => {
    expect(await toBe('n-1', 'n-2')).toEqual({ 'n-1': 1, 'n-2': 2 })
    expect(readdirSync(directory)).toEqual([])
  })

  it('are those that they have later, whatever the config counts by then', async () => {
    provisioned('n-2', 2)
    provisioned('server-1', 7)
    writeFileSync(join(directory, 'servers-provisioned'), 'n-1\nn-2\n')
    expect(await toBe('n-1', 'n-2', 'n-3')).toEqual({ 'n-2': 2, 'server-1': 7 })
  })

  it('go on where a first start was cut off, without those that were taken away', async () => {
    provisioned('n-1')
    mkdirSync(join(directory, 'removed', 'n-2'), { recursive: true })
    expect(await toBe('n-1', 'n-2', 'n-3')).toEqual({ 'n-1': 1, 'n-3': 3 })
  })

  it('are never the same: the second one gets another', async () => {
    provisioned('a', 1)
    provisioned('b', 1)
    expect(await toBe()).toEqual({ a: 1, b: 2 })
  })
})
