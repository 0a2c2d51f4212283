import { parentPort, workerData } from 'node:worker_threads'
import { loadApplications } from '../assembly/load-applications.ts'
import { toWireError } from '../kernel/errors.ts'
import type { ResolvedConfig } from '../sdk/resolved-config.ts'

/** The program of a thread: loads the applications of a config and says what is wrong with them, or null. */
try {
  await loadApplications(workerData as ResolvedConfig)
  parentPort?.postMessage(null)
} catch (error) {
  parentPort?.postMessage(toWireError(error))
}
