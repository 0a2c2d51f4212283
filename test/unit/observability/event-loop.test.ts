import { expect, it } from 'vitest'
import { monitorEventLoop } from '../../../src/observability/event-loop.ts'

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setTimeout(resolve, 15))
}

it('sees a blocked event loop, once', async () => {
  const monitor = monitorEventLoop()
  await turns(3)
  monitor.takeMaxLagMs()
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400)
  await turns(3)
  expect(monitor.takeMaxLagMs()).toBeGreaterThan(200)
  await turns(3)
  const again = monitor.takeMaxLagMs()
  monitor.stop()
  expect(again).toBeLessThan(200)
})
