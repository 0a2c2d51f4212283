import { beforeEach, describe, expect, it } from 'vitest'
import type { Lsn } from '../../../src/kernel/identifiers.ts'
import { received } from '../role-world.ts'
import { ApplicationWorld, summary } from './application-world.ts'

let app: ApplicationWorld
beforeEach(() => {
  app = ApplicationWorld.registered()
})

const drafted = (): string[] => summary(app.follower.takeActions())
const accept = (): string[] => summary(app.acceptDrafts())
const close = (id: string): Lsn => app.append({ type: 'stream/closed', aggregate: { type: 'counter', id }, atMs: 0 })
const remove = (id: string, closedLsn: Lsn): Lsn =>
  app.append({ type: 'stream/deleted', aggregate: { type: 'counter', id }, closedLsn, atMs: 0 })

describe('commands on a closed stream', () => {
  it('are decided when they came before the close, and refused when they came after, in the same order', () => {
    const before = app.append(received('a', 'add', { amount: 1 }))
    close('a')
    const after = app.append(received('a', 'add', { amount: 2 }))
    app.startAgain(before, after)
    app.store()
    expect(accept()).toEqual([`${before} completed at 0: 1`, `${after} rejected: stream_closed`])
  })

  it('are refused by an aggregate in memory, and by one that is restored', () => {
    app.add('a')
    accept()
    close('a')
    const warm = app.add('a')
    expect(accept()).toEqual([`${warm} rejected: stream_closed`])
    app.otherInstanceComes()
    app.store()
    const cold = app.add('a')
    expect(accept()).toEqual([`${cold} rejected: stream_closed`])
  })

  it('wait for a store that knows of the close', () => {
    app.add('a')
    accept()
    app.store()
    app.otherInstanceComes()
    const behind = app.journal.written
    close('a')
    app.store(behind)
    const command = app.add('a')
    expect(drafted()).toEqual([])
    app.store()
    expect(drafted()).toEqual([`${command} rejected: stream_closed`])
  })

  it('leave other aggregates alone', () => {
    close('a')
    app.store()
    const other = app.add('b', 3)
    expect(accept()).toEqual([`${other} completed at 0: 3`])
  })
})

describe('commands on a deleted stream', () => {
  it('are refused whenever they came, in memory and restored', () => {
    const parked = app.add('a')
    accept()
    remove('a', close('a'))
    app.append({ type: 'command/retried', command: parked, received: received('a') })
    app.startAgain(parked)
    expect(accept()).toEqual([`${parked} rejected: stream_deleted`])
    app.otherInstanceComes()
    app.store()
    const cold = app.add('a')
    expect(accept()).toEqual([`${cold} rejected: stream_deleted`])
  })

  it('are decided as ever when the deletion came too early to take effect', () => {
    const pending = app.append(received('a', 'add', { amount: 5 }))
    remove('a', close('a'))
    app.startAgain(pending)
    app.store()
    expect(accept()).toEqual([`${pending} completed at 0: 5`])
  })
})
