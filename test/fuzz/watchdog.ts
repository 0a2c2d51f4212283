import { Worker } from 'node:worker_threads'

const silenceMs = 60_000
const inputBytesMax = 65_536

/** In a thread of its own, since what hangs keeps this one busy. It ends the process, after saying at which input. */
const program = `
const { workerData: { index, input, what, silenceMs } } = require('node:worker_threads')
const { writeSync } = require('node:fs')
let last = -1
setInterval(() => {
  const now = Atomics.load(index, 0)
  if (now === last) {
    const bytes = Buffer.from(input.buffer).subarray(0, Atomics.load(index, 1)).toString('base64')
    writeSync(2, what + ': input ' + now + ' hangs: ' + bytes + '\\n')
    process.kill(process.pid, 'SIGKILL')
  }
  last = now
}, silenceMs)
`

export class Watchdog implements Disposable {
  readonly #worker: Worker
  readonly #index = new Int32Array(new SharedArrayBuffer(8))
  readonly #input = new Uint8Array(new SharedArrayBuffer(inputBytesMax))

  constructor(what: string) {
    const workerData = { index: this.#index, input: this.#input, what, silenceMs }
    this.#worker = new Worker(program, { eval: true, workerData })
  }

  feeds(index: number, input: Buffer): void {
    this.#input.set(input.subarray(0, inputBytesMax))
    Atomics.store(this.#index, 1, Math.min(input.length, inputBytesMax))
    Atomics.store(this.#index, 0, index)
  }

  [Symbol.dispose](): void {
    void this.#worker.terminate()
  }
}
