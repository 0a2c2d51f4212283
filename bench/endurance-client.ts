import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { connect, isCommanderError } from '../src/client.ts'
import type { EnduranceOrder, EnduranceReport } from './endurance-protocol.ts'

/** A program: slots that each deposit, wait for the answer, pause and go on, for as long as ordered. */
const order = JSON.parse(process.argv[2] ?? '') as EnduranceOrder
process.on('disconnect', () => process.exit())

const memoBytes = 4096
/** Cut at random places: an archive could pack a text that repeats into nothing. */
const noise = randomBytes(1 << 20).toString('base64')
const minuteMs = 60_000

const db = await connect({ dataDir: order.dataDir })
const sums = new Map(Array.from({ length: order.accounts }, (_, n) => [String(n + 1), 0]))
const ids = [...sums.keys()]
const perMinute: number[] = []
const startedMs = performance.now()
let commands = 0
let lastMinute = 0

const minutes = setInterval(() => {
  perMinute.push(commands - lastMinute)
  lastMinute = commands
  tell(false)
}, minuteMs)
await Promise.all(Array.from({ length: order.concurrency }, (_, slot) => work(slot)))
clearInterval(minutes)
tell(true)

async function work(slot: number): Promise<void> {
  for (let n = 0; performance.now() - startedMs < order.seconds * 1000; n++) {
    const id = ids[(slot + n * order.concurrency) % ids.length] as string
    const amount = 1 + (n % 7)
    const offset = Math.floor(Math.random() * (noise.length - memoBytes))
    const data = { amount, currency: 'EUR', memo: noise.slice(offset, offset + memoBytes) }
    await deposit(id, data, `${slot}-${n}`)
    sums.set(id, (sums.get(id) as number) + amount)
    commands++
    if (order.pauseMs > 0) await pause(order.pauseMs)
  }
}

/** Under its key until it is answered: an answer that is late must not be counted twice, nor left out. */
async function deposit(id: string, data: object, idempotencyKey: string): Promise<void> {
  for (;;) {
    try {
      const { outcome } = await db.execute('account', id, 'deposit', data, { idempotencyKey })
      if (outcome !== 'completed') throw new Error(`a deposit was ${outcome}`)
      return
    } catch (error) {
      if (!isCommanderError(error) || !error.retryable) throw error
      console.error(`${error.code}: ${error.message}`)
    }
  }
}

function tell(isLast: boolean): void {
  const seconds = (performance.now() - startedMs) / 1000
  const report: EnduranceReport = {
    isLast,
    commands,
    seconds,
    perMinute,
    bytes: commands * memoBytes,
    sums: Object.fromEntries(sums),
  }
  process.send?.(report)
}
