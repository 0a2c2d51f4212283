import { describe, expect, it } from 'vitest'
import { defineApplication } from '../../../src/sdk/application.ts'
import { assertApplicationsFit } from '../../../src/sdk/application-set.ts'
import { defineSchedule, isSchedule } from '../../../src/sdk/schedule.ts'
import { defineWorkflow } from '../../../src/sdk/workflow.ts'

const report = defineWorkflow({ name: 'report', run: async (_, input: { kind: string }) => input.kind })
const other = defineWorkflow({ name: 'other', run: async () => {} })
const definition = { name: 'nightly', cron: '0 3 * * *', workflow: report, input: { kind: 'full' } }
const nightly = defineSchedule(definition)

describe('defineSchedule', () => {
  it('gives a frozen definition with every default filled in', () => {
    expect(isSchedule(nightly)).toBe(true)
    expect(Object.isFrozen(nightly)).toBe(true)
    expect(nightly).toMatchObject({ ...definition, timezone: 'UTC', overlap: 'skip', catchUp: 'latest' })
  })

  it.each([
    [{ name: 'a b' }, /the name of the schedule is "a b"/],
    [{ cron: '0 25 * * *' }, /schedule "nightly": cron "0 25 \* \* \*" in the time zone "UTC": .*hour/],
    [{ cron: 5 }, /cron is 5, but must be a text/],
    [{ timezone: 'Mars/Olympus' }, /time zone "Mars\/Olympus"/],
    [{ overlap: 'never' }, /overlap is "never", but must be one of "skip", "queue", "allow"/],
    [{ catchUp: 'some' }, /catchUp is "some", but must be one of "latest", "none", "all"/],
    [{ workflow: { name: 'report' } }, /workflow is an object, but must be what defineWorkflow returns/],
    [{ every: 5 }, /unknown key "every"/],
  ])('refuses %o', (wrong, message) => {
    expect(() => defineSchedule({ ...definition, ...wrong } as never)).toThrow(
      expect.objectContaining({ code: 'invalid_module', message: expect.stringMatching(message) }),
    )
  })
})

describe('an application', () => {
  it('has schedules of its own workflows', () => {
    const application = defineApplication({ name: 'r', aggregates: [], workflows: [report], schedules: [nightly] })
    expect(application.schedules).toEqual([nightly])
  })

  it.each([
    [{ workflows: [other], schedules: [nightly] }, /schedule "nightly" starts workflow "report", .*: other/],
    [{ workflows: [report], schedules: [nightly, nightly] }, /schedules has "nightly" twice/],
    [{ workflows: [report], schedules: [definition] }, /schedules\[0\] is an object, but must be what defineSchedule/],
  ])('refuses others', (wrong, message) => {
    const whole = { name: 'r', aggregates: [], ...wrong }
    expect(() => defineApplication(whole as never)).toThrow(message)
  })

  it('has none that another one has as well', () => {
    const twin = defineWorkflow({ name: 'twin', run: async () => {} })
    const again = defineSchedule({ name: 'nightly', cron: '@daily', workflow: twin })
    const both = [
      defineApplication({ name: 'a', aggregates: [], workflows: [report], schedules: [nightly] }),
      defineApplication({ name: 'b', aggregates: [], workflows: [twin], schedules: [again] }),
    ]
    expect(() => assertApplicationsFit(both)).toThrow(/the schedule "nightly" is defined twice/)
  })
})
