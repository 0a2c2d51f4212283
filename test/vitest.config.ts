import { defineConfig } from 'vitest/config'

const results = process.env['COMMANDERDB_TEST_RESULTS']

/**
 * Two projects: `fast` needs no processes of its own and runs its files side by side; `process` starts, kills and
 * measures real processes, so its files run one after the other and get more time.
 */
export default defineConfig({
  test: {
    // The second one for whoever counts results, such as .ci/run.
    reporters: results ? ['default', ['json', { outputFile: results }]] : ['default'],
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'fast',
          include: ['test/{unit,contract,property,simulation,types}/**/*.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'process',
          include: ['test/process/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
})
