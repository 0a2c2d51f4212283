import { setTimeout as pause } from 'node:timers/promises'
import { defineApplication, defineWorkflow } from 'commanderdb'
import { account } from './bank-application.ts'

const nothing = (): void => {}

/** Three requests that do nothing: what is left is the database. */
const threeRequests = defineWorkflow({
  name: 'three-requests',
  run: async (context, input: { readonly n: number }) => {
    await context.request('first', nothing)
    await context.request('second', nothing)
    await context.request('third', nothing)
    return input.n
  },
})

const sleeping = defineWorkflow({
  name: 'sleeping',
  run: async (context, { untilMs }: { readonly untilMs: number }) => {
    await context.sleepUntil(new Date(untilMs))
  },
})

const napping = defineWorkflow({
  name: 'napping',
  run: (context, { ms }: { readonly ms: number }) => context.sleep(ms),
})

/** Its request takes long the first time, so that the process can be killed in the middle of it. */
const interrupted = defineWorkflow({
  name: 'interrupted',
  run: (context, { longMs }: { readonly longMs: number }) =>
    context.request('long', ({ attempt }) => pause(attempt === 1 ? longMs : 0, attempt)),
})

// biome-ignore lint/style/noDefaultExport: the form of an application module
export default defineApplication({
  name: 'bench',
  aggregates: [account],
  workflows: [threeRequests, sleeping, napping, interrupted],
})
