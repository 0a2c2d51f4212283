import { readFileSync } from 'node:fs'

/** `node scripts/summarise-tests.ts FILE`: counts vitest's JSON results; exits 1 unless tests ran and all passed. */
interface TestFile {
  readonly status: string
  readonly assertionResults: readonly { readonly status: string }[]
}

const text = readFileSync(process.argv[2] ?? '', 'utf8')
const files = text === '' ? [] : (JSON.parse(text) as { testResults: TestFile[] }).testResults
const statuses = files.flatMap(({ status, assertionResults }) => {
  const results = assertionResults.map((result) => result.status)
  // A file that does not load, or whose hook fails, has no failed test of its own and still is a failure.
  return status === 'failed' && !results.includes('failed') ? [...results, 'failed'] : results
})
const passed = statuses.filter((status) => status === 'passed').length
const failed = statuses.filter((status) => status === 'failed').length

console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 || passed === 0 ? 1 : 0
