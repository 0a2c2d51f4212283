import type { StandardSchema } from 'commanderdb'
import { defineAggregate } from 'commanderdb'
import { z } from 'zod'

// What a schema lets through must be what the handler takes.

const decide = { add: (data: { amount: number }) => ({ type: 'added' as const, data }) }
const evolve = { added: (state: number, data: { amount: number }) => state + data.amount }
const initialState = () => 0
const counted = z.object({ amount: z.number().int().positive() })

defineAggregate({
  name: 'counter',
  initialState,
  decide,
  evolve,
  schemas: { commands: { add: counted }, events: { added: counted } },
})

// conversion is allowed: the output counts
defineAggregate({
  name: 'counter',
  initialState,
  decide,
  evolve,
  schemas: { commands: { add: z.object({ amount: z.coerce.number() }) } },
})

defineAggregate({
  name: 'counter',
  initialState,
  decide,
  evolve,
  schemas: {
    // @ts-expect-error: gives a text where the command takes a number
    commands: { add: z.object({ amount: z.string() }) },
    // @ts-expect-error: no such event
    events: { aded: counted },
  },
})

// any library that speaks Standard Schema will do
declare const foreign: StandardSchema<unknown, { amount: number }>
defineAggregate({ name: 'counter', initialState, decide, evolve, schemas: { commands: { add: foreign } } })
