import { describe, expect, it } from 'vitest'
import { by } from '../../mutants/mutant.ts'
import type { TestResult } from '../../mutants/suite.ts'
import { survivalOf, unsound } from '../../mutants/verdict.ts'

const file = 'test/unit/a.test.ts'
const finders = [by(file, 'one'), by(file, 'two')]
const byAssertion = 'AssertionError: expected 1 to be 2'
const result = (name: string, status: string, ...failures: string[]): TestResult => ({
  file,
  name,
  status,
  failures,
  durationMs: 1,
})
const failed = (name: string, failure = byAssertion): TestResult => result(name, 'failed', failure)

describe('a mutant', () => {
  it.each([
    byAssertion,
    'AssertionError: the journal was opened',
    'Error: promise resolved "1" instead of rejecting\n    at x',
    'Error: expected CommanderError: no to match object { code: "yes" }',
  ])('is found when each of its tests fails by an assertion of its own: %s', (failure) => {
    expect(survivalOf(finders, [failed('one'), failed('two', failure)])).toBeNull()
  })

  it.each([
    ['passes', result('two', 'passed'), /^passed: two/],
    ['is left out', result('two', 'skipped'), /^skipped: two/],
    ['fails without a reason', result('two', 'failed'), /without a reason/],
    [
      'finds no such thing',
      failed('two', 'ReferenceError: x is not defined'),
      /by no assertion .* two: ReferenceError/,
    ],
    ['takes too long', failed('two', 'TestTimeoutError: Test timed out in 30000ms'), /by no assertion/],
    ['meets an error of the program', failed('two', 'CommanderError: the journal is damaged'), /by no assertion/],
    [
      'meets an assertion of the program',
      failed('two', 'AssertionError: no\n    at assert (file:///copy/src/kernel/assert.ts:7:25)'),
      /by no assertion/,
    ],
    ['fails twice, once by something else', result('two', 'failed', byAssertion, 'TypeError: no'), /by no assertion/],
  ])('survives when one of its tests %s', (_what, second, survived) => {
    expect(survivalOf(finders, [failed('one'), second])).toMatch(survived)
  })

  it('survives when one of its tests is not reached, as where its file does not load', () => {
    expect(survivalOf(finders, [failed('one')])).toBe('did not run: two')
    expect(survivalOf(finders, [failed('one'), { ...failed('two'), file: 'test/unit/b.test.ts' }])).toMatch(
      'did not run',
    )
  })
})

describe('tests that should find something', () => {
  it('must pass without a mutant, each of them', () => {
    expect(unsound(finders, [result('one', 'passed'), result('two', 'passed')])).toEqual([])
    expect(unsound(finders, [failed('one')])).toEqual([`${file}: one: failed`, `${file}: two: did not run`])
  })
})
