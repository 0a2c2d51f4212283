import { beforeEach, expect, it } from 'vitest'
import { Resumption } from '../../../src/dispatcher/resumption.ts'
import { lsn, token } from '../../../src/kernel/identifiers.ts'
import { addActivation } from '../../../src/state/activations.ts'
import { registerApplication } from '../../../src/state/applications.ts'
import { emptyRoot, type RootState } from '../../../src/state/root.ts'
import { RoleWorld, registered } from '../role-world.ts'

let world: RoleWorld
let state: RootState
let resumption: Resumption

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
  resumption = new Resumption(state, world.scheduler, () => {})
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
