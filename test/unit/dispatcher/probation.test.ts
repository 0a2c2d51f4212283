import { beforeEach, expect, it } from 'vitest'
import type { Action } from '../../../src/actions/action.ts'
import { type Lsn, revision, token } from '../../../src/kernel/identifiers.ts'
import type { Activation } from '../../../src/state/activations.ts'
import { received, registered } from '../role-world.ts'
import { DispatcherWorld } from './dispatcher-world.ts'

const workflow = { type: 'workflow:w', id: 'a' }
let db: DispatcherWorld

const host = (incarnation: number, former: 'stopped' | 'crashed'): Action =>
  ({ ...registered('test-1', incarnation, former), aggregateTypes: ['counter', workflow.type] }) as Action
const crash = (incarnation: number): Lsn => db.append(host(incarnation, 'crashed'))
const active = (): Activation => db.dispatcher.state.activations.byKey.get('workflow:w/a') as Activation

/** What the dispatcher has started and resumed, in order. */
const done = (): string[] =>
  db.settle().flatMap(({ action }) => {
    if (action.type === 'command/started') return [`start ${action.commands.join(' ')}`]
    return action.type === 'workflow/resumed' ? [`resume ${action.activations.join(' ')}`] : []
  })

function activate(): Lsn {
  const command = db.append(received('a', 'start', {}, { aggregate: workflow }))
  db.settle()
  const release = token(db.tokenOf(command))
  db.append({
    type: 'command/completed',
    ...{ command, aggregate: workflow, release, atMs: 0, baseRevision: revision(0), eventsVersion: 1, events: [] },
    ...{ latestEvent: null, idempotencyKey: 'none', snapshot: null, workflow: { activates: true } },
  })
  return command
}

function getOn(): void {
  const { lsn: activation, token: assignment } = active()
  db.append({
    type: 'workflow/advanced',
    ...{ aggregate: workflow, activation, token: assignment, atMs: 0, baseRevision: revision(1), messages: [] },
    ...{
      events: [{ type: 'request/completed', data: { operation: 'request/a#1', result: 1, atMs: 0 } }],
      snapshot: null,
    },
  })
}

let a: Lsn
beforeEach(() => {
  db = new DispatcherWorld()
  db.append(host(1, 'stopped'))
  a = activate()
  crash(2)
  expect(done()).toEqual([`resume ${a}`])
})

it('a workflow whose process crashed again, beside a command, goes on alone once that has been tried', () => {
  const beside = db.receiveOne('x')
  expect(done()).toEqual([`start ${beside}`])
  crash(3)
  expect(active().crashes).toBe(1)
  const behind = db.receiveOne('y')
  // The command first, alone; then what is under way by then has to end.
  expect(done()).toEqual([`start ${beside}`])
  db.complete(beside)
  expect(done()).toEqual([`start ${behind}`])
  db.complete(behind)
  expect(done()).toEqual([`resume ${a}`])
  const meanwhile = db.receive('x', 'y', 'z')
  expect(done()).toEqual([])
  getOn()
  expect(done()).toEqual([`start ${meanwhile.join(' ')}`])
})

it('and is set aside when it crashes the process alone', () => {
  const beside = db.receiveOne('x')
  db.settle()
  crash(3)
  db.settle()
  db.complete(beside)
  expect(done()).toEqual([`resume ${a}`])
  db.receive('y')
  db.settle()
  crash(4)
  expect(active().crashes).toBe(2)
  const parking = db.settle().flatMap(({ action }) => (action.type === 'command/received' ? [action.command] : []))
  expect(parking).toEqual(['park'])
})

it('commands that were held go on when the one on probation has not crashed for long enough', () => {
  const beside = db.receiveOne('x')
  db.settle()
  crash(3)
  db.settle()
  db.complete(beside)
  db.settle()
  const held = db.receiveOne('y')
  expect(done()).toEqual([])
  db.world.scheduler.advance(10_000)
  expect(done()).toEqual([`start ${held}`, 'resume '])
})
