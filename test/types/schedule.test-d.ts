import { defineApplication, defineSchedule, defineWorkflow, type Schedule } from 'commanderdb'
import { expectTypeOf } from 'vitest'

const report = defineWorkflow({ name: 'report', run: async (_, input: { kind: 'full' | 'short' }) => input.kind })
const plain = defineWorkflow({ name: 'plain', run: async () => 1 })

const nightly = defineSchedule({ name: 'nightly', cron: '0 3 * * *', workflow: report, input: { kind: 'full' } })
expectTypeOf(nightly).toEqualTypeOf<Schedule>()
defineSchedule({ name: 'hourly', cron: '@hourly', timezone: 'Europe/Berlin', overlap: 'queue', workflow: plain })
defineApplication({ name: 'reports', aggregates: [], workflows: [report, plain], schedules: [nightly] })

// @ts-expect-error: the workflow takes an input
defineSchedule({ name: 'nightly', cron: '0 3 * * *', workflow: report })
// @ts-expect-error: the workflow takes another input
defineSchedule({ name: 'nightly', cron: '0 3 * * *', workflow: report, input: { kind: 'none' } })
// @ts-expect-error: there is no such overlap
defineSchedule({ name: 'nightly', cron: '0 3 * * *', workflow: plain, overlap: 'never' })
// @ts-expect-error: it starts a workflow
defineSchedule({ name: 'nightly', cron: '0 3 * * *' })
// @ts-expect-error: a definition that did not go through defineSchedule
defineApplication({ name: 'reports', aggregates: [], workflows: [plain], schedules: [{ name: 'nightly' }] })
