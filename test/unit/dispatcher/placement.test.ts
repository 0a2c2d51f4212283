import { beforeEach, expect, it } from 'vitest'
import { instanceFor, placeOfCommands } from '../../../src/dispatcher/placement.ts'
import { lsn, token } from '../../../src/kernel/identifiers.ts'
import { NumberMap } from '../../../src/kernel/number-map.ts'
import { addActivation } from '../../../src/state/activations.ts'
import { registerApplication } from '../../../src/state/applications.ts'
import { addPending, type PendingCommand } from '../../../src/state/commands.ts'
import { emptyRoot, type RootState } from '../../../src/state/root.ts'
import { registered } from '../role-world.ts'

const key = 'workflow:w/a'
const nowhere = (): undefined => undefined
let state: RootState
let scheduled: NumberMap<string>

beforeEach(() => {
  state = emptyRoot({ lookup: () => undefined, keepsPayloads: false })
  scheduled = new NumberMap()
  for (const [i, name] of ['test-1', 'test-2'].entries()) {
    const instance = { ...registered(name), aggregateTypes: ['workflow:w'] }
    registerApplication(state.applications, instance as never, lsn(1 + i), state.migrations.versions)
  }
})

function pending(at: number): PendingCommand {
  addPending(state.commands, lsn(at), key, 7, 10, null, 0)
  return state.commands.byLsn.get(lsn(at)) as PendingCommand
}

it('starts a command where others of its aggregate are under way or about to be, and else with the owner of its partition', () => {
  const first = pending(10)
  const owner = instanceFor(state, scheduled, nowhere, first) as string
  const other = owner === 'test-1' ? 'test-2' : 'test-1'
  scheduled.set(10, other)
  const second = pending(11)
  expect(instanceFor(state, scheduled, nowhere, second)).toBe(other)
  Object.assign(first, { instance: other, token: token(12) })
  scheduled.delete(10)
  expect(instanceFor(state, scheduled, nowhere, second)).toBe(other)
  expect(placeOfCommands(state, scheduled, first.queue)).toBe(other)
})

it('starts a command where the workflow runs or is about to go on', () => {
  const command = pending(10)
  const owner = instanceFor(state, scheduled, nowhere, command) as string
  const other = owner === 'test-1' ? 'test-2' : 'test-1'
  addActivation(state.activations, { lsn: lsn(3), key, hash: 7, instance: '', token: token(0), crashes: 0 })
  expect(instanceFor(state, scheduled, nowhere, command)).toBe(owner)
  expect(instanceFor(state, scheduled, () => other, command)).toBe(other)
  Object.assign(state.activations.byKey.get(key) as object, { instance: other, token: token(4) })
  expect(instanceFor(state, scheduled, nowhere, command)).toBe(other)
})

it('follows nobody who has gone', () => {
  const command = pending(10)
  const owner = instanceFor(state, scheduled, nowhere, command)
  expect(instanceFor(state, scheduled, () => 'test-3', command)).toBe(owner)
})
