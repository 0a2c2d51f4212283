import { defineConfig } from 'vitest/config'
import { compileCacheDirectory } from '../src/supervisor/compile-cache-adapter.ts'
import { LongestFirst } from './longest-first.ts'

/** As the command line and the supervisor have it for the processes that they start: those of tests strip no types anew either. */
const compileCache = compileCacheDirectory()
const results = process.env['TEST_RESULTS']

/**
 * Two projects: `fast` needs no processes of its own; `process` starts, kills and measures real processes, which mostly
 * wait for each other, so it comes after the other and its tests get more time.
 */
export default defineConfig({
  test: {
    // The second one for whoever counts results, such as .ci/run.
    reporters: results ? ['default', ['json', { outputFile: results }]] : ['default'],
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
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
          sequence: { groupOrder: 1 },
          env: compileCache === undefined ? {} : { NODE_COMPILE_CACHE: compileCache },
          include: ['test/process/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
})
