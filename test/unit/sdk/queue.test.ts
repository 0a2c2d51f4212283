import { describe, expect, it } from 'vitest'
import { registrationOf } from '../../../src/application/registration.ts'
import { defineAggregate, defineApplication, defineSchedule, defineWorkflow } from '../../../src/index.ts'
import { emptyRoot } from '../../../src/state/root.ts'
import { RoleWorld } from '../role-world.ts'

const definition = {
  name: 'counter',
  initialState: () => 0,
  decide: { add: () => ({ type: 'added' as const }), reset: () => [] },
  evolve: { added: (state: number) => state + 1 },
}
const workflow = { name: 'job', run: async () => {} }

describe('a queue', () => {
  it('is a frozen part of the definition', () => {
    const { queues } = defineAggregate({ ...definition, queues: { add: { concurrency: 2 } } })
    expect(queues).toEqual({ add: { concurrency: 2 } })
    expect([queues, queues?.add].every(Object.isFrozen)).toBe(true)
    expect((queues as Record<string, unknown>)['constructor']).toBeUndefined()
  })

  it.each([
    [{ sub: { concurrency: 1 } }, /queues has the unknown key "sub"; known are add, reset/],
    [{ add: {} }, /queues.add has no limit/],
    [{ add: { concurrency: 0 } }, /queues.add.concurrency is 0, but must be an integer from 1/],
    [{ add: { rateLimit: { limit: 5 } } }, /queues.add.rateLimit.periodMs is null/],
    [{ add: { rateLimit: { limit: 0, periodMs: 5 } } }, /rateLimit.limit is 0/],
    [{ add: { rateLimit: { limit: 1, periodMs: 5, burst: 1 } } }, /unknown key "burst"/],
    [{ add: { concurrency: 1, partitionKey: 'id' } }, /partitionKey is "id", but must be a function/],
    [{ add: { concurrency: 1, partition: () => '' } }, /unknown key "partition"/],
  ])('of an aggregate is refused: %o', (queues, message) => {
    expect(() => defineAggregate({ ...definition, queues } as never)).toThrow(
      expect.objectContaining({ code: 'invalid_module', message: expect.stringMatching(message) }),
    )
  })

  it('of a workflow is refused where it has no limit', () => {
    expect(() => defineWorkflow({ ...workflow, queue: {} })).toThrow(/workflow "job": queue has no limit/)
  })
})

describe('the registration of an application', () => {
  const registered = (application: ReturnType<typeof defineApplication>) => {
    const { environment } = new RoleWorld()
    const state = emptyRoot({ lookup: () => undefined, keepsPayloads: true })
    return registrationOf({ application, instance: 'test-1', origin: 1, state, former: 'stopped', environment })
  }

  it('says its queues and schedules, and nothing of them where it has none', () => {
    const job = defineWorkflow({
      name: 'job',
      run: async (_, input: { of: string }) => input.of,
      queue: { concurrency: 1, rateLimit: { limit: 2, periodMs: 3 }, partitionKey: (input) => input.of },
    })
    const nightly = defineSchedule({ name: 'nightly', cron: '@daily', workflow: job, input: { of: 'night' } })
    const counter = defineAggregate({ ...definition, queues: { reset: { concurrency: 4 } } })
    const whole = defineApplication({ name: 'a', aggregates: [counter], workflows: [job], schedules: [nightly] })
    expect(registered(whole)).toMatchObject({
      queues: [
        { type: 'counter', command: 'reset', concurrency: 4 },
        { type: 'workflow:job', command: 'start', concurrency: 1, rateLimit: { limit: 2, periodMs: 3 } },
      ],
      schedules: { definitions: [{ name: 'nightly', workflow: 'job', input: { of: 'night' }, partition: 'night' }] },
    })
    const plain = registered(defineApplication({ name: 'b', aggregates: [defineAggregate(definition)] }))
    expect(Object.keys(plain)).not.toContain('queues')
    expect(Object.keys(plain)).not.toContain('schedules')
  })
})
