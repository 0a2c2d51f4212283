import { AssertionError } from 'node:assert'
import { describe, expect, it } from 'vitest'
import { account } from '../../../src/examples/bank/bank.ts'
import { defineAggregate } from '../../../src/index.ts'
import { rejected, testAggregate } from '../../../src/testing.ts'

const { given } = testAggregate(account)
const deposited = { type: 'deposited', data: { amountCents: 500 } } as const
const messageOf = (check: () => void): string => {
  try {
    check()
  } catch (error) {
    expect(error).toBeInstanceOf(AssertionError)
    return (error as Error).message
  }
  throw new Error('nothing was thrown')
}

describe('given, when, then', () => {
  it('takes events and a command as lists and values, or one by one', () => {
    const withdrawn = { type: 'withdrawn', data: { amountCents: 200 } } as const
    given([deposited])
      .when({ type: 'withdraw', data: { amountCents: 200 } })
      .then([withdrawn])
    given(deposited, deposited).when('withdraw', { amountCents: 200 }).then(withdrawn)
    given().when('deposit', { amountCents: 500 }).then(deposited)
  })

  it('takes a rejection, with its details or whatever they are', () => {
    const details = { balanceCents: 500, amountCents: 900 }
    given(deposited).when('withdraw', { amountCents: 900 }).then(rejected('insufficient_funds'))
    given(deposited).when('withdraw', { amountCents: 900 }).thenRejected('insufficient_funds', details)
  })

  it('takes the state that the command leaves', () => {
    given(deposited).when('deposit', { amountCents: 1 }).thenState({ balanceCents: 501, allowOverdraft: false })
  })

  it('says which command came to what, when it came to something else', () => {
    const message = messageOf(() => given(deposited).when('deposit', { amountCents: 5 }).then(deposited))
    expect(message).toMatch(/^deposit on account came to something else:/)
    expect(message).toMatch(/\+ +amountCents: 5\n- +amountCents: 500/)
    expect(message.match(/amountCents: 500/g)).toHaveLength(1)
  })

  it('tells a rejection from events, one code from another, and details from others', () => {
    expect(messageOf(() => given().when('withdraw', { amountCents: 1 }).then())).toMatch(
      /\+ +rejected: 'insufficient_funds'/,
    )
    expect(messageOf(() => given().when('deposit', { amountCents: 1 }).thenRejected('no'))).toMatch(/- +rejected: 'no'/)
    expect(messageOf(() => given().when('withdraw', { amountCents: 1 }).thenRejected('no'))).toMatch(
      /\+ +rejected: 'insufficient_funds'\n- +rejected: 'no'/,
    )
    expect(
      messageOf(() =>
        given().when('withdraw', { amountCents: 1 }).thenRejected('insufficient_funds', { balanceCents: 1 }),
      ),
    ).toMatch(/balanceCents/)
  })

  it('shows the failure of a command that throws by mistake', () => {
    const broken = defineAggregate({
      name: 'broken',
      initialState: () => ({}),
      decide: {
        go: () => {
          throw new Error('a mistake')
        },
      },
      evolve: { gone: (state) => state },
    })
    expect(messageOf(() => testAggregate(broken).given().when('go', undefined).then())).toMatch(
      /failed: 'Error: a mistake/,
    )
  })

  it('gives the decision its circumstances, the same each time', () => {
    const { given: givenTicket } = testAggregate(
      defineAggregate({
        name: 'ticket',
        initialState: () => ({}),
        decide: {
          issue: (_data: object, _state, { command, aggregate, uuid }) => ({
            type: 'issued',
            data: {
              at: command.receivedAt,
              by: command.metadata['user'] ?? '',
              id: aggregate.id,
              uuid: uuid(),
            },
          }),
        },
        evolve: { issued: (state, _data: { at: string; by: string; id: string; uuid: string }) => state },
      }),
    )
    const circumstances = { id: '7', receivedAt: '2026-02-01T00:00:00.000Z', metadata: { user: 'ann' } }
    const data = { at: circumstances.receivedAt, by: 'ann', id: '7', uuid: '595ce703-8f08-4576-9ec9-dc5701ce848a' }
    givenTicket().when('issue', {}, circumstances).then({ type: 'issued', data })
  })

  it('refuses events that the aggregate does not have', () => {
    expect(() => given({ type: 'lost' } as never).when('deposit', { amountCents: 1 })).toThrow(
      /no event "lost"; given must name events that evolve knows: .*deposited/,
    )
  })

  it('is typed by the aggregate', () => {
    // @ts-expect-error: there is no such command
    expect(() => given().when('steal', {}).then()).toThrow(AssertionError)
    // @ts-expect-error: the data is another
    expect(() => given().when('deposit', { amount: 1 }).then()).toThrow(AssertionError)
    // @ts-expect-error: there is no such event
    expect(() => given().when('deposit', { amountCents: 1 }).then({ type: 'stolen' })).toThrow(AssertionError)
  })
})
