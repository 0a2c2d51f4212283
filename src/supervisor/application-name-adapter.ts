import { basename, extname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'

/** User code gets no thread of the supervisor: whatever it starts, prints or throws while loading ends with the worker. */
const program = `
const { parentPort, workerData } = require('node:worker_threads')
import(workerData).then((module) => parentPort.postMessage(module.default?.name))
`
const loadTimeoutMs = 10_000

/**
 * The name that an application module gives itself: part of its processes' names. When it does not load, its file's
 * name: the application's own process then tells what is wrong with it.
 *
 * @param module absolute path
 */
export function readApplicationName(module: string): Promise<string> {
  const fallback = basename(module, extname(module))
  return new Promise((resolve) => {
    const workerData = pathToFileURL(module).href
    const worker = new Worker(program, { eval: true, workerData, stdout: true, stderr: true })
    const settle = (name: unknown): void => {
      clearTimeout(timer)
      resolve(typeof name === 'string' && name !== '' ? name : fallback)
      void worker.terminate()
    }
    const timer = setTimeout(settle, loadTimeoutMs)
    worker.once('message', settle)
    worker.once('error', () => settle(undefined))
    worker.once('exit', () => settle(undefined))
  })
}
