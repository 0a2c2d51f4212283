import type { Finder } from './mutant.ts'
import type { TestResult } from './suite.ts'

/** One line of the table. */
export interface Row {
  readonly mutant: string
  readonly attacks: string
  /** The tests that failed because of it. */
  readonly foundBy: string
  /** Why it does not count as found; null when it does. */
  readonly survived: string | null
  readonly seconds: number
}

/** Null when each of the tests has failed by an assertion of its own; otherwise which one has not, and what it did. */
export function survivalOf(finders: readonly Finder[], results: readonly TestResult[]): string | null {
  for (const { file, test } of finders) {
    const result = resultOf({ file, test }, results)
    if (result === undefined) return `did not run: ${test}`
    if (result.status !== 'failed') return `${result.status}: ${test}`
    const [other] = result.failures.filter((failure) => !isOfAnAssertion(failure))
    if (other !== undefined) return `failed, but by no assertion of its own: ${test}: ${other.split('\n')[0]}`
    if (result.failures.length === 0) return `failed without a reason: ${test}`
  }
  return null
}

/** Tests that do not pass in the tree as it is: nothing that they say about a mutant counts. */
export function unsound(finders: readonly Finder[], results: readonly TestResult[]): string[] {
  return finders.flatMap((finder) => {
    const status = resultOf(finder, results)?.status ?? 'did not run'
    return status === 'passed' ? [] : [`${finder.file}: ${finder.test}: ${status}`]
  })
}

const resultOf = ({ file, test }: Finder, results: readonly TestResult[]): TestResult | undefined =>
  results.find((result) => result.file === file && result.name === test)

/**
 * What `expect` throws. Not what the program's own assertions do, nor any other error, nor a time-out: those may be of a
 * mutant that merely breaks the program.
 */
function isOfAnAssertion(failure: string): boolean {
  if (failure.includes('/src/kernel/assert.ts')) return false
  return /^AssertionError: /.test(failure) || /^Error: (expected |promise (resolved|rejected) )/.test(failure)
}
