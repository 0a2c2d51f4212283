import { describe, expect, it } from 'vitest'
import { defineWorkflow } from '../../../src/sdk/workflow.ts'

const named = (name: string) => defineWorkflow({ name, run: async () => null })

describe('the name of a workflow', () => {
  it('has 1 to 118 characters', () => {
    expect(named('x'.repeat(118)).name).toHaveLength(118)
  })

  it.each([
    ['', /^the name of the workflow is "", but must be a string of 1 to 118 characters/],
    ['a b', /^the name of the workflow is "a b", but must be a string of 1 to 118 characters/],
    ['x'.repeat(119), /^the name of the workflow is "x{40}…", which has 119 characters, but must be .* 1 to 118 /],
    ['x'.repeat(200), /^the name of the workflow is "x{40}…", which has 200 characters, but must be .* 1 to 118 /],
  ])('that is %j is refused, with one and the same limit', (name, message) => {
    expect(() => named(name)).toThrow(message)
  })
})
