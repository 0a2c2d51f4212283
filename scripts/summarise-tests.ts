import { readFileSync } from 'node:fs'

/**
 * `node scripts/summarise-tests.ts FILE…`: counts the results in files of vitest's JSON, together; exits 1 unless in each of
 * them something ran and all passed.
 */
interface TestFile {
  readonly status: string
  readonly assertionResults: readonly { readonly status: string }[]
}

const counts = process.argv.slice(2).map(countOf)
const passed = counts.reduce((sum, count) => sum + count.passed, 0)
const failed = counts.reduce((sum, count) => sum + count.failed, 0)

console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 || counts.length === 0 || counts.some((count) => count.passed === 0) ? 1 : 0

/** What was never reached has left an empty file. */
function countOf(path: string): { readonly passed: number; readonly failed: number } {
  const text = readFileSync(path, 'utf8')
  const files = text === '' ? [] : (JSON.parse(text) as { testResults: TestFile[] }).testResults
  const statuses = files.flatMap(({ status, assertionResults }) => {
    const results = assertionResults.map((result) => result.status)
    // A file that does not load, or whose hook fails, has no failed test of its own and still is a failure.
    return status === 'failed' && !results.includes('failed') ? [...results, 'failed'] : results
  })
  return {
    passed: statuses.filter((status) => status === 'passed').length,
    failed: statuses.filter((status) => status === 'failed').length,
  }
}
