import { beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { decodeReceived } from '../../../src/actions/decode.ts'
import { encodeAction } from '../../../src/actions/encode.ts'
import { EntryBatch } from '../../../src/actions/entry-batch.ts'
import { flagsOf } from '../../../src/actions/entry-layout.ts'
import type { QueueFields } from '../../../src/actions/queue-actions.ts'
import { Admission } from '../../../src/gateway/admission.ts'
import { rewriteDraft } from '../../../src/gateway/rewrite-draft.ts'
import { defineAggregate, defineApplication, defineWorkflow } from '../../../src/index.ts'
import type { CommanderError } from '../../../src/kernel/errors.ts'
import { emptyRoot } from '../../../src/state/root.ts'
import { received } from '../role-world.ts'
import { key } from './gateway-world.ts'

const account = defineAggregate({
  name: 'account',
  initialState: () => 0,
  decide: {
    withdraw: (data: { branch: string; amount: number }) => ({ type: 'withdrawn', data }),
    deposit: () => [],
    close: () => [],
  },
  evolve: { withdrawn: (state, data: { amount: number }) => state - data.amount },
  schemas: { commands: { withdraw: z.object({ branch: z.string().trim(), amount: z.number().default(1) }) } },
  queues: {
    withdraw: { concurrency: 3, partitionKey: ({ branch }, id) => `${branch}/${id}` },
    deposit: { rateLimit: { limit: 1, periodMs: 1_000 } },
  },
})
const job = defineWorkflow({
  name: 'job',
  run: async (_, input: { customer: string }) => input.customer,
  queue: { concurrency: 1, partitionKey: (input) => input.customer },
})
const application = defineApplication({ name: 'bank', aggregates: [account], workflows: [job] })

let admission: Admission
beforeEach(() => {
  admission = new Admission([application])
})

interface Call extends QueueFields {
  readonly type?: string
  readonly data?: unknown
  readonly key?: ReturnType<typeof key>
}

/** What becomes of a call in the gateway: the command as it will be in the journal. */
function draft(command: string, { type = 'account', data = null, key: idempotencyKey, ...fields }: Call = {}) {
  const batch = new EntryBatch(0, 256)
  const aggregate = { type, id: '7' }
  encodeAction(batch, received('7', command, data, { aggregate, idempotencyKey: idempotencyKey ?? null, ...fields }), 1)
  let source = batch.take()
  const changed = admission.admit(emptyRoot({ lookup: () => undefined, keepsPayloads: false }), 0, source, 0)
  const known = admission.keyOf(source, 0)
  const rewriting = admission.rewriting(source, 0, changed, known)
  if (rewriting !== null) source = rewriteDraft(source, 0, rewriting)
  return { isRewritten: rewriting !== null, flags: flagsOf(source, 0), received: decodeReceived(source, 0) }
}

function refusal(run: () => unknown): Pick<CommanderError, 'code' | 'message'> {
  try {
    run()
  } catch (error) {
    return error as CommanderError
  }
  return expect.unreachable('it was admitted')
}

describe('a command with a queue', () => {
  it('gets its partition from its data, as the schema has changed it, and its id', () => {
    const { received: command } = draft('withdraw', { data: { branch: ' north ' } })
    expect(command).toMatchObject({ partition: 'north/7', data: { branch: 'north', amount: 1 } })
  })

  it('is in the one partition that there is where the definition says nothing', () => {
    expect(draft('deposit').received).toMatchObject({ partition: '' })
  })

  it('keeps what else the call says', () => {
    const { received: command } = draft('deposit', { key: key('k'), priority: 5, delayMs: 100 })
    const idempotencyKey = { key: 'k', ttlMs: account.idempotencyTtlMs }
    expect(command).toMatchObject({ partition: '', priority: 5, delayMs: 100, idempotencyKey })
  })

  it('gets the partition of a workflow from its input', () => {
    const { received: command } = draft('start', { type: 'workflow:job', data: { input: { customer: 'anna' } } })
    expect(command).toMatchObject({ partition: 'anna' })
  })

  it('is refused where its partition is too long', () => {
    const { code, message } = refusal(() => draft('withdraw', { data: { branch: 'x'.repeat(300) } }))
    expect([code, message]).toEqual(['invalid_input', expect.stringMatching(/302 bytes; .* at most 256/)])
  })

  it('is refused where the definition throws', () => {
    const { code, message } = refusal(() => draft('start', { type: 'workflow:job', data: { input: null } }))
    expect([code, message]).toEqual([
      'invalid_input',
      expect.stringMatching(
        /partitionKey of workflow job threw: .*; it was given nothing: send the data that it reads/,
      ),
    ])
  })
})

describe('a command without a queue', () => {
  it('stays as it is, byte for byte', () => {
    expect(draft('close')).toMatchObject({ isRewritten: false, flags: 0 })
  })

  it('has no priority', () => {
    const { code, message } = refusal(() => draft('close', { priority: 2 }))
    expect([code, message]).toEqual([
      'invalid_input',
      expect.stringMatching(/^priority is 2, but close of account has no/),
    ])
    expect(draft('close', { priority: 0 }).isRewritten).toBe(false)
  })

  it('cannot be put off on a workflow, unless it starts it', () => {
    const { code, message } = refusal(() => draft('signal', { type: 'workflow:job', delayMs: 5 }))
    expect([code, message]).toEqual([
      'invalid_input',
      expect.stringMatching(/only the start can be put off: signal .*job\/7/),
    ])
    const data = { input: { customer: 'anna' } }
    expect(draft('start', { type: 'workflow:job', data, delayMs: 5 }).received).toMatchObject({ delayMs: 5 })
  })

  it('may be put off', () => {
    const { isRewritten, flags, received: command } = draft('close', { delayMs: 100 })
    expect(isRewritten).toBe(false)
    expect(flags).not.toBe(0)
    expect(command).toMatchObject({ delayMs: 100 })
  })
})

describe('a call', () => {
  it.each([
    [{ priority: 10 }, /priority is 10, but must be a whole number from 0 to 9/],
    [{ priority: 0.5 }, /priority is 0.5/],
    [{ delayMs: -1 }, /delayMs is -1/],
    [{ delayMs: 40_000_000_000 }, /delayMs is 40000000000/],
  ])('with %o is refused', (fields, message) => {
    const { code, message: said } = refusal(() => draft('deposit', fields))
    expect([code, said]).toEqual(['invalid_input', expect.stringMatching(message)])
  })

  it('does not choose its partition itself', () => {
    expect(refusal(() => draft('deposit', { partition: 'mine' })).code).toBe('protocol_violation')
    expect(refusal(() => draft('close', { partition: 'mine' })).code).toBe('protocol_violation')
  })
})
