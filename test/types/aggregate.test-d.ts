import type { AnyAggregate, CommandContext, CommandData, CommandName, CommandsOf, EventsOf, StateOf } from 'commanderdb'
import { CommandRejected, defineAggregate, defineApplication } from 'commanderdb'
import { expectTypeOf } from 'vitest'

// Every promise that a definition's types make, each with what must not compile. No handler here has a generic or `as const`.

const account = defineAggregate({
  name: 'account',
  initialState: () => ({ balanceCents: 0 }),
  decide: {
    deposit: (data: { amountCents: number }) => ({ type: 'deposited', data }),
    withdraw: (data: { amountCents: number }, state) => {
      expectTypeOf(state).toEqualTypeOf<{ balanceCents: number }>()
      if (state.balanceCents < data.amountCents)
        throw new CommandRejected('insufficient_funds', 'the balance is too low', { balanceCents: state.balanceCents })
      return { type: 'withdrawn', data }
    },
    move: (data: { amountCents: number }, state, context) => {
      expectTypeOf(context).toEqualTypeOf<CommandContext>()
      if (state.balanceCents === 0) return []
      return [
        { type: 'withdrawn', data },
        { type: 'deposited', data: { amountCents: context.random() } },
        { type: 'closed' },
      ]
    },
    close: () => ({ type: 'closed' }),
    ping: () => [],
  },
  evolve: {
    deposited: (state, data: { amountCents: number }, event) => {
      expectTypeOf(state).toEqualTypeOf<{ balanceCents: number }>()
      expectTypeOf(event.revision).toEqualTypeOf<number>()
      return { balanceCents: state.balanceCents + data.amountCents }
    },
    withdrawn: (state, data: { amountCents: number }) => ({ balanceCents: state.balanceCents - data.amountCents }),
    closed: (state) => state,
  },
})

// names, state, commands and events are known to whoever holds the definition
expectTypeOf(account.name).toEqualTypeOf<'account'>()
expectTypeOf<StateOf<typeof account>>().toEqualTypeOf<{ balanceCents: number }>()
expectTypeOf<CommandName<typeof account>>().toEqualTypeOf<'deposit' | 'withdraw' | 'move' | 'close' | 'ping'>()
expectTypeOf<CommandData<typeof account, 'withdraw'>>().toEqualTypeOf<{ amountCents: number }>()
expectTypeOf<CommandsOf<typeof account>['close']>().toEqualTypeOf<unknown>()
expectTypeOf<keyof EventsOf<typeof account>>().toEqualTypeOf<'deposited' | 'withdrawn' | 'closed'>()
expectTypeOf<EventsOf<typeof account>['deposited']>().toEqualTypeOf<{ amountCents: number }>()
expectTypeOf(account).toExtend<AnyAggregate>()
// @ts-expect-error: no such command
type NoSuchCommand = CommandData<typeof account, 'depossit'>

// a decide that returns what evolve does not know does not compile, alone, with a state parameter, or in a list
const evolve = { noted: (state: number, data: { text: string }) => state + data.text.length }
const initialState = () => 0
defineAggregate({
  name: 'wrong',
  initialState,
  decide: {
    // @ts-expect-error: unknown event
    one: () => ({ type: 'nooted', data: { text: '' } }),
    // @ts-expect-error: unknown event
    two: (_data: { id: number }, state) => ({ type: 'nooted', data: { text: `${state}` } }),
    three: () => [
      { type: 'noted', data: { text: '' } },
      // @ts-expect-error: unknown event in a list
      { type: 'nooted', data: { text: '' } },
    ],
    // @ts-expect-error: wrong data
    four: () => ({ type: 'noted', data: { text: 1 } }),
    // @ts-expect-error: wrong data, in a list
    five: (data: { text: number }, _state) => [{ type: 'noted', data }],
    // @ts-expect-error: data left out
    six: () => ({ type: 'noted' }),
    // @ts-expect-error: asynchronous
    seven: async () => ({ type: 'noted', data: { text: '' } }),
    // @ts-expect-error: nothing returned
    eight: () => {},
    // @ts-expect-error: the state has no such property
    nine: (_data: unknown, state) => ({ type: 'noted', data: { text: state.name } }),
  },
  evolve,
})

// evolve must return the state
defineAggregate({
  name: 'wrong',
  initialState: () => ({ count: 0 }),
  decide: { add: () => ({ type: 'added' }) },
  evolve: {
    // @ts-expect-error: another type
    added: (state) => ({ count: `${state.count}` }),
    // @ts-expect-error: nothing
    forgotten: () => {},
    // @ts-expect-error: asynchronous
    awaited: async (state) => state,
  },
})

// literals do not widen, in the state or in the data, however deep and in whatever order the keys stand
interface Order {
  readonly status: 'open' | 'closed'
  readonly payment?: { readonly kind: 'cash' | 'card' }
  readonly tags: readonly ('new' | 'vip')[]
}
const order = defineAggregate({
  name: 'order',
  evolve: {
    paid: (state, data: { kind: 'cash' | 'card' }) => ({ ...state, payment: { kind: data.kind } }),
    marked: (state, data: { tags: ('new' | 'vip')[] }) => ({ ...state, tags: [...data.tags, 'new'] }),
    closed: (state) => (state.status === 'closed' ? state : { ...state, status: 'closed' }),
  },
  decide: {
    payCash: () => ({ type: 'paid', data: { kind: 'cash' } }),
    pay: (data: { byCard: boolean }, state) =>
      data.byCard && state.status === 'open'
        ? [{ type: 'paid', data: { kind: 'card' } }, { type: 'closed' }]
        : { type: 'paid', data: { kind: 'cash' } },
    mark: () => ({ type: 'marked', data: { tags: ['new', 'vip'] } }),
    // @ts-expect-error: not one of the literals
    barter: () => ({ type: 'paid', data: { kind: 'goat' } }),
  },
  initialState: (): Order => ({ status: 'open', tags: [] }),
})
expectTypeOf<StateOf<typeof order>>().toEqualTypeOf<Order>()

type Door = { readonly is: 'open' } | { readonly is: 'shut'; readonly by: string }
defineAggregate({
  name: 'door',
  initialState: (): Door => ({ is: 'open' }),
  decide: { shut: (data: { by: string }) => ({ type: 'shut', data }), open: () => ({ type: 'opened' }) },
  evolve: {
    shut: (_state, data: { by: string }) => ({ is: 'shut', by: data.by }),
    opened: (state) => (state.is === 'shut' ? { is: 'open' } : state),
    reset: () => ({ is: 'open' }),
  },
})
defineAggregate({
  name: 'door',
  initialState: (): Door => ({ is: 'open' }),
  decide: { slam: () => ({ type: 'slammed' }) },
  // @ts-expect-error: a member of the union without its property
  evolve: { slammed: () => ({ is: 'shut' }) },
})

defineAggregate({
  name: 'lamp',
  initialState: (): 'on' | 'off' => 'off',
  decide: { toggle: (_data: unknown, state) => (state === 'on' ? { type: 'off' } : { type: 'on' }) },
  evolve: { on: () => 'on', off: () => 'off' },
})

// the names of options are checked
defineAggregate({
  name: 'options',
  initialState,
  decide: { note: () => ({ type: 'noted', data: { text: '' } }) },
  evolve,
  retry: { maxAttempts: 3, initialDelayMs: 10, maxDelayMs: 100 },
  idempotencyTtlMs: 1000,
  snapshotEvery: 0,
  // @ts-expect-error: not a choice
  onExhausted: 'parkCommands',
})

// an upcast takes what was stored and must return an event of today
defineAggregate({
  name: 'upcast',
  initialState,
  decide: { note: () => ({ type: 'noted', data: { text: '' } }) },
  evolve,
  version: 2,
  upcast: {
    remarked: (data: { words: string[] }, version) => {
      expectTypeOf(version).toEqualTypeOf<number>()
      return { type: 'noted', data: { text: data.words.join(' ') } }
    },
    // @ts-expect-error: unknown event
    shouted: () => ({ type: 'shouted', data: { text: '' } }),
  },
})

// literals stay also where an aggregate is expected, and types flow through helper functions
const annotated: AnyAggregate = defineAggregate({
  name: 'annotated',
  initialState: (): 'on' | 'off' => 'off',
  decide: { toggle: (_data: unknown, state) => (state === 'on' ? { type: 'off' } : { type: 'on' }) },
  evolve: { on: () => 'on', off: () => 'off' },
})
const listed = defineApplication({
  name: 'listed',
  aggregates: [
    defineAggregate({
      name: 'order',
      initialState: (): Order => ({ status: 'open', tags: [] }),
      decide: { close: () => ({ type: 'closed', data: { kind: 'cash' } }) },
      evolve: { closed: (state, _data: { kind: 'cash' | 'card' }) => ({ ...state, status: 'closed' }) },
    }),
  ],
})
expectTypeOf<StateOf<(typeof listed.aggregates)[0]>>().toEqualTypeOf<Order>()
expectTypeOf<EventsOf<(typeof listed.aggregates)[0]>>().toEqualTypeOf<{ closed: { kind: 'cash' | 'card' } }>()
