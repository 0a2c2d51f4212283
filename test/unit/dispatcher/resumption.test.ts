import { beforeEach, expect, it } from 'vitest'
import { Resumption } from '../../../src/dispatcher/resumption.ts'
import { lsn, token } from '../../../src/kernel/identifiers.ts'
import { addActivation } from '../../../src/state/activations.ts'
import { registerApplication } from '../../../src/state/applications.ts'
import { addPending } from '../../../src/state/commands.ts'
import { emptyRoot, type RootState } from '../../../src/state/root.ts'
import { RoleWorld, registered } from '../role-world.ts'

let world: RoleWorld
let state: RootState
let resumption: Resumption
/** The instance whose commands wait. */
let held: string | null
let commandsUnderWay: number
/** Where commands of a workflow are under way, by its key. */
let places: Map<string, string>

beforeEach(() => {
  world = new RoleWorld()
  state = emptyRoot({ lookup: () => undefined, keepsPayloads: false })
  const instance = { ...registered('test-1'), aggregateTypes: ['workflow:w'] }
  registerApplication(state.applications, instance as never, lsn(1), state.migrations.versions)
  for (const [i, id] of ['a', 'b'].entries())
    addActivation(state.activations, {
      lsn: lsn(2 + i),
      key: `workflow:w/${id}`,
      hash: i,
      instance: '',
      token: token(0),
      crashes: 1,
    })
  held = null
  commandsUnderWay = 0
  places = new Map()
  const commands = {
    placeOf: (key: string) => places.get(key),
    hold: (instance: string) => {
      held = instance
      return commandsUnderWay === 0
    },
    letGo: () => {
      held = null
    },
  }
  resumption = new Resumption(state, world.scheduler, commands, () => {})
})

/** Its draft has come back. */
function assigned(at: number): void {
  Object.assign(state.activations.byLsn.get(lsn(at)) as object, { instance: 'test-1', token: token(9) })
  resumption.resumed(lsn(at))
}

it('runs those that are suspected one by one, and clears one that has been at work for a second', () => {
  expect(resumption.take().byInstance).toEqual(new Map([['test-1', [2]]]))
  assigned(2)
  // It is slow to begin: that is no proof of anything.
  world.scheduler.advance(5_000)
  expect(resumption.take()).toMatchObject({ byInstance: new Map(), cleared: new Set() })
  resumption.advanced(lsn(2))
  world.scheduler.advance(999)
  expect(resumption.take().byInstance).toEqual(new Map())
  world.scheduler.advance(1)
  expect(resumption.take()).toMatchObject({ byInstance: new Map([['test-1', [3]]]), cleared: new Set(['test-1']) })
})

it('waits no longer than ten seconds for one that has nothing to begin', () => {
  resumption.take()
  assigned(2)
  world.scheduler.advance(10_000)
  expect(resumption.take().byInstance).toEqual(new Map([['test-1', [3]]]))
})

/** The process of the one on probation has ended, with something else at work beside it. */
function released(at: number, crashes = 1): void {
  Object.assign(state.activations.byLsn.get(lsn(at)) as object, { instance: '', token: token(0), crashes })
}

it('has who was on probation when the process ended go on next, all alone', () => {
  expect(resumption.take().byInstance).toEqual(new Map([['test-1', [2]]]))
  expect(held).toBeNull()
  assigned(2)
  resumption.advanced(lsn(2))
  released(2)
  commandsUnderWay = 1
  expect(resumption.take().byInstance).toEqual(new Map())
  expect([held, resumption.isHeldBack]).toEqual(['test-1', true])
  commandsUnderWay = 0
  expect(resumption.take().byInstance).toEqual(new Map([['test-1', [2]]]))
  assigned(2)
  expect([held, resumption.isHeldBack]).toEqual(['test-1', false])
  resumption.advanced(lsn(2))
  world.scheduler.advance(1_000)
  expect(held).toBeNull()
  expect(resumption.take()).toMatchObject({ byInstance: new Map([['test-1', [3]]]), cleared: new Set(['test-1']) })
})

it('has who is doubtful go on before all others that are suspected', () => {
  resumption.take()
  assigned(2)
  released(2, 0)
  // It got on, and is no longer suspected; the next one is at work when the process ends.
  expect(resumption.take().byInstance).toEqual(new Map([['test-1', [2, 3]]]))
  assigned(2)
  assigned(3)
  released(2)
  released(3)
  expect(resumption.take().byInstance).toEqual(new Map([['test-1', [3]]]))
  expect(held).toBe('test-1')
})

it('lets the commands go while one of them may be what crashed the process', () => {
  resumption.take()
  assigned(2)
  released(2)
  commandsUnderWay = 1
  resumption.take()
  expect(held).toBe('test-1')
  const command = addPending(state.commands, lsn(9), 'account/1', 0, 1, null, 0)
  command.crashes = 1
  expect(resumption.take().byInstance).toEqual(new Map())
  expect([held, resumption.isHeldBack]).toEqual([null, true])
})

it('gives one that is suspected again after it was cleared twice the time', () => {
  resumption.take()
  for (const probationMs of [1_000, 2_000, 4_000, 8_000, 16_000, 16_000]) {
    assigned(2)
    resumption.advanced(lsn(2))
    world.scheduler.advance(probationMs - 1)
    expect(resumption.take().cleared).toEqual(new Set())
    world.scheduler.advance(1)
    state.activations.byKey.delete('workflow:w/b')
    expect(resumption.take().cleared).toEqual(new Set(['test-1']))
    released(2)
    expect(resumption.take().byInstance).toEqual(new Map([['test-1', [2]]]))
  }
})

it('knows after a restart of its own who is on probation', () => {
  assigned(2)
  expect(resumption.take().byInstance).toEqual(new Map())
  resumption.restart()
  expect(resumption.take().byInstance).toEqual(new Map())
  resumption.advanced(lsn(2))
  world.scheduler.advance(1_000)
  expect(resumption.take()).toMatchObject({ byInstance: new Map([['test-1', [3]]]), cleared: new Set(['test-1']) })
})

it('goes on where commands on the workflow are under way, whoever its partition belongs to by now', () => {
  places.set('workflow:w/a', 'test-2')
  expect(resumption.take().byInstance).toEqual(new Map([['test-2', [2]]]))
  expect(resumption.placeOf('workflow:w/a')).toBe('test-2')
  assigned(2)
  expect(resumption.placeOf('workflow:w/a')).toBeUndefined()
})
